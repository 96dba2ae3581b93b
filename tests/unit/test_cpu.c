/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of KVM for the vCPUs, and what is said where it cannot give it. */
#include "cmocka_all.h"
#include "fake_cpuid.h"

#include <cpuid.h>
#include <errno.h>

#include "core/err.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/x86.h"

#define KVM_FD  3
#define VM_FD   4
#define VCPU_FD 5

static struct {
	const struct fake_cpu *cpu;
	int max_vcpus, max_id, x2apic, disable_exits, hyperv, deadline;
	uint64_t disabled;             /* the exits that were */
	bool synic;                    /* was switched on for the vCPU */
	struct kvm_cpuid2 *vcpu_cpuid; /* what it got */
} kvm;

static int check_extension(unsigned cap)
{
	switch (cap) {
	case KVM_CAP_MAX_VCPUS:
		return kvm.max_vcpus;
	case KVM_CAP_MAX_VCPU_ID:
		return kvm.max_id;
	case KVM_CAP_X2APIC_API:
		return kvm.x2apic;
	case KVM_CAP_SPLIT_IRQCHIP:
		return 1;
	case KVM_CAP_X86_DISABLE_EXITS:
		return kvm.disable_exits;
	case KVM_CAP_SYS_HYPERV_CPUID:
	case KVM_CAP_HYPERV_SYNIC2:
		return kvm.hyperv;
	case KVM_CAP_TSC_DEADLINE_TIMER:
		return kvm.deadline;
	default:
		return 0;
	}
}

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_enable_cap *cap = arg;
	struct kvm_cpuid2 *cpuid = arg;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		return check_extension((unsigned)(uintptr_t)arg);
	case KVM_GET_SUPPORTED_CPUID:
		assert_int_equal(fd, KVM_FD);
		assert_true(cpuid->nent >= kvm.cpu->count);
		cpuid->nent = kvm.cpu->count;
		memcpy(cpuid->entries, kvm.cpu->entries,
		       kvm.cpu->count * sizeof(cpuid->entries[0]));
		return 0;
	case KVM_GET_SUPPORTED_HV_CPUID:
		cpuid->nent = 1;
		cpuid->entries[0] =
			(struct kvm_cpuid_entry2){ .function = 0x40000001, .eax = 0x31237648 };
		return 0;
	case KVM_ENABLE_CAP:
		if (fd == VM_FD && cap->cap == KVM_CAP_X86_DISABLE_EXITS)
			kvm.disabled = cap->args[0];
		else if (fd == VCPU_FD && cap->cap == KVM_CAP_HYPERV_SYNIC2)
			kvm.synic = true;
		else
			return -EINVAL;
		return 0;
	case KVM_SET_CPUID2:
		assert_int_equal(fd, VCPU_FD);
		kvm.vcpu_cpuid = cpuid;
		return 0;
	default:
		return -ENOTTY;
	}
}

static struct vm vm = { .kvm_fd = KVM_FD, .vm_fd = VM_FD };

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.cpu = &fake_intel;
	kvm.max_vcpus = 1024;
	err_clear();
	return 0;
}

static struct arch_cpu *create(const struct arch_cpu_config *config)
{
	struct arch_cpu *cpu = NULL;

	if (arch_cpu_create(&vm, config, &cpu) < 0)
		fail_msg("%s", err_text());
	return cpu;
}

static void refused(const struct arch_cpu_config *config, int error, const char *text)
{
	struct arch_cpu *cpu = NULL;

	assert_int_equal(arch_cpu_create(&vm, config, &cpu), error);
	assert_string_equal(err_text(), text);
}

static void each_vcpu_gets_its_own_id(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 6, 2 } };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu = create(&config);

	for (unsigned i = 0; i < 12; i++) {
		vcpu.id = i;
		vcpu.hw_id = arch_cpu_id(&config.topology, i);
		assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
		assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0xb, 0)->edx, vcpu.hw_id);
	}
	assert_false(kvm.synic);
	assert_int_equal(kvm.disabled, 0);
	arch_cpu_destroy(cpu);
}

