/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts into a guest: MSI vectors, shared and resampled lines, the PIT through both chips. */
#include "guest.h"

#include "core/sys.h"
#include "x86_64/layout.h"

#define VECTOR       0x50u
#define OTHER_VECTOR 0x61u
#define LINE         20u

#define IOAPIC_LEVEL  (1u << 15)
#define IOAPIC_MASKED (1u << 16)

#define MSI_TO_CPU0 LAPIC_BASE /* physical destination 0 */

/* 8254 [Intel 8254 Control Word Format], 8259A [Intel 8259A Initialization Command Words]. */
#define PIT_HZ              1193182u
#define PIT_CH0             PORT_PIT
#define PIT_CONTROL         (PORT_PIT + 3)
#define PIT_CH0_LO_HI_MODE2 0x34
#define PIT_CH0_LO_HI_MODE0 0x30
#define PIC_CMD(base)       (base)
#define PIC_DATA(base)      ((base) + 1)
#define PORT_PIC2           0xa0
#define ICW1_INIT_ICW4      0x11
#define ICW4_8086           0x01
#define PIC_VECTOR0         0x20
#define LAPIC_LVT0          (LAPIC_BASE + 0x350)
#define LVT_EXTINT          0x700
#define LVT_MASKED          0x10000

/* The agent on one vCPU, and a vector with a route to it, masked. */
static void start_with_vector(struct guest *guest, struct msi_vec *vec)
{
	agent_start(guest, 1);
	msi_vec_init(vec, &guest->irq);
	msi_vec_route(vec, MSI_TO_CPU0, VECTOR);
}

static void msi_vector_is_delivered(void **state)
{
	struct guest *guest = *state;
	struct msi_vec vec;

	start_with_vector(guest, &vec);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_int_equal(agent_irqs(guest, VECTOR), 0);
	for (unsigned i = 1; i <= 20; i++) {
		sys_eventfd_signal(vec.eventfd);
		agent_wait_irqs(guest, VECTOR, i);
	}
	agent_no_more_irqs(guest, VECTOR, 20);
	msi_vec_fini(&vec);
}

/* The agent on vCPU 0 of a machine whose IOAPIC is ours: the last ID is 292. */
static void large_start(struct guest *guest)
{
	guest->cpu.topology = (struct arch_topology){ 5, 5, 5 };
	agent_start(guest, 125);
	assert_true(arch_cpu_is_large(guest->arch_cpu));
}

static void large_msi_vector_is_delivered(void **state)
{
	struct guest *guest = *state;
	struct msi_vec vec;

	large_start(guest);
	msi_vec_init(&vec, &guest->irq);
	/* What a driver leaves in the upper half must not spoil the table. */
	msi_vec_route(&vec, 0xffffffff00000000ull | MSI_TO_CPU0, VECTOR);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	for (unsigned i = 1; i <= 5; i++) {
		sys_eventfd_signal(vec.eventfd);
		agent_wait_irqs(guest, VECTOR, i);
	}
	msi_vec_fini(&vec);
}

static void large_edge_comes_once_a_rise(void **state)
{
	struct guest *guest = *state;
	struct irq_line line;

	large_start(guest);
	irq_line_init(&line, &guest->irq, LINE);
	agent_ioapic_write(guest, LINE, VECTOR);
	for (unsigned i = 1; i <= 5; i++) {
		irq_line_set(&line, true);
		agent_wait_irqs(guest, VECTOR, i);
		irq_line_set(&line, true);
		irq_line_set(&line, false);
	}
	agent_no_more_irqs(guest, VECTOR, 5);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_MASKED);
	irq_line_set(&line, true);
	agent_no_more_irqs(guest, VECTOR, 5);
}

static void large_lower(void *arg, unsigned vector)
{
	irq_line_set(arg, false);
}

static void large_level_comes_until_it_is_low(void **state)
{
	struct guest *guest = *state;
	static struct irq_line line;

	large_start(guest);
	irq_line_init(&line, &guest->irq, LINE);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL);
	/* Nobody lowers it: each end brings the next. */
	irq_line_set(&line, true);
	agent_wait_irqs(guest, VECTOR, 10);
	guest_pause(guest);
	guest->on_irq_arg = &line;
	guest->on_irq = large_lower;
	guest_resume(guest);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t count;

		usleep(2000);
		count = agent_irqs(guest, VECTOR);
		agent_no_more_irqs(guest, VECTOR, count);
		irq_line_set(&line, true);
		agent_wait_irqs(guest, VECTOR, count + 1);
	}
}

