/* SPDX-License-Identifier: Apache-2.0 */
/* The state in which a kernel begins without firmware, told by its first instructions. */
#include "guest.h"

#include <linux/kvm.h>
#include <unistd.h>

#include "core/sys.h"

#define ENTRY  0x4000u
#define INFO   0x7000u
#define TABLES 0x8000u
#define CPUS   2u

#define CR0_PE 0x00000001u
#define CR0_PG 0x80000000u

/* Linux's __BOOT_CS. */
#define BOOT_CS 0x10u

#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ON_WB        0x806

/* The same bytes in both modes: ESI, EBX, CS and CR0, then 1 with 64 bits and 0 with 32. */
static const uint8_t code[] = {
	0x66,
	0xba,
	PORT_REPORT & 0xff,
	PORT_REPORT >> 8, /* mov dx, PORT_REPORT */
	0x89,
	0xf0,
	0xef, /* mov eax, esi; out dx, eax */
	0x89,
	0xd8,
	0xef, /* mov eax, ebx; out dx, eax */
	0x8c,
	0xc8,
	0xef, /* mov eax, cs; out dx, eax */
	0x0f,
	0x20,
	0xc0,
	0xef, /* mov rax, cr0; out dx, eax */
	0x31,
	0xc0, /* xor eax, eax */
	0x48,
	0xff,
	0xc0,
	0xef, /* inc rax, or dec eax and inc eax; out dx, eax */
	0xf4,
	0xeb,
	0xfd, /* hlt; and again */
};

static uint64_t get_msr(struct vcpu *vcpu, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry.index = index };

	assert_int_equal(sys_ioctl(vcpu->fd, KVM_GET_MSRS, &msr), 1);
	return msr.entry.data;
}

#define APIC_BASE_X2APIC (1u << 10)

static void boot_all(struct guest *guest, enum arch_boot_mode mode)
{
	const struct arch_boot boot = {
		.mode = mode, .entry = ENTRY, .info = INFO, .tables = TABLES
	};

	memcpy(mem_ptr(&guest->mem, ENTRY, sizeof(code)), code, sizeof(code));
	for (unsigned i = 0; i < CPUS; i++) {
		struct vcpu *vcpu = &guest->vcpus.vcpus[i];

		assert_int_equal(arch_vcpu_boot(vcpu, &boot), 0);
		assert_int_equal(get_msr(vcpu, MSR_MTRR_DEF_TYPE), MTRR_ON_WB);
	}
}

static void assert_began(struct guest *guest, enum arch_boot_mode mode)
{
	const bool is_long = mode == ARCH_BOOT_64;
	struct kvm_mp_state mp_state;
	uint32_t cr0;

	if (is_long)
		assert_int_equal(guest_report(guest), INFO);
	else
		(void)guest_report(guest);
	if (is_long)
		(void)guest_report(guest);
	else
		assert_int_equal(guest_report(guest), INFO);
	assert_int_equal(guest_report(guest), BOOT_CS);
	cr0 = guest_report(guest);
	assert_int_equal(cr0 & (CR0_PE | CR0_PG), is_long ? CR0_PE | CR0_PG : CR0_PE);
	assert_int_equal(guest_report(guest), is_long);
	/* The others wait for it to start them. */
	guest_pause(guest);
	assert_int_equal(sys_ioctl(guest->vcpus.vcpus[1].fd, KVM_GET_MP_STATE, &mp_state), 0);
	assert_int_equal(mp_state.mp_state, KVM_MP_STATE_UNINITIALIZED);
}

/* Once, and again in the other mode after a reset. */
static void run_both(struct guest *guest, enum arch_boot_mode first, enum arch_boot_mode second)
{
	guest_init(guest, guest_image_spin, CPUS);
	boot_all(guest, first);
	guest_start(guest);
	assert_began(guest, first);
	arch_irqs_reset(&guest->vm, guest->arch_cpu);
	assert_int_equal(vcpus_reset(&guest->vcpus), 0);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(get_msr(&guest->vcpus.vcpus[i], MSR_MTRR_DEF_TYPE), 0);
	memset(mem_ptr(&guest->mem, TABLES, ARCH_BOOT_TABLES_SIZE), 0xff, ARCH_BOOT_TABLES_SIZE);
	boot_all(guest, second);
	guest_resume(guest);
	assert_began(guest, second);
}

static void a_64_bit_kernel_begins_in_long_mode(void **state)
{
	run_both(*state, ARCH_BOOT_64, ARCH_BOOT_64);
}

static void a_pvh_kernel_begins_without_paging(void **state)
{
	run_both(*state, ARCH_BOOT_32, ARCH_BOOT_32);
}

static void no_mode_leaves_anything_to_the_other(void **state)
{
	run_both(*state, ARCH_BOOT_64, ARCH_BOOT_32);
}

static void a_vcpu_that_halts_without_interrupts_is_stuck(void **state)
{
	struct guest *guest = *state;
	struct vcpu *vcpus;
	bool stuck = false;

	guest_init(guest, guest_image_spin, CPUS);
	boot_all(guest, ARCH_BOOT_64);
	vcpus = guest->vcpus.vcpus;
	assert_false(arch_vcpu_is_stuck(&vcpus[0]));
	guest_start(guest);
	assert_began(guest, ARCH_BOOT_64);
	/* It is a few instructions away from it. */
	for (unsigned i = 0; i < 500 && !stuck; i++) {
		guest_resume(guest);
		usleep(10000);
		guest_pause(guest);
		stuck = arch_vcpu_is_stuck(&vcpus[0]);
	}
	assert_true(stuck);
	/* This one waits for being started. */
	assert_false(arch_vcpu_is_stuck(&vcpus[1]));
	guest_resume(guest);
}

/* Linux takes APIC IDs above 254 for a mistake otherwise. */
static void a_large_machine_begins_in_x2apic_mode(void **state)
{
	struct guest *guest = *state;

	guest->cpu.topology = (struct arch_topology){ 5, 5, 5 };
	guest_init(guest, guest_image_spin, 125);
	boot_all(guest, ARCH_BOOT_64);
	for (unsigned i = 0; i < CPUS; i++) {
		struct kvm_sregs sregs;

		assert_int_equal(sys_ioctl(guest->vcpus.vcpus[i].fd, KVM_GET_SREGS, &sregs), 0);
		assert_true(sregs.apic_base & APIC_BASE_X2APIC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(a_64_bit_kernel_begins_in_long_mode),
		GUEST_TEST(a_pvh_kernel_begins_without_paging),
		GUEST_TEST(no_mode_leaves_anything_to_the_other),
		GUEST_TEST(a_vcpu_that_halts_without_interrupts_is_stuck),
		GUEST_TEST(a_large_machine_begins_in_x2apic_mode),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
