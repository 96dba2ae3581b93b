/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's accesses become: exits to the buses, memory slots, doorbells. */
#include "guest.h"

#include <stdlib.h>

#include "core/sys.h"

#define PORT_PROBE 0x700
#define MMIO_PROBE 0xd0000000u

#define HAMMER_READS 20000u
#define ROUNDS_MAX   50u

static void port_write_reaches_handler(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_real_mode, 1);
	guest_start(guest);
	assert_int_equal(guest_report(guest), 0x5a);
	assert_int_equal(guest_report_size(guest), 1);
	assert_int_equal(guest_report(guest), 0x1234);
	assert_int_equal(guest_report_size(guest), 2);
	assert_int_equal(guest_report(guest), 0x89abcdef);
	assert_int_equal(guest_report_size(guest), 4);
	assert_int_equal(guest_report(guest), 42);
}

static void port_read_gives_the_handlers_answer(void **state)
{
	static struct probe probe = { .answer = 0x8877665544332211 };
	struct guest *guest = *state;

	agent_start(guest, 1);
	probe_add(&probe, &guest->pio, PORT_PROBE, 8);
	assert_int_equal(agent_in(guest, PORT_PROBE, 1), 0x11);
	assert_int_equal(agent_in(guest, PORT_PROBE + 2, 2), 0x4433);
	assert_int_equal(agent_in(guest, PORT_PROBE + 4, 4), 0x88776655);
	assert_int_equal(probe.reads, 3);
}

static void rep_outs_arrives_whole(void **state)
{
	static struct probe probe = { 0 };
	struct guest *guest = *state;

	agent_start(guest, 1);
	probe_add(&probe, &guest->pio, PORT_PROBE, 2);
	for (unsigned i = 0; i < 10; i++)
		guest_set_ram(guest, GUEST_BUFFER + 4 * i, 0x03020100 + 0x04040404 * i);
	assert_int_equal(agent_try(guest, OP_OUTSB, PORT_PROBE, 0, 40), -1);
	assert_int_equal(probe.writes, 40);
	assert_int_equal(probe.last.len, 1);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(probe.log[i].val, i);

	probe.writes = 0;
	assert_int_equal(agent_try(guest, OP_OUTSW, PORT_PROBE, 0, 20), -1);
	assert_int_equal(probe.writes, 20);
	assert_int_equal(probe.last.len, 2);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(probe.log[i].val, (2 * i + 1) << 8 | 2 * i);
}

/* Answers 0, 1, 2, ... */
static uint64_t counter_read(void *dev, uint64_t off, unsigned len)
{
	return (*(unsigned *)dev)++;
}

static void counter_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static const struct bus_ops counter_ops = { counter_read, counter_write };

static void rep_ins_takes_an_answer_each(void **state)
{
	static unsigned count;
	unsigned wrong = 0;
	static struct bus_range range = { PORT_PROBE, 2, &counter_ops, &count, false };
	struct guest *guest = *state;

	agent_start(guest, 1);
	assert_int_equal(bus_add(&guest->pio, &range), 0);
	/* More than one exit's page. */
	assert_int_equal(agent_try(guest, OP_INSB, PORT_PROBE, 0, 6000), -1);
	assert_true(count >= 6000);
	for (unsigned i = 0; i < 6000; i++)
		wrong += *(uint8_t *)mem_ptr(&guest->mem, GUEST_BUFFER + i, 1) != (uint8_t)i;
	assert_int_equal(wrong, 0);

	count = 0x100;
	assert_int_equal(agent_try(guest, OP_INSW, PORT_PROBE, 0, 100), -1);
	assert_int_equal(guest_ram(guest, GUEST_BUFFER), 0x01010100);
	assert_int_equal(guest_ram(guest, GUEST_BUFFER + 196), 0x01630162);
}

static void unassigned_port_and_memory_read_all_ones(void **state)
{
	struct guest *guest = *state;

	agent_start(guest, 1);
	assert_int_equal(agent_in(guest, PORT_PROBE, 1), 0xff);
	assert_int_equal(agent_in(guest, PORT_PROBE, 2), 0xffff);
	assert_int_equal(agent_in(guest, PORT_PROBE, 4), 0xffffffff);
	assert_int_equal(agent_in(guest, 0xffff, 1), 0xff);
	agent_out(guest, PORT_PROBE, 4, 0);
	assert_int_equal(agent_read(guest, MMIO_PROBE, 1), 0xff);
	assert_int_equal(agent_read(guest, MMIO_PROBE, 2), 0xffff);
	assert_int_equal(agent_read(guest, MMIO_PROBE, 4), 0xffffffff);
	agent_write(guest, MMIO_PROBE, 4, 0);
	/* The end of RAM, half in and half out. */
	guest_set_ram(guest, GUEST_RAM_SIZE - 4, 0x12345678);
	assert_int_equal(agent_read(guest, GUEST_RAM_SIZE - 2, 4), 0xffff1234);
}

