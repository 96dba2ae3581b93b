/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X: the capability, the table and the pending bits, against a KVM that only remembers which
 * eventfds listen and which routes it has.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/kvm.h>

#include "core/sys.h"
#include "devices/pci/pci_msix.h"

#define VM_FD           1000
#define VECTORS         70u /* more than one word of pending bits */
#define ENTRY(i, field) ((i)*PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_##field)

static struct {
	struct kvm_irq_routing_entry routes[256];
	unsigned nr, commits, attached, attaches, fail_attach;
} kvm;

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_irq_routing *table = arg;
	const struct kvm_irqfd *irqfd = arg;

	switch (request) {
	case KVM_SET_GSI_ROUTING:
		assert_in_range(table->nr, 1, ARRAY_SIZE(kvm.routes));
		memcpy(kvm.routes, table->entries, table->nr * sizeof(kvm.routes[0]));
		kvm.nr = table->nr;
		kvm.commits++;
		return 0;
	case KVM_IRQFD:
		if (irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) {
			kvm.attached--;
			sys_eventfd_drain((int)irqfd->fd); /* as KVM does */
		} else if (kvm.fail_attach) {
			kvm.fail_attach--;
			return -ENOMEM;
		} else {
			kvm.attached++;
			kvm.attaches++;
		}
		return 0;
	default:
		return 0;
	}
}

/* What the source of the interrupts was told. */
static struct {
	unsigned enables, disables, unmasks, last;
	unsigned attached_at_enable, attached_at_disable;
} told;

static void told_enable(struct pci_msix *msix, bool on)
{
	if (on) {
		told.enables++;
		told.attached_at_enable = kvm.attached;
	} else {
		told.disables++;
		told.attached_at_disable = kvm.attached;
	}
}

static void told_unmask(struct pci_msix *msix, unsigned i)
{
	assert_true(msix->vecs[i].eventfd >= 0);
	told.unmasks++;
	told.last = i;
}

static const struct pci_msix_ops source_ops = { told_enable, told_unmask };
static const struct pci_dev_ops no_ops = { 0 };
static const struct pci_ids ids = { .vendor = 1, .device = 2 };

static struct irq irq;
static const struct board board = { .irq = &irq };
static struct pci_dev dev;
static struct pci_msix msix;

static int setup(void **state)
{
	unsigned cap;

	memset(&kvm, 0, sizeof(kvm));
	memset(&told, 0, sizeof(told));
	memset(&dev, 0, sizeof(dev));
	if (irq_init(&irq, VM_FD) < 0)
		return -1;
	dev.device.name = "toy";
	pci_dev_init(&dev, &board, &no_ops, &ids);
	cap = pci_add_cap(&dev, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	store_le(dev.config + cap + PCI_MSIX_FLAGS, 2, VECTORS - 1);
	return pci_msix_init(&msix, &dev, cap, VECTORS, &source_ops);
}

static int teardown(void **state)
{
	pci_dev_fini(&dev);
	pci_msix_fini(&msix);
	assert_int_equal(kvm.attached, 0);
	irq_fini(&irq);
	return 0;
}

static void control(uint16_t flags)
{
	pci_config_write(&dev, msix.cap + PCI_MSIX_FLAGS, 2, flags);
	pci_msix_config_written(&msix);
}

static void place(unsigned i, uint64_t addr, uint32_t data, uint32_t ctrl)
{
	pci_msix_table_write(&msix, ENTRY(i, LOWER_ADDR), 8, addr);
	pci_msix_table_write(&msix, ENTRY(i, DATA), 4, data);
	pci_msix_table_write(&msix, ENTRY(i, VECTOR_CTRL), 4, ctrl);
}

static bool routed(uint64_t addr, uint32_t data)
{
	for (unsigned i = 0; i < kvm.nr; i++) {
		const struct kvm_irq_routing_entry *e = &kvm.routes[i];

		if (e->type == KVM_IRQ_ROUTING_MSI && e->u.msi.address_lo == (uint32_t)addr &&
		    e->u.msi.address_hi == addr >> 32 && e->u.msi.data == data)
			return true;
	}
	return false;
}

static void assert_table_is_fresh(void)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		assert_int_equal(pci_msix_table_read(&msix, ENTRY(i, LOWER_ADDR), 8), 0);
		assert_int_equal(pci_msix_table_read(&msix, ENTRY(i, VECTOR_CTRL), 4), 1);
	}
	assert_int_equal(pci_msix_pba_read(&msix, 0, 8), 0);
}

static void power_on_is_masked_and_disabled(void **state)
{
	assert_table_is_fresh();
	assert_int_equal(kvm.attaches, 0);
}

static void only_enable_and_mask_are_writable(void **state)
{
	control(0xffff);
	assert_int_equal(pci_config_read(&dev, msix.cap + PCI_MSIX_FLAGS, 2),
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL | (VECTORS - 1));
}

static void table_reads_back_in_any_size(void **state)
{
	pci_msix_table_write(&msix, ENTRY(3, LOWER_ADDR), 4, 0xfee01000);
	pci_msix_table_write(&msix, ENTRY(3, UPPER_ADDR), 4, 0x12);
	assert_true(pci_msix_table_read(&msix, ENTRY(3, LOWER_ADDR), 8) == 0x12fee01000);
	assert_int_equal(pci_msix_table_read(&msix, ENTRY(3, LOWER_ADDR) + 2, 1), 0xe0);
}

