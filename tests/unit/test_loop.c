/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: calls from many threads, sources that go away while events wait, stopping. */
#include "cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/sys.h"

#define CALLERS    8u
#define CALLS      2000u
#define WATCHDOG_S 20u /* a loop that hangs fails the test */

static struct loop loop;

static int setup(void **state)
{
	alarm(WATCHDOG_S);
	return loop_init(&loop);
}

static int teardown(void **state)
{
	loop_join_thread(&loop);
	loop_fini(&loop);
	alarm(0);
	return 0;
}

static void note_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void call_without_a_running_loop_is_direct(void **state)
{
	pthread_t where = 0;

	loop_call(&loop, note_thread, &where);
	assert_true(pthread_equal(where, pthread_self()));
}

static void call_runs_on_the_loops_thread(void **state)
{
	pthread_t where = 0;

	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	loop_call(&loop, note_thread, &where);
	assert_true(pthread_equal(where, loop.thread));
	loop_join_thread(&loop);
	loop_call(&loop, note_thread, &where);
	assert_true(pthread_equal(where, pthread_self()));
}

struct counted_event {
	struct loop_event event;
	atomic_uint runs;
	unsigned again;
	pthread_t where;
};

static void count_event(struct loop_event *event)
{
	struct counted_event *e = container_of(event, struct counted_event, event);

	e->where = pthread_self();
	atomic_fetch_add(&e->runs, 1);
	if (e->again) {
		e->again--;
		loop_post(&loop, event);
	}
}

/* Until then; the watchdog ends it. */
static void wait_runs(struct counted_event *e, unsigned runs)
{
	while (atomic_load(&e->runs) < runs)
		usleep(100);
}

static void event_runs_once_however_often_it_is_posted(void **state)
{
	struct counted_event first = { .event.fn = count_event };
	struct counted_event second = { .event.fn = count_event };

	loop_post(&loop, &first.event);
	loop_post(&loop, &second.event);
	loop_post(&loop, &first.event);
	assert_int_equal(first.runs, 0);
	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	wait_runs(&first, 1);
	wait_runs(&second, 1);
	assert_true(pthread_equal(first.where, loop.thread));
	loop_join_thread(&loop);
	assert_int_equal(first.runs, 1);
	assert_int_equal(second.runs, 1);
}

static void event_may_post_itself(void **state)
{
	struct counted_event e = { .event.fn = count_event, .again = 3 };

	loop_post(&loop, &e.event);
	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	wait_runs(&e, 4);
	loop_join_thread(&loop);
	assert_int_equal(e.runs, 4);
}

static void call_within_a_call(void *arg)
{
	loop_call(&loop, note_thread, arg);
}

static void call_from_the_loop_itself_is_direct(void **state)
{
	pthread_t where = 0;

	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	loop_call(&loop, call_within_a_call, &where);
	assert_true(pthread_equal(where, loop.thread));
}

/* Not atomic: only the loop's thread changes it. */
static unsigned calls_made;

static void count_call(void *arg)
{
	calls_made++;
	++*(unsigned *)arg;
}

static void *caller(void *arg)
{
	unsigned *mine = arg;

	for (unsigned i = 0; i < CALLS; i++) {
		unsigned before = *mine;

		loop_call(&loop, count_call, mine);
		if (*mine != before + 1)
			return arg; /* loop_call returned before its call did */
	}
	return NULL;
}

static void calls_of_many_threads_all_run_one_at_a_time(void **state)
{
	pthread_t threads[CALLERS];
	unsigned made[CALLERS] = { 0 };

	calls_made = 0;
	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller, &made[i]), 0);
	for (unsigned i = 0; i < CALLERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(calls_made, CALLERS * CALLS);
}

static atomic_uint callers_done;

static void nothing(void *arg)
{
}

static void *one_call(void *arg)
{
	loop_call(&loop, nothing, NULL);
	atomic_fetch_add(&callers_done, 1);
	return NULL;
}

/* A call that races with the end of the loop runs all the same: nobody waits for ever. */
static void calls_that_race_with_the_end_return(void **state)
{
	for (unsigned round = 0; round < 200; round++) {
		pthread_t threads[CALLERS];

		atomic_store(&callers_done, 0);
		assert_int_equal(loop_start_thread(&loop, "test"), 0);
		for (unsigned i = 0; i < CALLERS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, one_call, NULL), 0);
		loop_join_thread(&loop);
		for (unsigned i = 0; i < CALLERS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(atomic_load(&callers_done), CALLERS);
	}
}

/* An eventfd that counts how often it was seen ready; optionally removes others when it is. */
struct bell {
	struct loop_source source;
	unsigned rings;
	struct bell *removes[2];
	bool stops;
};

static void bell_ready(struct loop_source *source)
{
	struct bell *bell = container_of(source, struct bell, source);

	bell->rings++;
	sys_eventfd_drain(source->fd);
	for (unsigned i = 0; i < ARRAY_SIZE(bell->removes); i++) {
		if (bell->removes[i])
			loop_remove(&loop, &bell->removes[i]->source);
	}
	if (bell->stops)
		loop_stop(&loop);
}

