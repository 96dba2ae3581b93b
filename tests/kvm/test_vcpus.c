/* SPDX-License-Identifier: Apache-2.0 */
/* vCPU threads: pause, resume and stop at any moment, start of the other processors, CPUID. */
#include "guest.h"

#include <linux/kvm.h>
#include <signal.h>

#include "core/clock.h"

#define CPUS         4u
#define SPIN_COUNT   GUEST_MAILBOX
#define CPU_ENTRY(n) (GUEST_CPU_TABLE + 16 * (n))
#define CPU_TICKS(n) (CPU_ENTRY(n) + 12)

#define RACES        1000u
#define RACES_MAX_MS 8000u

#define LEAF_HYPERVISOR 0x40000000
#define LEAF_ENCRYPTION 0x8000001f
#define LEAF_SIZES      0x80000008

/* [Hyper-V-TLFS 3 Hypercall Interface, 13.1 Guest Crash Enlightenment] */
#define HV_X64_MSR_VP_INDEX  0x40000002
#define HV_X64_MSR_RESET     0x40000003
#define HV_X64_MSR_CRASH_P0  0x40000100
#define HV_X64_MSR_CRASH_CTL 0x40000105
#define HV_CRASH_NOTIFY      (1ull << 63)

static void pause_stops_a_spinning_vcpu_and_resume_goes_on(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_spin, 1);
	guest_start(guest);
	guest_wait_ram(guest, SPIN_COUNT, 100);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t count;

		guest_pause(guest);
		count = guest_ram(guest, SPIN_COUNT);
		usleep(2000);
		assert_int_equal(guest_ram(guest, SPIN_COUNT), count);
		guest_resume(guest);
		guest_wait_ram(guest, SPIN_COUNT, count + 1);
	}
}

static void ignore_signal(int sig)
{
}

/* They are a program's that has the machine inside, and keep their meaning. */
static void signals_of_the_program_stay_its_own(void **state)
{
	const struct sigaction own = { .sa_handler = ignore_signal };
	struct guest *guest = *state;
	struct sigaction now;

	sigaction(SIGRTMAX, &own, NULL);
	guest_init(guest, guest_image_spin, 1);
	guest_start(guest);
	guest_wait_ram(guest, SPIN_COUNT, 100);
	guest_pause(guest);
	sigaction(SIGRTMAX, NULL, &now);
	assert_ptr_equal(now.sa_handler, ignore_signal);
	sigaction(guest->vcpus.kick, NULL, &now);
	assert_true(now.sa_handler != SIG_DFL);
	sigaction(SIGUSR1, NULL, &now);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
	guest_resume(guest);
	vcpus_stop(&guest->vcpus);
	sigaction(SIGRTMAX - 1, NULL, &now);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
	signal(SIGRTMAX, SIG_DFL);
}

static void paused_before_start_runs_after_resume(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_spin, 1);
	guest_pause(guest);
	guest_start(guest);
	usleep(5000);
	assert_int_equal(guest_ram(guest, SPIN_COUNT), 0);
	guest_resume(guest);
	guest_wait_ram(guest, SPIN_COUNT, 10);
}

static void pauses_nest(void **state)
{
	struct guest *guest = *state;
	uint32_t count;

	guest_init(guest, guest_image_spin, 1);
	guest_start(guest);
	guest_wait_ram(guest, SPIN_COUNT, 10);
	guest_pause(guest);
	vcpus_pause(&guest->vcpus);
	vcpus_resume(&guest->vcpus);
	count = guest_ram(guest, SPIN_COUNT);
	usleep(5000);
	assert_int_equal(guest_ram(guest, SPIN_COUNT), count);
	/* It has no clock to be told by, and goes on all the same. */
	arch_vcpu_tell_paused(&guest->vcpus.vcpus[0]);
	guest_resume(guest);
	guest_wait_ram(guest, SPIN_COUNT, count + 1);
}

static void exits_are_counted_while_vcpus_run(void **state)
{
	struct guest *guest = *state;
	uint64_t before;

	agent_start(guest, 2);
	before = vcpus_counts(&guest->vcpus).pio;
	for (unsigned i = 0; i < 10; i++)
		agent_in(guest, PORT_REPORT, 1);
	assert_true(vcpus_counts(&guest->vcpus).pio >= before + 10);
}

