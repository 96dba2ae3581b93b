/* SPDX-License-Identifier: Apache-2.0 */
/* The clock's registers against seconds: formats, round trips, nonsense, and the next alarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/chipset/rtc_time.h"

/* 2026-08-06 15:04:05 UTC, a Thursday */
#define SOME_TIME 1786028645ll
#define DAY       86400ll

static const uint8_t formats[] = { 0, RTC_B_24H, RTC_B_BINARY, RTC_B_24H | RTC_B_BINARY };

static void bcd_24_hours(void **state)
{
	uint8_t cmos[128] = { 0 };

	rtc_time_encode(cmos, RTC_B_24H, SOME_TIME);
	assert_int_equal(cmos[RTC_SECONDS], 0x05);
	assert_int_equal(cmos[RTC_MINUTES], 0x04);
	assert_int_equal(cmos[RTC_HOURS], 0x15);
	assert_int_equal(cmos[RTC_DAY_OF_WEEK], 5);
	assert_int_equal(cmos[RTC_DAY_OF_MONTH], 0x06);
	assert_int_equal(cmos[RTC_MONTH], 0x08);
	assert_int_equal(cmos[RTC_YEAR], 0x26);
	assert_int_equal(cmos[RTC_CENTURY], 0x20);
}

static void binary_12_hours(void **state)
{
	uint8_t cmos[128] = { 0 };

	rtc_time_encode(cmos, RTC_B_BINARY, SOME_TIME);
	assert_int_equal(cmos[RTC_HOURS], 0x80 | 3);
	assert_int_equal(cmos[RTC_YEAR], 26);
	assert_int_equal(cmos[RTC_CENTURY], 20);
}

static void midnight_and_noon_are_12(void **state)
{
	const int64_t midnight = SOME_TIME - SOME_TIME % DAY;
	uint8_t cmos[128] = { 0 };

	rtc_time_encode(cmos, 0, midnight);
	assert_int_equal(cmos[RTC_HOURS], 0x12);
	rtc_time_encode(cmos, 0, midnight + DAY / 2);
	assert_int_equal(cmos[RTC_HOURS], 0x92);
}

static void every_format_comes_back(void **state)
{
	static const int64_t times[] = {
		0, SOME_TIME, 951782399 /* 29 February 2000, 23:59:59 */, 4102444800 /* 2100 */, -1,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(times); j++) {
			for (int64_t t = times[j]; t < times[j] + DAY; t += 1799) {
				uint8_t cmos[128] = { 0 };

				rtc_time_encode(cmos, formats[i], t);
				assert_int_equal(rtc_time_decode(cmos, formats[i]), t);
			}
		}
	}
}

static void nonsense_gives_some_time(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		for (unsigned fill = 0; fill < 256; fill++) {
			uint8_t cmos[128];

			memset(cmos, (int)fill, sizeof(cmos));
			rtc_time_encode(cmos, formats[i], rtc_time_decode(cmos, formats[i]));
		}
	}
}

static int64_t alarm_after(uint8_t hour, uint8_t min, uint8_t sec, int64_t after)
{
	uint8_t cmos[128] = { 0 };

	cmos[RTC_HOURS_ALARM] = hour;
	cmos[RTC_MINUTES_ALARM] = min;
	cmos[RTC_SECONDS_ALARM] = sec;
	return rtc_alarm_next(cmos, RTC_B_24H, after);
}

static void alarm_later_today_or_tomorrow(void **state)
{
	assert_int_equal(alarm_after(0x15, 0x04, 0x06, SOME_TIME), SOME_TIME + 1);
	assert_int_equal(alarm_after(0x15, 0x04, 0x05, SOME_TIME), SOME_TIME + DAY);
	assert_int_equal(alarm_after(0x15, 0x04, 0x04, SOME_TIME), SOME_TIME + DAY - 1);
	assert_int_equal(alarm_after(0x23, 0x59, 0x59, SOME_TIME),
			 SOME_TIME - SOME_TIME % DAY + DAY - 1);
}

static void alarm_with_wildcards(void **state)
{
	assert_int_equal(alarm_after(0xff, 0xff, 0xff, SOME_TIME), SOME_TIME + 1);
	assert_int_equal(alarm_after(0xc0, 0xc0, 0x05, SOME_TIME), SOME_TIME + 60);
	assert_int_equal(alarm_after(0xff, 0x04, 0x05, SOME_TIME), SOME_TIME + 3600);
	assert_int_equal(alarm_after(0xff, 0xff, 0x05, -1), 5);
}

static void alarm_that_cannot_be(void **state)
{
	assert_int_equal(alarm_after(0x24, 0x00, 0x00, SOME_TIME), INT64_MAX);
	assert_int_equal(alarm_after(0xff, 0x60, 0xff, SOME_TIME), INT64_MAX);
	assert_int_equal(alarm_after(0xff, 0xff, 0x7f, SOME_TIME), INT64_MAX);
}

static void alarm_is_found_from_any_second(void **state)
{
	const int64_t midnight = SOME_TIME - SOME_TIME % DAY;

	for (int64_t t = midnight; t < midnight + DAY; t += 61) {
		int64_t alarm = alarm_after(0x12, 0x34, 0x56, t);

		assert_true(alarm > t && alarm <= t + DAY);
		assert_int_equal(alarm % DAY, 12 * 3600 + 34 * 60 + 56);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bcd_24_hours),
		cmocka_unit_test(binary_12_hours),
		cmocka_unit_test(midnight_and_noon_are_12),
		cmocka_unit_test(every_format_comes_back),
		cmocka_unit_test(nonsense_gives_some_time),
		cmocka_unit_test(alarm_later_today_or_tomorrow),
		cmocka_unit_test(alarm_with_wildcards),
		cmocka_unit_test(alarm_that_cannot_be),
		cmocka_unit_test(alarm_is_found_from_any_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
