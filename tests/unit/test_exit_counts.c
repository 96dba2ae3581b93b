/* SPDX-License-Identifier: Apache-2.0 */
/* The record of exits: what each vCPU counted, by port and by range of memory. */
#include "cmocka_all.h"

#include "core/exit_counts.h"

#define ECAM    0xe0000000ull
#define NOWHERE 0xc0000000ull

static uint64_t read_zero(void *dev, uint64_t off, unsigned len)
{
	return 0;
}

static void write_nothing(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static const struct bus_ops timer_ops = { read_zero, write_nothing, "timer" };
static const struct bus_ops ecam_ops = { read_zero, write_nothing, "ecam" };
static const struct bus_ops nameless_ops = { read_zero, write_nothing, NULL };

static struct bus pio, mmio;
static struct bus_range timer = { .base = 0x600, .size = 16, .ops = &timer_ops };
static struct bus_range nameless = { .base = 0x700, .size = 2, .ops = &nameless_ops };
static struct bus_range ecam = { .base = ECAM, .size = 256 * MiB, .ops = &ecam_ops };

static int setup(void **state)
{
	bus_init(&pio);
	bus_init(&mmio);
	assert_int_equal(bus_add(&pio, &timer), 0);
	assert_int_equal(bus_add(&pio, &nameless), 0);
	assert_int_equal(bus_add(&mmio, &ecam), 0);
	exit_counts_enable(true);
	return 0;
}

static int teardown(void **state)
{
	bus_remove(&pio, &timer);
	bus_remove(&pio, &nameless);
	bus_remove(&mmio, &ecam);
	bus_fini(&pio);
	bus_fini(&mmio);
	return 0;
}

static void collect(struct exit_counts *counts)
{
	exit_counts_collect(counts, &pio, &mmio);
}

static void add(struct exit_counts *counts, bool memory, uint64_t addr, bool is_write, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		exit_counts_add(counts, memory, addr, is_write);
}

static void expect(const struct exit_counts_entry *e, const char *name, bool memory, uint64_t addr,
		   uint64_t reads, uint64_t writes)
{
	if (name)
		assert_string_equal(e->name, name);
	else
		assert_null(e->name);
	assert_int_equal(e->memory, memory);
	assert_int_equal(e->addr, addr);
	assert_int_equal(e->reads, reads);
	assert_int_equal(e->writes, writes);
}

static void vcpus_add_up_and_the_most_come_first(void **state)
{
	struct exit_counts *a = exit_counts_create(), *b = exit_counts_create();
	const struct exit_counts_entry *list;
	unsigned count;
	uint64_t rest;

	assert_non_null(a);
	assert_non_null(b);
	add(a, false, 0x608, false, 7);
	add(b, false, 0x608, false, 3);
	add(b, false, 0x604, true, 2);
	add(a, false, 0x700, true, 4);
	add(a, false, 0x60, false, 1);
	/* Two functions of one range; 20 at an address that the ports have too. */
	add(a, true, ECAM + 0x1004, false, 8);
	add(b, true, ECAM + 0x8010, true, 4);
	add(b, true, NOWHERE + 0x123, false, 5);
	add(b, true, 0x608, true, 20);
	collect(a);
	collect(b);
	list = exit_counts_list(&count, &rest);
	assert_int_equal(count, 7);
	assert_int_equal(rest, 0);
	expect(&list[0], NULL, true, 0, 0, 20);
	expect(&list[1], "ecam", true, ECAM, 8, 4);
	expect(&list[2], "timer", false, 0x608, 10, 0);
	expect(&list[3], NULL, true, NOWHERE, 5, 0);
	expect(&list[4], NULL, false, 0x700, 0, 4);
	expect(&list[5], "timer", false, 0x604, 0, 2);
	expect(&list[6], NULL, false, 0x60, 1, 0);
}

static void a_guest_that_touches_everything_loses_no_count(void **state)
{
	struct exit_counts *counts = exit_counts_create();
	const struct exit_counts_entry *list;
	uint64_t rest, total;
	unsigned count;

	for (unsigned i = 0; i < 0x10000; i++)
		exit_counts_add(counts, false, i, i & 1);
	for (uint64_t i = 0; i < 5000; i++)
		exit_counts_add(counts, true, NOWHERE + i * 4096, false);
	collect(counts);
	list = exit_counts_list(&count, &rest);
	assert_int_equal(count, EXIT_COUNTS_ENTRIES_MAX);
	total = rest;
	for (unsigned i = 0; i < count; i++)
		total += list[i].reads + list[i].writes;
	assert_int_equal(total, 0x10000 + 5000);
}

static void without_a_table_nothing_is_counted(void **state)
{
	unsigned count;
	uint64_t rest;

	exit_counts_add(NULL, false, 0x608, false);
	collect(NULL);
	exit_counts_list(&count, &rest);
	assert_int_equal(count, 0);
	assert_int_equal(rest, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(vcpus_add_up_and_the_most_come_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_touches_everything_loses_no_count,
						setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_table_nothing_is_counted, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