static void stop_ends_running_and_paused_threads(void **state)
{
	struct guest *guest = *state;
	uint32_t count;

	guest_init(guest, guest_image_smp, CPUS);
	guest_start(guest);
	guest_wait_ram(guest, CPU_TICKS(CPUS - 1), 10);
	guest_pause(guest);
	vcpus_stop(&guest->vcpus);
	count = guest_ram(guest, CPU_TICKS(0));
	usleep(5000);
	assert_int_equal(guest_ram(guest, CPU_TICKS(0)), count);
	/* The fixture stops them once more, which does nothing. */
}

static void aps_start_by_init_and_sipi_with_their_own_ids(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_smp, CPUS);
	guest_start(guest);
	for (unsigned i = 0; i < CPUS; i++) {
		guest_wait_ram(guest, CPU_TICKS(i), 1);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(i)), i);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(i) + 4), i);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(i) + 8), i);
	}
}

/* Race hunting: four vCPUs that run, exit and get paused at random points, on fewer host CPUs. */
static void thousand_pauses_and_resumes(void **state)
{
	struct guest *guest = *state;
	const uint64_t end = clock_ms() + RACES_MAX_MS;
	unsigned seed = 1, i;

	guest_init(guest, guest_image_smp, CPUS);
	guest_start(guest);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		guest_wait_ram(guest, CPU_TICKS(cpu), 1);
	for (i = 0; i < RACES && clock_ms() < end; i++) {
		uint32_t counts[CPUS];
		unsigned nap = (seed = seed * 1103515245 + 12345) >> 16 & 0x3ff;

		guest_pause(guest);
		assert_int_equal(guest->vcpus.running, 0);
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			counts[cpu] = guest_ram(guest, CPU_TICKS(cpu));
		if (nap & 1)
			usleep(nap);
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(guest_ram(guest, CPU_TICKS(cpu)), counts[cpu]);
		guest_resume(guest);
		if (nap & 2) /* else pause again before they woke up */
			usleep(nap);
	}
	assert_true(i > RACES / 10);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		guest_wait_ram(guest, CPU_TICKS(cpu), guest_ram(guest, CPU_TICKS(cpu)) + 10);
}

static void machines_come_and_go(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		void *one;

		assert_int_equal(guest_setup(&one), 0);
		guest_init(one, guest_image_smp, CPUS);
		guest_start(one);
		if (i % 2)
			guest_wait_ram(one, CPU_TICKS(CPUS - 1), 1);
		guest_teardown(&one);
	}
	alarm(25);
}

static void cpuid_hides_memory_encryption(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];

	agent_start(guest, 1);
	agent_cpuid(guest, 0x80000000, 0, regs);
	if (regs[0] < LEAF_ENCRYPTION)
		skip(); /* this host's CPUID ends before the leaf */
	agent_cpuid(guest, LEAF_ENCRYPTION, 0, regs);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(regs[i], 0);
}

static void cpuid_has_the_address_width_of_the_configuration(void **state)
{
	struct guest *guest = *state;
	struct arch_host host;
	uint32_t regs[4];

	agent_start(guest, 1);
	agent_cpuid(guest, LEAF_SIZES, 0, regs);
	assert_int_equal(regs[0] & 0xff, GUEST_PHYS_BITS);
	assert_int_equal(regs[0] >> 16 & 0xff, 0);
	assert_int_equal(arch_host_query(&guest->vm, &host), 0);
	assert_true(host.phys_bits >= GUEST_PHYS_BITS);
}

static void cpuid_describes_one_socket_of_cores(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];

	agent_start(guest, CPUS);
	agent_cpuid(guest, 1, 0, regs);
	assert_int_equal(regs[1] >> 24, 0);
	assert_int_equal(regs[1] >> 16 & 0xff, CPUS);
	assert_true(regs[2] & 1u << 31); /* a hypervisor */
	assert_true(regs[2] & 1u << 21); /* x2APIC */
	assert_true(regs[3] & 1u << 28); /* several logical processors */
	agent_cpuid(guest, 0, 0, regs);
	if (regs[0] < 0xb)
		skip(); /* this host has no topology leaf */
	agent_cpuid(guest, 0xb, 0, regs);
	assert_int_equal(regs[0], 0);
	assert_int_equal(regs[1], 1);
	assert_int_equal(regs[2], 1 << 8); /* threads: one a core */
	agent_cpuid(guest, 0xb, 1, regs);
	assert_int_equal(regs[0], 2); /* bits of CPUS cores */
	assert_int_equal(regs[1], CPUS);
	assert_int_equal(regs[2], 2 << 8 | 1);
	agent_cpuid(guest, 0xb, 2, regs);
	assert_int_equal(regs[1], 0);
	assert_int_equal(regs[2], 2); /* the end */
	/* AMD says it in its own leaf too: cores and ID bits. */
	agent_cpuid(guest, LEAF_SIZES, 0, regs);
	assert_int_equal(regs[2] & 0xff, CPUS - 1);
	assert_int_equal(regs[2] >> 12 & 0xf, 2);
}

