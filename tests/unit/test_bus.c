/* SPDX-License-Identifier: Apache-2.0 */
/* Trapped ranges: look-up, collisions, odd sizes, and changes from inside a handler. */
#include "cmocka_all.h"

#include <errno.h>

#include "core/bus.h"

/* A device that answers with the offset of each byte and remembers the last write. */
struct probe {
	uint64_t off, val;
	unsigned len, writes;
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < len; i++)
		val |= (off + i) << (8 * i);
	return val;
}

static void probe_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct probe *probe = dev;

	*probe = (struct probe){ off, val, len, probe->writes + 1 };
}

static const struct bus_ops probe_ops = { probe_read, probe_write };

static struct bus_range range_at(uint64_t base, uint64_t size, struct probe *probe)
{
	return (struct bus_range){ .base = base, .size = size, .ops = &probe_ops, .dev = probe };
}

static void finds_the_range_of_an_address(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 8, &probe), b = range_at(0x108, 8, &probe);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &b), 0);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_read(&bus, 0x10a, 2), 0x0302);
	bus_write(&bus, 0x104, 4, 0xabcd);
	assert_int_equal(probe.off, 4);
	assert_int_equal(probe.len, 4);
	assert_int_equal(probe.val, 0xabcd);
	bus_fini(&bus);
}

static void nothing_there_reads_all_ones(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 8, &probe);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_read(&bus, 0x0ff, 1), 0xff);
	assert_int_equal(bus_read(&bus, 0x108, 4), 0xffffffff);
	assert_true(bus_read(&bus, UINT64_MAX, 8) == UINT64_MAX);
	bus_write(&bus, 0x108, 4, 0);
	assert_int_equal(probe.writes, 0);
	bus_fini(&bus);
}

static void access_across_the_end_is_not_the_devices(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 8, &probe);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_read(&bus, 0x106, 4), 0xffffffff);
	bus_fini(&bus);
}

static void odd_lengths_are_split(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 16, &probe);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_read(&bus, 0x101, 3), 0x030201);
	assert_int_equal(bus_read(&bus, 0x101, 7), 0x07060504030201);
	bus_write(&bus, 0x102, 5, 0x0706050403);
	assert_int_equal(probe.writes, 2);
	assert_int_equal(probe.val, 0x07);
	bus_fini(&bus);
}

static void overlap_is_refused(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 0x100, &probe);
	struct bus_range inside = range_at(0x180, 1, &probe), over = range_at(0xf0, 0x20, &probe),
			 around = range_at(0, 0x1000, &probe),
			 wraps = range_at(UINT64_MAX, 2, &probe),
			 empty = range_at(0x300, 0, &probe), last = range_at(UINT64_MAX, 1, &probe);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_add(&bus, &inside), -EEXIST);
	assert_int_equal(bus_add(&bus, &over), -EEXIST);
	assert_int_equal(bus_add(&bus, &around), -EEXIST);
	assert_int_equal(bus_add(&bus, &wraps), -EINVAL);
	assert_int_equal(bus_add(&bus, &empty), -EINVAL);
	assert_int_equal(bus_add(&bus, &last), 0);
	bus_remove(&bus, &a);
	assert_int_equal(bus_add(&bus, &inside), 0);
	bus_fini(&bus);
}

/* Threads remember where they were: not for longer than it is true. */
static void range_that_was_used_and_went_is_not_there(void **state)
{
	struct probe first = { 0 }, second = { 0 };
	struct bus_range a = range_at(0x100, 8, &first), b = range_at(0x100, 4, &second);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	bus_write(&bus, 0x100, 4, 1);
	bus_write(&bus, 0x104, 4, 2);
	bus_remove(&bus, &a);
	assert_int_equal(bus_read(&bus, 0x100, 4), 0xffffffff);
	assert_int_equal(bus_add(&bus, &b), 0);
	bus_write(&bus, 0x100, 4, 3);
	bus_write(&bus, 0x104, 4, 4); /* nobody's now */
	assert_int_equal(first.writes, 2);
	assert_int_equal(second.writes, 1);
	assert_int_equal(second.val, 3);
	bus_fini(&bus);
}

static void buses_are_not_taken_for_each_other(void **state)
{
	struct probe probes[2] = { 0 };
	struct bus_range a = range_at(0x100, 8, &probes[0]), b = range_at(0x100, 8, &probes[1]);
	struct bus buses[2];

	for (unsigned i = 0; i < 2; i++)
		bus_init(&buses[i]);
	assert_int_equal(bus_add(&buses[0], &a), 0);
	bus_write(&buses[0], 0x100, 4, 1);
	bus_write(&buses[1], 0x100, 4, 2);
	assert_int_equal(bus_add(&buses[1], &b), 0);
	bus_write(&buses[1], 0x100, 4, 3);
	bus_write(&buses[0], 0x100, 4, 4);
	assert_int_equal(probes[0].writes, 2);
	assert_int_equal(probes[1].writes, 1);
	/* Another one where one was. */
	bus_fini(&buses[0]);
	bus_init(&buses[0]);
	assert_int_equal(bus_read(&buses[0], 0x100, 4), 0xffffffff);
	bus_fini(&buses[0]);
	bus_fini(&buses[1]);
}

#define MOVES 20000u

struct chase {
	struct bus bus;
	struct bus_range range;
	atomic_uint seen_wrong;
	atomic_bool stop;
};

static uint64_t chase_read(void *dev, uint64_t off, unsigned len)
{
	return off;
}

