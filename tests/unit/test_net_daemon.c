/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt's start and end, and what is told where it fails: with scripts in its place, and the real
 * one where it is installed.
 */
#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "core/log.h"
#include "core/loop.h"
#include "daemons/net_daemon.h"
#include "options/options_net.h"

static const uint8_t mac[OPTIONS_MAC_LEN] = { 0x52, 0x54, 0, 1, 2, 3 };

struct fixture {
	struct temp_dir dir;
	char *path; /* as it was */
	struct options_net net;
	struct net_daemon *daemon;
	struct loop loop;
};

/* The line that says that it is gone. */
static char gone[512];

static uid_t user;

uid_t __wrap_geteuid(void);
void __wrap_log_msg(enum log_level level, const char *fmt, ...);

uid_t __wrap_geteuid(void)
{
	return user;
}

void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level != LOG_ERROR)
		return;
	va_start(ap, fmt);
	vsnprintf(gone, sizeof(gone), fmt, ap);
	va_end(ap);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	gone[0] = '\0';
	user = 0;
	temp_dir_init(&f->dir);
	f->path = strdup(getenv("PATH"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_join_thread(&f->loop);
	net_daemon_stop(f->daemon);
	loop_fini(&f->loop);
	setenv("PATH", f->path, 1);
	free(f->path);
	temp_dir_fini(&f->dir);
	test_free(f);
	return 0;
}

/* The program that is found as passt: a shell script, which has the test's folder as $dir. */
static void make_passt(struct fixture *f, const char *script)
{
	char file[PATH_MAX], path[2 * PATH_MAX];
	FILE *out;

	snprintf(file, sizeof(file), "%s/passt", f->dir.path);
	out = fopen(file, "w");
	assert_non_null(out);
	fprintf(out, "#!/bin/sh\ndir=%s\n%s\n", f->dir.path, script);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(file, 0755), 0);
	snprintf(path, sizeof(path), "%s:%s", f->dir.path, f->path);
	setenv("PATH", path, 1);
}

/* Reads the first frame, then all others, as passt does until its stream ends. */
#define READ_ALL "exec cat <&3 >$dir/came"

static void assert_refused(struct fixture *f, const char *text, const char *hint)
{
	assert_true(net_daemon_start(&f->net, mac, false, &f->daemon) < 0);
	assert_null(f->daemon);
	assert_string_equal(err_text(), text);
	assert_string_equal(err_hint_text(), hint);
	assert_int_equal(err_kind(), ERR_HOST);
	err_clear();
}

static void read_file(struct fixture *f, const char *name, char *buf, size_t size, size_t *ret_len)
{
	char file[PATH_MAX];
	FILE *in;

	snprintf(file, sizeof(file), "%s/%s", f->dir.path, name);
	in = fopen(file, "r");
	assert_non_null(in);
	*ret_len = fread(buf, 1, size - 1, in);
	buf[*ret_len] = '\0';
	fclose(in);
}

static void first_frame_tells_the_guests_address(void **state)
{
	struct fixture *f = *state;
	const struct timespec tick = { .tv_nsec = 1000000 };
	uint8_t buf[256];
	size_t len = 0;

	make_passt(f, READ_ALL);
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	for (unsigned i = 0; i < 5000 && len < 64; i++) {
		read_file(f, "came", (char *)buf, sizeof(buf), &len);
		nanosleep(&tick, NULL);
	}
	assert_int_equal(len, 4 + 60);
	assert_memory_equal(buf, "\0\0\0\x3c", 4);
	assert_memory_equal(buf + 4 + 6, mac, sizeof(mac));
}

static void arguments_are_those_of_the_options(void **state)
{
	struct fixture *f = *state;
	char args[512];
	size_t len;

	make_passt(f, "echo \"$@\" >$dir/args\n" READ_ALL);
	f->net.forwards[0] = (struct options_forward){ .host_port = 2222, .guest_port = 22 };
	f->net.forwards[1] = (struct options_forward){ "::1", 80, 8080, false };
	f->net.forward_count = 2;
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	read_file(f, "args", args, sizeof(args), &len);
	assert_string_equal(args, "--foreground --quiet --fd 3 --mtu 65520 --no-map-gw --tcp-ports "
				  "127.0.0.1/2222:22 --tcp-ports ::1/80:8080 --udp-ports none\n");
	net_daemon_stop(f->daemon);
	f->daemon = NULL;
	f->net.forwards[1] = (struct options_forward){ "10.0.0.1", 53, 53, true };
	f->net.host_loopback = true;
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	read_file(f, "args", args, sizeof(args), &len);
	assert_string_equal(args, "--foreground --quiet --fd 3 --mtu 65520 --tcp-ports "
				  "127.0.0.1/2222:22 --udp-ports 10.0.0.1/53:53\n");
}

