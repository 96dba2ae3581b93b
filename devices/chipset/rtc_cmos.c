/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 clock and CMOS memory. Accesses run on vCPU threads, the timer on its loop's.
 *
 * Time is counted in ticks of the chip's crystal, 32768 a second: seconds, update cycles and
 * periodic interrupts are all multiples of it. Nothing runs while the guest does not look: flags
 * are worked out from the ticks since the last look, and the timer is set only for the next
 * interrupt that is enabled.
 */
#include "devices/chipset/rtc_cmos.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/loop.h"
#include "devices/chipset/rtc_time.h"

#define CMOS_SIZE  128u
#define INDEX_MASK 0x7f /* bit 7 masks NMIs */

/* [MC146818A Registers A to D] */
#define A_UIP       0x80 /* update in progress: do not read the time now */
#define A_DV        0x70 /* divider chain */
#define A_DV_RESET  0x60 /* held in reset: 11x */
#define A_RS        0x0f /* rate of the periodic interrupt */
#define A_DEFAULT   0x26 /* 32.768 kHz, 1024 Hz */
#define B_SET       0x80 /* no updates while the guest sets the time */
#define B_PIE       0x40
#define B_AIE       0x20
#define B_UIE       0x10
#define B_SQWE      0x08
#define IRQ_ENABLES (B_PIE | B_AIE | B_UIE)
#define C_IRQF      0x80
#define C_PF        B_PIE /* flags and their enables have the same bits */
#define C_AF        B_AIE
#define C_UF        B_UIE
#define D_VRT       0x80 /* the battery is good */

#define TICK_BITS    15 /* of a second */
#define TICK_HZ      (1 << TICK_BITS)
#define TICK_MASK    (TICK_HZ - 1)
#define UPDATE_TICKS 73 /* UIP is set 2228 us before the time changes */
#define NEVER        INT64_MAX

/* RAM sizes as a PC's BIOS leaves them, in units of 64 KiB. */
#define CMOS_EXT_MEM  0x34 /* above 16 MiB, two bytes */
#define CMOS_HIGH_MEM 0x5b /* above 4 GiB, three bytes */
#define CMOS_MEM_UNIT (64 * KiB)

struct rtc_cmos {
	struct device device;
	struct bus *pio;
	struct bus_range range;
	struct loop *loop;

	pthread_mutex_t lock;     /* guards all below */
	struct loop_source timer; /* fd -1: no interrupt has been enabled yet */
	struct irq_line irq;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE]; /* the time in it is stale unless frozen() */
	int64_t offset;          /* guest's ticks minus host's */
	int64_t seen;            /* guest's ticks when flags were last worked out */
	int64_t armed;           /* host's ticks that the timer waits for */
};

static int64_t host_ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * TICK_HZ + ts.tv_nsec * TICK_HZ / NS_PER_S;
}

static int64_t guest_ticks(const struct rtc_cmos *rtc)
{
	return host_ticks() + rtc->offset;
}

static bool divider_reset(uint8_t reg_a)
{
	return (reg_a & A_DV_RESET) == A_DV_RESET;
}

/* The time stands still, and its registers are what they hold. */
static bool frozen(const struct rtc_cmos *rtc)
{
	return (rtc->cmos[RTC_REG_B] & B_SET) || divider_reset(rtc->cmos[RTC_REG_A]);
}

static void latch_time(struct rtc_cmos *rtc)
{
	rtc_time_encode(rtc->cmos, rtc->cmos[RTC_REG_B], guest_ticks(rtc) >> TICK_BITS);
}

/* The time goes on from what the registers hold; how far into the second it is stays. */
static void start_time(struct rtc_cmos *rtc)
{
	int64_t now = guest_ticks(rtc);
	int64_t then = rtc_time_decode(rtc->cmos, rtc->cmos[RTC_REG_B]) * TICK_HZ;

	rtc->offset += then - (now & ~(int64_t)TICK_MASK);
	rtc->seen = guest_ticks(rtc);
}

/* Periodic interrupts come every 2^bits ticks; 0: never. [MC146818A table 5] */
static unsigned period_bits(const struct rtc_cmos *rtc)
{
	unsigned rate = rtc->cmos[RTC_REG_A] & A_RS;

	if (rate == 0 || divider_reset(rtc->cmos[RTC_REG_A]))
		return 0;
	return rate <= 2 ? rate + 6 : rate - 1;
}

/* What happened since the last look. */
static void update_flags(struct rtc_cmos *rtc)
{
	const int64_t now = guest_ticks(rtc);
	const int64_t second = now >> TICK_BITS, seen_second = rtc->seen >> TICK_BITS;
	const unsigned period = period_bits(rtc);
	uint8_t *reg_c = &rtc->cmos[RTC_REG_C];

	/* The host's clock may have been set back. */
	if (now > rtc->seen) {
		if (period && now >> period != rtc->seen >> period)
			*reg_c |= C_PF;
		if (!frozen(rtc) && second != seen_second) {
			*reg_c |= C_UF;
			if (rtc_alarm_next(rtc->cmos, rtc->cmos[RTC_REG_B], seen_second) <= second)
				*reg_c |= C_AF;
		}
	}
	rtc->seen = now;
}