static void msi_masked_pends_and_fires_once_on_unmask(void **state)
{
	struct guest *guest = *state;
	struct msi_vec vec;

	start_with_vector(guest, &vec);
	assert_int_equal(msi_vec_prepare(&vec), 0);
	assert_false(msi_vec_pending(&vec));
	sys_eventfd_signal(vec.eventfd);
	sys_eventfd_signal(vec.eventfd);
	assert_true(msi_vec_pending(&vec));
	agent_no_more_irqs(guest, VECTOR, 0);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_false(msi_vec_pending(&vec));
	agent_wait_irqs(guest, VECTOR, 1);
	/* What was delivered does not pend again. */
	msi_vec_mask(&vec);
	assert_false(msi_vec_pending(&vec));
	assert_int_equal(msi_vec_unmask(&vec), 0);
	agent_no_more_irqs(guest, VECTOR, 1);
	sys_eventfd_signal(vec.eventfd);
	agent_wait_irqs(guest, VECTOR, 2);
	msi_vec_fini(&vec);
}

static void msi_follows_its_route(void **state)
{
	struct guest *guest = *state;
	struct msi_vec vec;

	start_with_vector(guest, &vec);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	msi_vec_route(&vec, MSI_TO_CPU0, OTHER_VECTOR);
	assert_int_equal(irq_commit(&guest->irq), 0);
	sys_eventfd_signal(vec.eventfd);
	agent_wait_irqs(guest, OTHER_VECTOR, 1);
	assert_int_equal(agent_irqs(guest, VECTOR), 0);
	/* Masked, changed, unmasked: as Linux sets an affinity. */
	msi_vec_mask(&vec);
	msi_vec_route(&vec, MSI_TO_CPU0, VECTOR);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	sys_eventfd_signal(vec.eventfd);
	agent_wait_irqs(guest, VECTOR, 1);
	agent_no_more_irqs(guest, OTHER_VECTOR, 1);
	msi_vec_fini(&vec);
}

/* A vector that is given up leaves its GSI and its route to the next. */
static void msi_gsi_is_reused(void **state)
{
	struct guest *guest = *state;

	agent_start(guest, 1);
	for (unsigned i = 0; i < 8; i++) {
		struct msi_vec keep, vec;
		int gsi;

		msi_vec_init(&keep, &guest->irq);
		msi_vec_init(&vec, &guest->irq);
		msi_vec_route(&keep, MSI_TO_CPU0, OTHER_VECTOR);
		msi_vec_route(&vec, MSI_TO_CPU0, VECTOR + i);
		assert_int_equal(msi_vec_unmask(&keep), 0);
		assert_int_equal(msi_vec_unmask(&vec), 0);
		gsi = keep.gsi;
		msi_vec_fini(&keep);
		sys_eventfd_signal(vec.eventfd);
		agent_wait_irqs(guest, VECTOR + i, 1);
		msi_vec_init(&keep, &guest->irq);
		assert_int_equal(msi_vec_prepare(&keep), 0);
		assert_int_equal(keep.gsi, gsi);
		msi_vec_fini(&keep);
		msi_vec_fini(&vec);
	}
	assert_int_equal(agent_irqs(guest, OTHER_VECTOR), 0);
}

/* As many vectors as GSIs exist: KVM's table must not overflow, whatever the devices ask. */
static void msi_vectors_run_out_without_harm(void **state)
{
	static struct msi_vec vecs[IRQ_GSIS_MAX];
	struct guest *guest = *state;
	unsigned n = 0;
	int r = 0;

	agent_start(guest, 1);
	for (; n < IRQ_GSIS_MAX && r == 0; n++) {
		msi_vec_init(&vecs[n], &guest->irq);
		vecs[n].eventfd = 1
				  << 30; /* no fd: not attached here, and this many are too many */
		vecs[n].addr = MSI_TO_CPU0;
		vecs[n].data = VECTOR;
		r = msi_vec_prepare(&vecs[n]);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 4000);
	assert_int_equal(irq_commit(&guest->irq), 0);
	for (unsigned i = 0; i < n; i++) {
		vecs[i].eventfd = -1;
		msi_vec_fini(&vecs[i]);
	}
	assert_int_equal(irq_commit(&guest->irq), 0);
}

static void edge_line_fires_on_each_rise(void **state)
{
	struct guest *guest = *state;
	struct irq_line line;

	agent_start(guest, 1);
	irq_line_init(&line, &guest->irq, LINE);
	agent_ioapic_write(guest, LINE, VECTOR);
	for (unsigned i = 1; i <= 3; i++) {
		irq_line_set(&line, true);
		irq_line_set(&line, true);
		agent_wait_irqs(guest, VECTOR, i);
		irq_line_set(&line, false);
	}
	agent_no_more_irqs(guest, VECTOR, 3);
}

