/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start of the program costs: the system calls from exec to the guest's first instruction,
 * counted by ptrace, and the memory that is its own beside the guest's. The limits are what was
 * reached, and a little: a new call in the way of every start shall be a decision.
 */
#include "guest.h"

#include <limits.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Beside those of a program that does nothing (its loader), which depend on the C library. */
#define CALLS_MAX      55u
#define CALLS_VCPU_MAX 8u  /* of each further vCPU */
#define CALLS_DISK_MAX 40u
#define PRIVATE_MAX    MiB
#define GUEST_RAM_MIN  (256 * MiB) /* mappings as large as this are the guest's */
#define SETTLE_US      200000u
#define STARTS         5u
#define TEST_MAX_S     30u

static char disk[] = "/tmp/tinyvmm-start-XXXXXX";

static pid_t start(char *const argv[], bool traced)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) ||
	    (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0))
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

/* Whether the stopped thread enters a system call; its number and second argument. */
static bool enters(pid_t tid, uint64_t *ret_nr, uint64_t *ret_arg)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	*ret_nr = info.entry.nr;
	*ret_arg = info.entry.args[1];
	return true;
}

/* The calls of all threads until the first KVM_RUN, or the end. */
static unsigned count_calls(char *const argv[])
{
	const pid_t pid = start(argv, true);
	unsigned calls = 0;
	uint64_t nr, arg;
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
	       (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
	for (pid_t tid = pid; ptrace(PTRACE_SYSCALL, tid, NULL, NULL) == 0 || errno == ESRCH;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 || (tid == pid && !WIFSTOPPED(status)))
			break;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80) ||
		    !enters(tid, &nr, &arg))
			continue;
		if (nr == SYS_ioctl && arg == KVM_RUN)
			break;
		calls++;
	}
	kill(pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0)
		;
	return calls;
}

static unsigned loader_calls(void)
{
	char *const argv[] = { (char *)TINYVMM, (char *)"--version", NULL };

	return count_calls(argv);
}

/*
 * Threads that meet at a lock, or a host with other work, cost calls that a start does not need:
 * the least of some starts are its own.
 */
static unsigned start_calls(const char *cpus, const char *image)
{
	unsigned least = UINT_MAX;

	char *argv[] = { (char *)TINYVMM,
			 (char *)"--kernel",
			 (char *)IDLE_GUEST,
			 (char *)"--memory",
			 (char *)"512M",
			 (char *)"--cpus",
			 (char *)cpus,
			 (char *)"--net",
			 (char *)"none",
			 NULL,
			 NULL,
			 NULL };

	if (image) {
		argv[9] = (char *)"--disk";
		argv[10] = (char *)image;
	}
	for (unsigned i = 0; i < STARTS; i++) {
		const unsigned calls = count_calls(argv);

		least = calls < least ? calls : least;
	}
	return least;
}

static void start_takes_few_system_calls(void **state)
{
	const unsigned loader = loader_calls(), one = start_calls("1", NULL);

	print_message("%u system calls, %u of them those of --version\n", one, loader);
	assert_in_range(loader, 1, one);
	assert_in_range(one - loader, 1, CALLS_MAX);
}

static void vcpus_and_disks_add_few_system_calls(void **state)
{
	const unsigned one = start_calls("1", NULL), four = start_calls("4", NULL);
	const unsigned with_disk = start_calls("1", disk);

	/* The first of the four may run before the last is made: these are the least. */
	print_message("%u for three more vCPUs, %u for a disk\n", four - one, with_disk - one);
	assert_in_range(four - one, 1, 3 * CALLS_VCPU_MAX);
	assert_in_range(with_disk - one, 1, CALLS_DISK_MAX);
}

/* What no other process has mapped, written or not, but the guest's memory. */
static uint64_t private_bytes(pid_t pid)
{
	unsigned long long from, to, kib, sum = 0;
	bool ours = false;
	char path[64], line[512];
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
			ours = to - from < GUEST_RAM_MIN;
		else if (ours && (sscanf(line, "Private_Clean: %llu kB", &kib) == 1 ||
				  sscanf(line, "Private_Dirty: %llu kB", &kib) == 1))
			sum += kib * KiB;
	}
	fclose(smaps);
	return sum;
}

static void memory_beside_the_guests_is_small(void **state)
{
	char *const argv[] = { (char *)TINYVMM,    (char *)"--kernel",
			       (char *)IDLE_GUEST, (char *)"--memory",
			       (char *)"512M",     (char *)"--cpus",
			       (char *)"1",        NULL };
	const pid_t pid = start(argv, false);
	uint64_t bytes;
	int status;

	usleep(SETTLE_US);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	bytes = private_bytes(pid);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	print_message("%llu KiB\n", (unsigned long long)(bytes / KiB));
	assert_in_range(bytes, 64 * KiB, PRIVATE_MAX);
}

static int setup(void **state)
{
	int fd = mkstemp(disk);

	alarm(TEST_MAX_S);
	if (fd < 0 || ftruncate(fd, MiB) < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	return unlink(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_takes_few_system_calls),
		cmocka_unit_test(vcpus_and_disks_add_few_system_calls),
		cmocka_unit_test(memory_beside_the_guests_is_small),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("start", tests, setup, teardown);
}
