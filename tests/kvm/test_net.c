/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network that a guest has by itself, by the program: with a script in passt's place, and
 * without any.
 */
#include "guest.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "temp_dir.h"

#define TEST_MAX_S 60u

/* timeout's own, of a run that goes on. */
#define STATUS_RUNS 124
/* [exit-status.md]: the host */
#define STATUS_HOST 3

/* Length, the other end's address, the guest's address. */
#define FIRST_FRAME_MAC (4 + 6)

static struct temp_dir dir;
static char out[4096];

/* Runs the idle guest for a moment, with what it says in `out`. */
static int run(const char *path, const char *signal, const char *options)
{
	char command[2048];
	size_t len;
	FILE *p;
	int status;

	snprintf(command, sizeof(command),
		 "env PATH=%s %s/timeout -s %s 1.5 %s --kernel %s --memory 64M %s </dev/null 2>&1",
		 path, dir.path, signal, TINYVMM, IDLE_GUEST, options);
	p = popen(command, "re");
	assert_non_null(p);
	len = fread(out, 1, sizeof(out) - 1, p);
	out[len] = '\0';
	status = pclose(p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int with_passt(const char *signal, const char *options)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", dir.path);
	return run(path, signal, options);
}

static const char *disk_option(const char *name)
{
	static char option[256];

	snprintf(option, sizeof(option), "--disk %s/%s", dir.path, name);
	return option;
}

static void disk_without_passt_is_a_guest_without_network(void **state)
{
	assert_int_equal(run("/nowhere", "HUP", disk_option("a.img")), STATUS_RUNS);
	assert_string_equal(out, "tinyvmm: the guest has no network: --net user needs passt, which "
				 "is not installed; it is the package passt of most distributions; "
				 "--net none does without\n");
}

static void network_that_is_asked_for_needs_passt(void **state)
{
	assert_int_equal(run("/nowhere", "HUP", "--net user"), STATUS_HOST);
	assert_non_null(strstr(out, "tinyvmm: --net user needs passt, which is not installed; "));
}

static void guest_without_network_needs_no_passt(void **state)
{
	char option[320];

	assert_int_equal(run("/nowhere", "HUP", ""), STATUS_RUNS);
	assert_string_equal(out, "");
	snprintf(option, sizeof(option), "--net none %s", disk_option("a.img"));
	assert_int_equal(run("/nowhere", "HUP", option), STATUS_RUNS);
	assert_string_equal(out, "");
}

static void read_file(const char *name, void *buf, size_t size)
{
	char path[256];
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	in = fopen(path, "r");
	assert_non_null(in);
	memset(buf, 0, size);
	assert_true(fread(buf, 1, size, in) > 0);
	fclose(in);
}

static void mac_of(const char *disk, uint8_t ret_mac[6])
{
	uint8_t frame[64];

	assert_int_equal(with_passt("HUP", disk_option(disk)), STATUS_RUNS);
	assert_string_equal(out, "");
	read_file("came", frame, sizeof(frame));
	memcpy(ret_mac, frame + FIRST_FRAME_MAC, 6);
}

static void address_is_that_of_the_disk(void **state)
{
	uint8_t a[6], again[6], b[6];

	mac_of("a.img", a);
	mac_of("a.img", again);
	mac_of("b.img", b);
	assert_memory_equal(a, again, 6);
	assert_memory_not_equal(a, b, 6);
	/* Nobody else's, and of one device. */
	assert_int_equal(a[0] & 3, 2);
	assert_int_equal(b[0] & 3, 2);
}

static void passt_ends_with_the_run_however_that_ends(void **state)
{
	static const char *const signals[] = { "HUP", "KILL" };
	char pid[32], path[64];

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		bool gone = false;

		(void)with_passt(signals[i], "--net user");
		read_file("pid", pid, sizeof(pid));
		pid[strcspn(pid, "\n")] = '\0';
		snprintf(path, sizeof(path), "/proc/%s/fd/3", pid);
		for (unsigned k = 0; k < 200 && !gone; k++) {
			gone = access(path, F_OK) < 0;
			usleep(10000);
		}
		assert_true(gone);
	}
}

static int setup(void **state)
{
	char command[1024];

	temp_dir_init(&dir);
	/* The tool has to be found where PATH has nothing. */
	snprintf(command, sizeof(command),
		 "cd %s && mkdir bin && truncate -s 1M a.img b.img && "
		 "ln -s $(command -v timeout) timeout && "
		 "{ echo '#!/bin/sh'; echo 'echo $$ >%s/pid; exec cat <&3 >%s/came'; } >bin/passt "
		 "&& "
		 "chmod +x bin/passt",
		 dir.path, dir.path, dir.path);
	return system(command);
}

static int teardown(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_without_passt_is_a_guest_without_network),
		cmocka_unit_test(network_that_is_asked_for_needs_passt),
		cmocka_unit_test(guest_without_network_needs_no_passt),
		cmocka_unit_test(address_is_that_of_the_disk),
		cmocka_unit_test(passt_ends_with_the_run_however_that_ends),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	alarm(TEST_MAX_S);
	return cmocka_run_group_tests_name("net", tests, setup, teardown);
}