/* Two devices on one line; the driver's handler quiets one a time. */
struct shared {
	struct irq_line lines[2];
	unsigned served;
};

static void shared_served(void *arg, unsigned vector)
{
	struct shared *shared = arg;

	irq_line_set(&shared->lines[shared->served % 2], false);
	shared->served++;
}

static void shared_init(struct shared *shared, struct guest *guest)
{
	for (unsigned i = 0; i < 2; i++)
		irq_line_init(&shared->lines[i], &guest->irq, LINE);
}

/*
 * There are KVMs that acknowledge an interrupt before the guest does, most of the time; a level
 * line then fires more often than it should. Measured before the tests.
 */
static bool acknowledges_early;

static int measure_acknowledge(void **state)
{
	struct msi_vec vec;
	void *one;

	if (guest_setup(&one) < 0)
		return -1;
	start_with_vector(one, &vec);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	for (unsigned i = 1; i <= 50; i++) {
		sys_eventfd_signal(vec.eventfd);
		agent_wait_irqs(one, VECTOR, i);
	}
	acknowledges_early = !agent_has_in_service(one);
	msi_vec_fini(&vec);
	if (acknowledges_early)
		print_message("this KVM acknowledges interrupts before the guest does\n");
	return guest_teardown(&one);
}

/* Two interrupts and then quiet. */
static void expect_two(struct guest *guest)
{
	agent_wait_irqs(guest, VECTOR, 2);
	if (!acknowledges_early)
		agent_no_more_irqs(guest, VECTOR, 2);
}

static void level_line_is_shared_by_two_sources(void **state)
{
	struct guest *guest = *state;
	static struct shared shared = { .served = 0 };

	guest->on_irq = shared_served;
	guest->on_irq_arg = &shared;
	agent_start(guest, 1);
	shared_init(&shared, guest);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL | IOAPIC_MASKED);
	irq_line_set(&shared.lines[0], true);
	irq_line_set(&shared.lines[1], true);
	agent_no_more_irqs(guest, VECTOR, 0);
	/* The line is still high after the first EOI, and low after the second. */
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL);
	expect_two(guest);
	assert_false(shared.lines[0].level || shared.lines[1].level);
}

/* A source that is quiet before its EOI fires once. */
static void level_line_fires_once_when_the_handler_quiets_it(void **state)
{
	struct guest *guest = *state;
	static struct shared shared = { .served = 0 };

	guest->on_irq = shared_served;
	guest->on_irq_arg = &shared;
	agent_start(guest, 1);
	shared_init(&shared, guest);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL);
	irq_line_set(&shared.lines[0], true);
	agent_wait_irqs(guest, VECTOR, 1);
	if (acknowledges_early)
		skip();
	agent_no_more_irqs(guest, VECTOR, 1);
}

static void resample_reports_the_eoi_and_the_line_can_rise_again(void **state)
{
	struct guest *guest = *state;
	int trigger = sys_eventfd(), resample = sys_eventfd();

	agent_start(guest, 1);
	assert_int_equal(irq_resample_attach(&guest->irq, LINE, trigger, resample), 0);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL);
	for (unsigned i = 1; i <= 3; i++) {
		sys_eventfd_signal(trigger);
		agent_wait_irqs(guest, VECTOR, i);
		assert_true(guest_wait_fd(resample, 1000));
	}
	/* KVM has lowered the line at each EOI. */
	agent_no_more_irqs(guest, VECTOR, 3);
	irq_resample_detach(&guest->irq, LINE, trigger);
	sys_eventfd_signal(trigger);
	agent_no_more_irqs(guest, VECTOR, 3);
	close(trigger);
	close(resample);
}

/* An emulated source on the same line keeps it high through the other's EOI. */
static void resampled_line_is_shared_with_an_emulated_source(void **state)
{
	struct guest *guest = *state;
	static struct shared shared = { .served = 1 }; /* lowers line 1 first, which is low */
	int trigger = sys_eventfd(), resample = sys_eventfd();

	guest->on_irq = shared_served;
	guest->on_irq_arg = &shared;
	agent_start(guest, 1);
	shared_init(&shared, guest);
	assert_int_equal(irq_resample_attach(&guest->irq, LINE, trigger, resample), 0);
	agent_ioapic_write(guest, LINE, VECTOR | IOAPIC_LEVEL);
	assert_int_equal(agent_try(guest, OP_CLI, 0, 0, 0), -1);
	irq_line_set(&shared.lines[0], true);
	sys_eventfd_signal(trigger);
	assert_int_equal(agent_try(guest, OP_STI, 0, 0, 0), -1);
	/* The first EOI lowers KVM's source; ours stays until the second. */
	expect_two(guest);
	assert_true(guest_wait_fd(resample, 1000));
	irq_resample_detach(&guest->irq, LINE, trigger);
	close(trigger);
	close(resample);
}