static void mmio_sizes_arrive_as_made(void **state)
{
	static struct probe probe = { .answer = 0x8877665544332211 };
	struct guest *guest = *state;

	agent_start(guest, 1);
	probe_add(&probe, &guest->mmio, MMIO_PROBE, 0x1000);
	assert_int_equal(agent_read(guest, MMIO_PROBE + 7, 1), 0x88);
	assert_int_equal(agent_read(guest, MMIO_PROBE + 2, 2), 0x4433);
	assert_int_equal(agent_read(guest, MMIO_PROBE + 4, 4), 0x88776655);
	for (unsigned size = 1; size <= 4; size *= 2) {
		agent_write(guest, MMIO_PROBE + 0x40 + size, size, 0xa1b2c3d4);
		assert_int_equal(probe.last.len, size);
		assert_int_equal(probe.last.off, 0x40 + size);
		assert_int_equal(probe.last.val, 0xa1b2c3d4 & ones(size));
	}
	assert_int_equal(probe.writes, 3);
}

static void mmio_of_eight_bytes_and_across_pages(void **state)
{
	static struct probe first = { .answer = 0x0807060504030201 },
			    second = { .answer = 0x18171615 };
	struct guest *guest = *state;

	guest_init(guest, guest_image_long_mode, 1);
	guest_set_ram(guest, GUEST_MAILBOX, MMIO_PROBE);
	probe_add(&first, &guest->mmio, MMIO_PROBE, 0x1000);
	probe_add(&second, &guest->mmio, MMIO_PROBE + 0x1000, 0x1000);
	guest_start(guest);
	assert_int_equal(guest_report(guest), 0x04030201);
	assert_int_equal(guest_report(guest), 0x08070605);
	assert_int_equal(guest_report(guest), 1);
	assert_int_equal(first.log[0].len, 8);
	assert_int_equal(first.log[0].off, 8);
	assert_true(first.log[0].val == 0x1122334455667788);
	/* KVM splits at the page: four bytes for each. */
	assert_int_equal(guest_report(guest), 0x08070605);
	assert_int_equal(guest_report(guest), 0x18171615);
	assert_int_equal(guest_report(guest), 2);
	assert_int_equal(first.log[1].off, 0xffc);
	assert_int_equal(first.log[1].val, 0xddeeff00);
	assert_int_equal(second.last.off, 0);
	assert_int_equal(second.last.val, 0x99aabbcc);
}

/* A write to the range puts it at the address written, as a write to a BAR does. */
struct mover {
	struct bus *bus;
	struct bus_range range;
};

static uint64_t mover_read(void *dev, uint64_t off, unsigned len)
{
	return 0x600d;
}

static void mover_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct mover *mover = dev;

	bus_remove(mover->bus, &mover->range);
	mover->range.base = val;
	if (bus_add(mover->bus, &mover->range) < 0)
		mover->range.base = 0;
}

static const struct bus_ops mover_ops = { mover_read, mover_write };

static void handler_moves_its_own_range(void **state)
{
	struct guest *guest = *state;
	static struct mover mover;

	agent_start(guest, 1);
	mover.bus = &guest->mmio;
	mover.range = (struct bus_range){ MMIO_PROBE, 0x1000, &mover_ops, &mover, false };
	assert_int_equal(bus_add(&guest->mmio, &mover.range), 0);
	for (uint32_t at = MMIO_PROBE; at < MMIO_PROBE + 0x10000; at += 0x1000) {
		assert_int_equal(agent_read(guest, at, 4), 0x600d);
		agent_write(guest, at, 4, at + 0x1000);
		assert_int_equal(agent_read(guest, at, 4), 0xffffffff);
	}
}

static void readonly_slot_write_exits_while_reads_do_not(void **state)
{
	uint32_t *page = aligned_alloc(4096, 4096);
	struct guest *guest = *state;
	struct vm_slot slot = { 0 };
	static struct probe probe = { .answer = 0xbad };
	struct vcpu_counts before, after;

	agent_start(guest, 1);
	page[1] = 0x12345678;
	probe_add(&probe, &guest->mmio, MMIO_PROBE, 0x1000);
	assert_int_equal(vm_slot_map(&guest->vm, &slot, MMIO_PROBE, 4096, page, VM_SLOT_READONLY),
			 0);
	before = guest_counts(guest);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(agent_read(guest, MMIO_PROBE + 4, 4), 0x12345678);
	after = guest_counts(guest);
	assert_int_equal(after.mmio, before.mmio);
	agent_write(guest, MMIO_PROBE + 4, 4, 0xabcd);
	assert_int_equal(probe.writes, 1);
	assert_int_equal(probe.last.off, 4);
	assert_int_equal(probe.last.val, 0xabcd);
	assert_int_equal(page[1], 0x12345678);
	vm_slot_unmap(&guest->vm, &slot);
	assert_int_equal(agent_read(guest, MMIO_PROBE, 2), 0xbad);
	free(page);
}

