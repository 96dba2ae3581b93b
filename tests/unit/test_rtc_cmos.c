/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock and CMOS memory as OVMF and Linux use them. The test owns the host's clock, and an
 * eventfd stands in for the timer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "core/bus.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/loop.h"
#include "devices/chipset/rtc_cmos.h"
#include "devices/chipset/rtc_time.h"

#define PORT 0x70
#define GSI  8

/* 2026-08-06 15:04:05 UTC */
#define SOME_TIME 1786028645ll

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10

static struct bus pio;
static struct irq irq;
static struct loop loop;
static const struct board board = { .pio = &pio, .irq = &irq };
static struct device *dev;

static struct timespec now;
static struct loop_source *timer;
static struct itimerspec timer_when;
static unsigned timer_sets;
static bool line;
static bool no_timers;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	assert_int_equal(clock, CLOCK_REALTIME);
	*ts = now;
	return 0;
}

int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
	assert_int_equal(clock, CLOCK_REALTIME);
	if (no_timers) {
		errno = EMFILE;
		return -1;
	}
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	assert_int_equal(flags, TFD_TIMER_ABSTIME);
	assert_in_range(when->it_value.tv_nsec, 0, 999999999);
	timer_when = *when;
	timer_sets++;
	return 0;
}

int __wrap_loop_add(struct loop *l, struct loop_source *source);
int __wrap_loop_add(struct loop *l, struct loop_source *source)
{
	assert_ptr_equal(l, &loop);
	timer = source;
	return 0;
}

void __wrap_loop_remove(struct loop *l, struct loop_source *source);
void __wrap_loop_remove(struct loop *l, struct loop_source *source)
{
	assert_ptr_equal(source, timer);
	timer = NULL;
}

void __wrap_loop_call(struct loop *l, void (*fn)(void *arg), void *arg);
void __wrap_loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

void __wrap_irq_line_set(struct irq_line *l, bool level);
void __wrap_irq_line_set(struct irq_line *l, bool level)
{
	assert_int_equal(l->gsi, GSI);
	line = level;
}

static int setup(void **state)
{
	const struct rtc_cmos_config config = {
		.port = PORT,
		.gsi = GSI,
		.low_ram = 2 * GiB,
		.high_ram = 6 * GiB,
	};

	line = no_timers = false;
	timer_when = (struct itimerspec){ 0 };
	timer_sets = 0;
	now = (struct timespec){ .tv_sec = SOME_TIME, .tv_nsec = 250000000 };
	bus_init(&pio);
	return rtc_cmos_create(&board, &loop, &config, &dev);
}

static int teardown(void **state)
{
	dev->ops->destroy(dev);
	assert_null(timer);
	assert_int_equal(pio.count, 0);
	bus_fini(&pio);
	return 0;
}

static uint8_t in(uint8_t reg)
{
	bus_write(&pio, PORT, 1, reg);
	return (uint8_t)bus_read(&pio, PORT + 1, 1);
}

static void out(uint8_t reg, uint8_t val)
{
	bus_write(&pio, PORT, 1, reg);
	bus_write(&pio, PORT + 1, 1, val);
}

static void advance_ms(unsigned ms)
{
	now.tv_nsec += (long)ms * 1000000;
	now.tv_sec += now.tv_nsec / 1000000000;
	now.tv_nsec %= 1000000000;
}

/* The host's time goes on to when the timer is set for, and it goes off. */
static void fire(void)
{
	assert_true(timer_when.it_value.tv_sec != 0);
	now = timer_when.it_value;
	timer_when = (struct itimerspec){ 0 }; /* one shot */
	eventfd_write(timer->fd, 1);
	timer->ready(timer);
}

static void set_time_regs(const char *bcd)
{
	static const uint8_t regs[] = { RTC_CENTURY, RTC_YEAR,    RTC_MONTH,  RTC_DAY_OF_MONTH,
					RTC_HOURS,   RTC_MINUTES, RTC_SECONDS };

	/* "CCYYMMDDhhmmss" */
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		out(regs[i], (uint8_t)((bcd[2 * i] - '0') << 4 | (bcd[2 * i + 1] - '0')));
}

