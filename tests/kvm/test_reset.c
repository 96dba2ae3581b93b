/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reset puts back the state after power-on, whatever the guest did: compared through KVM's own
 * calls, and by what the guest finds when it comes up again.
 */
#include "guest.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "core/sys.h"
#include "x86_64/layout.h"

#define CPUS 2u

#define MSR_APIC_BASE       0x1b
#define MSR_APIC_X2APIC     (1u << 10)
#define MSR_SYSENTER_EIP    0x176
#define MSR_MTRR_PHYSBASE0  0x200
#define MSR_MTRR_PHYSMASK0  0x201
#define MSR_MTRR_FIX64K     0x250
#define MSR_MTRR_FIX4K_LAST 0x26f
#define MSR_PAT             0x277
#define MSR_MTRR_DEF_TYPE   0x2ff
#define MTRR_ENABLE         (1u << 11)
#define MTRR_WB_ALL         0x0606060606060606ull
#define PAT_OTHER           0x0007010600070106ull

#define LAPIC_TIMER         (LAPIC_BASE + 0x320)
#define LAPIC_TIMER_COUNT   (LAPIC_BASE + 0x380)
#define LAPIC_TPR           (LAPIC_BASE + 0x80)
#define LVT_PERIODIC        0x20000
#define TIMER_VECTOR        0x70
#define IOAPIC_MASKED       0x10000
#define LINE                20u
#define PIC_DATA            0x21
#define PIC_ELCR1           0x4d0
#define PIC_ELCR2           0x4d1
#define PIT_CH0             PORT_PIT
#define PIT_CONTROL         (PORT_PIT + 3)
#define PIT_CH0_LO_HI_MODE2 0x34

/* What a guest can tell of a vCPU, read from KVM. */
struct snapshot {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	uint64_t msrs[8];
};

static const uint32_t snapshot_msrs[] = { MSR_SYSENTER_EIP,   MSR_PAT,
					  MSR_MTRR_DEF_TYPE,  MSR_MTRR_PHYSBASE0,
					  MSR_MTRR_PHYSMASK0, MSR_MTRR_FIX64K,
					  MSR_MTRR_FIX4K_LAST };

static void take_snapshot(struct vcpu *vcpu, struct snapshot *s)
{
	const struct {
		unsigned long request;
		void *arg;
	} reads[] = {
		{ KVM_GET_REGS, &s->regs },
		{ KVM_GET_SREGS, &s->sregs },
		{ KVM_GET_FPU, &s->fpu },
		{ KVM_GET_DEBUGREGS, &s->debugregs },
		{ KVM_GET_VCPU_EVENTS, &s->events },
		{ KVM_GET_LAPIC, &s->lapic },
		{ KVM_GET_MP_STATE, &s->mp_state },
	};

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
		assert_int_equal(sys_ioctl(vcpu->fd, reads[i].request, reads[i].arg), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(snapshot_msrs); i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} one = { .head.nmsrs = 1, .entry.index = snapshot_msrs[i] };

		assert_int_equal(sys_ioctl(vcpu->fd, KVM_GET_MSRS, &one), 1);
		s->msrs[i] = one.entry.data;
	}
}

static void assert_same_state(const struct snapshot *a, const struct snapshot *b)
{
	assert_memory_equal(&a->regs, &b->regs, sizeof(a->regs));
	assert_memory_equal(&a->sregs, &b->sregs, sizeof(a->sregs));
	assert_memory_equal(&a->fpu, &b->fpu, sizeof(a->fpu));
	assert_memory_equal(&a->debugregs, &b->debugregs, sizeof(a->debugregs));
	assert_memory_equal(&a->events, &b->events, sizeof(a->events));
	assert_memory_equal(&a->lapic, &b->lapic, sizeof(a->lapic));
	assert_memory_equal(&a->mp_state, &b->mp_state, sizeof(a->mp_state));
	assert_memory_equal(a->msrs, b->msrs, sizeof(a->msrs));
}

/* As the machine does it. RAM keeps its contents; the mailbox must not look ready already. */
static void reset(struct guest *guest)
{
	guest_pause(guest);
	arch_irqs_reset(&guest->vm, guest->arch_cpu);
	assert_int_equal(vcpus_reset(&guest->vcpus), 0);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_READY, 0);
}

static void triple_fault_asks_for_reset(void **state)
{
	struct guest *guest = *state;

	guest_init(guest, guest_image_triple_fault, 1);
	guest_start(guest);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(guest_report(guest), i);
		guest_wait_request(guest, VM_REQUEST_RESET);
		reset(guest);
		guest_resume(guest);
		/* reset() wrote a word of RAM that this guest does not use. */
	}
	assert_int_equal(guest_report(guest), 6);
}

