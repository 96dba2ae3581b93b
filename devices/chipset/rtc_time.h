/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818's registers of time and alarm against seconds since 1970, in each of its formats
 * (BCD or binary, 24 or 12 hours). Pure functions.
 */
#ifndef DEVICES_RTC_TIME_H
#define DEVICES_RTC_TIME_H

#include "core/util.h"

/* Addresses in CMOS. [MC146818A figure 9 Address Map] */
enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_DAY_OF_WEEK = 0x06,
	RTC_DAY_OF_MONTH = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_REG_A = 0x0a,
	RTC_REG_B = 0x0b,
	RTC_REG_C = 0x0c,
	RTC_REG_D = 0x0d,
	RTC_CENTURY = 0x32, /* where the ACPI FADT says it is */
};

/* Register B's bits of format. */
#define RTC_B_BINARY 0x04
#define RTC_B_24H    0x02

/* True for the registers that rtc_time_encode fills. */
bool rtc_time_is_reg(unsigned reg);

/* The time registers in `cmos` become `seconds`, in the format of `reg_b`. */
void rtc_time_encode(uint8_t *cmos, uint8_t reg_b, int64_t seconds);

/*
 * The seconds that the time registers mean. Whatever a guest has written gives some time: the 31st
 * of February is in March.
 */
int64_t rtc_time_decode(const uint8_t *cmos, uint8_t reg_b);

/* The first second after `after` at which the alarm goes off; INT64_MAX if it never does. */
int64_t rtc_alarm_next(const uint8_t *cmos, uint8_t reg_b, int64_t after);

#endif