static void bell_ready_unread(struct loop_source *source)
{
	container_of(source, struct bell, source)->rings++;
	loop_stop(&loop);
}

static void bell_init(struct bell *bell)
{
	*bell = (struct bell){ .source = { sys_eventfd(), bell_ready } };
	assert_true(bell->source.fd >= 0);
	assert_int_equal(loop_add(&loop, &bell->source), 0);
}

static void bell_fini(struct bell *bell)
{
	loop_remove(&loop, &bell->source);
	close(bell->source.fd);
}

static void source_is_told_until_it_is_drained(void **state)
{
	struct bell bell;

	bell_init(&bell);
	bell.stops = true;
	sys_eventfd_signal(bell.source.fd);
	loop_run(&loop);
	assert_int_equal(bell.rings, 1);
	sys_eventfd_signal(bell.source.fd);
	loop_run(&loop);
	assert_int_equal(bell.rings, 2);
	bell_fini(&bell);
}

/* All are ready in one batch; whichever comes first removes the others, which are then not told. */
static void removed_source_is_not_told_what_was_fetched(void **state)
{
	struct bell bells[3];

	for (unsigned i = 0; i < 3; i++)
		bell_init(&bells[i]);
	for (unsigned i = 0; i < 3; i++) {
		bells[i].removes[0] = &bells[(i + 1) % 3];
		bells[i].removes[1] = &bells[(i + 2) % 3];
		bells[i].stops = true;
		sys_eventfd_signal(bells[i].source.fd);
	}
	loop_run(&loop);
	assert_int_equal(bells[0].rings + bells[1].rings + bells[2].rings, 1);
	for (unsigned i = 0; i < 3; i++)
		bell_fini(&bells[i]);
}

static void post_again(struct loop_event *event)
{
	loop_post(&loop, event);
}

/* A guest may have one posted as fast as it is run. */
static void event_without_an_end_lets_sources_have_their_turn(void **state)
{
	struct loop_event endless = { .fn = post_again };
	struct bell bell;

	bell_init(&bell);
	bell.stops = true;
	loop_post(&loop, &endless);
	sys_eventfd_signal(bell.source.fd);
	loop_run(&loop);
	assert_int_equal(bell.rings, 1);
	bell_fini(&bell);
}

struct counted_timer {
	struct loop_timer timer;
	unsigned runs;
	struct counted_timer *ends;
};

static void count_timer(struct loop_timer *timer)
{
	struct counted_timer *t = container_of(timer, struct counted_timer, timer);

	t->runs++;
	if (t->ends)
		loop_set_timer(&loop, &t->ends->timer, 0);
	if (t->runs == 2)
		loop_stop(&loop);
	else
		timer->due_ns = clock_ns() + NS_PER_MS; /* no need to wait for the second */
}

static void timer_comes_again_until_it_is_ended(void **state)
{
	struct counted_timer never = { { .fn = count_timer } };
	struct counted_timer timer = { { .fn = count_timer }, .ends = &never };
	const uint64_t start = clock_ns();

	loop_set_timer(&loop, &never.timer, 1);
	loop_set_timer(&loop, &timer.timer, 1);
	never.timer.due_ns += NS_PER_MS; /* after the other, so that it is ended before */
	loop_run(&loop);
	assert_int_equal(timer.runs, 2);
	assert_int_equal(never.runs, 0);
	assert_true(clock_ns() - start >= NS_PER_S);
	loop_set_timer(&loop, &timer.timer, 0);
}

static void source_may_remove_itself(void **state)
{
	struct bell bell, last;

	bell_init(&bell);
	bell_init(&last);
	bell.removes[0] = &bell;
	last.stops = true;
	sys_eventfd_signal(bell.source.fd);
	sys_eventfd_signal(last.source.fd);
	loop_run(&loop);
	sys_eventfd_signal(bell.source.fd);
	sys_eventfd_signal(last.source.fd);
	loop_run(&loop);
	assert_int_equal(bell.rings, 1);
	assert_int_equal(last.rings, 2);
	bell_fini(&bell);
	bell_fini(&last);
}

static void stop_before_run_ends_it_at_once(void **state)
{
	struct bell bell;

	bell_init(&bell);
	loop_stop(&loop);
	loop_run(&loop);
	assert_int_equal(bell.rings, 0);
	/* And only that run. */
	bell.stops = true;
	sys_eventfd_signal(bell.source.fd);
	loop_run(&loop);
	assert_int_equal(bell.rings, 1);
	bell_fini(&bell);
}

static void source_that_is_not_read_is_told_once_a_signal(void **state)
{
	struct bell bell = { .source = { sys_eventfd(), bell_ready_unread, true }, .stops = true };

	assert_int_equal(loop_add(&loop, &bell.source), 0);
	for (unsigned i = 1; i <= 5; i++) {
		sys_eventfd_signal(bell.source.fd);
		loop_run(&loop);
		assert_int_equal(bell.rings, i);
	}
	assert_int_equal(sys_eventfd_drain(bell.source.fd), 5);
	bell_fini(&bell);
}

