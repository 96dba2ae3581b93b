/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's flash as edk2 drives it. The guest side reads through the memory slot while there
 * is one, and through the bus while there is none, as KVM would do it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/bus.h"
#include "core/err.h"
#include "core/vm.h"
#include "devices/chipset/pflash.h"

#define END  (4 * GiB)
#define SIZE (4 * (size_t)PFLASH_BLOCK_SIZE)
#define BASE (END - SIZE)

static struct bus mmio;
static struct vm vm;
static const struct board board = { .vm = &vm, .mmio = &mmio };
static struct device *dev;
static uint8_t initial[SIZE];

static uint8_t *slot_hva; /* what KVM has mapped at BASE */
static unsigned slot_changes;
static bool slot_refused;

int __wrap_vm_slot_map(struct vm *v, struct vm_slot *slot, uint64_t gpa, uint64_t size, void *hva,
		       unsigned flags);
int __wrap_vm_slot_map(struct vm *v, struct vm_slot *slot, uint64_t gpa, uint64_t size, void *hva,
		       unsigned flags)
{
	assert_false(slot->mapped);
	assert_int_equal(gpa, BASE);
	assert_int_equal(size, SIZE);
	assert_int_equal(flags, VM_SLOT_READONLY);
	if (slot_refused)
		return -EEXIST;
	*slot = (struct vm_slot){ .mapped = true, .gpa = gpa, .size = size };
	slot_hva = hva;
	slot_changes++;
	return 0;
}

void __wrap_vm_slot_unmap(struct vm *v, struct vm_slot *slot);
void __wrap_vm_slot_unmap(struct vm *v, struct vm_slot *slot)
{
	if (slot->mapped)
		slot_changes++;
	slot->mapped = false;
	slot_hva = NULL;
}

static uint8_t in(uint64_t off)
{
	return slot_hva ? slot_hva[off] : (uint8_t)bus_read(&mmio, BASE + off, 1);
}

static void out(uint64_t off, uint8_t val)
{
	bus_write(&mmio, BASE + off, 1, val);
}

static int setup(void **state)
{
	slot_hva = NULL;
	slot_refused = false;
	for (size_t i = 0; i < SIZE; i++)
		initial[i] = 0xff;
	/* The start of a variable store: zero vector, then a GUID. */
	memset(initial, 0, 16);
	memcpy(initial + 16, "\x8d\x2b\xf1\xff", 4);
	bus_init(&mmio);
	assert_int_equal(pflash_vars_create(&board, END, -1, initial, SIZE, &dev), 0);
	slot_changes = 0;
	return 0;
}

static int teardown(void **state)
{
	if (dev)
		dev->ops->destroy(dev);
	dev = NULL;
	assert_null(slot_hva);
	assert_int_equal(mmio.count, 0);
	bus_fini(&mmio);
	return 0;
}

static void array_is_read_without_exits(void **state)
{
	assert_non_null(slot_hva);
	assert_memory_equal(slot_hva, initial, SIZE);
}

/* QemuFlashDetected() of edk2-stable202211 */
static void ovmf_detects_flash(void **state)
{
	const uint8_t original = in(0x10);

	out(0x10, 0x50);
	assert_int_not_equal(in(0x10), 0x50);
	out(0x10, 0x70);
	assert_int_equal(in(0x10), 0x00);
	out(0x10, 0xff);
	assert_int_equal(in(0x10), original);
	assert_int_equal(slot_changes, 2);
	assert_memory_equal(slot_hva, initial, SIZE);
}

/* The same since edk2-stable202308, which also tries whether a program works. */
static void newer_ovmf_finds_it_writable(void **state)
{
	const uint8_t original = in(0x10);

	out(0x10, 0x50);
	out(0x10, 0x70);
	assert_int_equal(in(0x10), 0x00);
	out(0x10, 0x10);
	out(0x10, original);
	out(0x10, 0x70);
	assert_int_equal(in(0x10) & 0x10, 0);
	out(0x10, 0xff);
	assert_int_equal(in(0x10), original);
	assert_memory_equal(slot_hva, initial, SIZE);
}

/* QemuFlashWrite(): no slot change for any byte of a run. */
static void program_run(void **state)
{
	const char *text = "Boot0001";
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		out(0x1000 + i, 0x10);
		out(0x1000 + i, (uint8_t)text[i]);
	}
	out(0x1000 + len - 1, 0xff);
	assert_memory_equal(slot_hva + 0x1000, text, len);
	assert_int_equal(slot_hva[0x1000 + len], 0xff);
	assert_int_equal(slot_changes, 0);
}

static void data_that_looks_like_a_command_is_data(void **state)
{
	const uint8_t data[] = { 0x10, 0x20, 0x70, 0x50, 0xd0, 0xff };

	for (size_t i = 0; i < sizeof(data); i++) {
		out(0x1000 + i, 0x10);
		out(0x1000 + i, data[i]);
	}
	assert_memory_equal(slot_hva + 0x1000, data, sizeof(data));
}

static void program_only_clears_bits(void **state)
{
	out(0x1000, 0x10);
	out(0x1000, 0x3f);
	out(0x1000, 0x10);
	out(0x1000, 0xfd);
	assert_int_equal(in(0x1000), 0x3d);
}

static void erase_fills_the_block_around_the_address(void **state)
{
	for (uint64_t off = 0xfff; off <= 0x2000; off++) {
		out(off, 0x10);
		out(off, 0);
	}
	out(0x1234, 0x20);
	out(0x1234, 0xd0);
	/* No 0xff follows: the array is back by itself. */
	assert_non_null(slot_hva);
	assert_int_equal(in(0xfff), 0);
	assert_int_equal(in(0x2000), 0);
	for (uint64_t off = 0x1000; off < 0x2000; off++)
		assert_int_equal(in(off), 0xff);
}

