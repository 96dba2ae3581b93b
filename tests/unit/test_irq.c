/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt lines, routes and MSI vectors, against a KVM that only remembers what it was told. */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "core/irq.h"
#include "core/sys.h"

#define VM_FD 1000

/* What KVM was told. */
static struct {
	struct kvm_irq_routing_entry routes[IRQ_GSIS_MAX];
	unsigned nr, commits;
	struct kvm_irq_level level;
	unsigned level_calls;
	struct kvm_irqfd irqfd;
	unsigned irqfd_calls;
	int fail; /* what the next call returns, once */
} kvm;

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_irq_routing *table = arg;
	int r = kvm.fail;

	assert_int_equal(fd, VM_FD);
	kvm.fail = 0;
	if (r < 0)
		return r;
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		assert_in_range(table->nr, 1, IRQ_GSIS_MAX);
		memcpy(kvm.routes, table->entries, table->nr * sizeof(kvm.routes[0]));
		kvm.nr = table->nr;
		kvm.commits++;
		return 0;
	case KVM_IRQ_LINE:
		kvm.level = *(struct kvm_irq_level *)arg;
		kvm.level_calls++;
		return 0;
	case KVM_IRQFD:
		kvm.irqfd = *(struct kvm_irqfd *)arg;
		kvm.irqfd_calls++;
		return 0;
	default:
		fail_msg("unexpected request 0x%lx", request);
		return -ENOTTY;
	}
}

static struct irq irq;

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	return irq_init(&irq, VM_FD);
}

static int teardown(void **state)
{
	irq_fini(&irq);
	return 0;
}

static bool has_pin(unsigned gsi, unsigned chip, unsigned pin)
{
	for (unsigned i = 0; i < kvm.nr; i++) {
		const struct kvm_irq_routing_entry *e = &kvm.routes[i];

		if (e->gsi == gsi && e->type == KVM_IRQ_ROUTING_IRQCHIP &&
		    e->u.irqchip.irqchip == chip && e->u.irqchip.pin == pin)
			return true;
	}
	return false;
}

static const struct kvm_irq_routing_entry *msi_route(unsigned gsi)
{
	const struct kvm_irq_routing_entry *found = NULL;

	for (unsigned i = 0; i < kvm.nr; i++) {
		if (kvm.routes[i].gsi != gsi || kvm.routes[i].type != KVM_IRQ_ROUTING_MSI)
			continue;
		assert_null(found); /* one route a GSI */
		found = &kvm.routes[i];
	}
	return found;
}

static struct {
	unsigned gsi, calls;
	bool level;
} pin;

static void pin_set(void *opaque, unsigned gsi, bool level)
{
	assert_ptr_equal(opaque, &pin);
	pin.gsi = gsi;
	pin.level = level;
	pin.calls++;
}

static int setup_pins(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	memset(&pin, 0, sizeof(pin));
	return irq_init_pins(&irq, VM_FD, pin_set, &pin);
}

static void lines_go_to_who_has_the_pins(void **state)
{
	struct irq_line a, b;

	for (unsigned i = 0; i < kvm.nr; i++)
		assert_int_equal(kvm.routes[i].type, KVM_IRQ_ROUTING_MSI);
	irq_line_init(&a, &irq, 17);
	irq_line_init(&b, &irq, 17);
	irq_line_set(&a, true);
	irq_line_set(&b, true);
	irq_line_set(&a, false);
	assert_int_equal(pin.calls, 1);
	assert_int_equal(pin.gsi, 17);
	assert_true(pin.level);
	irq_line_set(&b, false);
	assert_int_equal(pin.calls, 2);
	assert_false(pin.level);
	assert_int_equal(kvm.level_calls, 0);
	assert_int_equal(irq_resample_attach(&irq, 17, 5, 6), -ENOTSUP);
}

static void wide_destinations_go_where_kvm_wants_them(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	/* ID 0x1234: its low byte in bits 19:12, the rest in bits 11:5; garbage above. */
	msi_vec_route(&vec, 0xdeadbeeffee34000 | 0x12 << 5, 0x41);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_int_equal(msi_route((unsigned)vec.gsi)->u.msi.address_lo, 0xfee34000);
	assert_int_equal(msi_route((unsigned)vec.gsi)->u.msi.address_hi, 0x1200);
	assert_int_equal(irq_route_pin(&irq, 4, 0xfee01000 | 1 << 5, 0x51), 0);
	assert_int_equal(msi_route(4)->u.msi.address_lo, 0xfee01000);
	assert_int_equal(msi_route(4)->u.msi.address_hi, 0x100);
	msi_vec_fini(&vec);
}