/* The host's ticks at the next interrupt that can come. */
static int64_t next_interrupt(const struct rtc_cmos *rtc)
{
	const uint8_t reg_b = rtc->cmos[RTC_REG_B];
	const unsigned period = period_bits(rtc);
	const int64_t second = rtc->seen >> TICK_BITS;
	int64_t next = NEVER, alarm;

	if (rtc->cmos[RTC_REG_C] & C_IRQF)
		return NEVER; /* it is there already: not before the guest has read register C */
	if ((reg_b & B_PIE) && period)
		next = ((rtc->seen >> period) + 1) * (1ll << period);
	if ((reg_b & B_UIE) && !frozen(rtc))
		next = MIN(next, (second + 1) * TICK_HZ);
	if ((reg_b & B_AIE) && !frozen(rtc)) {
		alarm = rtc_alarm_next(rtc->cmos, reg_b, second);
		if (alarm != NEVER)
			next = MIN(next, alarm * TICK_HZ);
	}
	return next == NEVER ? NEVER : next - rtc->offset;
}

static bool have_timer(struct rtc_cmos *rtc)
{
	if (rtc->timer.fd >= 0)
		return true;
	rtc->timer.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (rtc->timer.fd < 0) {
		log_limited(LOG_ERROR, "real-time clock: no timer: %s", strerror(errno));
		return false;
	}
	if (loop_add(rtc->loop, &rtc->timer) == 0)
		return true;
	log_limited(LOG_ERROR, "real-time clock: %s", err_text());
	close_fd(&rtc->timer.fd);
	return false;
}