static void erase_without_confirmation_is_an_error_status(void **state)
{
	out(0, 0x20);
	out(0, 0x00);
	out(0, 0x70);
	assert_int_equal(in(0), 0x80 | 0x20 | 0x10);
	out(0, 0x50);
	assert_int_equal(in(0), 0);
	out(0, 0xff);
	assert_memory_equal(slot_hva, initial, SIZE);
}

static void unknown_commands_show_the_array(void **state)
{
	const uint8_t cmds[] = { 0x90, 0x98, 0xe8, 0x00, 0xd0 };

	for (size_t i = 0; i < sizeof(cmds); i++) {
		out(0, 0x70);
		out(0, cmds[i]);
		assert_non_null(slot_hva);
	}
	assert_memory_equal(slot_hva, initial, SIZE);
}

static void wide_accesses(void **state)
{
	bus_write(&mmio, BASE + 0x1000, 4, 0x70);
	assert_int_equal(bus_read(&mmio, BASE + 0x1000, 4), 0);
	bus_write(&mmio, BASE + 0x1000, 4, 0x10);
	bus_write(&mmio, BASE + 0x1000, 4, 0x44332211);
	assert_memory_equal(slot_hva + 0x1000, "\x11\x22\x33\x44", 4);
	bus_write(&mmio, BASE + SIZE - 8, 8, 0x10);
	bus_write(&mmio, BASE + SIZE - 8, 8, 0);
	assert_int_equal(in(SIZE - 1), 0);
	/* Across the end: not ours. */
	bus_write(&mmio, BASE + SIZE - 4, 8, 0x70);
	assert_non_null(slot_hva);
}

static void reset_shows_the_array_and_keeps_it(void **state)
{
	out(0x1000, 0x10);
	out(0x1000, 0x55);
	out(0, 0x70);
	dev->ops->reset(dev);
	assert_int_equal(in(0x1000), 0x55);
	assert_non_null(slot_hva);
	/* Reset in the middle of a program: the next write is a command again. */
	out(0x1001, 0x10);
	dev->ops->reset(dev);
	out(0x1001, 0x70);
	assert_int_equal(in(0x1001), 0);
	out(0x1001, 0xff);
	assert_int_equal(in(0x1001), 0xff);
}

static void array_is_read_even_if_its_address_is_taken(void **state)
{
	out(0, 0x70);
	slot_refused = true;
	out(0, 0xff);
	assert_null(slot_hva);
	assert_int_equal(in(0x10), 0x8d);
	slot_refused = false;
	out(0, 0xff);
	assert_non_null(slot_hva);
}

static void file_keeps_what_is_programmed(void **state)
{
	FILE *file = tmpfile();
	char data[2];

	teardown(state);
	bus_init(&mmio);
	assert_non_null(file);
	assert_int_equal(fwrite(initial, 1, SIZE, file), SIZE);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(pflash_vars_create(&board, END, fileno(file), NULL, SIZE, &dev), 0);
	assert_memory_equal(slot_hva, initial, SIZE);
	out(0x1000, 0x10);
	out(0x1000, 'v');
	/* At once, as for a process that is killed. */
	assert_int_equal(pread(fileno(file), data, 2, 0x1000), 2);
	assert_memory_equal(data, "v\xff", 2);
	dev->ops->destroy(dev);
	dev = NULL;
	assert_int_equal(pread(fileno(file), data, 2, 0x1000), 2);
	assert_memory_equal(data, "v\xff", 2);
	fclose(file);
}

static void short_or_odd_file_is_an_error(void **state)
{
	FILE *file = tmpfile();
	struct device *other = NULL;

	assert_non_null(file);
	assert_int_equal(fwrite(initial, 1, SIZE - 1, file), SIZE - 1);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(pflash_vars_create(&board, BASE, fileno(file), NULL, SIZE, &other),
			 -EINVAL);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_int_equal(pflash_vars_create(&board, BASE, fileno(file), NULL, SIZE - 1, &other),
			 -EINVAL);
	assert_null(other);
	fclose(file);
}

static void code_is_a_read_only_slot(void **state)
{
	void *image = aligned_alloc(PFLASH_BLOCK_SIZE, SIZE);

	teardown(state);
	bus_init(&mmio);
	memset(image, 0x90, SIZE);
	assert_int_equal(pflash_code_create(&board, END, image, SIZE, &dev), 0);
	assert_ptr_equal(slot_hva, image);
	out(0, 0x70);
	out(0, 0x10);
	out(0, 0);
	assert_int_equal(in(0), 0x90);
	dev->ops->destroy(dev);
	dev = NULL;
	free(image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(array_is_read_without_exits),
		TEST(ovmf_detects_flash),
		TEST(newer_ovmf_finds_it_writable),
		TEST(program_run),
		TEST(data_that_looks_like_a_command_is_data),
		TEST(program_only_clears_bits),
		TEST(erase_fills_the_block_around_the_address),
		TEST(erase_without_confirmation_is_an_error_status),
		TEST(unknown_commands_show_the_array),
		TEST(wide_accesses),
		TEST(reset_shows_the_array_and_keeps_it),
		TEST(array_is_read_even_if_its_address_is_taken),
		TEST(file_keeps_what_is_programmed),
		TEST(short_or_odd_file_is_an_error),
		TEST(code_is_a_read_only_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