static void what_kvm_emulates_is_announced(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 } };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu;

	cpu = create(&config);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_true(cpuid_has_feature(kvm.vcpu_cpuid, "x2apic"));
	assert_true(cpuid_has_feature(kvm.vcpu_cpuid, "arat"));
	assert_true(cpuid_has_feature(kvm.vcpu_cpuid, "tsc_deadline_timer"));
	arch_cpu_destroy(cpu);
}

static void the_address_width_is_the_host_s_until_it_is_set(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 } };
	struct arch_cpu *cpu = create(&config);
	struct vcpu vcpu = { .fd = VCPU_FD };

	assert_int_equal(arch_cpu_host(cpu).phys_bits, 52);
	assert_true(arch_cpu_host(cpu).gib_pages);
	arch_cpu_set_phys_bits(cpu, 40);
	assert_int_equal(arch_cpu_host(cpu).phys_bits, 52);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x80000008, 0)->eax, 0x3928);
	arch_cpu_destroy(cpu);
}

static void its_name_has_no_blanks_around_it(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 } };
	struct arch_cpu *cpu = create(&config);
	struct arch_cpu_name name = arch_cpu_name(cpu);

	assert_string_equal(name.vendor, "GenuineIntel");
	assert_string_equal(name.model, "A Fake Processor @ 2.10GHz");
	assert_int_equal(name.signature, 0x000806f8);
	arch_cpu_destroy(cpu);
}

/* KVM lists those leaves without a content. */
static void its_name_is_that_of_the_cpu_here(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 } };
	struct vcpu vcpu = { .fd = VCPU_FD };
	const struct kvm_cpuid_entry2 *e;
	uint32_t eax, ebx, ecx, edx;
	struct arch_cpu *cpu;

	if (!__get_cpuid(0x80000004, &eax, &ebx, &ecx, &edx))
		skip();
	kvm.cpu = &fake_amd;
	cpu = create(&config);
	assert_string_equal(arch_cpu_name(cpu).vendor, "AuthenticAMD");
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
		__cpuid(leaf, eax, ebx, ecx, edx);
		e = cpuid_find(kvm.vcpu_cpuid, leaf, 0);
		assert_non_null(e);
		assert_true(e->eax == eax && e->ebx == ebx && e->ecx == ecx && e->edx == edx);
	}
	arch_cpu_destroy(cpu);
}

static void more_than_kvm_allows_is_told(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 65, 1 } };

	kvm.max_vcpus = 64;
	refused(&config, -EINVAL, "KVM on this host allows 64 vCPUs, not 65");
}

static void large(void)
{
	kvm.max_id = 4096;
	kvm.x2apic = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	kvm.deadline = 1;
}

static void ids_above_8_bits_make_a_large_machine(void **state)
{
	/* 198 vCPUs, but gaps. */
	const struct arch_cpu_config gaps = { .topology = { 3, 33, 2 } };
	const struct arch_cpu_config full = { .topology = { 1, 255, 1 } };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu;

	large();
	cpu = create(&full);
	assert_false(arch_cpu_is_large(cpu));
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->eax, 0x01007efb);
	arch_cpu_destroy(cpu);
	cpu = create(&gaps);
	assert_true(arch_cpu_is_large(cpu));
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	/* MSIs have room for the ID. */
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->eax, 0x0100fefb);
	arch_cpu_destroy(cpu);
}

static void what_a_large_machine_lacks_is_told(void **state)
{
	struct arch_cpu_config config = { .topology = { 3, 33, 2 } };

	large();
	kvm.max_id = 256;
	refused(&config, -EINVAL,
		"--cpus: the last vCPU of 3 sockets, 33 cores, 2 threads has the APIC ID 321; KVM "
		"on this host ends at 255");
	assert_string_equal(err_hint_text(),
			    "numbers of cores and threads that are powers of two leave no gaps");
	large();
	kvm.x2apic = 0;
	refused(&config, -ENOTSUP,
		"--cpus: KVM on this host has no interrupts for the APIC ID 321");
	large();
	kvm.deadline = 0;
	refused(&config, -ENOTSUP,
		"--cpus: KVM on this host has no interrupts for the APIC ID 321");
	large();
	config.hide_hypervisor = true;
	refused(&config, -EINVAL,
		"--hide-hypervisor: interrupts end at the APIC ID 254, and --cpus needs 321");
}

