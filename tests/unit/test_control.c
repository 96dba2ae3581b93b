/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server: its protocol, hostile and slow clients, and the console. */
#include "cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "control/control.h"
#include "control/control_console.h"
#include "core/clock.h"
#include "core/err.h"
#include "temp_dir.h"

#define WAIT_MS 5000

/* More than the kernel keeps for a client and the server does, together. */
#define EVENTS_MANY 20000u

struct fixture {
	struct temp_dir dir;
	char path[96];
	struct loop loop;
	struct control *control;
	/* On the loop. */
	char acts[256];
	uint8_t keys[8192];
	size_t key_count, key_room;
};

static int act(void *opaque, const char *what)
{
	struct fixture *f = opaque;

	if (strcmp(what, "pause") == 0) {
		control_tell(f->control, "paused", NULL, NULL);
	} else if (strcmp(what, "reset") == 0) {
		err_set(ERR_GUEST, -EAGAIN, "not \"now\"");
		err_hint("wait");
		return -EAGAIN;
	} else {
		return -ENOENT;
	}
	strcat(strcat(f->acts, what), " ");
	return 0;
}

static void put_status(void *opaque, struct json_out *json)
{
	json_out_string(json, "state", "running");
}

static void put_statistics(void *opaque, struct json_out *json)
{
	json_out_number(json, "cpu_ms", 7);
}

static size_t type(void *opaque, const uint8_t *data, size_t len)
{
	struct fixture *f = opaque;

	len = MIN(len, f->key_room);
	memcpy(f->keys + f->key_count, data, len);
	f->key_count += len;
	f->key_room -= len;
	return len;
}

static const struct control_ops ops = { act, put_status, put_statistics, type };

static void join(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(control_join(f->control, &f->loop), 0);
}

static void leave(void *arg)
{
	control_leave(((struct fixture *)arg)->control);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->key_room = sizeof(f->keys);
	temp_dir_init(&f->dir);
	snprintf(f->path, sizeof(f->path), "%s/control", f->dir.path);
	assert_int_equal(control_create(f->path, &ops, f, &f->control), 0);
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(loop_start_thread(&f->loop, "test"), 0);
	loop_call(&f->loop, join, f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_call(&f->loop, leave, f);
	loop_join_thread(&f->loop);
	control_destroy(f->control);
	loop_fini(&f->loop);
	temp_dir_fini(&f->dir);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* One byte, or -1 at the end. */
static int hear_byte(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t byte;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	return read(fd, &byte, 1) == 1 ? byte : -1;
}

static const char *hear(int fd)
{
	static char line[8192];
	size_t len = 0;
	int c;

	while ((c = hear_byte(fd)) != '\n') {
		assert_true(c >= 0 && len < sizeof(line) - 1);
		line[len++] = (char)c;
	}
	line[len] = '\0';
	return line;
}

static const char *ask(int fd, const char *request)
{
	say(fd, request, strlen(request));
	say(fd, "\n", 1);
	return hear(fd);
}

static void requests_are_answered_with_their_ids(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);

	assert_string_equal(ask(fd, "{\"id\":1,\"do\":\"pause\"}"), "{\"id\": 1, \"ok\": true}");
	assert_string_equal(f->acts, "pause ");
	assert_string_equal(ask(fd, "{\"do\":\"status\",\"id\":\"\\u0041\\\"\"}"),
			    "{\"id\": \"A\\\"\", \"ok\": true, \"state\": \"running\"}");
	assert_string_equal(ask(fd, "{\"do\":\"statistics\"}"), "{\"ok\": true, \"cpu_ms\": 7}");
	assert_string_equal(ask(fd, "{\"id\":2,\"do\":\"reset\"}"),
			    "{\"id\": 2, \"error\": \"not \\\"now\\\"\", \"hint\": \"wait\"}");
	close(fd);
}

static void requests_that_are_none_are_refused_and_the_next_is_answered(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"7",
		"\"pause\"",
		"{}",
		"{\"do\":1}",
		"{\"do\":null}",
		"{\"do\":\"\"}",
		"{\"do\":\"fly\"}",
		"{\"do\":\"pause\"",
		"{\"do\":\"pause\"}}",
		"{\"do\":\"pause\\u0000\"}",
		"{\"do\":\"pausepausepausepausepausepausepausepause\"}",
		"{\"id\":-1,\"do\":\"pause\"}",
		"{\"id\":1.5,\"do\":\"pause\"}",
		"{\"id\":1e3,\"do\":\"pause\"}",
		"{\"id\":99999999999999999999999999,\"do\":\"pause\"}",
		"{\"id\":[1],\"do\":\"pause\"}",
		"{\"id\":true,\"do\":\"pause\"}",
		"{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123\","
		"\"do\":\"pause\"}",
		"\xff\xfe",
	};
	struct fixture *f = *state;
	const int fd = dial(f);

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *answer = ask(fd, bad[i]);

		if (strstr(answer, "\"ok\"") || !strstr(answer, "\"error\""))
			fail_msg("'%s' was answered with '%s'", bad[i], answer);
	}
	assert_string_equal(f->acts, "");
	assert_string_equal(ask(fd, "{\"id\":1,\"do\":\"pause\"}"), "{\"id\": 1, \"ok\": true}");
	close(fd);
}