static void arm_timer(struct rtc_cmos *rtc)
{
	const int64_t next = next_interrupt(rtc);
	struct itimerspec when = { 0 };

	if (next == rtc->armed || !have_timer(rtc))
		return;
	rtc->armed = next;
	if (next != NEVER) {
		when.it_value.tv_sec = next >> TICK_BITS;
		/* Rounded up, so that the tick has come when the timer goes off. */
		when.it_value.tv_nsec = ((next & TICK_MASK) * NS_PER_S + TICK_MASK) / TICK_HZ;
	}
	if (timerfd_settime(rtc->timer.fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_limited(LOG_ERROR, "real-time clock: no timer: %s", strerror(errno));
}

/* The interrupt and the timer follow the registers. Ends each access that may change them. */
static void update(struct rtc_cmos *rtc)
{
	uint8_t *reg_c = &rtc->cmos[RTC_REG_C];

	update_flags(rtc);
	if (*reg_c & rtc->cmos[RTC_REG_B] & IRQ_ENABLES)
		*reg_c |= C_IRQF;
	else
		*reg_c &= (uint8_t)~C_IRQF;
	irq_line_set(&rtc->irq, *reg_c & C_IRQF);
	arm_timer(rtc);
}

static uint8_t read_reg_a(const struct rtc_cmos *rtc)
{
	uint8_t val = rtc->cmos[RTC_REG_A];

	if (!frozen(rtc) && (guest_ticks(rtc) & TICK_MASK) >= TICK_HZ - UPDATE_TICKS)
		val |= A_UIP;
	return val;
}

static uint8_t cmos_read(struct rtc_cmos *rtc, unsigned reg)
{
	uint8_t val;

	switch (reg) {
	case RTC_REG_A:
		return read_reg_a(rtc);
	case RTC_REG_C:
		update(rtc);
		val = rtc->cmos[RTC_REG_C];
		rtc->cmos[RTC_REG_C] = 0;
		update(rtc);
		return val;
	case RTC_REG_D:
		return D_VRT;
	default:
		if (rtc_time_is_reg(reg) && !frozen(rtc))
			latch_time(rtc);
		return rtc->cmos[reg];
	}
}

static void write_reg_a(struct rtc_cmos *rtc, uint8_t val)
{
	const bool was_reset = divider_reset(rtc->cmos[RTC_REG_A]), was_frozen = frozen(rtc);

	if (!was_frozen)
		latch_time(rtc);
	rtc->cmos[RTC_REG_A] = val & (uint8_t)~A_UIP;
	/* The divider starts such that the first update comes half a second later. */
	if (was_reset && !divider_reset(val))
		rtc->offset += TICK_HZ / 2 - (guest_ticks(rtc) & TICK_MASK);
	if (was_frozen && !frozen(rtc))
		start_time(rtc);
}

static void write_reg_b(struct rtc_cmos *rtc, uint8_t val)
{
	const bool was_frozen = frozen(rtc);

	if (val & B_SET)
		val &= (uint8_t)~B_UIE;
	if (!was_frozen && (val & B_SET))
		latch_time(rtc);
	rtc->cmos[RTC_REG_B] = val;
	if (was_frozen && !frozen(rtc))
		start_time(rtc);
}

static void write_time(struct rtc_cmos *rtc, unsigned reg, uint8_t val)
{
	if (frozen(rtc)) {
		rtc->cmos[reg] = val;
		return;
	}
	latch_time(rtc);
	rtc->cmos[reg] = val;
	start_time(rtc);
}

static void cmos_write(struct rtc_cmos *rtc, unsigned reg, uint8_t val)
{
	/* What happened until now did so under the old settings. */
	update_flags(rtc);
	switch (reg) {
	case RTC_REG_A:
		write_reg_a(rtc, val);
		break;
	case RTC_REG_B:
		write_reg_b(rtc, val);
		break;
	case RTC_REG_C:
	case RTC_REG_D:
		break; /* read-only */
	default:
		if (rtc_time_is_reg(reg))
			write_time(rtc, reg, val);
		else
			rtc->cmos[reg] = val;
		break;
	}
	update(rtc);
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned len)
{
	struct rtc_cmos *rtc = dev;
	uint8_t val;

	/* The index cannot be read back. */
	if (off != 1)
		return ones(len);
	pthread_mutex_lock(&rtc->lock);
	val = cmos_read(rtc, rtc->index);
	pthread_mutex_unlock(&rtc->lock);
	return val;
}

static void rtc_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct rtc_cmos *rtc = dev;

	pthread_mutex_lock(&rtc->lock);
	/* A word sets index and data at once, as two bytes on the bus. */
	for (unsigned i = 0; i < len; i++, off++, val >>= 8) {
		if (off == 0)
			rtc->index = val & INDEX_MASK;
		else
			cmos_write(rtc, rtc->index, (uint8_t)val);
	}
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops rtc_bus_ops = { .read = rtc_read,
					    .write = rtc_write,
					    .name = "real-time clock" };

static void timer_ready(struct loop_source *source)
{
	struct rtc_cmos *rtc = container_of(source, struct rtc_cmos, timer);
	uint64_t expirations;

	pthread_mutex_lock(&rtc->lock);
	/* Nothing to read if a vCPU has set the timer anew meanwhile: then it is not ready. */
	if (read(rtc->timer.fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		rtc->armed = NEVER;
	update(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void rtc_reset(struct device *dev)
{
	struct rtc_cmos *rtc = container_of(dev, struct rtc_cmos, device);

	pthread_mutex_lock(&rtc->lock);
	/* [MC146818A RESET] */
	rtc->cmos[RTC_REG_B] &= (uint8_t) ~(IRQ_ENABLES | B_SQWE);
	rtc->cmos[RTC_REG_C] = 0;
	rtc->index = 0;
	update(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void remove_timer(void *arg)
{
	struct rtc_cmos *rtc = arg;

	loop_remove(rtc->loop, &rtc->timer);
}

static void rtc_destroy(struct device *dev)
{
	struct rtc_cmos *rtc = container_of(dev, struct rtc_cmos, device);

	bus_remove(rtc->pio, &rtc->range);
	if (rtc->timer.fd >= 0)
		loop_call(rtc->loop, remove_timer, rtc);
	close_fd(&rtc->timer.fd);
	irq_line_set(&rtc->irq, false);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static const struct device_ops rtc_device_ops = {
	.reset = rtc_reset,
	.destroy = rtc_destroy,
};

static void init_cmos(struct rtc_cmos *rtc, const struct rtc_cmos_config *config)
{
	const uint64_t ext = config->low_ram > 16 * MiB ? config->low_ram - 16 * MiB : 0;
	const uint64_t high = config->high_ram / CMOS_MEM_UNIT;

	rtc->cmos[RTC_REG_A] = A_DEFAULT;
	rtc->cmos[RTC_REG_B] = RTC_B_24H;
	store_le(rtc->cmos + CMOS_EXT_MEM, 2, MIN(ext / CMOS_MEM_UNIT, ones(2)));
	store_le(rtc->cmos + CMOS_HIGH_MEM, 3, MIN(high, ones(3)));
}

int rtc_cmos_create(const struct board *board, struct loop *loop,
		    const struct rtc_cmos_config *config, struct device **ret_dev)
{
	struct rtc_cmos *rtc = calloc(1, sizeof(*rtc));
	int r;

	if (!rtc)
		return err_sys(ERR_LIMIT, -ENOMEM, "real-time clock");
	rtc->device = (struct device){ .name = "rtc-cmos", .ops = &rtc_device_ops };
	rtc->pio = board->pio;
	rtc->range = (struct bus_range){
		.base = config->port, .size = RTC_CMOS_PORTS, .ops = &rtc_bus_ops, .dev = rtc
	};
	rtc->loop = loop;
	rtc->timer = (struct loop_source){ .fd = -1, .ready = timer_ready };
	pthread_mutex_init(&rtc->lock, NULL);
	irq_line_init(&rtc->irq, board->irq, config->gsi);
	init_cmos(rtc, config);
	rtc->armed = NEVER;
	rtc->seen = guest_ticks(rtc);

	r = bus_add(board->pio, &rtc->range);
	if (r < 0) {
		err_sys(ERR_INTERNAL, r, "real-time clock at I/O port 0x%x", config->port);
		goto fail;
	}
	*ret_dev = &rtc->device;
	return 0;
fail:
	rtc_destroy(&rtc->device);
	return r;
}
