/* SPDX-License-Identifier: Apache-2.0 */
/* vCPUs that a handler holds: they stand still, others do not, and pause, reset and stop work. */
#include "guest.h"

#include <linux/kvm.h>

#include "core/sys.h"

#define PORT_HOLD    0xe0 /* where smp.S writes, too */
#define QUIET_US     20000
#define RELEASED_BY  1000 /* naps */
#define CPUS         2u
#define CPU_TICKS(n) (GUEST_CPU_TABLE + 16 * (n) + 12)

/*
 * Holds the vCPU that writes to it; the first one only, or all. Outlives a test, whose vCPUs end
 * after it.
 */
static struct hold_port {
	struct bus_range range;
	bool only_first;
	atomic_uint writes;
} port;

static uint64_t hold_read(void *dev, uint64_t off, unsigned len)
{
	return ones(len);
}

static void hold_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	if (atomic_fetch_add(&port.writes, 1) == 0 || !port.only_first)
		vm_hold_vcpu();
}

static const struct bus_ops hold_ops = { hold_read, hold_write };

static void add_port(struct guest *guest, bool only_first)
{
	atomic_store(&port.writes, 0);
	port.only_first = only_first;
	port.range = (struct bus_range){ PORT_HOLD, 4, &hold_ops, NULL, false };
	assert_int_equal(bus_add(&guest->pio, &port.range), 0);
}

static void wait_writes(unsigned writes)
{
	for (unsigned i = 0; i < RELEASED_BY && atomic_load(&port.writes) < writes; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&port.writes), writes);
}

/* Has the agent write to the port, and does not wait for it. */
static void begin_hold(struct guest *guest, unsigned writes)
{
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_ADDR, PORT_HOLD);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_OP, OP_OUT32);
	wait_writes(writes);
	usleep(QUIET_US);
	assert_int_equal(guest_ram(guest, GUEST_MAILBOX + MAILBOX_OP), OP_OUT32);
}

static void wait_done(struct guest *guest)
{
	for (unsigned i = 0; i < RELEASED_BY; i++) {
		if (guest_ram(guest, GUEST_MAILBOX + MAILBOX_OP) == 0)
			return;
		usleep(1000);
	}
	fail_msg("the vCPU is still held");
}

static void agent_init(struct guest *guest)
{
	guest_init(guest, guest_image_agent, 1);
	add_port(guest, false);
	guest_start(guest);
	agent_wait_ready(guest);
}

static uint64_t rip(struct guest *guest)
{
	struct kvm_regs regs;

	assert_int_equal(sys_ioctl(guest->vcpus.vcpus[0].fd, KVM_GET_REGS, &regs), 0);
	return regs.rip;
}

static void held_vcpu_waits_for_the_release(void **state)
{
	struct guest *guest = *state;

	agent_init(guest);
	begin_hold(guest, 1);
	vcpus_release(&guest->vcpus);
	wait_done(guest);
	assert_int_equal(atomic_load(&port.writes), 1);
}

static void held_vcpu_is_paused_after_its_instruction(void **state)
{
	struct guest *guest = *state;
	uint64_t at;

	agent_init(guest);
	begin_hold(guest, 1);
	guest_pause(guest);
	at = rip(guest);
	guest_resume(guest);
	usleep(QUIET_US);
	assert_int_equal(guest_ram(guest, GUEST_MAILBOX + MAILBOX_OP), OP_OUT32);
	guest_pause(guest);
	/* It went nowhere, and what is pending in KVM would have moved it. */
	assert_int_equal(rip(guest), at);
	vcpus_release(&guest->vcpus);
	guest_resume(guest);
	wait_done(guest);
	assert_int_equal(atomic_load(&port.writes), 1);
}

static void reset_ends_a_hold_and_the_next_one_holds_again(void **state)
{
	struct guest *guest = *state;

	agent_init(guest);
	begin_hold(guest, 1);
	guest_pause(guest);
	arch_irqs_reset(&guest->vm, guest->arch_cpu);
	assert_int_equal(vcpus_reset(&guest->vcpus), 0);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_READY, 0);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_OP, 0);
	guest_resume(guest);
	agent_wait_ready(guest);
	begin_hold(guest, 2);
	vcpus_release(&guest->vcpus);
	wait_done(guest);
}

static void stop_ends_a_held_vcpu(void **state)
{
	struct guest *guest = *state;

	agent_init(guest);
	begin_hold(guest, 1);
	vcpus_stop(&guest->vcpus);
	assert_int_equal(guest->vcpus.alive, 0);
}

static void nothing_is_held_after_the_release(void **state)
{
	struct guest *guest = *state;

	agent_init(guest);
	vcpus_release(&guest->vcpus);
	for (unsigned i = 1; i <= 3; i++) {
		agent_out(guest, PORT_HOLD, 4, 0);
		assert_int_equal(atomic_load(&port.writes), i);
	}
}

static void other_vcpus_run_on(void **state)
{
	struct guest *guest = *state;
	uint32_t ticks[CPUS];
	unsigned held;

	guest_init(guest, guest_image_smp, CPUS);
	add_port(guest, true);
	guest_start(guest);
	for (unsigned i = 0; i < RELEASED_BY && atomic_load(&port.writes) < 2; i++)
		usleep(1000);
	usleep(QUIET_US);
	for (unsigned i = 0; i < CPUS; i++)
		ticks[i] = guest_ram(guest, CPU_TICKS(i));
	held = ticks[0] < ticks[1] ? 0 : 1;
	guest_wait_ram(guest, CPU_TICKS(1 - held), ticks[1 - held] + 100);
	assert_int_equal(guest_ram(guest, CPU_TICKS(held)), ticks[held]);
	vcpus_release(&guest->vcpus);
	guest_wait_ram(guest, CPU_TICKS(held), ticks[held] + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST_TEST(held_vcpu_waits_for_the_release),
		GUEST_TEST(held_vcpu_is_paused_after_its_instruction),
		GUEST_TEST(reset_ends_a_hold_and_the_next_one_holds_again),
		GUEST_TEST(stop_ends_a_held_vcpu),
		GUEST_TEST(nothing_is_held_after_the_release),
		GUEST_TEST(other_vcpus_run_on),
	};

	if (!guest_kvm_usable())
		return GUEST_EXIT_SKIPPED;
	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
