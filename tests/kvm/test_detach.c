/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in the background, by the program itself: from `run --detach` over ps, control, console and
 * logs to `stop`, and what is left afterwards.
 */
#include "guest.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "temp_dir.h"

#define TEST_MAX_S 120u
#define TRIES      100u
#define TRY_US     20000u

/* Everything lies in a place of its own; for root, too, whose place is not of the environment. */
static struct temp_dir dir;
static char name[32], folder[256];

struct result {
	int status;
	char out[65536]; /* both streams */
};

static struct result result;

/* Runs "tinyvmm WORDS", with `input` on standard input. */
static int tinyvmm_with(const char *input, const char *fmt, va_list ap)
{
	char words[1024], command[2048], in[128];
	size_t len;
	FILE *p;
	int status;

	vsnprintf(words, sizeof(words), fmt, ap);
	snprintf(in, sizeof(in), "%s/in", dir.path);
	p = fopen(in, "w");
	assert_non_null(p);
	fputs(input, p);
	fclose(p);
	snprintf(command, sizeof(command), "{ timeout 30 %s %s; } <%s 2>&1", TINYVMM, words, in);
	p = popen(command, "re");
	assert_non_null(p);
	len = fread(result.out, 1, sizeof(result.out) - 1, p);
	result.out[len] = '\0';
	status = pclose(p);
	assert_true(WIFEXITED(status));
	result.status = WEXITSTATUS(status);
	return result.status;
}

