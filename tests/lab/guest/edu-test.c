/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a guest of the lab: drives the teaching device `edu` from a process, as root, since Linux has
 * no driver for it. edu-test BDF prints what it found and ends with status 0 if all of it is right;
 * edu-test BDF PEER N, whether DMA to BAR N of another device arrives there: status 0 if so.
 * Registers: [qemu docs/specs/edu.rst]. The device must be with uio_pci_generic, which tells a
 * process of INTx, but knows no MSI: for those, the message is written to the capability here, with
 * a vector that Linux counts in /proc/interrupts and nothing else in a guest uses (PIN).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_IRQ_STATUS = 0x24,
	EDU_IRQ_RAISE = 0x60,
	EDU_IRQ_ACK = 0x64,
	EDU_DMA_FROM = 0x80,
	EDU_DMA_TO = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

#define EDU_BAR_SIZE 0x100000
#define EDU_BUFFER   0x40000 /* its own memory, as its DMA addresses it */
#define DMA_SIZE     2048    /* half of it: the emulator aborts when a transfer reaches the end */
#define PAGE         4096

#define STATUS_COMPUTING 0x01
#define DMA_START        0x01
#define DMA_TO_RAM       0x02
#define DMA_IRQ          0x04
#define DMA_IRQ_STATUS   0x100

/* Fixed, edge-triggered messages to one processor. */
#define MSI_ADDRESS(apic_id) (0xfee00000u | (uint32_t)(apic_id) << 12)
#define MSI_VECTOR           0xf2 /* POSTED_INTR_VECTOR of Linux */

#define WAIT_MS 10000

static const char *bdf;
static volatile uint8_t *bar;
static int config, uio;
static unsigned msi; /* the capability's offset */

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("edu-test: ");
	vprintf(fmt, ap);
	putchar('\n');
	exit(1);
}

static int open_file(int flags, const char *fmt, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), fmt, name);
	fd = open(path, flags);
	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

static uint32_t reg_read(unsigned reg)
{
	return *(volatile uint32_t *)(bar + reg);
}

static void reg_write(unsigned reg, uint32_t val)
{
	*(volatile uint32_t *)(bar + reg) = val;
}

static uint16_t config_read(unsigned reg)
{
	uint16_t val;

	if (pread(config, &val, sizeof(val), reg) != sizeof(val))
		die("read configuration space at 0x%x: %s", reg, strerror(errno));
	return val;
}

static void config_write(unsigned reg, uint16_t val)
{
	if (pwrite(config, &val, sizeof(val), reg) != sizeof(val))
		die("write configuration space at 0x%x: %s", reg, strerror(errno));
}

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

static void check_registers(void)
{
	uint32_t id = reg_read(EDU_ID);

	if ((id & 0xfffff) != 0x000ed)
		die("identification 0x%x", id);
	for (uint32_t val = 1; val; val <<= 1) {
		reg_write(EDU_LIVENESS, val);
		if (reg_read(EDU_LIVENESS) != ~val)
			die("liveness of 0x%x is 0x%x", val, reg_read(EDU_LIVENESS));
	}
	reg_write(EDU_FACTORIAL, 10);
	for (unsigned ms = 0; reg_read(EDU_STATUS) & STATUS_COMPUTING; ms += 10) {
		if (ms > WAIT_MS)
			die("it computes for ever");
		sleep_ms(10);
	}
	if (reg_read(EDU_FACTORIAL) != 3628800)
		die("the factorial of 10 is %u", reg_read(EDU_FACTORIAL));
	puts("registers: right");
}

/* Waits for one INTx, which uio_pci_generic masks before it tells of it. */
static void wait_intx(void)
{
	struct pollfd p = { .fd = uio, .events = POLLIN };
	uint32_t count;

	if (poll(&p, 1, WAIT_MS) != 1)
		die("no INTx within %u ms; status 0x%04x command 0x%04x", WAIT_MS,
		    config_read(PCI_STATUS), config_read(PCI_COMMAND));
	if (read(uio, &count, sizeof(count)) != sizeof(count))
		die("read /dev/uio0: %s", strerror(errno));
}