static void expect_time_regs(const char *bcd)
{
	static const uint8_t regs[] = { RTC_CENTURY, RTC_YEAR,    RTC_MONTH,  RTC_DAY_OF_MONTH,
					RTC_HOURS,   RTC_MINUTES, RTC_SECONDS };

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		assert_int_equal(in(regs[i]), (bcd[2 * i] - '0') << 4 | (bcd[2 * i + 1] - '0'));
}

static void shows_the_hosts_utc(void **state)
{
	expect_time_regs("20260806150405");
	advance_ms(2000);
	expect_time_regs("20260806150407");
	assert_int_equal(timer_sets, 0);
}

static void registers_after_power_on(void **state)
{
	assert_int_equal(in(RTC_REG_A), 0x26);
	assert_int_equal(in(RTC_REG_B), 0x02);
	assert_int_equal(in(RTC_REG_C), 0);
	assert_int_equal(in(RTC_REG_D), 0x80);
	assert_int_equal(bus_read(&pio, PORT, 1), 0xff);
}

/* PcRtcInit() and PcRtcSetTime() of edk2 */
static void ovmf_initialises_the_clock(void **state)
{
	out(RTC_REG_A, 0x26);
	in(RTC_REG_C);
	out(RTC_REG_D, 0);
	assert_int_equal(in(RTC_REG_D), 0x80);
	assert_int_equal(in(RTC_REG_A)&0x80, 0);
	out(RTC_REG_B, 0x82);
	set_time_regs("20260806150405");
	out(RTC_REG_B, 0x02);
	expect_time_regs("20260806150405");
	advance_ms(750);
	expect_time_regs("20260806150406");
}

static void index_bit_7_is_ignored(void **state)
{
	out(0x80 | 0x0f, 0xfe);
	assert_int_equal(in(0x0f), 0xfe);
	assert_int_equal(in(0x80 | 0x0f), 0xfe);
}

static void word_write_is_index_and_data(void **state)
{
	bus_write(&pio, PORT, 2, 0x5a0f);
	assert_int_equal(in(0x0f), 0x5a);
}

static void memory_is_kept(void **state)
{
	for (unsigned reg = 0x0e; reg < 0x80; reg++) {
		if (reg != RTC_CENTURY)
			out((uint8_t)reg, (uint8_t)(reg ^ 0x55));
	}
	dev->ops->reset(dev);
	for (unsigned reg = 0x0e; reg < 0x80; reg++) {
		if (reg != RTC_CENTURY)
			assert_int_equal(in((uint8_t)reg), reg ^ 0x55);
	}
}

static void memory_size_bytes(void **state)
{
	/* 2 GiB - 16 MiB and 6 GiB in units of 64 KiB. */
	assert_int_equal(in(0x34) | in(0x35) << 8, 0x7f00);
	assert_int_equal(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 0x18000);
}

static void uip_warns_just_before_the_second(void **state)
{
	now.tv_nsec = 997000000;
	assert_int_equal(in(RTC_REG_A)&0x80, 0);
	now.tv_nsec = 998000000;
	assert_int_equal(in(RTC_REG_A)&0x80, 0x80);
	assert_int_equal(in(RTC_SECONDS), 0x05);
	now.tv_sec++;
	now.tv_nsec = 0;
	assert_int_equal(in(RTC_REG_A)&0x80, 0);
	assert_int_equal(in(RTC_SECONDS), 0x06);
	out(RTC_REG_B, 0x82);
	now.tv_nsec = 999000000;
	assert_int_equal(in(RTC_REG_A)&0x80, 0);
}

/* mc146818_set_time() of Linux: SET and divider reset, the update half a second after release. */
static void hwclock_set_starts_half_a_second_before_the_update(void **state)
{
	uint8_t control = in(RTC_REG_B), freq = in(RTC_REG_A);

	out(RTC_REG_B, control | B_SET);
	out(RTC_REG_A, freq | 0x70);
	set_time_regs("20010909014640");
	advance_ms(3000);
	expect_time_regs("20010909014640"); /* stands still */
	out(RTC_REG_B, control);
	out(RTC_REG_A, freq);
	expect_time_regs("20010909014640");
	advance_ms(499);
	expect_time_regs("20010909014640");
	advance_ms(2);
	expect_time_regs("20010909014641");
}