static void dedicated_leaves_what_kvm_can_leave(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 }, .dedicated = true };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu;

	/* C-states are the host's. */
	kvm.disable_exits = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE |
			    KVM_X86_DISABLE_EXITS_CSTATE;
	cpu = create(&config);
	assert_int_equal(kvm.disabled, KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->edx, 1);
	assert_false(cpuid_has_feature(kvm.vcpu_cpuid, "monitor"));
	arch_cpu_destroy(cpu);
}

static void monitor_of_dedicated_can_be_chosen(void **state)
{
	struct arch_cpu_config config = { .topology = { 1, 1, 1 }, .dedicated = true };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu;

	kvm.disable_exits = KVM_X86_DISABLE_EXITS_MWAIT;
	config.features = "+monitor";
	cpu = create(&config);
	assert_int_equal(kvm.disabled, KVM_X86_DISABLE_EXITS_MWAIT);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_true(cpuid_has_feature(kvm.vcpu_cpuid, "monitor"));
	arch_cpu_destroy(cpu);

	config.features = "-monitor";
	cpu = create(&config);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_false(cpuid_has_feature(kvm.vcpu_cpuid, "monitor"));
	arch_cpu_destroy(cpu);
}

static void dedicated_is_a_hint_where_kvm_can_leave_nothing(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 }, .dedicated = true };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu = create(&config);

	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->edx, 1);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->eax, 0x01007efb);
	arch_cpu_destroy(cpu);
}

static void hyperv_switches_on_its_interrupts(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 }, .hyperv = true };
	struct vcpu vcpu = { .fd = VCPU_FD };
	struct arch_cpu *cpu;

	kvm.hyperv = 1;
	cpu = create(&config);
	assert_int_equal(arch_vcpu_init(&vcpu, cpu), 0);
	assert_true(kvm.synic);
	assert_int_equal(cpuid_find(kvm.vcpu_cpuid, 0x40000001, 0)->eax, 0x31237648);
	arch_cpu_destroy(cpu);
}

static void hyperv_that_kvm_lacks_is_told(void **state)
{
	const struct arch_cpu_config config = { .topology = { 1, 1, 1 }, .hyperv = true };

	refused(&config, -ENOTSUP, "--hyperv: KVM on this host cannot look like Hyper-V");
	assert_string_equal(err_hint_text(),
			    "it takes Linux 5.11 or newer, built with CONFIG_KVM_HYPERV");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_vcpu_gets_its_own_id, setup),
		cmocka_unit_test_setup(what_kvm_emulates_is_announced, setup),
		cmocka_unit_test_setup(the_address_width_is_the_host_s_until_it_is_set, setup),
		cmocka_unit_test_setup(its_name_has_no_blanks_around_it, setup),
		cmocka_unit_test_setup(its_name_is_that_of_the_cpu_here, setup),
		cmocka_unit_test_setup(more_than_kvm_allows_is_told, setup),
		cmocka_unit_test_setup(ids_above_8_bits_make_a_large_machine, setup),
		cmocka_unit_test_setup(what_a_large_machine_lacks_is_told, setup),
		cmocka_unit_test_setup(dedicated_leaves_what_kvm_can_leave, setup),
		cmocka_unit_test_setup(monitor_of_dedicated_can_be_chosen, setup),
		cmocka_unit_test_setup(dedicated_is_a_hint_where_kvm_can_leave_nothing, setup),
		cmocka_unit_test_setup(hyperv_switches_on_its_interrupts, setup),
		cmocka_unit_test_setup(hyperv_that_kvm_lacks_is_told, setup),
	};

	return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