static void lines_are_wired_as_on_a_pc(void **state)
{
	assert_int_equal(kvm.commits, 1);
	assert_true(has_pin(0, KVM_IRQCHIP_PIC_MASTER, 0));
	assert_true(has_pin(0, KVM_IRQCHIP_IOAPIC, 2));
	assert_false(has_pin(0, KVM_IRQCHIP_IOAPIC, 0));
	assert_true(has_pin(4, KVM_IRQCHIP_PIC_MASTER, 4));
	assert_true(has_pin(4, KVM_IRQCHIP_IOAPIC, 4));
	assert_true(has_pin(8, KVM_IRQCHIP_PIC_SLAVE, 0));
	assert_true(has_pin(9, KVM_IRQCHIP_IOAPIC, 9));
	assert_true(has_pin(23, KVM_IRQCHIP_IOAPIC, 23));
	/* The cascade carries nothing. */
	assert_false(has_pin(2, KVM_IRQCHIP_PIC_MASTER, 2));
	assert_false(has_pin(2, KVM_IRQCHIP_IOAPIC, 2));
}

static void shared_line_changes_with_first_and_last(void **state)
{
	struct irq_line a, b;

	irq_line_init(&a, &irq, 20);
	irq_line_init(&b, &irq, 20);
	irq_line_set(&a, true);
	assert_int_equal(kvm.level_calls, 1);
	assert_int_equal(kvm.level.irq, 20);
	assert_int_equal(kvm.level.level, 1);
	irq_line_set(&a, true);
	irq_line_set(&b, true);
	irq_line_set(&a, false);
	assert_int_equal(kvm.level_calls, 1);
	irq_line_set(&b, false);
	assert_int_equal(kvm.level_calls, 2);
	assert_int_equal(kvm.level.level, 0);
	irq_line_set(&b, false);
	assert_int_equal(kvm.level_calls, 2);
}

static void commit_without_a_change_is_free(void **state)
{
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.commits, 1);
}

static void vector_costs_nothing_until_it_is_used(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	msi_vec_route(&vec, 0xfee00000, 0x50);
	assert_int_equal(vec.gsi, -1);
	assert_int_equal(vec.eventfd, -1);
	assert_false(msi_vec_pending(&vec));
	msi_vec_mask(&vec);
	msi_vec_fini(&vec);
	assert_int_equal(kvm.irqfd_calls, 0);
	assert_int_equal(kvm.commits, 1);
}

static void unmask_routes_then_attaches(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	msi_vec_route(&vec, 0x1fee01000, 0x4321);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_true(vec.gsi >= (int)IRQ_LINES);
	assert_non_null(msi_route((unsigned)vec.gsi));
	assert_int_equal(msi_route((unsigned)vec.gsi)->u.msi.address_lo, 0xfee01000);
	assert_int_equal(msi_route((unsigned)vec.gsi)->u.msi.address_hi, 1);
	assert_int_equal(msi_route((unsigned)vec.gsi)->u.msi.data, 0x4321);
	assert_int_equal(kvm.irqfd_calls, 1);
	assert_int_equal(kvm.irqfd.fd, vec.eventfd);
	assert_int_equal(kvm.irqfd.gsi, vec.gsi);
	assert_int_equal(kvm.irqfd.flags, 0);
	/* Again: nothing to do. */
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_int_equal(kvm.irqfd_calls, 1);
	assert_int_equal(kvm.commits, 2);
	msi_vec_mask(&vec);
	assert_int_equal(kvm.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	assert_int_equal(kvm.irqfd.gsi, vec.gsi);
	msi_vec_mask(&vec);
	assert_int_equal(kvm.irqfd_calls, 2);
	msi_vec_fini(&vec);
}

static void batch_of_routes_is_one_commit(void **state)
{
	struct msi_vec vecs[32];

	for (unsigned i = 0; i < ARRAY_SIZE(vecs); i++) {
		msi_vec_init(&vecs[i], &irq);
		assert_int_equal(msi_vec_prepare(&vecs[i]), 0);
		msi_vec_route(&vecs[i], 0xfee00000, i);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(vecs); i++)
		assert_int_equal(msi_vec_unmask(&vecs[i]), 0);
	assert_int_equal(kvm.commits, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(vecs); i++) {
		assert_int_equal(msi_route((unsigned)vecs[i].gsi)->u.msi.data, i);
		msi_vec_fini(&vecs[i]);
	}
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.commits, 3);
	assert_true(kvm.nr < 40); /* the lines' */
	assert_true(has_pin(23, KVM_IRQCHIP_IOAPIC, 23));
}