static void divider_released_before_set(void **state)
{
	out(RTC_REG_B, 0x82);
	out(RTC_REG_A, 0x76);
	set_time_regs("20010909014640");
	out(RTC_REG_A, 0x26);
	advance_ms(100);
	out(RTC_REG_B, 0x02);
	advance_ms(399);
	expect_time_regs("20010909014640");
	advance_ms(2);
	expect_time_regs("20010909014641");
}

static void set_time_survives_reset(void **state)
{
	out(RTC_REG_B, 0x82);
	set_time_regs("19991231235958");
	out(RTC_REG_B, 0x02);
	dev->ops->reset(dev);
	advance_ms(2000);
	expect_time_regs("20000101000000");
}

static void write_without_set_is_taken(void **state)
{
	out(RTC_HOURS, 0x23);
	expect_time_regs("20260806230405");
}

static void impossible_dates_do_no_harm(void **state)
{
	out(RTC_REG_B, 0x82);
	for (uint8_t reg = 0; reg < 0x0a; reg++)
		out(reg, 0xff);
	out(RTC_CENTURY, 0xff);
	out(RTC_REG_B, B_UIE | B_AIE | B_PIE);
	in(RTC_SECONDS);
	in(RTC_REG_C);
	out(RTC_REG_B, 0x06 | B_SET);
	out(RTC_CENTURY, 0xff);
	out(RTC_REG_B, B_UIE | B_AIE | B_PIE | 0x06);
	in(RTC_REG_C);
}

static void update_interrupt_each_second(void **state)
{
	out(RTC_REG_B, 0x02 | B_UIE);
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME + 1);
	assert_int_equal(timer_when.it_value.tv_nsec, 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_false(line);
		fire();
		assert_true(line);
		assert_int_equal(now.tv_sec, SOME_TIME + i);
		assert_int_equal(timer_when.it_value.tv_sec, 0); /* waits for the guest */
		assert_int_equal(in(RTC_REG_C)&0x90, 0x90);
	}
	out(RTC_REG_B, 0x02);
	assert_int_equal(timer_when.it_value.tv_sec, 0);
}

static void alarm_interrupt(void **state)
{
	out(RTC_HOURS_ALARM, 0x15);
	out(RTC_MINUTES_ALARM, 0x05);
	out(RTC_SECONDS_ALARM, 0x00);
	out(RTC_REG_B, 0x02 | B_AIE);
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME + 55);
	fire();
	assert_true(line);
	expect_time_regs("20260806150500");
	assert_int_equal(in(RTC_REG_C)&0xa0, 0xa0);
	assert_false(line);
	/* The next is tomorrow's. */
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME + 55 + 86400);
}

static void alarm_follows_a_new_time(void **state)
{
	out(RTC_HOURS_ALARM, 0x00);
	out(RTC_MINUTES_ALARM, 0x00);
	out(RTC_SECONDS_ALARM, 0x00);
	out(RTC_REG_B, 0x82 | B_AIE);
	assert_int_equal(timer_when.it_value.tv_sec, 0);
	set_time_regs("19991231235950");
	out(RTC_REG_B, 0x02 | B_AIE);
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME + 10);
	assert_int_equal(timer_when.it_value.tv_nsec, 0);
	fire();
	assert_true(line);
	expect_time_regs("20000101000000");
}

static void impossible_alarm_never_comes(void **state)
{
	out(RTC_HOURS_ALARM, 0x99);
	out(RTC_REG_B, 0x02 | B_AIE);
	assert_int_equal(timer_when.it_value.tv_sec, 0);
}

static void periodic_interrupt(void **state)
{
	out(RTC_REG_A, 0x2f); /* 2 Hz */
	out(RTC_REG_B, 0x02 | B_PIE);
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME);
	assert_int_equal(timer_when.it_value.tv_nsec, 500000000);
	fire();
	assert_true(line);
	assert_int_equal(in(RTC_REG_C), 0xc0);
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME + 1);
	assert_int_equal(timer_when.it_value.tv_nsec, 0);

	out(RTC_REG_A, 0x26); /* 1024 Hz */
	assert_int_equal(timer_when.it_value.tv_sec, SOME_TIME);
	assert_int_equal(timer_when.it_value.tv_nsec, 500976563);
	out(RTC_REG_A, 0x21); /* 256 Hz */
	assert_int_equal(timer_when.it_value.tv_nsec, 503906250);
	out(RTC_REG_A, 0x23); /* 8192 Hz */
	assert_int_equal(timer_when.it_value.tv_nsec, 500122071);
	out(RTC_REG_A, 0x20);
	assert_int_equal(timer_when.it_value.tv_sec, 0);
}

