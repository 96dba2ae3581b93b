/* SPDX-License-Identifier: Apache-2.0 */
/* The host's end of a command: our files, and an agent that the test plays. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "command/session.h"
#include "console_guest.h"
#include "core/log.h"
#include "core/timings.h"
#include "devices/pci/pci.h"

#define TIMEOUT_MS 10000
#define PIPE_FULL  65536u

struct fixture {
	struct console_guest g;
	struct session session;
	struct session_files files;
	int input, output, error; /* the far ends */
	atomic_uint ended;
};

static void see_end(void *opaque)
{
	atomic_fetch_add(&((struct fixture *)opaque)->ended, 1);
}

static void make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*ret_read = fds[0];
	*ret_write = fds[1];
}

/* With these in place of pipes, if they are not -1. */
static struct fixture *begin(int input, int output)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct pci_dev *dev;

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	f->input = -1;
	f->files.input = input;
	if (input < 0)
		make_pipe(&f->files.input, &f->input);
	make_pipe(&f->output, &f->files.output);
	make_pipe(&f->error, &f->files.error);
	if (output >= 0)
		f->files.output = dup2(output, f->files.output);
	virtio_guest_init(&f->g.guest);
	assert_int_equal(session_init(&f->session, &f->g.guest.board, &f->files, see_end, f, &dev),
			 0);
	f->g.loop = &f->session.loop;
	virtio_guest_plug(&f->g.guest, dev);
	session_start(&f->session);
	console_guest_drive(&f->g);
	return f;
}

static int setup(void **state)
{
	*state = begin(-1, -1);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	session_stop(&f->session);
	virtio_guest_fini(&f->g.guest);
	session_fini(&f->session);
	close_fd(&f->files.input);
	close_fd(&f->files.output);
	close_fd(&f->files.error);
	close_fd(&f->input);
	close_fd(&f->output);
	close_fd(&f->error);
	test_free(f);
	return 0;
}

static void say(struct fixture *f, const char *words)
{
	console_guest_say(&f->g, console_out(GUEST_CONTROL), words, (uint32_t)strlen(words));
}

static void close_port(struct fixture *f, enum guest_port port)
{
	console_guest_control(&f->g, port, VIRTIO_CONSOLE_PORT_OPEN, 0);
}

static void end_command(struct fixture *f, const char *words)
{
	close_port(f, GUEST_STDOUT);
	close_port(f, GUEST_STDERR);
	say(f, words);
}

static void assert_ended(struct fixture *f)
{
	for (unsigned i = 0; i < TIMEOUT_MS && !atomic_load(&f->ended); i++)
		usleep(1000);
	assert_int_equal(atomic_load(&f->ended), 1);
}

static void assert_reads(int fd, const char *text)
{
	char got[64] = { 0 };

	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
	assert_string_equal(got, text);
}

static void streams_stay_apart(void **state)
{
	struct fixture *f = *state;

	console_guest_open(&f->g, GUEST_PORTS);
	console_guest_say(&f->g, console_out(GUEST_STDOUT), "out", 3);
	console_guest_say(&f->g, console_out(GUEST_STDERR), "err", 3);
	assert_reads(f->output, "out");
	assert_reads(f->error, "err");
}

static void status_is_told_once_all_output_is_written(void **state)
{
	struct fixture *f = *state;

	console_guest_open(&f->g, GUEST_PORTS);
	say(f, "started\nexi");
	say(f, "ted 7\n");
	console_guest_settle(&f->g);
	assert_int_equal(atomic_load(&f->ended), 0);
	close_port(f, GUEST_STDERR);
	assert_int_equal(atomic_load(&f->ended), 0);
	close_port(f, GUEST_STDOUT);
	assert_ended(f);
	assert_int_equal(f->session.result.end, SESSION_EXITED);
	assert_int_equal(f->session.result.value, 7);
}

