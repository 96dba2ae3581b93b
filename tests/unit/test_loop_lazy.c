/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that begin when they are needed. */
#include "cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "core/loop.h"
#include "core/sys.h"

#define CALLERS    8u
#define WATCHDOG_S 20u /* a loop that hangs fails the test */

static int setup(void **state)
{
	alarm(WATCHDOG_S);
	return 0;
}

static int teardown(void **state)
{
	alarm(0);
	return 0;
}

static void note_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void drain(struct loop_source *source)
{
	sys_eventfd_drain(source->fd);
}

static void lazy_loop_has_no_thread_until_there_is_a_source(void **state)
{
	struct loop_source source = { sys_eventfd(), drain };
	struct loop lazy;
	pthread_t where = 0;

	loop_init_lazy(&lazy, "lazy");
	assert_int_equal(lazy.wake_fd, -1);
	loop_call(&lazy, note_thread, &where);
	assert_true(pthread_equal(where, pthread_self()));
	assert_int_equal(loop_add(&lazy, &source), 0);
	loop_call(&lazy, note_thread, &where);
	assert_false(pthread_equal(where, pthread_self()));
	loop_join_thread(&lazy);
	loop_fini(&lazy);
	close(source.fd);
}

static void lazy_loop_may_end_without_having_begun(void **state)
{
	struct loop lazy;

	loop_init_lazy(&lazy, "lazy");
	loop_join_thread(&lazy);
	loop_fini(&lazy);
	loop_fini(&lazy);
}

struct late {
	struct loop *loop;
	struct loop_source source;
	pthread_t where;
};

static void *add_late(void *arg)
{
	struct late *late = arg;

	if (loop_add(late->loop, &late->source) == 0)
		loop_call(late->loop, note_thread, &late->where);
	return NULL;
}

static void lazy_loop_begins_once_for_all_who_need_it(void **state)
{
	struct late late[CALLERS];
	pthread_t threads[CALLERS];
	struct loop lazy;

	loop_init_lazy(&lazy, "lazy");
	for (unsigned i = 0; i < CALLERS; i++) {
		late[i] = (struct late){ &lazy, { sys_eventfd(), drain } };
		assert_int_equal(pthread_create(&threads[i], NULL, add_late, &late[i]), 0);
	}
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < CALLERS; i++) {
		assert_true(pthread_equal(late[i].where, lazy.thread));
		close(late[i].source.fd);
	}
	loop_join_thread(&lazy);
	loop_fini(&lazy);
}

/* A vCPU's, for example. */
static void lazy_loop_is_not_bound_to_the_cpu_of_who_began_it(void **state)
{
	struct loop_source source = { sys_eventfd(), drain };
	cpu_set_t all, one, of_loop;
	pthread_attr_t attr;
	pthread_t thread;
	struct loop lazy;
	struct late late = { &lazy, source };
	unsigned cpu = 0;

	assert_int_equal(sched_getaffinity(getpid(), sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setaffinity_np(&attr, sizeof(one), &one), 0);
	loop_init_lazy(&lazy, "lazy");
	assert_int_equal(pthread_create(&thread, &attr, add_late, &late), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	assert_int_equal(pthread_getaffinity_np(lazy.thread, sizeof(of_loop), &of_loop), 0);
	assert_true(CPU_EQUAL(&of_loop, &all));
	loop_join_thread(&lazy);
	loop_fini(&lazy);
	close(source.fd);
}

struct early {
	struct loop loop;
	unsigned cpu;
	int cpus; /* of the loop's thread */
};

/* As a thread of a program does that embeds the machine. */
static void *init_lazy_on_one_cpu(void *arg)
{
	struct early *early = arg;
	struct late late = { &early->loop, { sys_eventfd(), drain } };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(early->cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
	loop_init_lazy(&early->loop, "lazy");
	add_late(&late);
	(void)pthread_getaffinity_np(early->loop.thread, sizeof(one), &one);
	early->cpus = CPU_COUNT(&one);
	loop_join_thread(&early->loop);
	loop_fini(&early->loop);
	close(late.source.fd);
	return NULL;
}

static void lazy_loop_is_on_the_cpus_of_the_thread_that_made_it(void **state)
{
	struct early early = { .cpu = 0 };
	cpu_set_t all;
	pthread_t thread;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2)
		skip();
	while (!CPU_ISSET(early.cpu, &all))
		early.cpu++;
	assert_int_equal(pthread_create(&thread, NULL, init_lazy_on_one_cpu, &early), 0);
	pthread_join(thread, NULL);
	assert_int_equal(early.cpus, 1);
}

static void lazy_loop_that_cannot_begin_may_try_again(void **state)
{
	struct loop_source source = { sys_eventfd(), drain };
	struct rlimit before, tight;
	struct loop lazy;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = 0;
	loop_init_lazy(&lazy, "lazy");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(loop_add(&lazy, &source), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(loop_add(&lazy, &source), 0);
	loop_join_thread(&lazy);
	loop_fini(&lazy);
	close(source.fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lazy_loop_has_no_thread_until_there_is_a_source),
		TEST(lazy_loop_may_end_without_having_begun),
		TEST(lazy_loop_begins_once_for_all_who_need_it),
		TEST(lazy_loop_is_not_bound_to_the_cpu_of_who_began_it),
		TEST(lazy_loop_is_on_the_cpus_of_the_thread_that_made_it),
		TEST(lazy_loop_that_cannot_begin_may_try_again),
	};

	return cmocka_run_group_tests_name("loop_lazy", tests, NULL, NULL);
}
