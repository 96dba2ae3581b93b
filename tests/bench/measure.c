/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a VMM and says when its guest did what, and what it cost: `measure [-c|-w|-e] COMMAND...`,
 * in the emulated host, whose one processor counts time in instructions. All of it is seen from
 * outside, by the host kernel's trace events of this process and its threads (perf_event_open), so
 * that it is the same for every VMM. It is started in the folder bench of the root that the VMM
 * gets. One line an event on standard error:
 *
 *   entry NS            the first instruction of the guest, counted from exec
 *   mark KIND VALUE NS  a mark of the guest (marks.h)
 *   private KIB         resident memory of this process alone, without the guest's and without the
 *                       unchanged pages of shared libraries, at MARK_IDLE
 *   ram KIB             and that of the guest
 *   end NS              from the last exit to user space until the process was gone
 *   gone NS STATUS      and from exec
 *
 * With counters, entry and mark have four numbers more: system calls, exits, exits to user space
 * and interrupts since the line before. Counters cost time themselves: -c, which counts from exec
 * on, is for runs whose times nobody looks at; without it MARK_COUNT begins and ends counting. With
 * -w the VMM is killed at its first instruction: what it reads from files is in memory then. With
 * -e `end` is for any guest, without it only for one that says MARK_END.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"

#define TRACING    "/sys/kernel/debug/tracing/events/"
#define RING_PAGES 8192u
#define PAGE       4096u
/* A mapping of at least this size is guest memory, or only reserved. */
#define GUEST_RAM_MIN_KIB (64u << 10)

enum event { PIO, ENTRY, END, SYSCALL, EXIT, USER, INTERRUPT, EVENTS };

static const struct {
	const char *name;
	bool counter;
} kinds[EVENTS] = {
	[PIO] = { "kvm/kvm_pio", false },
	[ENTRY] = { "kvm/kvm_entry", false },
	[END] = { "kvm/kvm_userspace_exit", false },
	[SYSCALL] = { "raw_syscalls/sys_enter", true },
	[EXIT] = { "kvm/kvm_exit", true },
	[USER] = { "kvm/kvm_userspace_exit", true },
	[INTERRUPT] = { "kvm/kvm_inj_virq", true },
};

static struct {
	int fd[EVENTS];
	uint64_t id[EVENTS];
	struct perf_event_mmap_page *ring;
	unsigned int val_offset;
	bool counting;
	uint64_t begin, last_user, count[EVENTS];
	bool entered, warm_up;
	pid_t pid;
} m;

static void die(const char *what)
{
	fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
	exit(125);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static FILE *open_event(const char *event, const char *file)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), TRACING "%s/%s", event, file);
	f = fopen(path, "re");
	if (!f)
		die(path);
	return f;
}

static unsigned int event_number(const char *event)
{
	FILE *f = open_event(event, "id");
	unsigned int id;

	if (fscanf(f, "%u", &id) != 1)
		die(event);
	fclose(f);
	return id;
}

/* Where in its record the trace event has this field. */
static unsigned int field_offset(const char *event, const char *field)
{
	FILE *f = open_event(event, "format");
	unsigned int offset = 0;
	char line[300], *at;

	while (fgets(line, sizeof(line), f))
		if (strstr(line, field) && (at = strstr(line, "offset:")))
			offset = (unsigned int)strtoul(at + strlen("offset:"), NULL, 10);
	fclose(f);
	if (!offset)
		die(field);
	return offset;
}

static void open_events(bool count, bool any_end)
{
	char filter[40];

	for (int i = 0; i < EVENTS; i++) {
		struct perf_event_attr attr = {
			.type = PERF_TYPE_TRACEPOINT,
			.size = sizeof(attr),
			.config = event_number(kinds[i].name),
			.sample_period = 1,
			.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TIME |
				       (i == PIO ? PERF_SAMPLE_RAW : 0),
			.disabled = 1,
			.inherit = 1,
			.use_clockid = 1,
			.clockid = CLOCK_MONOTONIC,
			.enable_on_exec = i == PIO || i == ENTRY || (i == END && any_end) ||
					  (count && kinds[i].counter),
			.watermark = i != PIO && i != ENTRY,
		};

		if (attr.watermark)
			attr.wakeup_watermark = RING_PAGES * PAGE / 4;
		else
			attr.wakeup_events = 1;
		/* One processor is all that an emulated host whose time counts instructions has. */
		m.fd[i] = (int)syscall(SYS_perf_event_open, &attr, m.pid, 0, -1,
				       PERF_FLAG_FD_CLOEXEC);
		if (m.fd[i] < 0 || ioctl(m.fd[i], PERF_EVENT_IOC_ID, &m.id[i]))
			die(kinds[i].name);
		if (i == 0) {
			m.ring = mmap(NULL, (size_t)(RING_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
				      MAP_SHARED, m.fd[0], 0);
			if (m.ring == MAP_FAILED)
				die("map the ring");
		} else if (ioctl(m.fd[i], PERF_EVENT_IOC_SET_OUTPUT, m.fd[0])) {
			die("share the ring");
		}
	}
	m.counting = count;
	m.val_offset = field_offset("kvm/kvm_pio", " val;");
	snprintf(filter, sizeof(filter), "port == %u", MARK_PORT);
	if (ioctl(m.fd[PIO], PERF_EVENT_IOC_SET_FILTER, filter))
		die(filter);
}

static void set_counters(bool on)
{
	memset(m.count, 0, sizeof(m.count));
	for (int i = 0; i < EVENTS; i++)
		if (kinds[i].counter)
			ioctl(m.fd[i], on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
	m.counting = on;
}

static void say_counts(void)
{
	if (m.counting)
		for (int i = 0; i < EVENTS; i++)
			if (kinds[i].counter) {
				fprintf(stderr, " %llu", (unsigned long long)m.count[i]);
				m.count[i] = 0;
			}
	fputc('\n', stderr);
}

static void look_at_memory(void)
{
	unsigned long size = 0, value, begin, end, private = 0, ram = 0;
	char path[40], line[512], name[40];
	bool library = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", m.pid);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
			size = (end - begin) >> 10;
			library = strstr(line, ".so") != NULL;
		} else if (sscanf(line, "%39[^:]: %lu kB", name, &value) != 2) {
			continue;
		} else if (size >= GUEST_RAM_MIN_KIB) {
			ram += strcmp(name, "Rss") ? 0 : value;
		} else if (library) {
			/* Elsewhere other processes have the libraries, too: only what is changed.
			 */
			private += strcmp(name, "Anonymous") ? 0 : value;
		} else if (!strcmp(name, "Private_Clean") || !strcmp(name, "Private_Dirty")) {
			private += value;
		}
	}
	fclose(f);
	fprintf(stderr, "private %lu\nram %lu\n", private, ram);
}