static void reader_that_does_not_read_stops_only_its_stream(void **state)
{
	struct fixture *f = *state;
	char chunk[256];
	unsigned chunks = 0;
	uint32_t len;

	console_guest_open(&f->g, GUEST_PORTS);
	memset(chunk, 'x', sizeof(chunk));
	do {
		console_guest_say(&f->g, console_out(GUEST_STDOUT), chunk, sizeof(chunk));
		chunks++;
	} while (console_guest_taken(&f->g, console_out(GUEST_STDOUT), &len));
	assert_in_range(chunks, 2, PIPE_FULL / sizeof(chunk) + 1);
	console_guest_say(&f->g, console_out(GUEST_STDERR), "err", 3);
	assert_reads(f->error, "err");
	end_command(f, "exited 0\n");
	assert_int_equal(atomic_load(&f->ended), 0);
	for (size_t left = chunks * sizeof(chunk); left;) {
		ssize_t n = read(f->output, chunk, sizeof(chunk));

		assert_true(n > 0);
		left -= (size_t)n;
	}
	assert_ended(f);
}

static void output_that_nobody_reads_is_dropped(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	console_guest_open(&f->g, GUEST_PORTS);
	close_fd(&f->output);
	console_guest_say(&f->g, console_out(GUEST_STDOUT), "lost", 4);
	assert_true(console_guest_taken(&f->g, console_out(GUEST_STDOUT), &len));
	end_command(f, "exited 0\n");
	assert_ended(f);
	assert_int_equal(f->session.result.end, SESSION_EXITED);
}

static void guest_is_told_that_nobody_reads(void **state)
{
	struct fixture *f = *state;

	console_guest_open(&f->g, GUEST_PORTS);
	close_fd(&f->output);
	console_guest_say(&f->g, console_out(GUEST_STDOUT), "lost", 4);
	console_guest_settle(&f->g);
	console_guest_heard(&f->g, GUEST_STDOUT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
}

static void output_that_cannot_be_written_is_an_end_of_its_own(void **state)
{
	const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct fixture *f = begin(-1, full);
	void *s = f;

	console_guest_open(&f->g, GUEST_PORTS);
	console_guest_say(&f->g, console_out(GUEST_STDOUT), "lost", 4);
	end_command(f, "exited 0\n");
	assert_ended(f);
	assert_int_equal(f->session.result.end, SESSION_OUTPUT_LOST);
	assert_string_equal(f->session.result.text, "standard output: No space left on device");
	teardown(&s);
	close(full);
}

static void agent_that_fails_early_ends_the_run(void **state)
{
	struct fixture *f = *state;

	console_guest_open(&f->g, 1);
	say(f, "failed mount root: no\n");
	assert_ended(f);
	assert_int_equal(f->session.result.end, SESSION_FAILED);
}

static void assert_guest_reads(struct fixture *f, unsigned queue, unsigned nr, const char *text)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < TIMEOUT_MS && !len; i++) {
		if (!console_guest_taken(&f->g, queue, &len))
			usleep(1000);
	}
	assert_int_equal(len, strlen(text));
	assert_memory_equal(console_guest_buffer(&f->g, queue, nr), text, len);
}

static void input_goes_in_and_its_end_too(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	console_guest_open(&f->g, GUEST_PORTS);
	console_guest_give_room(&f->g, console_in(GUEST_STDIN), 2, 64);
	assert_int_equal(write(f->input, "one", 3), 3);
	assert_guest_reads(f, console_in(GUEST_STDIN), 0, "one");
	while (console_guest_taken(&f->g, CONTROL_IN, &len))
		;
	console_guest_give_room(&f->g, CONTROL_IN, 2, 64);
	close_fd(&f->input);
	for (unsigned i = 0;
	     i < TIMEOUT_MS && f->g.drv[CONTROL_IN].used->idx == f->g.drv[CONTROL_IN].used_seen;
	     i++)
		usleep(1000);
	console_guest_heard(&f->g, GUEST_STDIN, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
}

static void input_waits_for_the_guest(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->input, "early", 5), 5);
	console_guest_open(&f->g, GUEST_PORTS);
	console_guest_give_room(&f->g, console_in(GUEST_STDIN), 1, 2);
	assert_guest_reads(f, console_in(GUEST_STDIN), 0, "ea");
	console_guest_give_room(&f->g, console_in(GUEST_STDIN), 1, 64);
	assert_guest_reads(f, console_in(GUEST_STDIN), 0, "rly");
}