static void guest_that_asks_nobody_is_known_by_its_address(void **state)
{
	struct fixture *f = *state;
	char args[512];
	size_t len;

	make_passt(f, "echo \"$@\" >$dir/args\n" READ_ALL);
	assert_int_equal(net_daemon_start(&f->net, mac, true, &f->daemon), 0);
	read_file(f, "args", args, sizeof(args), &len);
	assert_string_equal(args, "--foreground --quiet --fd 3 --mtu 65520 --address 10.0.2.15 "
				  "--netmask 24 --gateway 10.0.2.2 --dns-forward 10.0.2.3 "
				  "--no-map-gw --udp-ports none\n");
}

static void absent_passt_is_an_error_that_names_it(void **state)
{
	struct fixture *f = *state;

	setenv("PATH", f->dir.path, 1);
	assert_refused(f, "--net user needs passt, which is not installed",
		       "it is the package passt of most distributions; --net none does without");
}

static void complaint_about_a_port_names_the_port(void **state)
{
	struct fixture *f = *state;

	f->net.forwards[0] = (struct options_forward){ .host_port = 2222, .guest_port = 22 };
	f->net.forwards[1] = (struct options_forward){ "", 53, 54, true };
	f->net.forward_count = 2;
	make_passt(f, "echo \"Failed to send 53 bytes to syslog\" >&2\n"
		      "echo \"Failed to bind '-u 127.0.0.1/53:54', exiting\" >&2\n"
		      "echo \"Failed to send 53 bytes to syslog\" >&2\n"
		      "exit 1");
	assert_refused(f,
		       "--net user: UDP port 53 of the host cannot be forwarded: passt: "
		       "Failed to bind '-u 127.0.0.1/53:54', exiting",
		       "is it in use? ss -ulnp 'sport = 53' names the program");
	user = 1000;
	assert_refused(f,
		       "--net user: UDP port 53 of the host cannot be forwarded: passt: "
		       "Failed to bind '-u 127.0.0.1/53:54', exiting",
		       "ports below 1024 are root's, and yours from "
		       "net.ipv4.ip_unprivileged_port_start on");
	user = 0;
	strcpy(f->net.forwards[1].address, "192.0.2.1");
	make_passt(f, "echo \"Failed to bind '-u 192.0.2.1/53:54', exiting\" >&2; exit 1");
	assert_refused(f,
		       "--net user: UDP port 53 of the host cannot be forwarded: passt: "
		       "Failed to bind '-u 192.0.2.1/53:54', exiting",
		       "is it in use? ss -ulnp 'sport = 53' names the program; "
		       "or is 192.0.2.1 no address of this host?");
}

static void last_words_are_told(void **state)
{
	struct fixture *f = *state;

	make_passt(f, "echo \"Don't run as root\" >&2; echo 'No route' >&2; exit 1");
	assert_refused(f, "--net user: passt: No route", "");
	make_passt(f, "echo 'External interface not usable' >&2; exit 1");
	assert_refused(f, "--net user: passt: External interface not usable",
		       "has the host a default route (ip route)? --net none does without");
	make_passt(f, "exit 7");
	assert_refused(f, "--net user: passt ended with exit status 7", "");
	/* And where the other end is closed before it ends. */
	make_passt(f, "exec 3>&-; sleep 0.1; echo 'No luck' >&2; exit 1");
	assert_refused(f, "--net user: passt: No luck", "");
}