static void beyond_the_table_is_nothing(void **state)
{
	const uint64_t end = VECTORS * PCI_MSIX_ENTRY_SIZE;

	pci_msix_table_write(&msix, end, 4, 0xffffffff);
	pci_msix_table_write(&msix, end - 4, 8, 0xffffffffffffffff);
	pci_msix_table_write(&msix, UINT64_MAX, 8, 0xffffffff);
	assert_int_equal(pci_msix_table_read(&msix, end - 4, 4), 1);
	assert_int_equal(pci_msix_table_read(&msix, end, 4), 0);
	assert_int_equal(pci_msix_table_read(&msix, UINT64_MAX - 3, 8), 0);
	assert_int_equal(pci_msix_pba_read(&msix, 16, 8), 0);
	assert_int_equal(pci_msix_pba_read(&msix, UINT64_MAX, 1), 0);
}

static void unmasked_vectors_attach_on_enable(void **state)
{
	place(0, 0xfee00000, 0x40, 0);
	place(5, 0x1fee00000, 0x45, 0);
	assert_int_equal(kvm.attached, 0);
	kvm.commits = 0;
	control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(kvm.attached, 2);
	assert_int_equal(kvm.commits, 1); /* a batch */
	assert_true(routed(0xfee00000, 0x40));
	assert_true(routed(0x1fee00000, 0x45));
	assert_int_equal(told.enables, 1);
	assert_int_equal(told.attached_at_enable, 0);
	assert_int_equal(told.unmasks, 2);
	control(0);
	assert_int_equal(kvm.attached, 0);
	assert_int_equal(told.disables, 1);
	assert_int_equal(told.attached_at_disable, 0);
}

static void vector_mask_detaches_and_pends(void **state)
{
	place(69, 0xfee00000, 0x40, 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	pci_msix_table_write(&msix, ENTRY(69, VECTOR_CTRL), 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	assert_int_equal(kvm.attached, 0);
	assert_int_equal(pci_msix_pba_read(&msix, 8, 8), 0);
	pci_msix_notify(&msix, 69);
	assert_true(pci_msix_pba_read(&msix, 8, 8) == 1ull << 5);
	assert_int_equal(pci_msix_pba_read(&msix, 8, 1), 1 << 5);
	assert_int_equal(pci_msix_pba_read(&msix, 0, 8), 0);
	pci_msix_table_write(&msix, ENTRY(69, VECTOR_CTRL), 4, 0);
	assert_int_equal(kvm.attached, 1);
	assert_int_equal(pci_msix_pba_read(&msix, 8, 8), 0);
}

static void function_mask_detaches_all(void **state)
{
	place(0, 0xfee00000, 0x40, 0);
	place(1, 0xfee00000, 0x41, 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(kvm.attached, 2);
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(kvm.attached, 0);
	pci_msix_notify(&msix, 1);
	assert_int_equal(pci_msix_pba_read(&msix, 0, 4), 2);
	control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(kvm.attached, 2);
	assert_int_equal(told.enables, 1);
}

static void unmasked_vector_follows_the_table(void **state)
{
	place(0, 0xfee00000, 0x40, 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	pci_msix_table_write(&msix, ENTRY(0, DATA), 4, 0x99);
	assert_true(routed(0xfee00000, 0x99));
	assert_false(routed(0xfee00000, 0x40));
	assert_int_equal(kvm.attached, 1);
}

static void disabled_drops_what_comes(void **state)
{
	place(0, 0xfee00000, 0x40, 0);
	assert_int_equal(pci_msix_use(&msix, 0), 0);
	pci_msix_notify(&msix, 0);
	assert_int_equal(pci_msix_pba_read(&msix, 0, 4), 0);
}

static void what_comes_before_the_unmask_pends(void **state)
{
	assert_int_equal(pci_msix_use(&msix, 2), 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	pci_msix_notify(&msix, 2);
	pci_msix_notify(&msix, 3); /* not in use: nowhere to go */
	assert_int_equal(pci_msix_pba_read(&msix, 0, 4), 1 << 2);
}

static void reset_forgets_all(void **state)
{
	place(0, 0xfee00000, 0x40, 0);
	place(1, 0xfee00000, 0x41, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	assert_int_equal(pci_msix_use(&msix, 1), 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	pci_msix_notify(&msix, 1);
	pci_msix_reset(&msix);
	assert_int_equal(kvm.attached, 0);
	assert_int_equal(told.disables, 1);
	assert_table_is_fresh();
	assert_int_equal(pci_config_read(&dev, msix.cap + PCI_MSIX_FLAGS, 2), VECTORS - 1);
	/* What was pending does not come back with the next driver. */
	control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(pci_msix_pba_read(&msix, 0, 4), 0);
}

static void failed_attach_is_survived(void **state)
{
	kvm.fail_attach = 1;
	place(0, 0xfee00000, 0x40, 0);
	control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(kvm.attached, 0);
	pci_msix_table_write(&msix, ENTRY(0, VECTOR_CTRL), 4, 0);
	assert_int_equal(kvm.attached, 1);
}

static void half_built_can_end(void **state)
{
	struct pci_msix none = { 0 };

	pci_msix_fini(&none);
}

int main(void)
{
#define MSIX_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		MSIX_TEST(power_on_is_masked_and_disabled),
		MSIX_TEST(only_enable_and_mask_are_writable),
		MSIX_TEST(table_reads_back_in_any_size),
		MSIX_TEST(beyond_the_table_is_nothing),
		MSIX_TEST(unmasked_vectors_attach_on_enable),
		MSIX_TEST(vector_mask_detaches_and_pends),
		MSIX_TEST(function_mask_detaches_all),
		MSIX_TEST(unmasked_vector_follows_the_table),
		MSIX_TEST(disabled_drops_what_comes),
		MSIX_TEST(what_comes_before_the_unmask_pends),
		MSIX_TEST(reset_forgets_all),
		MSIX_TEST(failed_attach_is_survived),
		MSIX_TEST(half_built_can_end),
	};

	return cmocka_run_group_tests_name("pci_msix", tests, NULL, NULL);
}
