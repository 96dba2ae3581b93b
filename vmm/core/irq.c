/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSI routes, shared lines and MSI vectors over KVM's routing table and irqfds.
 * [KVM API: KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IRQ_LINE]. Any thread.
 */
#include "core/irq.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

/* The PIC's cascade: pin 2 of the master, and GSI 2 is the PIT in the IOAPIC. */
#define PIC_PINS    8u
#define PIC_CASCADE 2u

/* Of an MSI's address: bits 14:8 of the destination, which KVM takes 32 + 3 bits higher. */
#define MSI_EXT_DEST_MASK 0xfe0u
#define MSI_EXT_DEST_UP   3

static struct kvm_irq_routing_entry *irq_new_entry(struct irq *irq)
{
	struct kvm_irq_routing_entry *e = &irq->table.entries[irq->table.head.nr++];

	*e = (struct kvm_irq_routing_entry){ 0 };
	return e;
}

static void irq_add_pin(struct irq *irq, unsigned gsi, unsigned chip, unsigned pin)
{
	struct kvm_irq_routing_entry *e = irq_new_entry(irq);

	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_IRQCHIP;
	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

/* As on a PC: ISA interrupts at both controllers, the PIT (GSI 0) at the IOAPIC's pin 2. */
static void irq_add_lines(struct irq *irq)
{
	for (unsigned gsi = 0; gsi < IRQ_LINES; gsi++) {
		if (gsi < PIC_PINS && gsi != PIC_CASCADE)
			irq_add_pin(irq, gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
		else if (gsi >= PIC_PINS && gsi < 2 * PIC_PINS)
			irq_add_pin(irq, gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - PIC_PINS);
		if (gsi == 0)
			irq_add_pin(irq, gsi, KVM_IRQCHIP_IOAPIC, 2);
		else if (gsi != PIC_CASCADE)
			irq_add_pin(irq, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
}

/* Without lines. */
static void irq_init_table(struct irq *irq, int vm_fd)
{
	memset(irq, 0, offsetof(struct irq, table));
	irq->table.head = (struct kvm_irq_routing){ 0 };
	irq->vm_fd = vm_fd;
	pthread_mutex_init(&irq->lock, NULL);
	pthread_mutex_init(&irq->line_lock, NULL);
	irq->gsi_used[0] = (1ull << IRQ_LINES) - 1;
	irq->dirty = true;
}

int irq_init(struct irq *irq, int vm_fd)
{
	irq_init_table(irq, vm_fd);
	irq_add_lines(irq);
	/* KVM bounds entries, not GSIs: as many GSIs are given up as lines have second entries. */
	for (unsigned gsi = IRQ_GSIS_MAX - (irq->table.head.nr - IRQ_LINES); gsi < IRQ_GSIS_MAX;
	     gsi++)
		irq->gsi_used[gsi / 64] |= 1ull << (gsi % 64);
	return irq_commit(irq);
}

/* The first entry of the table is nobody's, as with lines: msi_entry has 0 for "nowhere". */
int irq_init_pins(struct irq *irq, int vm_fd,
		  void (*set_pin)(void *opaque, unsigned gsi, bool level), void *opaque)
{
	const unsigned nobody = IRQ_GSIS_MAX - 1;
	struct kvm_irq_routing_entry *e;

	irq_init_table(irq, vm_fd);
	irq->set_pin = set_pin;
	irq->set_pin_opaque = opaque;
	irq->gsi_used[nobody / 64] |= 1ull << (nobody % 64);
	e = irq_new_entry(irq);
	e->gsi = nobody;
	e->type = KVM_IRQ_ROUTING_MSI;
	return irq_commit(irq);
}

void irq_fini(struct irq *irq)
{
	pthread_mutex_destroy(&irq->line_lock);
	pthread_mutex_destroy(&irq->lock);
}

void irq_end(struct irq *irq)
{
	irq->ending = true;
}

static int irq_commit_locked(struct irq *irq)
{
	int r;

	if (!irq->dirty)
		return 0;
	r = sys_ioctl(irq->vm_fd, KVM_SET_GSI_ROUTING, &irq->table);
	if (r < 0)
		return err_sys(ERR_HOST, r, "set %u interrupt routes", irq->table.head.nr);
	irq->dirty = false;
	return 0;
}

int irq_commit(struct irq *irq)
{
	int r;

	pthread_mutex_lock(&irq->lock);
	r = irq_commit_locked(irq);
	pthread_mutex_unlock(&irq->lock);
	return r;
}

void irq_line_init(struct irq_line *line, struct irq *irq, unsigned gsi)
{
	assert(gsi < IRQ_LINES);
	*line = (struct irq_line){ .irq = irq, .gsi = gsi };
}

static void irq_set_pin(struct irq *irq, unsigned gsi, bool level)
{
	struct kvm_irq_level arg = { .irq = gsi, .level = level };

	if (irq->set_pin)
		irq->set_pin(irq->set_pin_opaque, gsi, level);
	else if (sys_ioctl(irq->vm_fd, KVM_IRQ_LINE, &arg) < 0)
		log_error("interrupt line %u: KVM refused level %d", gsi, level);
}

void irq_line_set(struct irq_line *line, bool level)
{
	struct irq *irq = line->irq;
	uint8_t *sources;

	pthread_mutex_lock(&irq->line_lock);
	sources = &irq->line_sources[line->gsi];
	if (line->level != level) {
		line->level = level;
		*sources += level ? 1 : -1;
		/* The GSI changes with its first source and with its last. */
		if (*sources == (level ? 1 : 0))
			irq_set_pin(irq, line->gsi, level);
	}
	pthread_mutex_unlock(&irq->line_lock);
}

static int irq_fd(struct irq *irq, unsigned gsi, int fd, int resample_fd, unsigned flags)
{
	struct kvm_irqfd arg = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = flags,
		.resamplefd = (uint32_t)resample_fd,
	};

	return sys_ioctl(irq->vm_fd, KVM_IRQFD, &arg);
}

int irq_resample_attach(struct irq *irq, unsigned gsi, int trigger_fd, int resample_fd)
{
	int r;

	if (irq->set_pin)
		return err_set(ERR_HOST, -ENOTSUP,
			       "a passed-through device's interrupt line takes KVM's interrupt "
			       "controllers, which end at 255 vCPUs");
	r = irq_fd(irq, gsi, trigger_fd, resample_fd, KVM_IRQFD_FLAG_RESAMPLE);
	return r < 0 ? err_sys(ERR_HOST, r, "attach interrupt line %u", gsi) : 0;
}

void irq_resample_detach(struct irq *irq, unsigned gsi, int trigger_fd)
{
	if (!irq->ending && irq_fd(irq, gsi, trigger_fd, 0, KVM_IRQFD_FLAG_DEASSIGN) < 0)
		log_error("interrupt line %u: detach failed", gsi);
}

static int irq_alloc_gsi(struct irq *irq)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&irq->lock);
	for (unsigned w = 0; w < ARRAY_SIZE(irq->gsi_used); w++) {
		if (irq->gsi_used[w] == UINT64_MAX)
			continue;
		gsi = (int)(w * 64 + (unsigned)__builtin_ctzll(~irq->gsi_used[w]));
		irq->gsi_used[w] |= 1ull << (gsi % 64);
		break;
	}
	pthread_mutex_unlock(&irq->lock);
	return gsi;
}

/* The MSI route of `gsi` in the table, or NULL. Entry 0 is a line's. */
static struct kvm_irq_routing_entry *irq_find_msi(struct irq *irq, unsigned gsi)
{
	unsigned entry = irq->msi_entry[gsi];

	return entry ? &irq->table.entries[entry] : NULL;
}

static struct kvm_irq_routing_entry *irq_add_msi(struct irq *irq, unsigned gsi)
{
	struct kvm_irq_routing_entry *e;

	irq->msi_entry[gsi] = (uint16_t)irq->table.head.nr;
	e = irq_new_entry(irq);
	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_MSI;
	irq->dirty = true;
	return e;
}

/* The last entry, which is an MSI too, takes the place of the one that goes. */
static void irq_remove_msi(struct irq *irq, unsigned gsi)
{
	struct kvm_irq_routing_entry *e = irq_find_msi(irq, gsi);

	if (!e)
		return;
	*e = irq->table.entries[--irq->table.head.nr];
	irq->msi_entry[e->gsi] = irq->msi_entry[gsi];
	irq->msi_entry[gsi] = 0;
	irq->dirty = true;
}

void msi_vec_init(struct msi_vec *vec, struct irq *irq)
{
	*vec = (struct msi_vec){ .irq = irq, .gsi = -1, .eventfd = -1 };
}

void msi_vec_fini(struct msi_vec *vec)
{
	struct irq *irq = vec->irq;

	if (!irq)
		return;
	msi_vec_mask(vec);
	if (vec->gsi >= 0) {
		pthread_mutex_lock(&irq->lock);
		irq_remove_msi(irq, (unsigned)vec->gsi);
		irq->gsi_used[vec->gsi / 64] &= ~(1ull << (vec->gsi % 64));
		pthread_mutex_unlock(&irq->lock);
	}
	close_fd(&vec->eventfd);
	vec->gsi = -1;
}

int msi_vec_prepare(struct msi_vec *vec)
{
	if (vec->eventfd < 0) {
		int fd = sys_eventfd();

		if (fd < 0)
			return fd;
		vec->eventfd = fd;
	}
	if (vec->gsi < 0) {
		int gsi = irq_alloc_gsi(vec->irq);

		if (gsi < 0)
			return gsi;
		vec->gsi = gsi;
		msi_vec_route(vec, vec->addr, vec->data);
	}
	return 0;
}

/*
 * How KVM wants to have it. Where IDs have 32 bits, the high word has the upper 24: the guest's 7,
 * and nothing of what it may have written there. [KVM API: KVM_CAP_X2APIC_API]
 */
static struct kvm_irq_routing_msi irq_msi(const struct irq *irq, uint64_t addr, uint32_t data)
{
	struct kvm_irq_routing_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	if (irq->set_pin) {
		msi.address_lo &= ~MSI_EXT_DEST_MASK;
		msi.address_hi = ((uint32_t)addr & MSI_EXT_DEST_MASK) << MSI_EXT_DEST_UP;
	}
	return msi;
}

/* With the lock held. */
static void irq_set_msi(struct irq *irq, unsigned gsi, uint64_t addr, uint32_t data)
{
	const struct kvm_irq_routing_msi msi = irq_msi(irq, addr, data);
	struct kvm_irq_routing_entry *e = irq_find_msi(irq, gsi);

	if (!e)
		e = irq_add_msi(irq, gsi);
	if (e->u.msi.address_lo != msi.address_lo || e->u.msi.address_hi != msi.address_hi ||
	    e->u.msi.data != data) {
		e->u.msi = msi;
		irq->dirty = true;
	}
}

int irq_route_pin(struct irq *irq, unsigned gsi, uint64_t addr, uint32_t data)
{
	int r;

	assert(irq->set_pin && gsi < IRQ_LINES);
	pthread_mutex_lock(&irq->lock);
	irq_set_msi(irq, gsi, addr, data);
	r = irq_commit_locked(irq);
	pthread_mutex_unlock(&irq->lock);
	return r;
}

void irq_signal(struct irq *irq, uint64_t addr, uint32_t data)
{
	const struct kvm_irq_routing_msi to = irq_msi(irq, addr, data);
	struct kvm_msi msi = {
		.address_lo = to.address_lo,
		.address_hi = to.address_hi,
		.data = data,
	};

	/* A destination that does not exist is the guest's affair. */
	if (sys_ioctl(irq->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		log_guest("interrupt 0x%x: nobody at 0x%llx", data, (unsigned long long)addr);
}

void msi_vec_route(struct msi_vec *vec, uint64_t addr, uint32_t data)
{
	struct irq *irq = vec->irq;

	vec->addr = addr;
	vec->data = data;
	if (vec->gsi < 0)
		return; /* msi_vec_prepare comes back */

	pthread_mutex_lock(&irq->lock);
	irq_set_msi(irq, (unsigned)vec->gsi, addr, data);
	pthread_mutex_unlock(&irq->lock);
}

int msi_vec_unmask(struct msi_vec *vec)
{
	int r = msi_vec_prepare(vec);

	if (r < 0)
		return r;
	r = irq_commit(vec->irq);
	if (r < 0 || vec->attached)
		return r;
	/* KVM looks at the counter while attaching: what pended while masked is delivered now. */
	r = irq_fd(vec->irq, (unsigned)vec->gsi, vec->eventfd, 0, 0);
	if (r < 0)
		return r;
	vec->attached = true;
	return 0;
}

void msi_vec_mask(struct msi_vec *vec)
{
	if (!vec->attached)
		return;
	if (!vec->irq->ending &&
	    irq_fd(vec->irq, (unsigned)vec->gsi, vec->eventfd, 0, KVM_IRQFD_FLAG_DEASSIGN) < 0)
		log_error("interrupt route %d: detach failed", vec->gsi);
	vec->attached = false;
}

bool msi_vec_pending(const struct msi_vec *vec)
{
	struct pollfd p = { .fd = vec->eventfd, .events = POLLIN };

	return vec->eventfd >= 0 && !vec->attached && poll(&p, 1, 0) == 1;
}
