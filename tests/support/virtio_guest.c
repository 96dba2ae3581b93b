/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with one virtio device, for tests. */
#include "virtio_guest.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/sys.h"
#include "devices/virtio/virtio_pci.h"

#define VM_FD         100000 /* no real fd is that high */
#define DOORBELLS_MAX 16u

static struct {
	pthread_mutex_t lock;
	struct kvm_ioeventfd doorbells[DOORBELLS_MAX];
	unsigned doorbell_count;
	bool refuse_doorbells;
	bool level[IRQ_LINES];
} kvm = { .lock = PTHREAD_MUTEX_INITIALIZER };

int (*virtio_guest_other_ioctl)(int fd, unsigned long request, void *arg) = __real_sys_ioctl;

static int kvm_ioeventfd(const struct kvm_ioeventfd *d)
{
	for (unsigned i = 0; i < kvm.doorbell_count; i++) {
		if (kvm.doorbells[i].addr != d->addr)
			continue;
		if (!(d->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
			return -EEXIST;
		kvm.doorbells[i] = kvm.doorbells[--kvm.doorbell_count];
		return 0;
	}
	if (d->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return -ENOENT;
	if (kvm.refuse_doorbells || kvm.doorbell_count == DOORBELLS_MAX)
		return -ENOSPC;
	kvm.doorbells[kvm.doorbell_count++] = *d;
	return 0;
}

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_irq_level *line = arg;
	int r = 0;

	if (fd != VM_FD)
		return virtio_guest_other_ioctl(fd, request, arg);
	pthread_mutex_lock(&kvm.lock);
	switch (request) {
	case KVM_IOEVENTFD:
		r = kvm_ioeventfd(arg);
		break;
	case KVM_IRQ_LINE:
		kvm.level[line->irq] = line->level;
		break;
	default: /* routes and irqfds: the test looks at the vectors' eventfds */
		break;
	}
	pthread_mutex_unlock(&kvm.lock);
	return r;
}

unsigned virtio_guest_doorbells(void)
{
	unsigned count;

	pthread_mutex_lock(&kvm.lock);
	count = kvm.doorbell_count;
	pthread_mutex_unlock(&kvm.lock);
	return count;
}

void virtio_guest_refuse_doorbells(bool refuse)
{
	pthread_mutex_lock(&kvm.lock);
	kvm.refuse_doorbells = refuse;
	pthread_mutex_unlock(&kvm.lock);
}

static bool doorbell_signal(uint64_t addr)
{
	bool found = false;

	pthread_mutex_lock(&kvm.lock);
	for (unsigned i = 0; i < kvm.doorbell_count && !found; i++) {
		found = kvm.doorbells[i].addr == addr;
		if (found)
			sys_eventfd_signal(kvm.doorbells[i].fd);
	}
	pthread_mutex_unlock(&kvm.lock);
	return found;
}

static void must(int r)
{
	if (r < 0) {
		fprintf(stderr, "virtio_guest: %s\n", strerror(-r));
		abort();
	}
}

void virtio_guest_init(struct virtio_guest *g)
{
	memset(g, 0, sizeof(*g));
	kvm.doorbell_count = 0;
	kvm.refuse_doorbells = false;
	memset(kvm.level, 0, sizeof(kvm.level));
	guest_mem_init(&g->mem);
	g->mem.shared = true; /* so that any kind of device can use it */
	must(guest_mem_add(&g->mem, 0, VIRTIO_GUEST_RAM));
	must(irq_init(&g->irq, VM_FD));
	bus_init(&g->pio);
	bus_init(&g->mmio);
	g->vm.vm_fd = VM_FD;
	g->board = (struct board){ &g->vm, &g->mem, &g->irq, &g->pio, &g->mmio };
	must(loop_init(&g->loop));
	must(loop_start_thread(&g->loop, "test-loop"));
}

void virtio_guest_unplug(struct virtio_guest *g)
{
	if (!g->dev)
		return;
	g->bus.devs[VIRTIO_GUEST_DEVFN] = NULL;
	g->dev->device.ops->destroy(&g->dev->device);
	g->dev = NULL;
}

void virtio_guest_fini(struct virtio_guest *g)
{
	virtio_guest_unplug(g);
	loop_join_thread(&g->loop);
	loop_fini(&g->loop);
	bus_fini(&g->mmio);
	bus_fini(&g->pio);
	irq_fini(&g->irq);
	guest_mem_fini(&g->mem);
}

uint32_t virtio_guest_config_read(struct virtio_guest *g, unsigned off, unsigned len)
{
	uint32_t val;

	pthread_mutex_lock(&g->dev->lock);
	val = g->dev->ops->config_read(g->dev, off, len);
	pthread_mutex_unlock(&g->dev->lock);
	return val;
}

void virtio_guest_config_write(struct virtio_guest *g, unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&g->dev->lock);
	g->dev->ops->config_write(g->dev, off, len, val);
	pthread_mutex_unlock(&g->dev->lock);
}

static void parse_virtio_cap(struct virtio_guest *g, unsigned cap)
{
	uint32_t off = virtio_guest_config_read(g, cap + VIRTIO_PCI_CAP_OFFSET, 4);
	uint32_t len = virtio_guest_config_read(g, cap + VIRTIO_PCI_CAP_LENGTH, 4);

	switch (virtio_guest_config_read(g, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		g->common = off;
		g->common_len = len;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		g->notify = off;
		g->notify_multiplier =
			virtio_guest_config_read(g, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		g->isr = off;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		g->device_cfg = off;
		g->device_cfg_len = len;
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		g->cfg_cap = cap;
		break;
	default:
		abort();
	}
}

void virtio_guest_map_bar(struct virtio_guest *g, uint64_t addr)
{
	virtio_guest_config_write(g, PCI_COMMAND, 2, 0);
	virtio_guest_config_write(g, PCI_BASE_ADDRESS_0, 4, (uint32_t)addr);
	virtio_guest_config_write(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void virtio_guest_plug(struct virtio_guest *g, struct pci_dev *dev)
{
	unsigned cap;

	g->dev = dev;
	pci_bus_add(&g->bus, dev, VIRTIO_GUEST_DEVFN);
	assert(virtio_guest_config_read(g, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (cap = virtio_guest_config_read(g, PCI_CAPABILITY_LIST, 1); cap;
	     cap = virtio_guest_config_read(g, cap + PCI_CAP_LIST_NEXT, 1)) {
		if (virtio_guest_config_read(g, cap, 1) == PCI_CAP_ID_MSIX) {
			g->msix_cap = cap;
			g->msix_table = virtio_guest_config_read(g, cap + PCI_MSIX_TABLE, 4) &
					PCI_MSIX_TABLE_OFFSET;
		} else {
			parse_virtio_cap(g, cap);
		}
	}
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
}

uint64_t virtio_guest_read(struct virtio_guest *g, uint64_t off, unsigned len)
{
	return bus_read(&g->mmio, g->dev->bars[0].addr + off, len);
}

void virtio_guest_write(struct virtio_guest *g, uint64_t off, unsigned len, uint64_t val)
{
	if (!doorbell_signal(g->dev->bars[0].addr + off))
		bus_write(&g->mmio, g->dev->bars[0].addr + off, len, val);
}

uint64_t virtio_guest_get(struct virtio_guest *g, unsigned reg, unsigned len)
{
	return virtio_guest_read(g, g->common + reg, len);
}

void virtio_guest_set(struct virtio_guest *g, unsigned reg, unsigned len, uint64_t val)
{
	virtio_guest_write(g, g->common + reg, len, val);
}

bool virtio_guest_negotiate(struct virtio_guest *g, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	features |= 1ull << VIRTIO_F_VERSION_1;
	virtio_guest_set(g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_STATUS, 1, status);
	for (unsigned half = 0; half < 2; half++) {
		virtio_guest_set(g, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * half)));
	}
	virtio_guest_set(g, VIRTIO_PCI_COMMON_STATUS, 1, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_guest_get(g, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void virtio_guest_enable_msix(struct virtio_guest *g, unsigned queues)
{
	virtio_guest_config_write(g, g->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned i = 0; i <= queues; i++) {
		uint64_t entry = g->msix_table + (uint64_t)i * PCI_MSIX_ENTRY_SIZE;

		virtio_guest_write(g, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, 0xfee00000);
		virtio_guest_write(g, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
		virtio_guest_write(g, entry + PCI_MSIX_ENTRY_DATA, 4, 0x30 + i);
		virtio_guest_write(g, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
		if (i == 0)
			continue;
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, i - 1);
		virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, i);
	}
}

void virtio_guest_setup_queue(struct virtio_guest *g, unsigned queue, struct vring_driver *drv,
			      uint64_t gpa, unsigned size)
{
	vring_driver_init(drv, &g->mem, gpa, size);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)drv->desc_gpa);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_DESCHI, 4, drv->desc_gpa >> 32);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)drv->avail_gpa);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, drv->avail_gpa >> 32);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)drv->used_gpa);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_USEDHI, 4, drv->used_gpa >> 32);
	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void virtio_guest_driver_ok(struct virtio_guest *g)
{
	uint64_t status = virtio_guest_get(g, VIRTIO_PCI_COMMON_STATUS, 1);

	virtio_guest_set(g, VIRTIO_PCI_COMMON_STATUS, 1, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_guest_drive(struct virtio_guest *g, uint64_t features, struct vring_driver *drv,
			uint64_t gpa, unsigned size)
{
	assert_true(virtio_guest_negotiate(g, features));
	virtio_guest_enable_msix(g, 1);
	virtio_guest_setup_queue(g, 0, drv, gpa, size);
	drv->event_idx = features & F_EVENT_IDX;
	virtio_guest_driver_ok(g);
}

void virtio_guest_ring(struct virtio_guest *g, unsigned queue)
{
	uint64_t off;

	virtio_guest_set(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	off = virtio_guest_get(g, VIRTIO_PCI_COMMON_Q_NOFF, 2) * g->notify_multiplier;
	virtio_guest_write(g, g->notify + off, 2, queue);
}

bool virtio_guest_wait_vector(struct virtio_guest *g, unsigned vector, unsigned ms)
{
	struct virtio_pci *vdev = container_of(g->dev, struct virtio_pci, pci);
	struct pollfd p = { .fd = vdev->msix.vecs[vector].eventfd, .events = POLLIN };

	return p.fd >= 0 && poll(&p, 1, (int)ms) == 1 && sys_eventfd_drain(p.fd);
}

bool virtio_guest_wait_line(struct virtio_guest *g, bool level, unsigned ms)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	for (unsigned waited = 0;; waited++) {
		bool now;

		pthread_mutex_lock(&kvm.lock);
		now = kvm.level[g->dev->intx.gsi];
		pthread_mutex_unlock(&kvm.lock);
		if (now == level)
			return true;
		if (waited >= ms)
			return false;
		nanosleep(&tick, NULL);
	}
}