static void flags_can_be_polled(void **state)
{
	out(RTC_HOURS_ALARM, 0xff);
	out(RTC_MINUTES_ALARM, 0xff);
	out(RTC_SECONDS_ALARM, 0x07);
	in(RTC_REG_C);
	assert_int_equal(in(RTC_REG_C), 0);
	advance_ms(1000);
	assert_int_equal(in(RTC_REG_C), 0x50);
	assert_int_equal(in(RTC_REG_C), 0);
	advance_ms(1000);
	assert_int_equal(in(RTC_REG_C), 0x70);
	assert_false(line);
	assert_int_equal(timer_sets, 0);
}

static void no_update_flag_while_set(void **state)
{
	out(RTC_REG_B, 0x92);
	assert_int_equal(in(RTC_REG_B), 0x82); /* SET clears UIE */
	in(RTC_REG_C);
	advance_ms(5000);
	assert_int_equal(in(RTC_REG_C)&0x30, 0);
}

static void hosts_clock_may_jump(void **state)
{
	in(RTC_REG_C);
	now.tv_sec -= 1000;
	assert_int_equal(in(RTC_REG_C), 0);
	out(RTC_REG_B, 0x02 | B_UIE);
	fire();
	assert_true(line);
	/* A timer that goes off early, as seen from the new time, is set again. */
	in(RTC_REG_C);
	eventfd_write(timer->fd, 1);
	now.tv_sec -= 1000;
	timer->ready(timer);
	assert_false(line);
	assert_int_equal(timer_when.it_value.tv_sec, now.tv_sec + 1);
}

static void reset_ends_interrupts(void **state)
{
	out(RTC_REG_B, 0x02 | B_UIE);
	fire();
	assert_true(line);
	dev->ops->reset(dev);
	assert_false(line);
	assert_int_equal(in(RTC_REG_B), 0x02);
	assert_int_equal(timer_when.it_value.tv_sec, 0);
}

static void taken_port_is_an_error(void **state)
{
	const struct rtc_cmos_config config = { .port = PORT + 1, .gsi = GSI };
	struct device *second = NULL;

	assert_int_equal(rtc_cmos_create(&board, &loop, &config, &second), -EEXIST);
	assert_null(second);
}

/* A guest may ask for one as often as it likes. */
static void want_of_a_timer_is_told_a_few_times(void **state)
{
	const int err = dup(STDERR_FILENO);
	char text[4096] = "";
	unsigned lines = 0;
	int fds[2];

	no_timers = true;
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	dup2(fds[1], STDERR_FILENO);
	for (unsigned i = 0; i < 10 * LOG_LIMIT; i++) {
		out(0x0b, 0x02 | B_UIE);
		out(0x0b, 0x02);
	}
	dup2(err, STDERR_FILENO);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_in_range(lines, 1, LOG_LIMIT + 1); /* and that there is more */
	assert_non_null(strstr(text, "no timer"));
	close(fds[0]), close(fds[1]), close(err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shows_the_hosts_utc),
		TEST(registers_after_power_on),
		TEST(ovmf_initialises_the_clock),
		TEST(index_bit_7_is_ignored),
		TEST(word_write_is_index_and_data),
		TEST(memory_is_kept),
		TEST(memory_size_bytes),
		TEST(uip_warns_just_before_the_second),
		TEST(hwclock_set_starts_half_a_second_before_the_update),
		TEST(divider_released_before_set),
		TEST(set_time_survives_reset),
		TEST(write_without_set_is_taken),
		TEST(impossible_dates_do_no_harm),
		TEST(update_interrupt_each_second),
		TEST(alarm_interrupt),
		TEST(alarm_follows_a_new_time),
		TEST(impossible_alarm_never_comes),
		TEST(periodic_interrupt),
		TEST(flags_can_be_polled),
		TEST(no_update_flag_while_set),
		TEST(hosts_clock_may_jump),
		TEST(reset_ends_interrupts),
		TEST(want_of_a_timer_is_told_a_few_times),
		TEST(taken_port_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