static void chase_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static void *chaser(void *arg)
{
	struct chase *c = arg;

	while (!atomic_load(&c->stop)) {
		/* At either place it is there whole, or not at all. */
		const uint64_t low = bus_read(&c->bus, 0x104, 4),
			       high = bus_read(&c->bus, 0x1004, 4);

		if ((low != 4 && low != 0xffffffff) || (high != 4 && high != 0xffffffff))
			atomic_fetch_add(&c->seen_wrong, 1);
	}
	return NULL;
}

static void range_may_move_under_those_who_use_it(void **state)
{
	static const struct bus_ops ops = { chase_read, chase_write };
	static struct chase c;
	pthread_t threads[3];

	bus_init(&c.bus);
	c.range = (struct bus_range){ .base = 0x100, .size = 8, .ops = &ops };
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, chaser, &c), 0);
	for (unsigned i = 0; i < MOVES; i++) {
		c.range.base = i % 2 ? 0x100 : 0x1000;
		assert_int_equal(bus_add(&c.bus, &c.range), 0);
		/* What this thread removed it does not find. */
		assert_int_equal(bus_read(&c.bus, c.range.base + 4, 4), 4);
		bus_remove(&c.bus, &c.range);
		assert_int_equal(bus_read(&c.bus, c.range.base + 4, 4), 0xffffffff);
	}
	atomic_store(&c.stop, true);
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.seen_wrong, 0);
	bus_fini(&c.bus);
}

/* A handler that moves its own range, as a write to a BAR does. */
struct mover {
	struct bus *bus;
	struct bus_range range;
};

static void mover_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct mover *mover = dev;

	bus_remove(mover->bus, &mover->range);
	mover->range.base = val;
	assert_int_equal(bus_add(mover->bus, &mover->range), 0);
}

static const struct bus_ops mover_ops = { probe_read, mover_write };

static void handler_may_move_its_range(void **state)
{
	struct bus bus;
	struct mover mover = { &bus,
			       { .base = 0x100, .size = 4, .ops = &mover_ops, .dev = &mover } };

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &mover.range), 0);
	bus_write(&bus, 0x100, 4, 0x2000);
	assert_int_equal(bus_read(&bus, 0x100, 1), 0xff);
	assert_int_equal(bus_read(&bus, 0x2001, 1), 1);
	bus_fini(&bus);
}

static void range_waits_for_its_place(void **state)
{
	struct probe first = { 0 }, second = { 0 }, third = { 0 };
	struct bus_range a = range_at(0x100, 0x10, &first), b = range_at(0x108, 0x10, &second);
	struct bus_range c = range_at(0x104, 4, &third);
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_add_or_wait(&bus, &b), -EEXIST);
	assert_int_equal(bus_add_or_wait(&bus, &c), -EEXIST);
	assert_false(bus_has(&bus, &b));
	bus_write(&bus, 0x110, 4, 1);
	assert_int_equal(second.writes, 0);
	bus_remove(&bus, &a);
	assert_true(bus_has(&bus, &b));
	bus_write(&bus, 0x110, 4, 1);
	bus_write(&bus, 0x104, 4, 1);
	assert_int_equal(second.off, 8);
	assert_int_equal(second.writes, 1);
	assert_int_equal(third.writes, 1);
	bus_fini(&bus);
}

static void who_waited_longest_comes_first(void **state)
{
	struct probe probe = { 0 };
	struct bus_range a = range_at(0x100, 8, &probe), b = a, c = a, d = a;
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &a), 0);
	assert_int_equal(bus_add_or_wait(&bus, &b), -EEXIST);
	assert_int_equal(bus_add_or_wait(&bus, &c), -EEXIST);
	assert_int_equal(bus_add_or_wait(&bus, &d), -EEXIST);
	/* One that gives up its wait is not added later. */
	bus_remove(&bus, &b);
	bus_remove(&bus, &a);
	assert_false(bus_has(&bus, &a));
	assert_false(bus_has(&bus, &b));
	assert_true(bus_has(&bus, &c));
	assert_false(bus_has(&bus, &d));
	bus_remove(&bus, &c);
	assert_true(bus_has(&bus, &d));
	bus_fini(&bus);
}

static void table_has_an_end(void **state)
{
	static struct bus_range many[BUS_RANGES_MAX + 1];
	struct probe probe = { 0 };
	struct bus bus;

	bus_init(&bus);
	for (unsigned i = 0; i <= BUS_RANGES_MAX; i++) {
		many[i] = range_at(i * 16, 16, &probe);
		assert_int_equal(bus_add(&bus, &many[i]), i < BUS_RANGES_MAX ? 0 : -ENOSPC);
	}
	bus_fini(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_range_of_an_address),
		cmocka_unit_test(nothing_there_reads_all_ones),
		cmocka_unit_test(access_across_the_end_is_not_the_devices),
		cmocka_unit_test(odd_lengths_are_split),
		cmocka_unit_test(overlap_is_refused),
		cmocka_unit_test(range_that_was_used_and_went_is_not_there),
		cmocka_unit_test(buses_are_not_taken_for_each_other),
		cmocka_unit_test(range_may_move_under_those_who_use_it),
		cmocka_unit_test(handler_may_move_its_range),
		cmocka_unit_test(range_waits_for_its_place),
		cmocka_unit_test(who_waited_longest_comes_first),
		cmocka_unit_test(table_has_an_end),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