static void handle_mark(uint32_t word, uint64_t time)
{
	unsigned int kind = word >> MARK_KIND_SHIFT;

	fprintf(stderr, "mark %u %u %llu", kind, word & MARK_VALUE_MASK,
		(unsigned long long)(time - m.begin));
	say_counts();
	if (kind == MARK_IDLE)
		look_at_memory();
	if (kind == MARK_COUNT)
		set_counters(word & MARK_VALUE_MASK);
	if (kind == MARK_END) {
		set_counters(false);
		ioctl(m.fd[END], PERF_EVENT_IOC_ENABLE, 0);
	}
}

static void handle_sample(const uint8_t *at)
{
	uint64_t id, time;
	uint32_t word;

	memcpy(&id, at, 8);
	memcpy(&time, at + 8, 8);
	for (int i = 0; i < EVENTS; i++) {
		if (id != m.id[i])
			continue;
		m.count[i]++;
		if (i == PIO) {
			memcpy(&word, at + 16 + 4 + m.val_offset, 4);
			handle_mark(word, time);
		} else if (i == ENTRY && !m.entered) {
			m.entered = true;
			ioctl(m.fd[ENTRY], PERF_EVENT_IOC_DISABLE, 0);
			fprintf(stderr, "entry %llu", (unsigned long long)(time - m.begin));
			say_counts();
			if (m.warm_up)
				kill(m.pid, SIGKILL);
		} else if (i == END) {
			m.last_user = time;
		}
	}
}

static void read_ring(void)
{
	const uint8_t *data = (const uint8_t *)m.ring + PAGE;
	const uint64_t size = (uint64_t)RING_PAGES * PAGE;
	uint64_t head = __atomic_load_n(&m.ring->data_head, __ATOMIC_ACQUIRE),
		 tail = m.ring->data_tail;

	while (tail < head) {
		struct perf_event_header h;
		uint8_t record[256];

		for (uint64_t i = 0; i < sizeof(h); i++)
			((uint8_t *)&h)[i] = data[(tail + i) % size];
		for (uint64_t i = 0; i < h.size && i < sizeof(record); i++)
			record[i] = data[(tail + i) % size];
		if (h.type == PERF_RECORD_SAMPLE)
			handle_sample(record + sizeof(h));
		else if (h.type == PERF_RECORD_LOST)
			fputs("lost\n", stderr);
		tail += h.size;
	}
	__atomic_store_n(&m.ring->data_tail, tail, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	bool count = argc > 1 && !strcmp(argv[1], "-c");
	bool warm_up = argc > 1 && !strcmp(argv[1], "-w");
	bool any_end = argc > 1 && !strcmp(argv[1], "-e");
	char **command = argv + 1 + (count || warm_up || any_end);
	uint64_t *begin, gone;
	int go[2], status;

	if (!*command) {
		fputs("usage: measure [-c|-w|-e] COMMAND...\n", stderr);
		return 2;
	}
	begin = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (begin == MAP_FAILED || pipe(go))
		die("begin");
	m.pid = fork();
	if (m.pid < 0)
		die("fork");
	if (m.pid == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(125);
		close(go[0]);
		if (chroot("..") || chdir("/bench"))
			die("chroot");
		*begin = now();
		execvp(*command, command);
		die(*command);
	}
	close(go[0]);
	m.warm_up = warm_up;
	open_events(count, any_end);
	if (write(go[1], "", 1) != 1)
		die("go");
	for (;;) {
		struct pollfd p = { .fd = m.fd[PIO], .events = POLLIN };
		pid_t ended;

		poll(&p, 1, 1000);
		m.begin = *begin;
		read_ring();
		ended = waitpid(m.pid, &status, p.revents & POLLHUP ? 0 : WNOHANG);
		if (ended == m.pid)
			break;
	}
	gone = now();
	read_ring();
	if (m.last_user)
		fprintf(stderr, "end %llu\n", (unsigned long long)(gone - m.last_user));
	fprintf(stderr, "gone %llu %d\n", (unsigned long long)(gone - m.begin),
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
