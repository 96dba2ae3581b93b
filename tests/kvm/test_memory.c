/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large machines: RAM as guest_ram.c lays it out, far more than this host has, and a guest that
 * writes and reads its ends. Only the pages that it touches are ever there.
 */
#include "guest.h"

#include <linux/kvm.h>

#include "placement/guest_ram.h"
#include "x86_64/layout.h"

#define ENTRY    0x4000u
#define TABLES   0x8000u  /* to 0xf000, those that it starts with */
#define FAR_PDPT 0x10000u /* ours, for what lies beyond 4 GiB */
#define FAR_PDS  0x11000u

/* What the guest sees at FAR_BASE: a page of 2 MiB around each address, one after the other. */
#define FAR_BASE    (1ull << 39) /* the second entry of the top table */
#define PAGE_SIZE_2 (2 * MiB)
#define PAGE_LEAF   0x83u /* present, writable, a page and no table */
#define PAGE_TABLE  0x03u

#define PHYS_BITS_NEEDED 45u /* for 16 TiB and a PCI window */

/* Writes ECX to [RBX], reads it back and reports it, COUNT times, RBX from FAR_BASE on by pages. */
#define COUNT 35u /* offset of the number of times */
/* clang-format off */
static const uint8_t code[] = {
	0x66, 0xba, PORT_REPORT & 0xff, PORT_REPORT >> 8,  /* mov dx, PORT_REPORT */
	0x48, 0xbb, 0x00, 0x00, 0x00, 0x00, 0x80, 0, 0, 0, /* mov rbx, FAR_BASE */
	0xb9, 0x01, 0x00, 0x00, 0x00,                      /* mov ecx, 1 */
	0x89, 0x0b,                                        /* again: mov [rbx], ecx */
	0x8b, 0x03,                                        /* mov eax, [rbx] */
	0xef,                                              /* out dx, eax */
	0xff, 0xc1,                                        /* inc ecx */
	0x48, 0x81, 0xc3, 0x00, 0x00, 0x20, 0x00,          /* add rbx, 2 MiB */
	0x83, 0xf9, 0x00,                                  /* cmp ecx, COUNT */
	0x76, 0xed,                                        /* jbe again */
	0xf4, 0xeb, 0xfd,                                  /* hlt; and again */
};
/* clang-format on */

static void map_far(struct guest *guest, const uint64_t *gpas, unsigned count)
{
	/* KVM has not taken it yet. */
	const uint64_t cr3 = guest->vcpus.vcpus[0].run->s.regs.sregs.cr3;
	uint64_t *top = mem_ptr(&guest->mem, cr3, 4096);
	uint64_t *pdpt = mem_ptr(&guest->mem, FAR_PDPT, 4096);
	uint64_t *pd = mem_ptr(&guest->mem, FAR_PDS, 4096);

	top[1] = FAR_PDPT | PAGE_TABLE;
	pdpt[0] = FAR_PDS | PAGE_TABLE;
	for (unsigned i = 0; i < count; i++)
		pd[i] = gpas[i] | PAGE_LEAF;
}

/* A KVM without two-dimensional paging keeps 8 bytes for each 4 KiB of a slot. */
#define SLOT_SIZE GiB

/*
 * All banks but the first, of which the fixture has a part; of each, slots for its first and last
 * GiB.
 */
static unsigned add_banks(struct guest *guest, uint64_t memory, struct vm_slot *slots)
{
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	const unsigned count = guest_ram_layout(memory, banks);
	unsigned used = 0;

	for (unsigned i = 1; i < count; i++) {
		const struct mem_bank *bank = &guest->mem.banks[guest->mem.count];
		const uint64_t offs[] = { 0, banks[i].size - SLOT_SIZE };

		assert_int_equal(guest_mem_add(&guest->mem, banks[i].gpa, banks[i].size), 0);
		for (unsigned k = 0; k < ARRAY_SIZE(offs); k++)
			assert_int_equal(vm_slot_map(&guest->vm, &slots[used++],
						     bank->gpa + offs[k], SLOT_SIZE,
						     bank->hva + offs[k], 0),
					 0);
	}
	return used;
}

static void touch_ends(struct guest *guest, uint64_t memory)
{
	const struct arch_boot boot = { .mode = ARCH_BOOT_64, .entry = ENTRY, .tables = TABLES };
	uint64_t gpas[2 * GUEST_MEM_BANKS_MAX];
	struct vm_slot slots[16] = { 0 };
	struct arch_host host;
	unsigned count = 0, used;

	guest->phys_bits = PHYS_BITS_NEEDED;
	guest_init(guest, guest_image_spin, 1);
	assert_int_equal(arch_host_query(&guest->vm, &host), 0);
	if (host.phys_bits < PHYS_BITS_NEEDED) {
		print_message("this host has %u address bits\n", host.phys_bits);
		skip();
	}
	used = add_banks(guest, memory, slots);
	for (unsigned i = 1; i < guest->mem.count; i++) {
		const struct mem_bank *bank = &guest->mem.banks[i];

		gpas[count++] = bank->gpa;
		gpas[count++] = bank->gpa + bank->size - PAGE_SIZE_2;
	}
	assert_true(gpas[count - 1] > TiB);
	memcpy(mem_ptr(&guest->mem, ENTRY, sizeof(code)), code, sizeof(code));
	*(uint8_t *)mem_ptr(&guest->mem, ENTRY + COUNT, 1) = (uint8_t)count;
	assert_int_equal(arch_vcpu_boot(&guest->vcpus.vcpus[0], &boot), 0);
	map_far(guest, gpas, count);
	guest_start(guest);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(guest_report(guest), i + 1);
		assert_int_equal(guest_ram(guest, gpas[i]), i + 1);
	}
	guest_pause(guest);
	for (unsigned i = 0; i < used; i++)
		vm_slot_unmap(&guest->vm, &slots[i]);
}

static void a_guest_reaches_ram_beyond_1_tib(void **state)
{
	touch_ends(*state, 3 * TiB / 2);
}

static void a_guest_reaches_ram_of_12_tib(void **state)
{
	touch_ends(*state, 12 * TiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(a_guest_reaches_ram_beyond_1_tib),
		GUEST_TEST(a_guest_reaches_ram_of_12_tib),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
