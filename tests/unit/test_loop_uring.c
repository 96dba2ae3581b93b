/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops on io_uring: sources that nobody reads, and operations; on this kernel and on ones that
 * know less, which are played by changing what reaches the real one.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/loop_uring.h"
#include "core/sys.h"

#define WATCHDOG_S 20u /* a loop that hangs fails the test */
#define IOS        512u
#define SOURCES    4u
#define NOTHING    20000 /* us, for what must not */

static struct loop loop;

/* What the kernel is made to lack. */
static struct {
	bool defer_taskrun, coop_taskrun, multishot;
} lacks;

int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	if ((lacks.defer_taskrun && p->flags & IORING_SETUP_DEFER_TASKRUN) ||
	    (lacks.coop_taskrun && p->flags & IORING_SETUP_COOP_TASKRUN))
		return -EINVAL;
	return __real_io_uring_queue_init_params(entries, ring, p);
}

/* A poll that is to go on is one with a field that must be 0. */
static void refuse_multishot(struct io_uring *ring)
{
	for (unsigned i = ring->sq.sqe_head; lacks.multishot && i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];

		if (sqe->opcode == IORING_OP_POLL_ADD && sqe->len & IORING_POLL_ADD_MULTI)
			sqe->addr = 1;
	}
}

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait)
{
	refuse_multishot(ring);
	return __real_io_uring_submit_and_wait(ring, wait);
}

int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	refuse_multishot(ring);
	return __real_io_uring_submit_and_get_events(ring);
}

static int setup(void **state)
{
	alarm(WATCHDOG_S);
	memset(&lacks, 0, sizeof(lacks));
	if (loop_init_uring(&loop, IOS, SOURCES) < 0)
		return -1;
	return loop_start_thread(&loop, "test");
}

static int teardown(void **state)
{
	loop_join_thread(&loop);
	loop_fini(&loop);
	alarm(0);
	return 0;
}

/* --- sources --- */

struct bell {
	struct loop_source source;
	sem_t rung;
	atomic_uint rings;
};

static void bell_ready(struct loop_source *source)
{
	struct bell *bell = container_of(source, struct bell, source);

	atomic_fetch_add(&bell->rings, 1);
	sem_post(&bell->rung);
}

static void bell_make(struct bell *bell)
{
	*bell = (struct bell){ .source = {
				       .fd = sys_eventfd(), .edge = true, .ready = bell_ready } };
	assert_true(bell->source.fd >= 0);
	sem_init(&bell->rung, 0, 0);
}

static void remove_bell(void *arg)
{
	struct bell *bell = arg;

	loop_remove(&loop, &bell->source);
}

static void bell_fini(struct bell *bell)
{
	loop_call(&loop, remove_bell, bell);
	close(bell->source.fd);
	sem_destroy(&bell->rung);
}

static void ring_and_wait(struct bell *bell, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		/* Rings before this one may have been told late, and once for several. */
		while (sem_trywait(&bell->rung) == 0)
			;
		sys_eventfd_signal(bell->source.fd);
		sem_wait(&bell->rung);
	}
}

static void source_is_told_each_time_and_never_read(void **state)
{
	struct bell bell;

	bell_make(&bell);
	assert_int_equal(loop_add(&loop, &bell.source), 0);
	ring_and_wait(&bell, 100);
	assert_int_equal(sys_eventfd_drain(bell.source.fd), 100);
	usleep(NOTHING);
	/* Once or more. */
	assert_true(atomic_load(&bell.rings) >= 100);
	bell_fini(&bell);
}

static void read_one(struct loop_source *source)
{
	struct bell *bell = container_of(source, struct bell, source);
	char c;

	assert_int_equal(read(source->fd, &c, 1), 1);
	bell_ready(&bell->source);
}