static void it_ends_with_the_stream_or_by_the_signal(void **state)
{
	struct fixture *f = *state;
	char text[16];
	size_t len;

	/* Its own end, with the stream's: what it does then is seen. */
	make_passt(f, "echo $$ >$dir/pid; trap 'exit 0' TERM; cat <&3 >/dev/null & wait");
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	read_file(f, "pid", text, sizeof(text), &len);
	assert_int_equal(kill(atoi(text), 0), 0);
	net_daemon_stop(f->daemon);
	f->daemon = NULL;
	assert_int_equal(kill(atoi(text), 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void stream_is_handed_over_once(void **state)
{
	struct fixture *f = *state;
	int fd;

	make_passt(f, READ_ALL);
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	fd = net_daemon_take_stream(f->daemon);
	assert_true(fd >= 0);
	assert_int_equal(net_daemon_take_stream(f->daemon), -1);
	close(fd);
	net_daemon_lost(f->daemon);
}

/* --- what it says while it runs --- */

static void watch(struct fixture *f)
{
	assert_int_equal(net_daemon_start(&f->net, mac, false, &f->daemon), 0);
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(loop_start_thread(&f->loop, "test-loop"), 0);
	assert_int_equal(net_daemon_watch(f->daemon, &f->loop), 0);
}

static bool wait_for_file(struct fixture *f, const char *name)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s/%s", f->dir.path, name);
	for (unsigned i = 0; i < 10000 && access(file, F_OK) < 0; i++)
		nanosleep(&tick, NULL);
	return access(file, F_OK) == 0;
}

static void lost(void *daemon)
{
	net_daemon_lost(daemon);
}

/* More than a pipe holds, which nobody would empty. */
static void it_may_complain_for_ever(void **state)
{
	struct fixture *f = *state;

	make_passt(f, "head -c 64 <&3 >/dev/null\n"
		      "yes 'No such port' | head -n 20000 >&2\n"
		      "echo >$dir/done\n"
		      "exec cat <&3 >/dev/null");
	watch(f);
	assert_true(wait_for_file(f, "done"));
	/* Long ago, that is no reason. */
	nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
	close(net_daemon_take_stream(f->daemon));
	loop_call(&f->loop, lost, f->daemon);
	assert_string_equal(gone, "the guest's network is gone: passt ended with exit status 0");
}

static void what_it_says_at_its_end_is_why(void **state)
{
	struct fixture *f = *state;
	char file[PATH_MAX];

	make_passt(f, "head -c 64 <&3 >/dev/null\n"
		      "until [ -e $dir/watched ]; do sleep 0.01; done\n"
		      "echo 'No memory' >&2; echo >$dir/done\n"
		      "sleep 0.1; exit 1");
	watch(f);
	/* What it says at its start is no reason. */
	snprintf(file, sizeof(file), "%s/watched", f->dir.path);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_true(wait_for_file(f, "done"));
	loop_call(&f->loop, lost, f->daemon);
	assert_string_equal(gone, "the guest's network is gone: passt: No memory");
}

/* An ARP request is answered by the real one, at the least. */
static void real_one_answers(void **state)
{
	static const uint8_t request[] = { 0,    0,    0,   42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					   0x52, 0x54, 0,   1,  2,    3,    8,    6,    0,    1,
					   8,    0,    6,   4,  0,    1,    0x52, 0x54, 0,    1,
					   2,    3,    0,   0,  0,    0,    0,    0,    0,    0,
					   0,    0,    198, 51, 100,  7 };
	struct fixture *f = *state;
	const struct timeval limit = { .tv_sec = 5 };
	uint8_t answer[64];
	int fd;

	_Static_assert(sizeof(request) == 46, "a length and a frame");
	if (system("passt --version >/dev/null 2>&1") != 0)
		skip();
	/* Where it cannot run, for lack of a route or of namespaces, it says so. */
	if (net_daemon_start(&f->net, mac, false, &f->daemon) < 0) {
		assert_non_null(strstr(err_text(), "--net user: passt"));
		err_clear();
		skip();
	}
	fd = net_daemon_take_stream(f->daemon);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(send(fd, request, sizeof(request), 0), sizeof(request));
	assert_int_equal(recv(fd, answer, sizeof(request), MSG_WAITALL), sizeof(request));
	assert_memory_equal(answer, "\0\0\0\x2a", 4);
	assert_memory_equal(answer + 4, mac, sizeof(mac));
	assert_int_equal(answer[25], 2); /* a reply */
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_frame_tells_the_guests_address),
		TEST(arguments_are_those_of_the_options),
		TEST(guest_that_asks_nobody_is_known_by_its_address),
		TEST(absent_passt_is_an_error_that_names_it),
		TEST(complaint_about_a_port_names_the_port),
		TEST(last_words_are_told),
		TEST(it_ends_with_the_stream_or_by_the_signal),
		TEST(stream_is_handed_over_once),
		TEST(it_may_complain_for_ever),
		TEST(what_it_says_at_its_end_is_why),
		TEST(real_one_answers),
	};

	return cmocka_run_group_tests_name("net_daemon", tests, NULL, NULL);
}