static void file_as_input_is_read_to_its_end(void **state)
{
	char name[] = "/tmp/tinyvmm-test-XXXXXX";
	const int fd = mkstemp(name);
	struct fixture *f;
	void *s;

	unlink(name);
	assert_int_equal(pwrite(fd, "content", 7, 0), 7);
	s = f = begin(fd, -1);
	console_guest_open(&f->g, GUEST_PORTS);
	console_guest_give_room(&f->g, console_in(GUEST_STDIN), 1, 64);
	assert_guest_reads(f, console_in(GUEST_STDIN), 0, "content");
	assert_true(f->session.input_ended);
	teardown(&s);
}

static void signal_is_heard_while_the_command_runs(void **state)
{
	struct fixture *f = *state;

	console_guest_open(&f->g, GUEST_PORTS);
	assert_false(session_signal(&f->session, 1));
	say(f, "started\n");
	console_guest_settle(&f->g);
	assert_true(session_signal(&f->session, 15));
	console_guest_give_room(&f->g, console_in(GUEST_CONTROL), 1, 64);
	assert_guest_reads(f, console_in(GUEST_CONTROL), 0, "signal 15\n");
	say(f, "exited 0\n");
	console_guest_settle(&f->g);
	assert_false(session_signal(&f->session, 15));
}

static const struct {
	const char *words;
	enum session_end end;
	int value;
	const char *text;
} ends[] = {
	{ "exited 0\n", SESSION_EXITED, 0, "" },
	{ "exited 255\n", SESSION_EXITED, 255, "" },
	{ "killed 9\n", SESSION_SIGNALED, 9, "" },
	{ "oom-kills 1\nkilled 9\n", SESSION_NO_MEMORY, 0, "" },
	{ "oom-kills 2\nexited 137\n", SESSION_NO_MEMORY, 0, "the command ended with status 137" },
	/* What lack of memory did not spoil. */
	{ "oom-kills 0\nexited 137\n", SESSION_EXITED, 137, "" },
	{ "oom-kills 0\nkilled 9\n", SESSION_SIGNALED, 9, "" },
	{ "oom-kills 1\nexited 0\n", SESSION_EXITED, 0, "" },
	{ "oom-kills 1\nkilled 15\n", SESSION_SIGNALED, 15, "" },
	{ "exited 1\noom-kills 1\n", SESSION_EXITED, 1, "" },
	/* What it did because of a signal of ours, however it takes one. */
	{ "signaled 1\noom-kills 1\nexited 130\n", SESSION_EXITED, 130, "" },
	{ "signaled 1\nsignaled 2\noom-kills 2\nkilled 9\n", SESSION_SIGNALED, 9, "" },
	{ "signaled 0\noom-kills 0\nexited 2\n", SESSION_EXITED, 2, "" },
	/* Memory was short after it. */
	{ "signaled 0\noom-kills 1\nexited 130\n", SESSION_NO_MEMORY, 0,
	  "the command ended with status 130" },
	{ "signaled 1\noom-kills 2\nkilled 9\n", SESSION_NO_MEMORY, 0, "" },
	{ "not-found cmd: no\nexited 127\n", SESSION_NOT_FOUND, 0, "cmd: no" },
	{ "not-executable cmd: no\n", SESSION_NOT_EXECUTABLE, 0, "cmd: no" },
	{ "failed why\33[2J\n", SESSION_FAILED, 0, "why?[2J" },
};

static void every_end_is_understood(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		struct fixture *f = begin(-1, -1);
		void *s = f;

		console_guest_open(&f->g, GUEST_PORTS);
		end_command(f, ends[i].words);
		assert_ended(f);
		assert_int_equal(f->session.result.end, ends[i].end);
		assert_int_equal(f->session.result.value, ends[i].value);
		assert_string_equal(f->session.result.text, ends[i].text);
		teardown(&s);
	}
}

static void nonsense_of_the_agent_is_no_end(void **state)
{
	static const char *const words[] = {
		"exited\n",      "exited 256\n", "exited -1\n", "killed 0\n",
		"killed 4711\n", "\n",           "exited x\n",  "nonsense\n",
	};
	struct fixture *f = *state;
	char line[256];

	console_guest_open(&f->g, GUEST_PORTS);
	memset(line, 'y', sizeof(line));
	for (unsigned i = 0; i < 5; i++)
		console_guest_say(&f->g, console_out(GUEST_CONTROL), line, sizeof(line));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t len;

		say(f, words[i]);
		while (console_guest_taken(&f->g, console_out(GUEST_CONTROL), &len))
			;
	}
	close_port(f, GUEST_STDOUT);
	close_port(f, GUEST_STDERR);
	assert_int_equal(atomic_load(&f->ended), 0);
	assert_int_equal(f->session.result.end, SESSION_NOT_STARTED);
}

