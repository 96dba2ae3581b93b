/* SPDX-License-Identifier: Apache-2.0
 *
 * The only program of the bench's guests: process 1 of an initrd. It tells the host what it is
 * doing by marks, writes to a port that no machine has, which the host sees as KVM's trace event
 * (measure.c), then does the job that `bench=` on the kernel's command line names, and ends the
 * machine:
 *
 *   boot   nothing
 *   idle   sleeps
 *   exits  accesses to a port and to a register in memory
 *   io     reads from a disk
 *   end    writes to all memory there is
 *
 * `init DISK`, in the host, reads from that disk in the same way and prints the marks.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"

#define PAGE      4096u
#define DEPTH_MAX 32u
/* The scratch register of a PC's first serial port, which every VMM here emulates itself. */
#define SERIAL_SCRATCH 0x3ff

static bool in_guest;

/* By the power button's way, or, where there is none, by a reset that the VMM takes for the end. */
static void power_off(void)
{
	const char *how = getenv("bench_end");

	reboot(how && !strcmp(how, "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

/* In the guest its end without a mark, since a panic would only start it again. */
static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	if (in_guest)
		power_off();
	exit(1);
}

static void mark(enum mark kind, uint32_t value)
{
	struct timespec t;

	if (in_guest) {
		outl((uint32_t)kind << MARK_KIND_SHIFT | (value & MARK_VALUE_MASK), MARK_PORT);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("mark %d %u %lld%09ld\n", kind, value, (long long)t.tv_sec, t.tv_nsec);
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void load_modules(void)
{
	char path[300], name[200];
	FILE *order = fopen("/modules/order", "re");

	while (order && fscanf(order, "%199s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			die(path);
		close(fd);
	}
	if (order)
		fclose(order);
}

/* How many interrupts the virtio devices had so far. */
static unsigned long interrupts(void)
{
	char line[512], *at;
	unsigned long n = 0;
	FILE *f = fopen("/proc/interrupts", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "virtio") && (at = strchr(line, ':')))
			n += strtoul(at + 1, NULL, 10);
	fclose(f);
	return n;
}

struct reading {
	enum op op;
	unsigned int depth;
	size_t size;
	bool random;
	unsigned int timed, counted; /* requests */
};

static const struct reading readings[] = {
	{ OP_READ_DEPTH_1, 1, 4096, true, 2000, 1000 },
	{ OP_READ_DEPTH_32, 32, 4096, true, 16000, 8000 },
	{ OP_READ_SEQUENTIAL, 4, 1 << 20, false, 200, 100 },
};

struct disk {
	int fd;
	aio_context_t context;
	uint8_t *buffer;
	uint64_t size, at, random;
};

static void submit(struct disk *d, const struct reading *r, const unsigned int *slots,
		   unsigned int n)
{
	static struct iocb iocbs[DEPTH_MAX];
	struct iocb *list[DEPTH_MAX];

	for (unsigned int i = 0; i < n; i++) {
		uint64_t places = d->size / r->size, place = d->at++;

		if (r->random) {
			/* MMIX's generator; the upper bits are the good ones. */
			d->random = d->random * 6364136223846793005u + 1442695040888963407u;
			place = d->random >> 24;
		}
		iocbs[slots[i]] = (struct iocb){
			.aio_data = slots[i],
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)d->fd,
			.aio_buf = (uintptr_t)d->buffer + slots[i] * r->size,
			.aio_nbytes = r->size,
			.aio_offset = (int64_t)(place % places * r->size),
		};
		list[i] = &iocbs[slots[i]];
	}
	if (syscall(SYS_io_submit, d->context, (long)n, list) != (long)n)
		die("io_submit");
}

static void read_disk(struct disk *d, const struct reading *r, enum op op, unsigned int n)
{
	struct io_event events[DEPTH_MAX];
	unsigned int slots[DEPTH_MAX], submitted, done = 0;

	mark(MARK_BEGIN, (uint32_t)op << MARK_OP_SHIFT | n);
	for (submitted = 0; submitted < r->depth; submitted++)
		slots[submitted] = submitted;
	submit(d, r, slots, submitted);
	while (done < n) {
		long got = syscall(SYS_io_getevents, d->context, 1L, (long)r->depth, events, NULL);
		unsigned int again = 0;

		if (got <= 0)
			die("io_getevents");
		for (long i = 0; i < got; i++) {
			if (events[i].res != (int64_t)r->size) {
				errno = (int)-events[i].res;
				die("read");
			}
			if (submitted + again < n)
				slots[again++] = (unsigned int)events[i].data;
		}
		done += (unsigned int)got;
		if (again)
			submit(d, r, slots, again);
		submitted += again;
	}
	mark(MARK_DONE, (uint32_t)op << MARK_OP_SHIFT | n);
}

static void job_disk(const char *path, const char *scheduler)
{
	struct disk d = { .random = 1 };

	write_file(scheduler, "none");
	d.fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d.fd < 0 || ioctl(d.fd, BLKGETSIZE64, &d.size))
		die(path);
	d.buffer = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (d.buffer == MAP_FAILED || syscall(SYS_io_setup, DEPTH_MAX, &d.context))
		die("io_setup");
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
		const struct reading *r = &readings[i];
		unsigned long before;

		read_disk(&d, r, OP_WARM_UP, r->timed / 8);
		pause_ms(20);
		read_disk(&d, r, r->op, r->timed);
		if (!in_guest)
			continue;
		mark(MARK_COUNT, 1);
		pause_ms(20);
		before = interrupts();
		read_disk(&d, r, r->op, r->counted);
		mark(MARK_NUMBER, (uint32_t)(interrupts() - before));
		mark(MARK_COUNT, 0);
		pause_ms(20);
	}
}

/* A register of a virtio device in memory: of the common configuration of one on PCI, or the first
 * of one of microvm's. */
static volatile uint32_t *virtio_register(void)
{
	const off_t microvm_virtio = 0xfeb00000;
	const char *pci = "/sys/bus/pci/devices";
	uint8_t config[256];
	char path[400];
	DIR *dir = opendir(pci);
	struct dirent *e;
	void *map;
	int fd;

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s/config", pci, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || pread(fd, config, sizeof(config), 0) != sizeof(config) ||
		    config[0] != 0xf4 || config[1] != 0x1a)
			continue;
		for (uint8_t at = config[0x34]; at; at = config[at + 1]) {
			uint32_t offset;

			/* [virtio-1.2 4.1.4 Virtio Structure PCI Capabilities]: vendor-specific,
			 * VIRTIO_PCI_CAP_COMMON_CFG. */
			if (config[at] != 9 || config[at + 3] != 1)
				continue;
			memcpy(&offset, &config[at + 8], sizeof(offset));
			snprintf(path, sizeof(path), "%s/%s/enable", pci, e->d_name);
			write_file(path, "1");
			snprintf(path, sizeof(path), "%s/%s/resource%d", pci, e->d_name,
				 config[at + 4]);
			fd = open(path, O_RDWR | O_CLOEXEC);
			map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, offset & ~(PAGE - 1));
			return map == MAP_FAILED ? NULL
						 : (void *)((uint8_t *)map + (offset & (PAGE - 1)));
		}
	}
	fd = open("/dev/mem", O_RDONLY | O_SYNC | O_CLOEXEC);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, microvm_virtio);
	return map == MAP_FAILED ? NULL : map;
}