static void nul_bytes_and_depth_are_no_way_around(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char deep[2048];

	say(fd, "{\"do\":\"pause\0\"}\n", 16);
	assert_non_null(strstr(hear(fd), "\"error\""));
	memset(deep, '[', sizeof(deep));
	deep[sizeof(deep) - 1] = '\0';
	assert_non_null(strstr(ask(fd, deep), "\"error\""));
	assert_string_equal(f->acts, "");
	close(fd);
}

static void line_that_is_too_long_ends_the_client(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char many[CONTROL_LINE_MAX];

	memset(many, ' ', sizeof(many));
	say(fd, many, sizeof(many));
	assert_string_equal(hear(fd), "{\"error\": \"a line is too long\"}");
	assert_int_equal(hear_byte(fd), -1);
	close(fd);
}

static void line_of_the_greatest_length_is_read(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char line[CONTROL_LINE_MAX + 1];

	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"do\":\"pause\"}", 14);
	line[CONTROL_LINE_MAX - 1] = '\n';
	say(fd, line, CONTROL_LINE_MAX);
	assert_string_equal(hear(fd), "{\"ok\": true}");
	close(fd);
}

static void request_in_pieces_and_many_in_one_are_all_answered(void **state)
{
	static const char request[] = "{\"id\":7,\"do\":\"status\"}\n";
	struct fixture *f = *state;
	const int fd = dial(f);
	char many[40 * sizeof(request)];

	for (unsigned i = 0; i < strlen(request); i++)
		say(fd, request + i, 1);
	assert_non_null(strstr(hear(fd), "\"ok\": true"));
	many[0] = '\0';
	for (unsigned i = 0; i < 40; i++)
		strcat(many, request);
	/* Nobody reads yet: the answers are more than a socket holds. */
	for (unsigned i = 0; i < 20; i++)
		say(fd, many, strlen(many));
	for (unsigned i = 0; i < 20 * 40; i++)
		assert_non_null(strstr(hear(fd), "{\"id\": 7, \"ok\": true"));
	close(fd);
}

static void clients_that_are_too_many_are_turned_away(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS_MAX + 1];

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial(f);
		assert_non_null(strstr(ask(fds[i], "{\"do\":\"status\"}"), "\"ok\""));
	}
	fds[CONTROL_CLIENTS_MAX] = dial(f);
	assert_int_equal(hear_byte(fds[CONTROL_CLIENTS_MAX]), -1);
	close(fds[0]);
	close(fds[CONTROL_CLIENTS_MAX]);
	/* The server hears of the place that is free, then of who wants it. */
	for (unsigned i = 0;; i++) {
		fds[0] = dial(f);
		say(fds[0], "{\"do\":\"status\"}\n", 16);
		if (hear_byte(fds[0]) == '{')
			break;
		close(fds[0]);
		assert_true(i < 100);
	}
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

