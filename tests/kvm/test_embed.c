/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library with guests in it: machines one after the other in one process, requests from other
 * threads, streams and signals of the program.
 */
#include "guest.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tinyvmm.h"

#define MACHINES   5u
#define TEST_MAX_S 40u
#define STATUS_SIG 128

/* A machine on a thread of its own, as a program with more to do has it. */
struct embedded {
	struct tinyvmm *vm;
	pthread_t thread;
	int output[2];
	sem_t started;
	atomic_uint events[TINYVMM_EVENT_ENDED + 1];
	const struct tinyvmm_result *result;
};

static void told(void *opaque, enum tinyvmm_event event)
{
	struct embedded *e = opaque;

	atomic_fetch_add(&e->events[event], 1);
	if (event == TINYVMM_EVENT_STARTED)
		sem_post(&e->started);
}

static void *run_thread(void *arg)
{
	struct embedded *e = arg;

	e->result = tinyvmm_run(e->vm);
	return NULL;
}

static void embed_open_words(struct embedded *e, const char *const words[], int count)
{
	memset(e, 0, sizeof(*e));
	assert_int_equal(tinyvmm_open(count, words, &e->vm), 0);
	assert_int_equal(pipe2(e->output, O_CLOEXEC), 0);
	assert_int_equal(tinyvmm_set_streams(e->vm, -1, e->output[1], -1), 0);
	sem_init(&e->started, 0, 0);
	tinyvmm_set_events(e->vm, told, e);
}

static void embed_open(struct embedded *e, const char *kernel)
{
	const char *const words[] = { "--kernel", kernel, "--memory", "64M", "--cpus", "2" };

	embed_open_words(e, words, ARRAY_SIZE(words));
}

static void embed_start(struct embedded *e)
{
	assert_int_equal(pthread_create(&e->thread, NULL, run_thread, e), 0);
	sem_wait(&e->started);
}

static void embed_end(struct embedded *e)
{
	pthread_join(e->thread, NULL);
	assert_int_equal(atomic_load(&e->events[TINYVMM_EVENT_STARTED]), 1);
	assert_int_equal(atomic_load(&e->events[TINYVMM_EVENT_ENDED]), 1);
}

static void embed_close(struct embedded *e)
{
	tinyvmm_close(e->vm);
	close(e->output[0]);
	close(e->output[1]);
	sem_destroy(&e->started);
}

static void kill_it(struct embedded *e)
{
	assert_int_equal(tinyvmm_ask(e->vm, TINYVMM_KILL), 0);
	embed_end(e);
	assert_int_equal(e->result->status, STATUS_SIG + SIGTERM);
	assert_string_equal(e->result->verdict, "killed");
}

static void console_is_the_programs_and_the_end_is_told(void **state)
{
	struct embedded e;
	char text[1024];
	ssize_t len;

	embed_open(&e, SHORT_LIFE);
	embed_start(&e);
	embed_end(&e);
	assert_int_equal(e.result->status, 0);
	assert_int_equal(e.result->value, -1);
	assert_string_equal(e.result->verdict, "powered-off");
	assert_string_equal(e.result->reason, "the guest powered off");
	len = read(e.output[0], text, sizeof(text) - 1);
	assert_in_range(len, 1, sizeof(text));
	text[len] = '\0';
	assert_non_null(strstr(text, "port-write "));
	assert_non_null(strstr(text, "mmio-read "));
	embed_close(&e);
}

static unsigned open_files(void)
{
	struct stat st;
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fstat(fd, &st) == 0;
	return count;
}

static void machines_come_and_go_without_a_trace(void **state)
{
	const unsigned files = open_files();
	sigset_t before = { 0 }, now = { 0 };
	struct sigaction kick;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (unsigned i = 0; i < MACHINES; i++) {
		struct embedded e;

		embed_open(&e, SHORT_LIFE);
		/* On this thread, for once. */
		(void)run_thread(&e);
		assert_int_equal(e.result->status, 0);
		embed_close(&e);
	}
	assert_int_equal(open_files(), files);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	sigaction(SIGRTMAX, NULL, &kick);
	assert_ptr_equal(kick.sa_handler, SIG_DFL);
}

