/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PC has at fixed places, under a CPU that reads and writes anything: clock and CMOS, serial
 * port, power management and resets, firmware's variables in flash. Time stands still, but for
 * where the input has it pass.
 */
#include "hostile_cpu.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "core/loop.h"
#include "devices/chipset/debug_port.h"
#include "devices/chipset/ich9_lpc.h"
#include "devices/chipset/pflash.h"
#include "devices/chipset/rtc_cmos.h"
#include "devices/chipset/serial.h"
#include "fake_vfio.h"

#define RTC        0x70u
#define SERIAL     0x3f8u
#define PM         0x600u
#define KBD        0x64u
#define FLASH_END  (4 * GiB)
#define FLASH_SIZE (4 * (size_t)PFLASH_BLOCK_SIZE)
#define STEPS_MAX  512u

enum { AT_RTC, AT_SERIAL, AT_PM, AT_KBD, AT_FLASH, PLACES };
enum { ACCESS, CONFIG, RESET, INPUT, TIME, STEPS };

static struct fake_machine m;
static struct loop loop;
static struct timespec now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	*ts = now;
	return 0;
}

static void output(void *opaque, const uint8_t *data, size_t len)
{
}

struct chipset {
	struct device *rtc, *flash;
	struct serial *serial;
	struct ich9_lpc *lpc;
	struct pci_bus bus;
};

static void init(struct chipset *c)
{
	static const struct serial_ops serial_ops = { .output = output };
	const struct rtc_cmos_config rtc = { .port = RTC, .gsi = 8, .low_ram = GiB };
	const struct ich9_lpc_config lpc = { .pm_base = PM, .kbd_command_port = KBD, .sci_gsi = 9 };
	static uint8_t initial[FLASH_SIZE];
	int r;

	memset(c, 0, sizeof(*c));
	now = (struct timespec){ .tv_sec = 1786028645 };
	fake_vfio_init(&m);
	r = loop_init(&loop);
	assert(r == 0);
	r = rtc_cmos_create(&m.board, &loop, &rtc, &c->rtc);
	assert(r == 0);
	r = serial_create(&m.board, SERIAL, 4, &serial_ops, NULL, &c->serial);
	assert(r == 0);
	r = ich9_lpc_create(&m.board, &lpc, &c->lpc);
	assert(r == 0);
	pci_bus_add(&c->bus, ich9_lpc_pci(c->lpc), PCI_DEVFN(31, 0));
	memset(initial, 0xff, sizeof(initial));
	r = pflash_vars_create(&m.board, FLASH_END, -1, initial, FLASH_SIZE, &c->flash);
	assert(r == 0);
}

static void each_device(struct chipset *c, void (*call)(struct device *dev))
{
	call(c->flash);
	call(&ich9_lpc_pci(c->lpc)->device);
	call(serial_device(c->serial));
	call(c->rtc);
}

static void reset(struct device *dev)
{
	if (dev->ops->reset)
		dev->ops->reset(dev);
}

static void destroy(struct device *dev)
{
	dev->ops->destroy(dev);
}

static void step(struct chipset *c, struct fuzz_input *in)
{
	static const struct hostile_place places[PLACES] = {
		[AT_RTC] = { &m.pio, RTC, RTC_CMOS_PORTS },
		[AT_SERIAL] = { &m.pio, SERIAL, SERIAL_PORTS },
		[AT_PM] = { &m.pio, PM, ICH9_PM_SIZE },
		[AT_KBD] = { &m.pio, KBD, 1 },
		[AT_FLASH] = { &m.mmio, FLASH_END - FLASH_SIZE, FLASH_SIZE },
	};
	struct pci_dev *lpc = ich9_lpc_pci(c->lpc);
	const uint8_t *bytes;
	unsigned off;
	size_t len;

	switch (fuzz_below(in, STEPS)) {
	case ACCESS:
		hostile_cpu_access(places, PLACES, in);
		break;
	case CONFIG:
		off = fuzz_below(in, 64) * 4;
		pthread_mutex_lock(&lpc->lock);
		lpc->ops->config_write(lpc, off, 4, (uint32_t)fuzz_take(in, 4));
		pthread_mutex_unlock(&lpc->lock);
		break;
	case RESET:
		ich9_lpc_reset_write(c->lpc, (uint8_t)fuzz_take(in, 1));
		each_device(c, reset);
		break;
	case INPUT:
		len = fuzz_bytes(in, fuzz_below(in, 64), &bytes);
		(void)serial_input(c->serial, bytes, len);
		(void)ich9_lpc_power_button(c->lpc);
		break;
	default:
		now.tv_sec += (time_t)fuzz_take(in, 4);
		now.tv_nsec = (long)(fuzz_take(in, 4) % 1000000000);
	}
	fake_clear_log();
}

static void put_access(uint8_t **p, unsigned place, uint32_t off, unsigned val)
{
	fuzz_put(p, 1, ACCESS);
	hostile_seed_write(p, place, off, 1, val);
	fuzz_put(p, 1, ACCESS);
	hostile_seed_read(p, place, off, 1);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	uint8_t *p = seed;

	switch (nr) {
	case 0: /* every register of the clock, with an alarm */
		for (unsigned reg = 0; reg < 16; reg++) {
			put_access(&p, AT_RTC, 0, reg);
			put_access(&p, AT_RTC, 1, reg == 11 ? 0x22 : 0xff);
		}
		break;
	case 1: /* a serial port's speed, FIFOs, loop and interrupts */
		for (unsigned reg = 0; reg < SERIAL_PORTS; reg++)
			put_access(&p, AT_SERIAL, reg, 0x80 >> reg | 1);
		fuzz_put(&p, 1, INPUT);
		fuzz_put(&p, 1, 8);
		fuzz_put(&p, 8, 0);
		put_access(&p, AT_SERIAL, 0, 'x');
		break;
	case 2: /* power management: moved, enabled, off */
		put_access(&p, AT_PM, ICH9_PM1_EN + 1, 1);
		put_access(&p, AT_PM, ICH9_PM1_CNT + 1, 0x20);
		fuzz_put(&p, 1, CONFIG);
		fuzz_put(&p, 1, 0x40 / 4);
		fuzz_put(&p, 4, 0x701);
		put_access(&p, AT_KBD, 0, 0xfe);
		break;
	case 3: /* flash: program a byte, erase a block, status, array */
		put_access(&p, AT_FLASH, 0x1000, 0x40);
		put_access(&p, AT_FLASH, 0x1000, 0x12);
		put_access(&p, AT_FLASH, 0x2000, 0x20);
		put_access(&p, AT_FLASH, 0x2000, 0xd0);
		put_access(&p, AT_FLASH, 0, 0x70);
		put_access(&p, AT_FLASH, 0, 0x50);
		put_access(&p, AT_FLASH, 0, 0xff);
		break;
	case 4:
		fuzz_put(&p, 1, RESET);
		fuzz_put(&p, 1, 6);
		fuzz_put(&p, 1, TIME);
		fuzz_put(&p, 8, 100);
		break;
	}
	return (size_t)(p - seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct chipset c;

	init(&c);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(&c, &in);
	each_device(&c, destroy);
	assert(m.pio.count == 0 && m.mmio.count == 0);
	loop_fini(&loop);
	fake_vfio_fini(&m);
	return 0;
}