static void check_intx(unsigned times)
{
	struct pollfd p = { .fd = uio, .events = POLLIN };

	config_write(PCI_COMMAND, config_read(PCI_COMMAND) & ~PCI_COMMAND_INTX_DISABLE);
	for (unsigned i = 1; i <= times; i++) {
		reg_write(EDU_IRQ_RAISE, i);
		wait_intx();
		if (reg_read(EDU_IRQ_STATUS) != i)
			die("interrupt status 0x%x, not 0x%x", reg_read(EDU_IRQ_STATUS), i);
		reg_write(EDU_IRQ_ACK, i);
		config_write(PCI_COMMAND, config_read(PCI_COMMAND) & ~PCI_COMMAND_INTX_DISABLE);
	}
	if (poll(&p, 1, 500) != 0)
		die("an INTx more than were raised");
	printf("INTx: %u raised, %u delivered\n", times, times);
}

/* How often processor `cpu` got the vector. */
static unsigned long msi_count(unsigned cpu)
{
	FILE *f = fopen("/proc/interrupts", "re");
	char line[1024], *pos, *end;
	unsigned long count = 0;

	while (f && fgets(line, sizeof(line), f)) {
		pos = strstr(line, "PIN:");
		if (!pos)
			continue;
		pos += 4;
		for (unsigned i = 0; i <= cpu; i++) {
			count = strtoul(pos, &end, 10);
			if (end == pos)
				die("/proc/interrupts has no column for processor %u", cpu);
			pos = end;
		}
		fclose(f);
		return count;
	}
	die("/proc/interrupts has no line PIN");
}

static void wait_msi(unsigned cpu, unsigned long count)
{
	for (unsigned ms = 0; msi_count(cpu) != count; ms += 10) {
		if (ms > WAIT_MS)
			die("processor %u has got %lu MSIs, not %lu", cpu, msi_count(cpu), count);
		sleep_ms(10);
	}
}

static void msi_enable(unsigned cpu)
{
	config_write(msi + PCI_MSI_ADDRESS_LO, (uint16_t)MSI_ADDRESS(cpu));
	config_write(msi + PCI_MSI_ADDRESS_LO + 2, MSI_ADDRESS(cpu) >> 16);
	config_write(msi + PCI_MSI_ADDRESS_HI, 0);
	config_write(msi + PCI_MSI_ADDRESS_HI + 2, 0);
	config_write(msi + PCI_MSI_DATA_64, MSI_VECTOR);
	config_write(msi + PCI_MSI_FLAGS, config_read(msi + PCI_MSI_FLAGS) | PCI_MSI_FLAGS_ENABLE);
}

static void msi_disable(void)
{
	config_write(msi + PCI_MSI_FLAGS, config_read(msi + PCI_MSI_FLAGS) & ~PCI_MSI_FLAGS_ENABLE);
}

/* To each processor, by a message that changes while MSI is on. */
static void check_msi(unsigned cpus, unsigned times)
{
	struct pollfd p = { .fd = uio, .events = POLLIN };

	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		unsigned long count = msi_count(cpu);

		msi_enable(cpu);
		for (unsigned i = 1; i <= times; i++) {
			reg_write(EDU_IRQ_RAISE, i);
			wait_msi(cpu, ++count);
			reg_write(EDU_IRQ_ACK, i);
		}
		printf("MSI: %u raised, %u delivered to processor %u\n", times, times, cpu);
	}
	if (poll(&p, 1, 100) != 0)
		die("an INTx while MSI is on");
}

static uint64_t physical_address(const void *page)
{
	int fd = open_file(O_RDONLY, "/proc/%s/pagemap", "self");
	uint64_t entry;

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) !=
	    sizeof(entry))
		die("read /proc/self/pagemap: %s", strerror(errno));
	close(fd);
	if (!(entry >> 63) || !(entry << 9))
		die("/proc/self/pagemap does not tell the page's address");
	return (entry << 9 >> 9) * PAGE;
}

static void *dma_page(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

	if (page == MAP_FAILED)
		die("memory: %s", strerror(errno));
	return page;
}

/* One transfer, whose end an MSI tells. */
static void transfer(uint64_t from, uint64_t to, uint32_t command)
{
	unsigned long count = msi_count(0);

	*(volatile uint64_t *)(bar + EDU_DMA_FROM) = from;
	*(volatile uint64_t *)(bar + EDU_DMA_TO) = to;
	reg_write(EDU_DMA_COUNT, DMA_SIZE);
	reg_write(EDU_DMA_COMMAND, command | DMA_START | DMA_IRQ);
	wait_msi(0, count + 1);
	if (reg_read(EDU_IRQ_STATUS) != DMA_IRQ_STATUS)
		die("interrupt status 0x%x after a transfer", reg_read(EDU_IRQ_STATUS));
	reg_write(EDU_IRQ_ACK, DMA_IRQ_STATUS);
}