static void client_is_turned_away_where_no_file_can_be_opened(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit limit, none;
	int other;

	strcpy(addr.sun_path, f->path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	/* All below are open. */
	none.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	other = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? hear_byte(fd) : 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(other, -1);
	other = dial(f);
	assert_non_null(strstr(ask(other, "{\"do\":\"status\"}"), "\"ok\""));
	close(other);
	close(fd);
}

/* Not even the file that is kept for it: others took what was free, or the whole host has none. */
static void client_that_cannot_be_turned_away_waits_and_costs_nothing(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit limit, none;
	struct timespec before, after;
	int other, connected;

	strcpy(addr.sun_path, f->path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = STDERR_FILENO + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	connected = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	nanosleep(&(struct timespec){ .tv_nsec = 50 * NS_PER_MS }, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	nanosleep(&(struct timespec){ .tv_nsec = 200 * NS_PER_MS }, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(connected, 0);
	assert_true((after.tv_sec - before.tv_sec) * 1000 +
			    (after.tv_nsec - before.tv_nsec) / NS_PER_MS <
		    50);
	/* The next one is heard, and so is that one. */
	other = dial(f);
	assert_non_null(strstr(ask(other, "{\"do\":\"status\"}"), "\"ok\""));
	assert_non_null(strstr(ask(fd, "{\"do\":\"status\"}"), "\"ok\""));
	close(other);
	close(fd);
}

static void tell_reset(void *arg)
{
	control_tell(((struct fixture *)arg)->control, "reset", "why", "x");
}

static void events_come_to_who_asked_for_them(void **state)
{
	struct fixture *f = *state;
	const int listener = dial(f), other = dial(f);
	const char *line;

	assert_string_equal(ask(listener, "{\"do\":\"events\"}"), "{\"ok\": true}");
	assert_string_equal(ask(other, "{\"id\":1,\"do\":\"pause\"}"), "{\"id\": 1, \"ok\": true}");
	line = hear(listener);
	assert_non_null(strstr(line, "{\"event\": \"paused\", \"time_ms\": "));
	loop_call(&f->loop, tell_reset, f);
	line = hear(listener);
	assert_non_null(strstr(line, "{\"event\": \"reset\""));
	assert_non_null(strstr(line, "\"why\": \"x\"}"));
	close(listener);
	close(other);
}

static void client_that_does_not_read_is_cut_off_and_no_one_else(void **state)
{
	struct fixture *f = *state;
	const int slow = dial(f), other = dial(f);
	size_t bytes = 0;
	int c;

	assert_string_equal(ask(slow, "{\"do\":\"events\"}"), "{\"ok\": true}");
	for (unsigned i = 0; i < EVENTS_MANY; i++)
		loop_call(&f->loop, tell_reset, f);
	assert_non_null(strstr(ask(other, "{\"do\":\"status\"}"), "\"ok\""));
	while ((c = hear_byte(slow)) >= 0)
		bytes++;
	assert_in_range(bytes, 1, MiB);
	close(slow);
	close(other);
}

static void client_that_goes_in_the_middle_is_forgotten(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3 * CONTROL_CLIENTS_MAX; i++) {
		const int fd = dial(f);

		say(fd, "{\"do\":\"events\"}\n{\"do\":\"pau", 26);
		(void)hear_byte(fd);
		close(fd);
		loop_call(&f->loop, tell_reset, f);
	}
	assert_string_equal(f->acts, "");
}

static void console_goes_both_ways_and_one_types(void **state)
{
	struct fixture *f = *state;
	const int first = dial(f), second = dial(f);

	assert_string_equal(ask(first, "{\"do\":\"console\",\"write\":true}"),
			    "{\"ok\": true, \"write\": true}");
	assert_string_equal(ask(second, "{\"do\":\"console\",\"write\":true}"),
			    "{\"ok\": true, \"write\": false}");
	control_console_output(f->control, (const uint8_t *)"login\n", 6);
	assert_string_equal(hear(first), "login");
	assert_string_equal(hear(second), "login");
	say(second, "no\n", 3);
	say(first, "{\"do\":1}\n", 9);
	/* Keys and output have an order only within a client. */
	for (unsigned i = 0; i < 100 && __atomic_load_n(&f->key_count, __ATOMIC_ACQUIRE) < 9; i++)
		usleep(10000);
	assert_int_equal(f->key_count, 9);
	assert_memory_equal(f->keys, "{\"do\":1}\n", 9);
	close(first);
	close(second);
}

static void give_room(void *arg)
{
	struct fixture *f = arg;

	f->key_room = 3000;
	control_console_room(f->control);
}

static void keys_that_the_guest_does_not_take_wait(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	char keys[6000];

	f->key_room = 10;
	for (unsigned i = 0; i < sizeof(keys); i++)
		keys[i] = (char)i;
	assert_non_null(strstr(ask(fd, "{\"do\":\"console\",\"write\":true}"), "\"write\": true"));
	say(fd, keys, sizeof(keys));
	for (unsigned i = 0; i < 500 && f->key_count < sizeof(keys); i++) {
		loop_call(&f->loop, give_room, f);
		usleep(1000);
	}
	assert_int_equal(f->key_count, sizeof(keys));
	assert_memory_equal(f->keys, keys, sizeof(keys));
	close(fd);
}

static void keyboard_of_one_who_left_while_keys_waited_is_free(void **state)
{
	struct fixture *f = *state;
	const int first = dial(f);
	int second;

	f->key_room = 0;
	assert_non_null(
		strstr(ask(first, "{\"do\":\"console\",\"write\":true}"), "\"write\": true"));
	say(first, "keys", 4);
	usleep(20000);
	close(first);
	second = dial(f);
	assert_non_null(
		strstr(ask(second, "{\"do\":\"console\",\"write\":true}"), "\"write\": true"));
	close(second);
}

static void viewer_that_does_not_read_holds_up_nobody(void **state)
{
	static uint8_t much[CONTROL_CONSOLE];
	struct fixture *f = *state;
	const int slow = dial(f), quick = dial(f);
	size_t bytes = 0;
	int c;

	assert_non_null(strstr(ask(slow, "{\"do\":\"console\"}"), "\"write\": false"));
	for (unsigned i = 0; i < 100; i++)
		control_console_output(f->control, much, sizeof(much));
	assert_non_null(strstr(ask(quick, "{\"do\":\"console\"}"), "\"ok\""));
	control_console_output(f->control, (const uint8_t *)"x\n", 2);
	assert_string_equal(hear(quick), "x");
	/* It has missed something, and sees the end. */
	while ((c = hear_byte(slow)) != 'x') {
		assert_int_equal(c, 0);
		bytes++;
	}
	assert_in_range(bytes, CONTROL_CONSOLE / 2, 99 * sizeof(much));
	close(slow);
	close(quick);
}

static void exit_status_is_the_last_word(void **state)
{
	struct fixture *f = *state;
	const int fd = dial(f);
	const char *line;

	assert_string_equal(ask(fd, "{\"do\":\"events\"}"), "{\"ok\": true}");
	loop_call(&f->loop, leave, f);
	loop_join_thread(&f->loop);
	control_tell_exit(f->control, 143);
	control_destroy(f->control);
	line = hear(fd);
	assert_non_null(strstr(line, "{\"event\": \"exited\""));
	assert_non_null(strstr(line, "\"status\": 143}"));
	assert_int_equal(hear_byte(fd), -1);
	close(fd);
	/* For the teardown. */
	unlink(f->path);
	assert_int_equal(control_create(f->path, &ops, f, &f->control), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered_with_their_ids),
		TEST(requests_that_are_none_are_refused_and_the_next_is_answered),
		TEST(nul_bytes_and_depth_are_no_way_around),
		TEST(line_that_is_too_long_ends_the_client),
		TEST(line_of_the_greatest_length_is_read),
		TEST(request_in_pieces_and_many_in_one_are_all_answered),
		TEST(clients_that_are_too_many_are_turned_away),
		TEST(client_is_turned_away_where_no_file_can_be_opened),
		TEST(client_that_cannot_be_turned_away_waits_and_costs_nothing),
		TEST(events_come_to_who_asked_for_them),
		TEST(client_that_does_not_read_is_cut_off_and_no_one_else),
		TEST(client_that_goes_in_the_middle_is_forgotten),
		TEST(console_goes_both_ways_and_one_types),
		TEST(keys_that_the_guest_does_not_take_wait),
		TEST(keyboard_of_one_who_left_while_keys_waited_is_free),
		TEST(viewer_that_does_not_read_holds_up_nobody),
		TEST(exit_status_is_the_last_word),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