static void cpuid_and_ids_of_two_sockets_with_gaps(void **state)
{
	const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };
	struct guest *guest = *state;

	guest->cpu.topology = (struct arch_topology){ 2, 3, 2 };
	guest_init(guest, guest_image_smp, ARRAY_SIZE(ids));
	guest_start(guest);
	/* Each fills the entry of its APIC ID. */
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		guest_wait_ram(guest, CPU_TICKS(ids[i]), 1);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(ids[i])), ids[i]);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(ids[i]) + 4), ids[i]);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(ids[i]) + 8), ids[i]);
	}
	assert_int_equal(guest_ram(guest, CPU_TICKS(6)), 0);
}

/* 125 of them are enough: the last one's APIC ID is 292. */
static void vcpus_with_ids_above_255_start_and_are_reset(void **state)
{
	const struct arch_topology t = { 5, 5, 5 };
	const unsigned count = arch_topology_count(&t);
	struct guest *guest = *state;
	uint32_t id = 0;

	guest->cpu.topology = t;
	guest_init(guest, guest_image_smp, count);
	guest_start(guest);
	for (unsigned i = 0; i < count; i++) {
		id = arch_cpu_id(&t, i);
		guest_wait_ram(guest, CPU_TICKS(id), 1);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(id)), id & 0xff);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(id) + 4), id);
		assert_int_equal(guest_ram(guest, CPU_ENTRY(id) + 8), id & 0xff);
	}
	assert_true(id > 255);
	guest_pause(guest);
	arch_irqs_reset(&guest->vm, guest->arch_cpu);
	assert_int_equal(vcpus_reset(&guest->vcpus), 0);
	guest_set_ram(guest, CPU_TICKS(id), 0);
	guest_resume(guest);
	guest_wait_ram(guest, CPU_TICKS(id), 1);
}

static void cpuid_lacks_what_is_left_out(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];

	guest->cpu.features = "-cx16,+sse2";
	agent_start(guest, 1);
	agent_cpuid(guest, 1, 0, regs);
	assert_false(regs[2] & 1u << 13);
	assert_true(regs[3] & 1u << 26);
}

/* The name in EBX, ECX and EDX; regs is what CPUID gave. */
static void vendor_of(const uint32_t regs[4], char ret_name[13])
{
	memcpy(ret_name, regs + 1, 12);
	ret_name[12] = '\0';
}

static void cpuid_tells_of_kvm(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];
	char name[13];

	agent_start(guest, 1);
	agent_cpuid(guest, LEAF_HYPERVISOR, 0, regs);
	vendor_of(regs, name);
	assert_string_equal(name, "KVMKVMKVM");
	assert_true(regs[0] > LEAF_HYPERVISOR);
}

static void cpuid_hides_the_hypervisor(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4], last[4];

	guest->cpu.hide_hypervisor = true;
	agent_start(guest, 1);
	agent_cpuid(guest, 1, 0, regs);
	assert_false(regs[2] & 1u << 31); /* a hypervisor */
	assert_true(regs[2] & 1u << 21);  /* x2APIC, still */
	/* As real processors answer: Intel's with their last basic leaf, AMD's with zeroes. */
	agent_cpuid(guest, 0, 0, regs);
	agent_cpuid(guest, regs[0], 0, last);
	for (uint32_t leaf = LEAF_HYPERVISOR; leaf <= LEAF_HYPERVISOR + 1; leaf++) {
		agent_cpuid(guest, leaf, 0, regs);
		if (regs[0] || regs[1] || regs[2] || regs[3])
			assert_memory_equal(regs, last, sizeof(regs));
	}
}

static void cpuid_tells_another_vendor_and_then_of_kvm(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];
	char name[13];

	guest->cpu.hypervisor_vendor = "Acme Inc";
	agent_start(guest, 1);
	agent_cpuid(guest, 1, 0, regs);
	assert_true(regs[2] & 1u << 31); /* a hypervisor */
	agent_cpuid(guest, LEAF_HYPERVISOR, 0, regs);
	vendor_of(regs, name);
	assert_string_equal(name, "Acme Inc");
	assert_int_equal(regs[0], LEAF_HYPERVISOR);
	/* Where Linux looks for KVM after the first place. */
	agent_cpuid(guest, LEAF_HYPERVISOR + 0x100, 0, regs);
	vendor_of(regs, name);
	assert_string_equal(name, "KVMKVMKVM");
	assert_int_equal(regs[0], LEAF_HYPERVISOR + 0x101);
	agent_cpuid(guest, LEAF_HYPERVISOR + 0x101, 0, regs);
	assert_true(regs[0] != 0); /* its features */
}