static void pit_start(struct guest *guest, unsigned hz)
{
	agent_out(guest, PIT_CONTROL, 1, PIT_CH0_LO_HI_MODE2);
	agent_out(guest, PIT_CH0, 1, PIT_HZ / hz & 0xff);
	agent_out(guest, PIT_CH0, 1, PIT_HZ / hz >> 8);
}

static void pit_stop(struct guest *guest)
{
	agent_out(guest, PIT_CONTROL, 1, PIT_CH0_LO_HI_MODE0);
}

static void pit_interrupts_through_ioapic_pin_2(void **state)
{
	struct guest *guest = *state;

	agent_start(guest, 1);
	agent_write(guest, LAPIC_LVT0, 4, LVT_MASKED);
	agent_ioapic_write(guest, 2, VECTOR);
	pit_start(guest, 200);
	agent_wait_irqs(guest, VECTOR, 5);
	pit_stop(guest);
	agent_ioapic_write(guest, 2, IOAPIC_MASKED);
}

static void pic_init(struct guest *guest, uint16_t base, unsigned vector0, unsigned cascade)
{
	agent_out(guest, PIC_CMD(base), 1, ICW1_INIT_ICW4);
	agent_out(guest, PIC_DATA(base), 1, vector0);
	agent_out(guest, PIC_DATA(base), 1, cascade);
	agent_out(guest, PIC_DATA(base), 1, ICW4_8086);
}

static void pit_interrupts_through_the_pic(void **state)
{
	struct guest *guest = *state;

	agent_start(guest, 1);
	pic_init(guest, PORT_PIC1, PIC_VECTOR0, 1 << 2);
	pic_init(guest, PORT_PIC2, PIC_VECTOR0 + 8, 2);
	agent_out(guest, PIC_DATA(PORT_PIC1), 1, 0xfe);
	agent_out(guest, PIC_DATA(PORT_PIC2), 1, 0xff);
	agent_write(guest, LAPIC_LVT0, 4, LVT_EXTINT);
	pit_start(guest, 200);
	agent_wait_irqs(guest, PIC_VECTOR0, 5);
	pit_stop(guest);
}

/* ISA interrupts are wired to both chips: GSI 4 is pin 4 of the IOAPIC and IRQ 4 of the PIC. */
static void isa_line_reaches_both_chips(void **state)
{
	struct guest *guest = *state;
	struct irq_line line;

	agent_start(guest, 1);
	irq_line_init(&line, &guest->irq, GSI_COM1);
	pic_init(guest, PORT_PIC1, PIC_VECTOR0, 1 << 2);
	agent_out(guest, PIC_DATA(PORT_PIC1), 1, (uint8_t) ~(1u << GSI_COM1));
	agent_write(guest, LAPIC_LVT0, 4, LVT_EXTINT);
	agent_ioapic_write(guest, GSI_COM1, VECTOR);
	irq_line_set(&line, true);
	irq_line_set(&line, false);
	agent_wait_irqs(guest, VECTOR, 1);
	agent_wait_irqs(guest, PIC_VECTOR0 + GSI_COM1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(msi_vector_is_delivered),
		GUEST_TEST(large_msi_vector_is_delivered),
		GUEST_TEST(large_edge_comes_once_a_rise),
		GUEST_TEST(large_level_comes_until_it_is_low),
		GUEST_TEST(msi_masked_pends_and_fires_once_on_unmask),
		GUEST_TEST(msi_follows_its_route),
		GUEST_TEST(msi_gsi_is_reused),
		GUEST_TEST(msi_vectors_run_out_without_harm),
		GUEST_TEST(edge_line_fires_on_each_rise),
		GUEST_TEST(level_line_is_shared_by_two_sources),
		GUEST_TEST(level_line_fires_once_when_the_handler_quiets_it),
		GUEST_TEST(resample_reports_the_eoi_and_the_line_can_rise_again),
		GUEST_TEST(resampled_line_is_shared_with_an_emulated_source),
		GUEST_TEST(pit_interrupts_through_ioapic_pin_2),
		GUEST_TEST(pit_interrupts_through_the_pic),
		GUEST_TEST(isa_line_reaches_both_chips),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("interrupts", tests, measure_acknowledge, NULL);
}