static int tinyvmm(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int tinyvmm(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = tinyvmm_with("", fmt, ap);
	va_end(ap);
	return status;
}

static int tinyvmm_input(const char *input, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int tinyvmm_input(const char *input, const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = tinyvmm_with(input, fmt, ap);
	va_end(ap);
	return status;
}

static bool says(const char *text)
{
	return strstr(result.out, text) != NULL;
}

#define assert_says(text)                                                            \
	do {                                                                         \
		if (!says(text))                                                     \
			fail_msg("'%s' is not in the output: %s", text, result.out); \
	} while (0)

static unsigned long long number(const char *key)
{
	const char *at = strstr(result.out, key);

	if (!at)
		fail_msg("no %s in: %s", key, result.out);
	return strtoull(at + strlen(key), NULL, 10);
}

static unsigned long long exits(void)
{
	assert_int_equal(tinyvmm("control %s statistics", name), 0);
	return number("\"ports\": ");
}

/* More than so many. */
static void wait_for_exits(unsigned long long before)
{
	for (unsigned i = 0; exits() <= before; i++) {
		assert_true(i < TRIES);
		usleep(TRY_US);
	}
}

static void start(void)
{
	if (tinyvmm("run --detach --name %s --kernel " ECHO_GUEST " --memory 128M --cpus 1",
		    name) != 0)
		fail_msg("%s", result.out);
}

static bool in_log(const char *text, unsigned times)
{
	unsigned n = 0;

	assert_int_equal(tinyvmm("logs %s", name), 0);
	for (const char *p = result.out; (p = strstr(p, text)); p += strlen(text))
		n++;
	return n >= times;
}

static void wait_for_log(const char *text, unsigned times)
{
	for (unsigned i = 0; !in_log(text, times); i++) {
		if (i == TRIES)
			fail_msg("'%s' is not in the log: %s", text, result.out);
		usleep(TRY_US);
	}
}

static void run_returns_when_the_guest_runs_and_prints_its_name(void **state)
{
	char line[64];

	start();
	snprintf(line, sizeof(line), "%s\n", name);
	assert_string_equal(result.out, line);
	assert_int_equal(tinyvmm("ps"), 0);
	assert_says(name);
	assert_says("running");
	assert_int_equal(tinyvmm("ps --json"), 0);
	assert_says("\"state\": \"running\"");
	wait_for_log("ready\n", 1);
}

static void name_in_use_is_refused(void **state)
{
	start();
	assert_int_equal(tinyvmm("run --detach --name %s --kernel " ECHO_GUEST, name), 2);
	assert_says("runs already");
}

static void failure_is_the_commands(void **state)
{
	assert_int_equal(tinyvmm("run --detach --name %s --disk %s/none.img", name, dir.path), 5);
	assert_says("none.img");
	assert_int_equal(access(folder, F_OK), -1);
}

/* Before there is a machine. */
static void failure_of_the_first_check_has_its_status(void **state)
{
	assert_int_equal(tinyvmm("run --gpu ffff:ff:1f.7"), 4);
	assert_says("ffff:ff:1f.7");
	assert_int_equal(tinyvmm("run --detach --gpu ffff:ff:1f.7"), 4);
	assert_says("ffff:ff:1f.7");
}

static void folder_is_private_and_gone_afterwards(void **state)
{
	char path[300];
	struct stat st;

	start();
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/log", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tinyvmm("stop %s", name), 0);
	assert_int_equal(access(folder, F_OK), -1);
	assert_int_equal(tinyvmm("stop %s", name), 2);
	assert_says("no guest named");
}

static void pause_stops_the_guest_and_resume_lets_it_go_on(void **state)
{
	unsigned long long then;

	start();
	wait_for_log("ready\n", 1);
	wait_for_exits(exits());
	assert_int_equal(tinyvmm("control %s pause", name), 0);
	assert_int_equal(tinyvmm("control %s pause", name), 0);
	then = exits();
	usleep(5 * TRY_US);
	assert_int_equal(exits(), then);
	assert_int_equal(tinyvmm("ps"), 0);
	assert_says("paused");
	assert_int_equal(tinyvmm("control %s resume", name), 0);
	wait_for_exits(then);
	assert_int_equal(tinyvmm("control %s status", name), 0);
	assert_true(number("\"paused_ms\": ") >= 100);
}

static void reset_starts_the_guest_again_and_leaves_a_paused_one_paused(void **state)
{
	unsigned long long then;

	start();
	wait_for_log("ready\n", 1);
	assert_int_equal(tinyvmm("control %s reset", name), 0);
	wait_for_log("ready\n", 2);
	assert_int_equal(tinyvmm("control %s pause", name), 0);
	assert_int_equal(tinyvmm("control %s reset", name), 0);
	then = exits();
	usleep(5 * TRY_US);
	assert_int_equal(exits(), then);
	assert_int_equal(tinyvmm("control %s resume", name), 0);
	wait_for_log("ready\n", 3);
	assert_int_equal(tinyvmm("control %s status", name), 0);
	assert_int_equal(number("\"resets\": "), 2);
}

static void console_goes_both_ways_and_is_left_at_the_end(void **state)
{
	start();
	wait_for_log("ready\n", 1);
	/* Its end of input does not end it: the button does. */
	assert_int_equal(tinyvmm_input("hello world, ",
				       "ps >/dev/null; { sleep 1; " TINYVMM
				       " stop %s; } & " TINYVMM " console %s",
				       name, name),
			 0);
	assert_says("hello world, ");
}

/* A key at a time takes the most room in the socket: some hundreds are more than it has. */
static void keys_wait_for_a_guest_that_does_not_read(void **state)
{
	start();
	wait_for_log("ready\n", 1);
	assert_int_equal(tinyvmm("control %s pause", name), 0);
	assert_int_equal(tinyvmm_input("the end",
				       "ps >/dev/null; { "
				       "for i in $(seq 600); do printf x; sleep 0.002; done; "
				       "sleep 3; " TINYVMM " control %s resume >&2; cat; "
				       "for i in $(seq 200); do " TINYVMM " logs %s | "
				       "grep -q \"the end\" && break; sleep 0.1; done; " TINYVMM
				       " stop %s >&2; } | " TINYVMM " console %s",
				       name, name, name, name),
			 0);
	assert_says("xxthe end");
}

static void stop_presses_the_button_of_a_paused_guest_too(void **state)
{
	start();
	wait_for_log("ready\n", 1);
	assert_int_equal(tinyvmm("control %s pause", name), 0);
	assert_int_equal(tinyvmm("stop %s --timeout 20s", name), 0);
	assert_string_equal(result.out, "");
}

static void guest_that_does_not_hear_its_button_is_ended(void **state)
{
	assert_int_equal(tinyvmm("run --detach --name %s --kernel " IDLE_GUEST " --memory 128M",
				 name),
			 0);
	assert_int_equal(tinyvmm("control %s power-button", name), 7);
	assert_says("does not listen");
	assert_int_equal(tinyvmm("stop %s --timeout 1s", name), 0);
	assert_says("it is ended");
	assert_int_equal(access(folder, F_OK), -1);
}

static void log_is_followed_to_the_exit_status(void **state)
{
	start();
	assert_int_equal(tinyvmm("logs --follow %s & { sleep 1; " TINYVMM
				 " stop --kill %s; }; wait $!",
				 name, name),
			 143);
	assert_says("ready");
	start();
	assert_int_equal(tinyvmm("logs --follow %s & { sleep 1; " TINYVMM " stop %s; }; wait $!",
				 name, name),
			 0);
	assert_says("asked the guest to power off");
}

static void events_tell_the_life_of_the_guest(void **state)
{
	static const char *const events[] = { "paused",       "resumed", "reset",
					      "power-button", "ended",   "exited" };
	const char *at = result.out;

	start();
	wait_for_log("ready\n", 1);
	assert_int_equal(tinyvmm("control %s events & sleep 1; for i in pause resume reset stop; "
				 "do " TINYVMM " control %s $i; sleep 0.2; done; wait",
				 name, name),
			 0);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		char text[64];

		snprintf(text, sizeof(text), "{\"event\": \"%s\"", events[i]);
		at = strstr(at, text);
		if (!at)
			fail_msg("no %s in order in: %s", text, result.out);
	}
	assert_says("\"why\": \"powered-off\"");
	assert_says("\"status\": 0}");
}

static void killed_run_is_forgotten(void **state)
{
	start();
	assert_int_equal(tinyvmm("control %s status", name), 0);
	kill((pid_t)number("\"pid\": "), SIGKILL);
	for (unsigned i = 0; i < TRIES && (tinyvmm("ps"), says(name)); i++)
		usleep(TRY_US);
	assert_false(says(name));
	assert_int_equal(access(folder, F_OK), -1);
}

static void named_run_in_the_foreground_is_reached_too(void **state)
{
	assert_int_equal(tinyvmm("run --name %s --kernel " ECHO_GUEST
				 " --memory 128M & sleep 1; " TINYVMM " ps; " TINYVMM
				 " logs %s; " TINYVMM " stop %s; wait $!",
				 name, name, name),
			 0);
	assert_says("ready");
	assert_says("running");
	assert_says("has a log");
	assert_int_equal(access(folder, F_OK), -1);
}

static int setup(void **state)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	temp_dir_init(&dir);
	snprintf(name, sizeof(name), "test-%d", (int)getpid());
	if (geteuid() == 0)
		snprintf(folder, sizeof(folder), "/run/tinyvmm/guests/%s", name);
	else if (runtime)
		snprintf(folder, sizeof(folder), "%s/tinyvmm/guests/%s", runtime, name);
	else
		snprintf(folder, sizeof(folder), "/run/user/%u/tinyvmm/guests/%s", geteuid(), name);
	return 0;
}

static int teardown(void **state)
{
	tinyvmm("stop --kill %s", name);
	temp_dir_fini(&dir);
	return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(run_returns_when_the_guest_runs_and_prints_its_name),
		TEST(name_in_use_is_refused),
		TEST(failure_is_the_commands),
		TEST(failure_of_the_first_check_has_its_status),
		TEST(folder_is_private_and_gone_afterwards),
		TEST(pause_stops_the_guest_and_resume_lets_it_go_on),
		TEST(reset_starts_the_guest_again_and_leaves_a_paused_one_paused),
		TEST(console_goes_both_ways_and_is_left_at_the_end),
		TEST(keys_wait_for_a_guest_that_does_not_read),
		TEST(stop_presses_the_button_of_a_paused_guest_too),
		TEST(guest_that_does_not_hear_its_button_is_ended),
		TEST(log_is_followed_to_the_exit_status),
		TEST(events_tell_the_life_of_the_guest),
		TEST(killed_run_is_forgotten),
		TEST(named_run_in_the_foreground_is_reached_too),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	alarm(TEST_MAX_S);
	return cmocka_run_group_tests_name("detach", tests, NULL, NULL);
}
