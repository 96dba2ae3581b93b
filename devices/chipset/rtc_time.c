/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and alarm registers of the real-time clock. Pure functions, any thread.
 * [MC146818A table 3 Time, Calendar, and Alarm Data Modes]
 */
#include "devices/chipset/rtc_time.h"

#include <time.h>

#define HOURS_PM    0x80 /* in 12-hour mode */
#define ALARM_ANY   0xc0 /* both upper bits: matches any value */
#define DAY_SECS    86400
#define HOUR_SECS   3600
#define MINUTE_SECS 60

/* An alarm a day away is found in at most 23 hours, 59 minutes and 59 seconds of steps. */
#define ALARM_STEPS_MAX 160u

static uint8_t encode(unsigned val, uint8_t reg_b)
{
	return (uint8_t)(reg_b & RTC_B_BINARY ? val : val / 10 << 4 | val % 10);
}

static unsigned decode(uint8_t val, uint8_t reg_b)
{
	return reg_b & RTC_B_BINARY ? val : (val >> 4) * 10u + (val & 0xf);
}

static uint8_t encode_hour(unsigned hour, uint8_t reg_b)
{
	if (reg_b & RTC_B_24H)
		return encode(hour, reg_b);
	return encode(hour % 12 ? hour % 12 : 12, reg_b) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hour(uint8_t val, uint8_t reg_b)
{
	if (reg_b & RTC_B_24H)
		return decode(val, reg_b);
	return decode(val & (uint8_t)~HOURS_PM, reg_b) % 12 + (val & HOURS_PM ? 12 : 0);
}

bool rtc_time_is_reg(unsigned reg)
{
	switch (reg) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_DAY_OF_WEEK:
	case RTC_DAY_OF_MONTH:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

void rtc_time_encode(uint8_t *cmos, uint8_t reg_b, int64_t seconds)
{
	time_t t = seconds;
	struct tm tm = { 0 };
	unsigned year;

	gmtime_r(&t, &tm);
	year = (unsigned)(tm.tm_year + 1900) % 10000;
	cmos[RTC_SECONDS] = encode((unsigned)tm.tm_sec, reg_b);
	cmos[RTC_MINUTES] = encode((unsigned)tm.tm_min, reg_b);
	cmos[RTC_HOURS] = encode_hour((unsigned)tm.tm_hour, reg_b);
	cmos[RTC_DAY_OF_WEEK] = encode((unsigned)tm.tm_wday + 1, reg_b);
	cmos[RTC_DAY_OF_MONTH] = encode((unsigned)tm.tm_mday, reg_b);
	cmos[RTC_MONTH] = encode((unsigned)tm.tm_mon + 1, reg_b);
	cmos[RTC_YEAR] = encode(year % 100, reg_b);
	cmos[RTC_CENTURY] = encode(year / 100, reg_b);
}

int64_t rtc_time_decode(const uint8_t *cmos, uint8_t reg_b)
{
	struct tm tm = {
		.tm_sec = (int)decode(cmos[RTC_SECONDS], reg_b),
		.tm_min = (int)decode(cmos[RTC_MINUTES], reg_b),
		.tm_hour = (int)decode_hour(cmos[RTC_HOURS], reg_b),
		.tm_mday = (int)decode(cmos[RTC_DAY_OF_MONTH], reg_b),
		.tm_mon = (int)decode(cmos[RTC_MONTH], reg_b) - 1,
		.tm_year = (int)(decode(cmos[RTC_CENTURY], reg_b) * 100 +
				 decode(cmos[RTC_YEAR], reg_b)) -
			   1900,
	};

	return timegm(&tm);
}

int64_t rtc_alarm_next(const uint8_t *cmos, uint8_t reg_b, int64_t after)
{
	const bool any_sec = cmos[RTC_SECONDS_ALARM] >= ALARM_ANY;
	const bool any_min = cmos[RTC_MINUTES_ALARM] >= ALARM_ANY;
	const bool any_hour = cmos[RTC_HOURS_ALARM] >= ALARM_ANY;
	const int64_t sec = decode(cmos[RTC_SECONDS_ALARM], reg_b);
	const int64_t min = decode(cmos[RTC_MINUTES_ALARM], reg_b);
	const int64_t hour = decode_hour(cmos[RTC_HOURS_ALARM], reg_b);
	int64_t t = after + 1;

	for (unsigned i = 0; i < ALARM_STEPS_MAX; i++) {
		/* Of the day; time before 1970 is negative. */
		int64_t of_day = (t % DAY_SECS + DAY_SECS) % DAY_SECS;

		if (!any_hour && of_day / HOUR_SECS != hour)
			t += HOUR_SECS - of_day % HOUR_SECS;
		else if (!any_min && of_day / MINUTE_SECS % 60 != min)
			t += MINUTE_SECS - of_day % MINUTE_SECS;
		else if (!any_sec && of_day % MINUTE_SECS != sec)
			t++;
		else
			return t;
	}
	return INT64_MAX;
}