static void reset_brings_back_power_on_state(void **state)
{
	struct snapshot before[CPUS], after;
	struct guest *guest = *state;

	guest_init(guest, guest_image_agent, CPUS);
	for (unsigned i = 0; i < CPUS; i++)
		take_snapshot(&guest->vcpus.vcpus[i], &before[i]);
	assert_int_equal(before[0].regs.rip, 0xfff0);
	assert_int_equal(before[0].mp_state.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(before[1].mp_state.mp_state, KVM_MP_STATE_UNINITIALIZED);

	guest_start(guest);
	for (unsigned round = 0; round < 3; round++) {
		agent_wait_ready(guest);
		agent_wrmsr(guest, MSR_SYSENTER_EIP, 0x1234);
		agent_wrmsr(guest, MSR_PAT, PAT_OTHER);
		agent_write(guest, LAPIC_TPR, 4, 0x20);
		agent_write(guest, LAPIC_TIMER, 4, LVT_PERIODIC | TIMER_VECTOR);
		agent_write(guest, LAPIC_TIMER_COUNT, 4, 1000000);
		agent_wait_irqs(guest, TIMER_VECTOR, 1);
		reset(guest);
		for (unsigned i = 0; i < CPUS; i++) {
			take_snapshot(&guest->vcpus.vcpus[i], &after);
			assert_same_state(&before[i], &after);
		}
		guest_set_ram(guest, GUEST_IRQ_COUNT + 4 * TIMER_VECTOR, 0);
		guest_resume(guest);
		agent_wait_ready(guest);
		agent_no_more_irqs(guest, TIMER_VECTOR, 0);
	}
}

/* Firmware expects MTRRs disabled; KVM does not list them among the MSRs to save. */
static void reset_disables_mtrrs(void **state)
{
	struct guest *guest = *state;

	agent_start(guest, 1);
	assert_int_equal(agent_rdmsr(guest, MSR_MTRR_DEF_TYPE), 0);
	agent_wrmsr(guest, MSR_MTRR_PHYSBASE0, 0xc0000000);
	agent_wrmsr(guest, MSR_MTRR_PHYSMASK0, 0xfc0000000 | MTRR_ENABLE);
	agent_wrmsr(guest, MSR_MTRR_FIX64K, MTRR_WB_ALL);
	agent_wrmsr(guest, MSR_MTRR_FIX4K_LAST, MTRR_WB_ALL);
	agent_wrmsr(guest, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | 6);
	assert_int_equal(agent_rdmsr(guest, MSR_MTRR_DEF_TYPE), MTRR_ENABLE | 6);
	reset(guest);
	guest_resume(guest);
	agent_wait_ready(guest);
	assert_int_equal(agent_rdmsr(guest, MSR_MTRR_DEF_TYPE), 0);
	assert_int_equal(agent_rdmsr(guest, MSR_MTRR_PHYSBASE0), 0);
	assert_int_equal(agent_rdmsr(guest, MSR_MTRR_PHYSMASK0), 0);
	assert_true(agent_rdmsr(guest, MSR_MTRR_FIX64K) == 0);
	assert_true(agent_rdmsr(guest, MSR_MTRR_FIX4K_LAST) == 0);
}

static void reset_leaves_x2apic_mode(void **state)
{
	struct guest *guest = *state;
	uint64_t base;

	agent_start(guest, 1);
	base = agent_rdmsr(guest, MSR_APIC_BASE);
	if (agent_try(guest, OP_WRMSR, MSR_APIC_BASE, (uint32_t)base | MSR_APIC_X2APIC, 0) >= 0)
		skip(); /* this KVM has no x2APIC */
	assert_true(agent_rdmsr(guest, MSR_APIC_BASE) & MSR_APIC_X2APIC);
	reset(guest);
	guest_resume(guest);
	agent_wait_ready(guest);
	assert_true(agent_rdmsr(guest, MSR_APIC_BASE) == base);
}

static void reset_quiets_the_interrupt_chips(void **state)
{
	struct guest *guest = *state;
	struct irq_line line;

	agent_start(guest, 1);
	irq_line_init(&line, &guest->irq, LINE);
	agent_out(guest, PIC_DATA, 1, 0xa5);
	agent_ioapic_write(guest, LINE, 0x50);
	agent_ioapic_write(guest, 2, 0x51);
	agent_out(guest, PIT_CONTROL, 1, PIT_CH0_LO_HI_MODE2);
	agent_out(guest, PIT_CH0, 1, 0);
	agent_out(guest, PIT_CH0, 1, 0x10); /* 291 Hz */
	agent_wait_irqs(guest, 0x51, 2);
	irq_line_set(&line, true);
	agent_wait_irqs(guest, 0x50, 1);
	irq_line_set(&line, false);
	reset(guest);
	guest_set_ram(guest, GUEST_IRQ_COUNT + 4 * 0x51, 0);
	guest_resume(guest);
	agent_wait_ready(guest);
	assert_int_equal(agent_in(guest, PIC_DATA, 1), 0);
	assert_int_equal(agent_ioapic_read(guest, LINE), IOAPIC_MASKED);
	assert_int_equal(agent_ioapic_read(guest, 2), IOAPIC_MASKED);
	/* The PIT counts no more, and can be started again. */
	agent_ioapic_write(guest, 2, 0x51);
	agent_no_more_irqs(guest, 0x51, 0);
	agent_out(guest, PIT_CONTROL, 1, PIT_CH0_LO_HI_MODE2);
	agent_out(guest, PIT_CH0, 1, 0);
	agent_out(guest, PIT_CH0, 1, 0x10);
	agent_wait_irqs(guest, 0x51, 2);
}

/* The PIC's edge/level registers still take what they took after power-on. */
static void reset_keeps_the_pic_able_to_do_level(void **state)
{
	struct guest *guest = *state;
	uint32_t elcr1, elcr2;

	agent_start(guest, 1);
	agent_out(guest, PIC_ELCR1, 1, 0xff);
	agent_out(guest, PIC_ELCR2, 1, 0xff);
	elcr1 = agent_in(guest, PIC_ELCR1, 1);
	elcr2 = agent_in(guest, PIC_ELCR2, 1);
	assert_int_equal(elcr1, 0xf8);
	assert_int_equal(elcr2, 0xde);
	reset(guest);
	guest_resume(guest);
	agent_wait_ready(guest);
	assert_int_equal(agent_in(guest, PIC_ELCR1, 1), 0);
	assert_int_equal(agent_in(guest, PIC_ELCR2, 1), 0);
	agent_out(guest, PIC_ELCR1, 1, 0xff);
	agent_out(guest, PIC_ELCR2, 1, 0xff);
	assert_int_equal(agent_in(guest, PIC_ELCR1, 1), elcr1);
	assert_int_equal(agent_in(guest, PIC_ELCR2, 1), elcr2);
}

/* Started processors wait for INIT and SIPI again, and start again. */
static void reset_sends_aps_back_to_wait_for_sipi(void **state)
{
	struct guest *guest = *state;
	const uint64_t ap_ticks = GUEST_CPU_TABLE + 16 + 12;

	guest_init(guest, guest_image_smp, CPUS);
	guest_start(guest);
	for (unsigned i = 0; i < 20; i++) {
		struct kvm_mp_state mp;

		guest_wait_ram(guest, ap_ticks, 1);
		reset(guest);
		assert_int_equal(sys_ioctl(guest->vcpus.vcpus[1].fd, KVM_GET_MP_STATE, &mp), 0);
		assert_int_equal(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
		guest_set_ram(guest, ap_ticks, 0);
		guest_resume(guest);
	}
	guest_wait_ram(guest, ap_ticks, 1);
}

/* An interrupt that was on its way at the reset is not delivered to the new life. */
static void reset_forgets_pending_interrupts(void **state)
{
	struct guest *guest = *state;
	struct msi_vec vec;

	agent_start(guest, 1);
	msi_vec_init(&vec, &guest->irq);
	msi_vec_route(&vec, LAPIC_BASE, 0x50);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_int_equal(agent_try(guest, OP_CLI, 0, 0, 0), -1);
	sys_eventfd_signal(vec.eventfd);
	usleep(5000);
	reset(guest);
	guest_resume(guest);
	agent_wait_ready(guest);
	agent_no_more_irqs(guest, 0x50, 0);
	sys_eventfd_signal(vec.eventfd);
	agent_wait_irqs(guest, 0x50, 1);
	msi_vec_fini(&vec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(triple_fault_asks_for_reset),
		GUEST_TEST(reset_brings_back_power_on_state),
		GUEST_TEST(reset_disables_mtrrs),
		GUEST_TEST(reset_leaves_x2apic_mode),
		GUEST_TEST(reset_quiets_the_interrupt_chips),
		GUEST_TEST(reset_keeps_the_pic_able_to_do_level),
		GUEST_TEST(reset_sends_aps_back_to_wait_for_sipi),
		GUEST_TEST(reset_forgets_pending_interrupts),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