/* Random bytes to the device and back to another page. */
static void check_dma(void)
{
	void *out = dma_page(), *in = dma_page();
	int random = open_file(O_RDONLY, "/dev/%s", "urandom");

	if (read(random, out, DMA_SIZE) != DMA_SIZE)
		die("read /dev/urandom: %s", strerror(errno));
	printf("DMA: from 0x%llx to 0x%llx\n", (unsigned long long)physical_address(out),
	       (unsigned long long)physical_address(in));
	msi_enable(0);
	transfer(physical_address(out), EDU_BUFFER, 0);
	transfer(EDU_BUFFER, physical_address(in), DMA_TO_RAM);
	if (memcmp(out, in, DMA_SIZE) != 0)
		die("what came back is not what was sent");
	puts("DMA: both ways right");
}

/* Where BAR `n` of a device begins, by its sysfs file: a line a BAR, its first and last address. */
static uint64_t bar_address(const char *peer, unsigned n)
{
	unsigned long long first = 0;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", peer);
	f = fopen(path, "re");
	for (unsigned i = 0; f && i <= n; i++) {
		if (fscanf(f, "%llx %*x %*x", &first) != 1)
			first = 0;
	}
	if (!first)
		die("%s has no BAR %u", peer, n);
	fclose(f);
	return first;
}

/* Random bytes by way of the device into memory of another one; the end is polled for. */
static void check_peer(const char *peer, const char *bar_number)
{
	const unsigned n = (unsigned)atoi(bar_number);
	int random = open_file(O_RDONLY, "/dev/%s", "urandom");
	const uint64_t to = bar_address(peer, n);
	volatile uint8_t *memory;
	uint8_t *out = dma_page();
	char path[64];
	unsigned wrong = 0;

	snprintf(path, sizeof(path), "%s/resource%u", peer, n);
	memory = mmap(NULL, DMA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      open_file(O_RDWR | O_SYNC, "/sys/bus/pci/devices/%s", path), 0);
	if (memory == MAP_FAILED)
		die("map BAR %u of %s: %s", n, peer, strerror(errno));
	if (read(random, out, DMA_SIZE) != DMA_SIZE)
		die("read /dev/urandom: %s", strerror(errno));
	for (unsigned pass = 0; pass < 2; pass++) {
		*(volatile uint64_t *)(bar + EDU_DMA_FROM) =
			pass ? EDU_BUFFER : physical_address(out);
		*(volatile uint64_t *)(bar + EDU_DMA_TO) = pass ? to : EDU_BUFFER;
		reg_write(EDU_DMA_COUNT, DMA_SIZE);
		reg_write(EDU_DMA_COMMAND, DMA_START | (pass ? DMA_TO_RAM : 0));
		for (unsigned ms = 0; reg_read(EDU_DMA_COMMAND) & DMA_START; ms += 10) {
			if (ms > WAIT_MS)
				die("the transfer does not end");
			sleep_ms(10);
		}
	}
	for (unsigned i = 0; i < DMA_SIZE; i++)
		wrong += memory[i] != out[i];
	printf("peer: %u of %u bytes at 0x%llx are not what was sent\n", wrong, DMA_SIZE,
	       (unsigned long long)to);
	exit(wrong ? 1 : 0);
}

static void find_msi(void)
{
	for (msi = config_read(PCI_CAPABILITY_LIST) & 0xfc; msi;
	     msi = config_read(msi) >> 8 & 0xfc) {
		if ((config_read(msi) & 0xff) == PCI_CAP_ID_MSI)
			return;
	}
	die("no MSI capability");
}

int main(int argc, char *argv[])
{
	void *map;
	int fd;

	if (argc != 2 && argc != 4) {
		fputs("usage: edu-test BDF [PEER BAR]\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	bdf = argv[1];
	config = open_file(O_RDWR, "/sys/bus/pci/devices/%s/config", bdf);
	fd = open_file(O_RDWR | O_SYNC, "/sys/bus/pci/devices/%s/resource0", bdf);
	map = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("map BAR 0: %s", strerror(errno));
	bar = map;
	find_msi();
	config_write(PCI_COMMAND,
		     config_read(PCI_COMMAND) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);

	if (argc == 4)
		check_peer(argv[2], argv[3]);
	uio = open_file(O_RDWR, "/dev/%s", "uio0");
	check_registers();
	check_intx(20);
	check_msi((unsigned)sysconf(_SC_NPROCESSORS_ONLN), 20);
	check_dma();
	msi_disable();
	/* INTx takes over again. */
	check_intx(5);
	return 0;
}