static void job_exits(void)
{
	volatile uint32_t *reg = virtio_register();

	for (int counted = 0; counted < 2; counted++) {
		const uint32_t n = 4000;

		mark(MARK_COUNT, (uint32_t)counted);
		pause_ms(20);
		mark(MARK_BEGIN, OP_PORT << MARK_OP_SHIFT | n);
		for (uint32_t i = 0; i < n; i++)
			outb((uint8_t)i, SERIAL_SCRATCH);
		mark(MARK_DONE, OP_PORT << MARK_OP_SHIFT | n);
		if (!reg)
			continue;
		mark(MARK_BEGIN, OP_MMIO << MARK_OP_SHIFT | n);
		for (uint32_t i = 0; i < n; i++)
			(void)*reg;
		mark(MARK_DONE, OP_MMIO << MARK_OP_SHIFT | n);
	}
}

/* Writes to all memory that is free, but for some that the kernel keeps for itself. */
static void job_touch(void)
{
	const size_t spare = 256u << 20;
	struct sysinfo info;
	size_t size;
	uint8_t *p;

	if (sysinfo(&info))
		die("sysinfo");
	size = info.freeram * info.mem_unit - spare;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("memory");
	(void)madvise(p, size, MADV_HUGEPAGE);
	for (size_t at = 0; at < size; at += PAGE)
		*(volatile uint8_t *)(p + at) = 1;
	mark(MARK_TOUCHED, (uint32_t)(size >> 20));
}

static void see_the_system(void)
{
	int console;

	if (mount("dev", "/dev", "devtmpfs", 0, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		die("mount");
	console = open("/dev/console", O_WRONLY);
	if (console >= 0) {
		dup2(console, STDOUT_FILENO);
		dup2(console, STDERR_FILENO);
	}
}

static void end(void)
{
	mark(MARK_END, 0);
	pause_ms(20);
	power_off();
}

int main(int argc, char **argv)
{
	const char *job = getenv("bench");

	if (argc > 1 && getpid() != 1) {
		char scheduler[100];

		snprintf(scheduler, sizeof(scheduler), "/sys/block/%s/queue/scheduler",
			 strrchr(argv[1], '/') + 1);
		job_disk(argv[1], scheduler);
		return 0;
	}
	in_guest = true;
	if (iopl(3))
		return 1;
	mark(MARK_INIT, 0);
	if (!job || !strcmp(job, "boot"))
		end();
	if (!strcmp(job, "idle")) {
		pause_ms(500);
		mark(MARK_IDLE, 0);
		pause_ms(1500);
		end();
	}
	see_the_system();
	if (!strcmp(job, "exits"))
		job_exits();
	else if (!strcmp(job, "io")) {
		load_modules();
		job_disk("/dev/vda", "/sys/block/vda/queue/scheduler");
	} else if (!strcmp(job, "end"))
		job_touch();
	end();
}