/* In as many messages as it takes. */
static void say_and_settle(struct fixture *f, const char *words)
{
	uint32_t len;

	say(f, words);
	console_guest_settle(&f->g);
	while (console_guest_taken(&f->g, console_out(GUEST_CONTROL), &len))
		;
}

static void agent_tells_of_its_guest(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	timings_start();
	console_guest_open(&f->g, GUEST_PORTS);
	say(f, "kernel 6.1.0-28\33\n");
	say(f, "driver 0000:01:00.0 virtio-pci\ndriver 0000:02:00.1 snd\33 1.2\n");
	assert_false(timings_event(TIMINGS_COMMAND_STARTED, &at));
	assert_false(f->session.report.oom_told);
	say(f, "started\ndriver 0000:01:00.0 nvidia 550.54\npeak 2048\noom-kills 3\n");
	end_command(f, "exited 0\ndriver 0000:01:00.0 late\npeak 1\n");
	assert_ended(f);
	session_stop(&f->session);
	assert_string_equal(f->session.report.kernel, "6.1.0-28?");
	assert_true(f->session.report.peak == 2 * MiB);
	assert_true(f->session.report.oom_told && f->session.report.oom_kills == 3);
	assert_string_equal(session_driver(&f->session, 1, PCI_DEVFN(0, 0)).name, "nvidia");
	assert_string_equal(session_driver(&f->session, 1, PCI_DEVFN(0, 0)).version, "550.54");
	assert_string_equal(session_driver(&f->session, 2, PCI_DEVFN(0, 1)).name, "snd?");
	assert_string_equal(session_driver(&f->session, 2, PCI_DEVFN(0, 0)).name, "");
	assert_true(timings_event(TIMINGS_COMMAND_STARTED, &at));
	assert_true(timings_event(TIMINGS_COMMAND_ENDED, &at));
}

static void nonsense_of_the_agent_is_no_report(void **state)
{
	static const char *const words[] = {
		"driver\n",
		"driver 0000:01:00.0\n",
		"driver 0001:01:00.0 a\n",
		"driver 0000:01:20.0 a\n",
		"driver 0000:01:00.8 a\n",
		"driver 01:00.0 a\n",
		"peak 99999999999999999999999\n",
		"peak 18446744073709551615\n",
		"peak x\n",
		"oom-kills -1\n",
		"oom-kills\n",
		"oom-kills 99999999999999999999999\n",
		"kernel\n",
	};
	struct fixture *f = *state;
	char line[64];

	console_guest_open(&f->g, GUEST_PORTS);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		say_and_settle(f, words[i]);
	assert_int_equal(f->session.report.driver_count, 0);
	assert_true(f->session.report.peak == 0);
	assert_false(f->session.report.oom_told);
	assert_string_equal(f->session.report.kernel, "");
	/* More devices than there is room for. */
	for (unsigned i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "driver 0000:%02x:00.0 a\n", i);
		say_and_settle(f, line);
	}
	session_stop(&f->session);
	assert_int_equal(f->session.report.driver_count, SESSION_DRIVERS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streams_stay_apart),
		TEST(status_is_told_once_all_output_is_written),
		TEST(reader_that_does_not_read_stops_only_its_stream),
		TEST(output_that_nobody_reads_is_dropped),
		TEST(guest_is_told_that_nobody_reads),
		cmocka_unit_test(output_that_cannot_be_written_is_an_end_of_its_own),
		TEST(agent_that_fails_early_ends_the_run),
		TEST(input_goes_in_and_its_end_too),
		TEST(input_waits_for_the_guest),
		cmocka_unit_test(file_as_input_is_read_to_its_end),
		TEST(signal_is_heard_while_the_command_runs),
		cmocka_unit_test(every_end_is_understood),
		TEST(nonsense_of_the_agent_is_no_end),
		TEST(agent_tells_of_its_guest),
		TEST(nonsense_of_the_agent_is_no_report),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