/* A pipe: told as long as there is something to read. */
static void source_that_is_read_is_told_until_it_is_empty(void **state)
{
	struct bell bell = { .source = { .ready = read_one } };
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	bell.source.fd = fds[0];
	sem_init(&bell.rung, 0, 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	assert_int_equal(loop_add(&loop, &bell.source), 0);
	for (unsigned i = 0; i < 3; i++)
		sem_wait(&bell.rung);
	assert_int_equal(write(fds[1], "de", 2), 2);
	for (unsigned i = 0; i < 2; i++)
		sem_wait(&bell.rung);
	usleep(NOTHING);
	assert_int_equal(atomic_load(&bell.rings), 5);
	bell_fini(&bell);
	close(fds[1]);
}

static void signal_before_the_source_is_added_is_told(void **state)
{
	struct bell bell;

	bell_make(&bell);
	sys_eventfd_signal(bell.source.fd);
	assert_int_equal(loop_add(&loop, &bell.source), 0);
	sem_wait(&bell.rung);
	bell_fini(&bell);
}

static void *ring_often(void *arg)
{
	for (unsigned i = 0; i < 20000; i++)
		sys_eventfd_signal(((struct bell *)arg)->source.fd);
	return NULL;
}

/* What the kernel still has to tell of one that is gone is not told to the next in its place. */
static void sources_come_and_go_while_they_ring(void **state)
{
	struct bell bells[SOURCES];
	pthread_t threads[SOURCES];

	for (unsigned i = 0; i < SOURCES; i++) {
		bell_make(&bells[i]);
		assert_int_equal(pthread_create(&threads[i], NULL, ring_often, &bells[i]), 0);
	}
	for (unsigned round = 0; round < 200; round++) {
		struct bell quiet;

		for (unsigned i = 0; i < SOURCES; i++)
			assert_int_equal(loop_add(&loop, &bells[i].source), 0);
		loop_call(&loop, remove_bell, &bells[round % SOURCES]);
		bell_make(&quiet);
		assert_int_equal(loop_add(&loop, &quiet.source), 0);
		if (round % 20 == 0)
			usleep(1000);
		assert_int_equal(atomic_load(&quiet.rings), 0);
		bell_fini(&quiet);
		for (unsigned i = 0; i < SOURCES; i++)
			loop_call(&loop, remove_bell, &bells[i]);
	}
	for (unsigned i = 0; i < SOURCES; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(loop_add(&loop, &bells[i].source), 0);
		ring_and_wait(&bells[i], 3);
	}
	for (unsigned i = 0; i < SOURCES; i++)
		bell_fini(&bells[i]);
}

/* --- operations --- */

struct read_io {
	struct loop_io io;
	uint8_t data;
	int res;
	sem_t done;
};

static struct {
	struct read_io ios[IOS];
	int fds[2];
} reads;

static void read_done(struct loop_io *io, int res)
{
	struct read_io *r = container_of(io, struct read_io, io);

	r->res = res;
	sem_post(&r->done);
}

static void start_reads(void *arg)
{
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		struct io_uring_sqe *sqe = loop_uring_sqe(&loop);

		reads.ios[i].io.done = read_done;
		io_uring_prep_read(sqe, reads.fds[0], &reads.ios[i].data, 1, 0);
		loop_uring_own(sqe, &reads.ios[i].io);
	}
}

/* More than the ring has entries. */
static void operations_are_done(void **state)
{
	unsigned count = IOS;
	unsigned sum = 0;
	uint8_t data[IOS];

	assert_int_equal(pipe2(reads.fds, O_CLOEXEC), 0);
	for (unsigned i = 0; i < IOS; i++)
		sem_init(&reads.ios[i].done, 0, 0);
	loop_call(&loop, start_reads, &count);
	for (unsigned i = 0; i < IOS; i++)
		data[i] = (uint8_t)i;
	assert_int_equal(write(reads.fds[1], data, IOS), IOS);
	for (unsigned i = 0; i < IOS; i++) {
		sem_wait(&reads.ios[i].done);
		assert_int_equal(reads.ios[i].res, 1);
		sum += reads.ios[i].data;
	}
	assert_int_equal(sum, 255 * IOS / 2);
	close(reads.fds[0]);
	close(reads.fds[1]);
}

static void read_and_wait(void *arg)
{
	unsigned one = 1;

	start_reads(&one);
	while (sem_trywait(&reads.ios[0].done) < 0)
		loop_pass(&loop);
	assert_int_equal(reads.ios[0].res, 1);
}

static void *ring_then_write(void *arg)
{
	struct bell *bell = arg;

	/* The loop waits within a call, and tells its sources all the same. */
	usleep(NOTHING);
	ring_and_wait(bell, 1);
	assert_int_equal(write(reads.fds[1], "x", 1), 1);
	return NULL;
}

static void pass_waits_within_a_call(void **state)
{
	struct bell bell;
	pthread_t thread;

	assert_int_equal(pipe2(reads.fds, O_CLOEXEC), 0);
	sem_init(&reads.ios[0].done, 0, 0);
	bell_make(&bell);
	assert_int_equal(loop_add(&loop, &bell.source), 0);
	assert_int_equal(pthread_create(&thread, NULL, ring_then_write, &bell), 0);
	loop_call(&loop, read_and_wait, NULL);
	pthread_join(thread, NULL);
	bell_fini(&bell);
	close(reads.fds[0]);
	close(reads.fds[1]);
}

/* --- older kernels --- */

static void everything_works_on_older_kernels(void **state)
{
	for (unsigned kernel = 0; kernel < 3; kernel++) {
		teardown(state);
		alarm(WATCHDOG_S);
		lacks.defer_taskrun = true;      /* before 6.1 */
		lacks.coop_taskrun = kernel > 0; /* before 5.19 */
		lacks.multishot = kernel > 1;    /* before 5.13 */
		assert_int_equal(loop_init_uring(&loop, IOS, SOURCES), 0);
		assert_int_equal(loop_start_thread(&loop, "test"), 0);
		source_that_is_read_is_told_until_it_is_empty(state);
		signal_before_the_source_is_added_is_told(state);
		sources_come_and_go_while_they_ring(state);
		operations_are_done(state);
		pass_waits_within_a_call(state);
	}
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(source_is_told_each_time_and_never_read),
		LOOP_TEST(source_that_is_read_is_told_until_it_is_empty),
		LOOP_TEST(signal_before_the_source_is_added_is_told),
		LOOP_TEST(sources_come_and_go_while_they_ring),
		LOOP_TEST(operations_are_done),
		LOOP_TEST(pass_waits_within_a_call),
		LOOP_TEST(everything_works_on_older_kernels),
	};

	return cmocka_run_group_tests_name("loop_uring", tests, NULL, NULL);
}