static void same_route_again_is_no_change(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	msi_vec_route(&vec, 0xfee00000, 1);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	msi_vec_route(&vec, 0xfee00000, 1);
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.commits, 2);
	msi_vec_route(&vec, 0xfee00000, 2);
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.commits, 3);
	msi_vec_fini(&vec);
}

static void pending_is_what_came_while_masked(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	assert_int_equal(msi_vec_prepare(&vec), 0);
	assert_false(msi_vec_pending(&vec));
	sys_eventfd_signal(vec.eventfd);
	assert_true(msi_vec_pending(&vec));
	/* While attached KVM has it. */
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_false(msi_vec_pending(&vec));
	msi_vec_fini(&vec);
}

static void failed_attach_leaves_it_masked(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	assert_int_equal(msi_vec_prepare(&vec), 0);
	assert_int_equal(irq_commit(&irq), 0);
	kvm.fail = -EBUSY;
	assert_int_equal(msi_vec_unmask(&vec), -EBUSY);
	assert_false(vec.attached);
	assert_int_equal(msi_vec_unmask(&vec), 0);
	assert_true(vec.attached);
	msi_vec_fini(&vec);
}

static void failed_commit_is_tried_again(void **state)
{
	struct msi_vec vec;

	msi_vec_init(&vec, &irq);
	kvm.fail = -ENOMEM;
	assert_int_equal(msi_vec_unmask(&vec), -ENOMEM);
	assert_false(vec.attached);
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.commits, 2);
	msi_vec_fini(&vec);
}

static void gsis_run_out_before_kvms_table_does(void **state)
{
	static struct msi_vec vecs[IRQ_GSIS_MAX];
	unsigned n = 0;
	int r = 0;

	while (r == 0) {
		msi_vec_init(&vecs[n], &irq);
		vecs[n].eventfd = 1 << 30; /* none is needed here, and so many are too many */
		r = msi_vec_prepare(&vecs[n]);
		n++;
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(irq_commit(&irq), 0);
	assert_int_equal(kvm.nr, IRQ_GSIS_MAX);
	/* One that goes makes room for one. */
	vecs[7].eventfd = -1;
	msi_vec_fini(&vecs[7]);
	vecs[n - 1].eventfd = -1;
	assert_int_equal(msi_vec_prepare(&vecs[n - 1]), 0);
	for (unsigned i = 0; i < n; i++) {
		if (i < n - 1)
			vecs[i].eventfd = -1;
		msi_vec_fini(&vecs[i]);
	}
}

static void resample_line_has_both_fds(void **state)
{
	assert_int_equal(irq_resample_attach(&irq, 21, 5, 6), 0);
	assert_int_equal(kvm.irqfd.gsi, 21);
	assert_int_equal(kvm.irqfd.fd, 5);
	assert_int_equal(kvm.irqfd.resamplefd, 6);
	assert_int_equal(kvm.irqfd.flags, KVM_IRQFD_FLAG_RESAMPLE);
	irq_resample_detach(&irq, 21, 5);
	assert_int_equal(kvm.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	assert_int_equal(kvm.irqfd.fd, 5);
}

static void half_built_vector_can_end(void **state)
{
	struct msi_vec vec = { 0 };

	msi_vec_fini(&vec);
	msi_vec_init(&vec, &irq);
	msi_vec_fini(&vec);
	msi_vec_fini(&vec);
}

int main(void)
{
#define IRQ_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		IRQ_TEST(lines_are_wired_as_on_a_pc),
		IRQ_TEST(shared_line_changes_with_first_and_last),
		IRQ_TEST(commit_without_a_change_is_free),
		IRQ_TEST(vector_costs_nothing_until_it_is_used),
		IRQ_TEST(unmask_routes_then_attaches),
		IRQ_TEST(batch_of_routes_is_one_commit),
		IRQ_TEST(same_route_again_is_no_change),
		IRQ_TEST(pending_is_what_came_while_masked),
		IRQ_TEST(failed_attach_leaves_it_masked),
		IRQ_TEST(failed_commit_is_tried_again),
		IRQ_TEST(gsis_run_out_before_kvms_table_does),
		IRQ_TEST(resample_line_has_both_fds),
		cmocka_unit_test_setup_teardown(lines_go_to_who_has_the_pins, setup_pins, teardown),
		cmocka_unit_test_setup_teardown(wide_destinations_go_where_kvm_wants_them,
						setup_pins, teardown),
		IRQ_TEST(half_built_vector_can_end),
	};

	return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