static void dedicated_vcpus_halt_in_the_guest_and_are_paused_all_the_same(void **state)
{
	struct guest *guest = *state;

	guest->cpu.dedicated = true;
	guest_init(guest, guest_image_real_mode, 1);
	guest_start(guest);
	while (guest_report(guest) != 42)
		;
	/* Now it halts with interrupts off: nothing but a kick gets it out. */
	for (unsigned i = 0; i < 20; i++) {
		usleep(1000);
		guest_pause(guest);
		guest_resume(guest);
	}
}

static void dedicated_vcpus_are_told_of_it(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];

	guest->cpu.dedicated = true;
	agent_start(guest, 1);
	agent_cpuid(guest, LEAF_HYPERVISOR + 1, 0, regs);
	assert_int_equal(regs[3], 1);
}

static void hyperv_is_what_a_guest_finds_where_kvm_has_it(void **state)
{
	struct guest *guest = *state;
	uint32_t regs[4];
	char name[13];

	assert_int_equal(vm_init(&guest->vm), 0);
	guest->has_vm = true;
	if (vm_check_extension(&guest->vm, KVM_CAP_SYS_HYPERV_CPUID) <= 0)
		skip();
	guest_teardown(state);
	assert_int_equal(guest_setup(state), 0);
	guest = *state;
	guest->cpu.hyperv = true;
	agent_start(guest, 1);
	agent_cpuid(guest, LEAF_HYPERVISOR, 0, regs);
	vendor_of(regs, name);
	assert_string_equal(name, "Microsoft Hv");
	assert_int_equal(agent_rdmsr(guest, HV_X64_MSR_VP_INDEX), 0);
	agent_wrmsr(guest, HV_X64_MSR_CRASH_P0, 0x50);
	agent_wrmsr(guest, HV_X64_MSR_CRASH_CTL, HV_CRASH_NOTIFY);
	agent_wrmsr(guest, HV_X64_MSR_RESET, 1);
	guest_wait_request(guest, VM_REQUEST_RESET);
}

static void code_where_no_memory_is_asks_for_the_end(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_lost, 1);
	guest_start(guest);
	assert_int_equal(guest_report(guest), 1);
	guest_wait_request(guest, VM_REQUEST_CRASH);
	/* It waits for the pause that follows, and can be stopped. */
	guest_pause(guest);
	guest_resume(guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(pause_stops_a_spinning_vcpu_and_resume_goes_on),
		GUEST_TEST(signals_of_the_program_stay_its_own),
		GUEST_TEST(paused_before_start_runs_after_resume),
		GUEST_TEST(pauses_nest),
		GUEST_TEST(exits_are_counted_while_vcpus_run),
		GUEST_TEST(stop_ends_running_and_paused_threads),
		GUEST_TEST(aps_start_by_init_and_sipi_with_their_own_ids),
		GUEST_TEST(thousand_pauses_and_resumes),
		GUEST_TEST(machines_come_and_go),
		GUEST_TEST(cpuid_hides_memory_encryption),
		GUEST_TEST(cpuid_has_the_address_width_of_the_configuration),
		GUEST_TEST(cpuid_describes_one_socket_of_cores),
		GUEST_TEST(cpuid_and_ids_of_two_sockets_with_gaps),
		GUEST_TEST(vcpus_with_ids_above_255_start_and_are_reset),
		GUEST_TEST(cpuid_lacks_what_is_left_out),
		GUEST_TEST(cpuid_tells_of_kvm),
		GUEST_TEST(cpuid_hides_the_hypervisor),
		GUEST_TEST(cpuid_tells_another_vendor_and_then_of_kvm),
		GUEST_TEST(dedicated_vcpus_halt_in_the_guest_and_are_paused_all_the_same),
		GUEST_TEST(dedicated_vcpus_are_told_of_it),
		GUEST_TEST(hyperv_is_what_a_guest_finds_where_kvm_has_it),
		GUEST_TEST(code_where_no_memory_is_asks_for_the_end),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("vcpus", tests, NULL, NULL);
}
