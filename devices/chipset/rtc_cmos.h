/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's real-time clock and its battery-backed memory. It shows the host's UTC time, plus what
 * the guest has set it off by, and has the periodic, alarm and update interrupts.
 * [MC146818A Real-Time Clock Plus RAM, Motorola 1984]
 */
#ifndef DEVICES_RTC_CMOS_H
#define DEVICES_RTC_CMOS_H

#include "core/device.h"

#define RTC_CMOS_PORTS 2 /* ports that it occupies: index, data */

struct loop;

struct rtc_cmos_config {
	uint16_t port; /* of the index register */
	unsigned gsi;
	/* RAM below and above 4 GiB in bytes, for firmware that looks for its size here. */
	uint64_t low_ram, high_ram;
};

/*
 * `loop` serves its timer, from when an interrupt is first enabled; the main loop is as good as any
 * other. A reset keeps the time and the memory, as the battery would. Fails with the error of
 * bus_add.
 */
int MUST_CHECK rtc_cmos_create(const struct board *board, struct loop *loop,
			       const struct rtc_cmos_config *config, struct device **ret_dev);

#endif