static uint64_t exits_of(struct embedded *e)
{
	struct tinyvmm_statistics s;

	assert_int_equal(tinyvmm_statistics(e->vm, &s), 0);
	assert_in_range(s.resident, MiB, TiB);
	return s.port_exits + s.memory_exits;
}

static void wait_for_exits(struct embedded *e, uint64_t more_than)
{
	while (exits_of(e) <= more_than)
		usleep(1000);
}

static void other_threads_pause_resume_and_end_it(void **state)
{
	struct embedded e;
	uint64_t exits;

	embed_open(&e, LONG_LIFE);
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_PAUSE), -EAGAIN);
	embed_start(&e);
	wait_for_exits(&e, 1000);
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_PAUSE), 0);
	exits = exits_of(&e);
	usleep(20000);
	assert_int_equal(exits_of(&e), exits);
	assert_int_equal(atomic_load(&e.events[TINYVMM_EVENT_PAUSED]), 1);
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_RESUME), 0);
	wait_for_exits(&e, exits);
	assert_int_equal(atomic_load(&e.events[TINYVMM_EVENT_RESUMED]), 1);
	/* It has no operating system that could hear it. */
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_POWER_BUTTON), -EAGAIN);
	assert_string_equal(tinyvmm_error(), "the guest does not listen to its power button");
	kill_it(&e);
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_PAUSE), -ESHUTDOWN);
	embed_close(&e);
}

static void reset_starts_the_guest_anew(void **state)
{
	struct embedded e;

	embed_open(&e, LONG_LIFE);
	embed_start(&e);
	wait_for_exits(&e, 100);
	assert_int_equal(tinyvmm_ask(e.vm, TINYVMM_RESET), 0);
	while (!atomic_load(&e.events[TINYVMM_EVENT_RESET]))
		usleep(1000);
	wait_for_exits(&e, exits_of(&e));
	kill_it(&e);
	embed_close(&e);
}

struct asker {
	struct embedded *e;
	atomic_uint asked;
};

static void *ask_on_and_on(void *arg)
{
	struct asker *asker = arg;
	struct tinyvmm_statistics statistics;
	int r;

	do {
		r = tinyvmm_ask(asker->e->vm, TINYVMM_PAUSE);
		if (r == 0)
			r = tinyvmm_ask(asker->e->vm, TINYVMM_RESUME);
		if (r == 0)
			r = tinyvmm_statistics(asker->e->vm, &statistics);
		atomic_fetch_add(&asker->asked, 1);
	} while (r == 0 || r == -EAGAIN);
	assert_int_equal(r, -ESHUTDOWN);
	return NULL;
}

/* Whatever moment the end comes at. */
static void threads_that_ask_outlive_the_guest(void **state)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct embedded e;
		struct asker asker = { .e = &e };
		pthread_t threads[2];

		embed_open(&e, LONG_LIFE);
		for (unsigned t = 0; t < ARRAY_SIZE(threads); t++)
			pthread_create(&threads[t], NULL, ask_on_and_on, &asker);
		embed_start(&e);
		while (atomic_load(&asker.asked) < 100 * i)
			usleep(100);
		kill_it(&e);
		for (unsigned t = 0; t < ARRAY_SIZE(threads); t++)
			pthread_join(threads[t], NULL);
		embed_close(&e);
	}
}

static atomic_uint signals_heard;

static void hear(int sig)
{
	atomic_fetch_add(&signals_heard, 1);
}