static void *stopper(void *arg)
{
	usleep(2000);
	loop_stop(&loop);
	return NULL;
}

static void stop_from_another_thread(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
	loop_run(&loop);
	pthread_join(thread, NULL);
}

static void loop_can_be_started_again(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		pthread_t where = 0;

		assert_int_equal(loop_start_thread(&loop, "test"), 0);
		loop_call(&loop, note_thread, &where);
		assert_false(pthread_equal(where, pthread_self()));
		loop_join_thread(&loop);
		loop_join_thread(&loop); /* not running: nothing */
	}
}

/* --- deferred work --- */

struct chore {
	struct loop_work work;
	char name, again;
	struct chore *cancels;
};

static char done[16];

static void do_chore(struct loop_work *work)
{
	struct chore *chore = container_of(work, struct chore, work);

	done[strlen(done)] = chore->name;
	if (chore->cancels)
		loop_cancel(&loop, &chore->cancels->work);
	if (chore->again && chore->again--)
		loop_defer(&loop, work);
}

static void end_of_chores(struct loop_source *source)
{
	sys_eventfd_drain(source->fd);
	done[strlen(done)] = '.';
	if (!loop.works)
		loop_stop(&loop);
	else
		sys_eventfd_signal(source->fd);
}

static const char *do_chores(void)
{
	struct loop_source end = { sys_eventfd(), end_of_chores };

	sys_eventfd_signal(end.fd);
	assert_int_equal(loop_add(&loop, &end), 0);
	loop_run(&loop);
	loop_remove(&loop, &end);
	close(end.fd);
	return done;
}

static void deferred_work_is_done_in_order_and_once(void **state)
{
	struct chore a = { { do_chore }, 'a' }, b = { { do_chore }, 'b' };

	memset(done, 0, sizeof(done));
	loop_defer(&loop, &a.work);
	loop_defer(&loop, &b.work);
	loop_defer(&loop, &a.work);
	assert_string_equal(do_chores(), ".ab.");
}

/* The dots are a source's turns. */
static void work_that_defers_itself_lets_sources_have_their_turn(void **state)
{
	struct chore a = { { do_chore }, 'a', 3 }, b = { { do_chore }, 'b' };

	memset(done, 0, sizeof(done));
	loop_defer(&loop, &a.work);
	loop_defer(&loop, &b.work);
	assert_string_equal(do_chores(), ".ab.a.a.a.");
}

static void cancelled_work_is_not_done(void **state)
{
	struct chore a = { { do_chore }, 'a' }, b = { { do_chore }, 'b' },
		     c = { { do_chore }, 'c' };

	memset(done, 0, sizeof(done));
	loop_defer(&loop, &a.work);
	loop_defer(&loop, &b.work);
	loop_defer(&loop, &c.work);
	a.cancels = &c;
	loop_cancel(&loop, &b.work);
	loop_cancel(&loop, &b.work);
	assert_string_equal(do_chores(), ".a.");
	a.cancels = NULL;
	loop_defer(&loop, &c.work);
	loop_defer(&loop, &a.work);
	assert_string_equal(do_chores(), ".a..ca.");
}

static void get_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void loop_threads_take_no_signals(void **state)
{
	sigset_t mask, here;

	sigemptyset(&mask);
	assert_int_equal(loop_start_thread(&loop, "test"), 0);
	loop_call(&loop, get_mask, &mask);
	assert_true(sigismember(&mask, SIGTERM));
	assert_true(sigismember(&mask, SIGUSR1));
	pthread_sigmask(SIG_SETMASK, NULL, &here);
	assert_false(sigismember(&here, SIGTERM));
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(call_without_a_running_loop_is_direct),
		LOOP_TEST(call_runs_on_the_loops_thread),
		LOOP_TEST(call_from_the_loop_itself_is_direct),
		LOOP_TEST(calls_of_many_threads_all_run_one_at_a_time),
		LOOP_TEST(calls_that_race_with_the_end_return),
		LOOP_TEST(event_runs_once_however_often_it_is_posted),
		LOOP_TEST(event_may_post_itself),
		LOOP_TEST(event_without_an_end_lets_sources_have_their_turn),
		LOOP_TEST(timer_comes_again_until_it_is_ended),
		LOOP_TEST(source_is_told_until_it_is_drained),
		LOOP_TEST(removed_source_is_not_told_what_was_fetched),
		LOOP_TEST(source_may_remove_itself),
		LOOP_TEST(stop_before_run_ends_it_at_once),
		LOOP_TEST(stop_from_another_thread),
		LOOP_TEST(loop_can_be_started_again),
		LOOP_TEST(loop_threads_take_no_signals),
		LOOP_TEST(source_that_is_not_read_is_told_once_a_signal),
		LOOP_TEST(deferred_work_is_done_in_order_and_once),
		LOOP_TEST(work_that_defers_itself_lets_sources_have_their_turn),
		LOOP_TEST(cancelled_work_is_not_done),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