static void overlapping_slot_is_refused(void **state)
{
	struct guest *guest = *state;
	struct vm_slot slot = { 0 };
	uint8_t *page = aligned_alloc(4096, 4096);

	guest_init(guest, guest_image_agent, 1);
	assert_int_equal(vm_slot_map(&guest->vm, &slot, GUEST_RAM_SIZE - 4096, 4096, page, 0),
			 -EEXIST);
	assert_false(slot.mapped);
	vm_slot_unmap(&guest->vm, &slot);
	assert_int_equal(vm_slot_map(&guest->vm, &slot, GUEST_RAM_SIZE, 4096, page, 0), 0);
	vm_slot_unmap(&guest->vm, &slot);
	free(page);
}

/* The guest reads without a pause while the slot comes, goes and moves; it sees old or nothing. */
static void slot_comes_and_goes_while_the_guest_runs(void **state)
{
	uint32_t *page = aligned_alloc(4096, 4096);
	struct guest *guest = *state;
	struct vm_slot slot = { 0 };
	unsigned there = 0, gone = 0;

	page[0] = 0x600d600d;
	agent_start(guest, 1);
	/* On a busy host a round may see only one of the two. */
	for (unsigned round = 0; round < ROUNDS_MAX && !(there && gone); round++) {
		guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_ADDR, MMIO_PROBE);
		guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_VALUE, page[0]);
		guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_COUNT, HAMMER_READS);
		guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_OP, OP_HAMMER);
		for (unsigned i = 0; guest_ram(guest, GUEST_MAILBOX + MAILBOX_OP) != 0; i++) {
			uint64_t at = i % 3 == 2 ? MMIO_PROBE + 0x100000 : MMIO_PROBE;

			assert_true(i < 10000);
			assert_int_equal(vm_slot_map(&guest->vm, &slot, at, 4096, page, 0), 0);
			usleep(300);
			vm_slot_unmap(&guest->vm, &slot);
			usleep(100);
		}
		there += agent_result(guest, 0);
		gone += agent_result(guest, 1);
		assert_int_equal(agent_result(guest, 0) + agent_result(guest, 1), HAMMER_READS);
		assert_int_equal(agent_result(guest, 2), 0);
	}
	assert_true(there > 0);
	assert_true(gone > 0);
	free(page);
}

static void slots_are_reused(void **state)
{
	struct guest *guest = *state;
	struct vm_slot slot = { 0 };
	uint8_t *page = aligned_alloc(4096, 4096);

	guest_init(guest, guest_image_agent, 1);
	for (unsigned i = 0; i < 2 * VM_SLOTS_MAX; i++) {
		assert_int_equal(vm_slot_map(&guest->vm, &slot, MMIO_PROBE, 4096, page, 0), 0);
		vm_slot_unmap(&guest->vm, &slot);
	}
	free(page);
}

static void doorbell_signals_without_exit(void **state)
{
	struct guest *guest = *state;
	struct vcpu_counts before, after;
	static struct probe probe = { 0 };
	int fd = sys_eventfd();

	agent_start(guest, 1);
	probe_add(&probe, &guest->mmio, MMIO_PROBE, 0x1000);
	assert_int_equal(vm_doorbell_add(&guest->vm, MMIO_PROBE + 0x10, fd), 0);
	before = guest_counts(guest);
	agent_write(guest, MMIO_PROBE + 0x10, 1, 7);
	agent_write(guest, MMIO_PROBE + 0x10, 2, 0);
	agent_write(guest, MMIO_PROBE + 0x10, 4, 0xffffffff);
	after = guest_counts(guest);
	assert_int_equal(sys_eventfd_drain(fd), 3);
	assert_int_equal(after.mmio, before.mmio);
	assert_int_equal(probe.writes, 0);
	/* Its neighbours are the device's, and reads are. */
	agent_write(guest, MMIO_PROBE + 0x14, 4, 1);
	assert_int_equal(agent_read(guest, MMIO_PROBE + 0x10, 4), 0);
	assert_int_equal(probe.writes, 1);
	assert_int_equal(probe.reads, 1);
	assert_int_equal(sys_eventfd_drain(fd), 0);

	vm_doorbell_remove(&guest->vm, MMIO_PROBE + 0x10, fd);
	agent_write(guest, MMIO_PROBE + 0x10, 2, 9);
	assert_int_equal(probe.writes, 2);
	assert_int_equal(sys_eventfd_drain(fd), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(port_write_reaches_handler),
		GUEST_TEST(port_read_gives_the_handlers_answer),
		GUEST_TEST(rep_outs_arrives_whole),
		GUEST_TEST(rep_ins_takes_an_answer_each),
		GUEST_TEST(unassigned_port_and_memory_read_all_ones),
		GUEST_TEST(mmio_sizes_arrive_as_made),
		GUEST_TEST(mmio_of_eight_bytes_and_across_pages),
		GUEST_TEST(handler_moves_its_own_range),
		GUEST_TEST(readonly_slot_write_exits_while_reads_do_not),
		GUEST_TEST(overlapping_slot_is_refused),
		GUEST_TEST(slot_comes_and_goes_while_the_guest_runs),
		GUEST_TEST(slots_are_reused),
		GUEST_TEST(doorbell_signals_without_exit),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("exits", tests, NULL, NULL);
}