static void programs_signals_reach_the_program(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGALRM };
	const struct sigaction action = { .sa_handler = hear };
	struct sigaction before[ARRAY_SIZE(signals)];
	struct embedded e;

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, &before[i]);
	embed_open(&e, LONG_LIFE);
	embed_start(&e);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		kill(getpid(), signals[i]);
		while (atomic_load(&signals_heard) <= i)
			usleep(100);
	}
	wait_for_exits(&e, exits_of(&e));
	kill_it(&e);
	embed_close(&e);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &before[i], NULL);
}

static void *hang_up(void *arg)
{
	struct embedded *e = arg;

	sem_wait(&e->started);
	kill(getpid(), SIGHUP);
	return NULL;
}

static void signals_that_were_taken_end_the_run(void **state)
{
	struct embedded e;
	pthread_t thread;

	embed_open(&e, LONG_LIFE);
	assert_int_equal(tinyvmm_take_signals(e.vm), 0);
	pthread_create(&thread, NULL, hang_up, &e);
	(void)run_thread(&e);
	pthread_join(thread, NULL);
	assert_int_equal(e.result->status, STATUS_SIG + SIGHUP);
	embed_close(&e);
}

/* A write to a pipe that nobody reads would end the process. */
static void nobody_reads_the_console(void **state)
{
	struct embedded e;

	embed_open(&e, SHORT_LIFE);
	close(e.output[0]);
	e.output[0] = -1;
	(void)run_thread(&e);
	assert_int_equal(e.result->status, 0);
	embed_close(&e);
}

/* Whose process goes on. */
static void stop_waits_for_the_run_and_not_for_the_program(void **state)
{
	char name[32], command[256];
	const char *const words[] = { "--kernel", LONG_LIFE, "--memory", "64M", "--name", name };
	struct embedded e;

	snprintf(name, sizeof(name), "embed-%d", (int)getpid());
	embed_open_words(&e, words, ARRAY_SIZE(words));
	embed_start(&e);
	snprintf(command, sizeof(command), "timeout 10 %s stop --kill %s", TINYVMM, name);
	assert_int_equal(system(command), 0);
	embed_end(&e);
	assert_string_equal(e.result->verdict, "killed");
	embed_close(&e);
}

static char ending_name[32];
static int ending_status;

static void stop_at_the_end(void *opaque, enum tinyvmm_event event)
{
	char command[256];

	if (event == TINYVMM_EVENT_ENDED) {
		snprintf(command, sizeof(command), "timeout 10 %s stop %s 2>&1", TINYVMM,
			 ending_name);
		ending_status = system(command);
	}
}

/* Its socket answers nobody then; a signal would be the end of the program. */
static void stop_does_not_kill_a_program_whose_guest_has_ended(void **state)
{
	const char *const words[] = { "--kernel", SHORT_LIFE, "--memory",
				      "64M",      "--name",   ending_name };
	struct embedded e;

	snprintf(ending_name, sizeof(ending_name), "ending-%d", (int)getpid());
	embed_open_words(&e, words, ARRAY_SIZE(words));
	tinyvmm_set_events(e.vm, stop_at_the_end, NULL);
	(void)run_thread(&e);
	assert_true(WIFEXITED(ending_status));
	assert_int_equal(WEXITSTATUS(ending_status), 7);
	assert_int_equal(e.result->status, 0);
	embed_close(&e);
}

static int setup(void **state)
{
	alarm(TEST_MAX_S);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(console_is_the_programs_and_the_end_is_told),
		cmocka_unit_test(machines_come_and_go_without_a_trace),
		cmocka_unit_test(other_threads_pause_resume_and_end_it),
		cmocka_unit_test(reset_starts_the_guest_anew),
		cmocka_unit_test(threads_that_ask_outlive_the_guest),
		cmocka_unit_test(programs_signals_reach_the_program),
		cmocka_unit_test(signals_that_were_taken_end_the_run),
		cmocka_unit_test(nobody_reads_the_console),
		cmocka_unit_test(stop_waits_for_the_run_and_not_for_the_program),
		cmocka_unit_test(stop_does_not_kill_a_program_whose_guest_has_ended),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("embed", tests, setup, NULL);
}
