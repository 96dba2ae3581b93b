/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into the guest, all through KVM's in-kernel controllers: lines (GSIs, the IOAPIC's
 * pins and below 16 the PIC's) and MSI vectors (an eventfd and a GSI route each). Any thread; one
 * leaf lock.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <linux/kvm.h>
#include <pthread.h>

#include "core/util.h"

#define IRQ_LINES    24u   /* GSI 0..23: the IOAPIC's pins */
#define IRQ_GSIS_MAX 4096u /* lines and MSI routes together: KVM_MAX_IRQ_ROUTES */

struct irq {
	int vm_fd; /* borrowed */
	/* Where KVM has no pins: who has them, fixed after start; NULL: KVM. */
	void (*set_pin)(void *opaque, unsigned gsi, bool level);
	void *set_pin_opaque;
	pthread_mutex_t line_lock; /* guards line_sources and the lines; before `lock` */
	pthread_mutex_t lock;
	uint16_t msi_entry[IRQ_GSIS_MAX]; /* where in the table each MSI's GSI is; 0: nowhere */
	uint8_t line_sources[IRQ_LINES];  /* how many irq_lines assert each GSI */
	uint64_t gsi_used[IRQ_GSIS_MAX / 64];
	bool dirty;  /* the table differs from KVM's */
	bool ending; /* see irq_end; main thread */
	/* What KVM has after the next commit. Last, and never touched beyond head.nr. */
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[IRQ_GSIS_MAX];
	} table;
};

/* `vm_fd` must have its irqchip. The lines are routed to PIC and IOAPIC as on a PC. */
int MUST_CHECK irq_init(struct irq *irq, int vm_fd);
/*
 * The same for a VM without interrupt controllers of KVM's but the local APICs, whose IDs are of 32
 * bits: a change of a line goes to `set_pin`, one at a time. Addresses of MSIs have 7 more bits of
 * the destination, 11:5. [Linux arch/x86/include/asm/msi.h, x86_msi_addr_lo]
 */
int MUST_CHECK irq_init_pins(struct irq *irq, int vm_fd,
			     void (*set_pin)(void *opaque, unsigned gsi, bool level), void *opaque);
void irq_fini(struct irq *irq);
/* For who has the pins: where a pin's interrupts go, told to KVM at once; and one such interrupt.
 */
int MUST_CHECK irq_route_pin(struct irq *irq, unsigned gsi, uint64_t addr, uint32_t data);
void irq_signal(struct irq *irq, uint64_t addr, uint32_t data);
void irq_end(struct irq *irq); /* like vm_end: irqfds go with the VM */

/*
 * One source of a level-triggered (or, in the IOAPIC's eyes, edge-triggered) line. Several sources
 * may share a GSI: the line is high while any of them is.
 */
struct irq_line {
	struct irq *irq;
	unsigned gsi; /* 0..23 */
	bool level;   /* irq's line_lock */
};

void irq_line_init(struct irq_line *line, struct irq *irq, unsigned gsi);
void irq_line_set(struct irq_line *line, bool level); /* one ioctl, only on a change of the GSI */

/*
 * A level line driven by an eventfd from outside this process (VFIO): KVM raises `gsi` when
 * `trigger_fd` is written, and at the guest's EOI lowers it and writes `resample_fd`.
 */
int MUST_CHECK irq_resample_attach(struct irq *irq, unsigned gsi, int trigger_fd, int resample_fd);
void irq_resample_detach(struct irq *irq, unsigned gsi, int trigger_fd);

/*
 * One MSI or MSI-X vector, for emulated and passed-through devices alike: whoever has the
 * interrupt writes `eventfd`, and KVM delivers address and data to the guest with no help from
 * this process. While masked the irqfd is detached and the eventfd's own counter is the pending
 * bit; attaching it again delivers what is pending.
 *
 * The vector belongs to its device, whose lock guards it. GSI and eventfd are taken at the first
 * unmask, or when an emulated device's driver assigns the vector, so that a device with 2048
 * vectors costs only those that are used.
 */
struct msi_vec {
	struct irq *irq;
	int gsi;     /* -1: none yet */
	int eventfd; /* -1: none yet */
	uint64_t addr;
	uint32_t data;
	bool attached; /* KVM has the irqfd */
};

void msi_vec_init(struct msi_vec *vec, struct irq *irq);
void msi_vec_fini(struct msi_vec *vec);

/* Makes sure that gsi and eventfd exist. -ENOSPC when GSIs ran out, -EMFILE when fds did. */
int MUST_CHECK msi_vec_prepare(struct msi_vec *vec);

/*
 * Routes the vector to `addr`/`data`. The table goes to KVM at the next irq_commit, which
 * msi_vec_unmask does by itself.
 */
void msi_vec_route(struct msi_vec *vec, uint64_t addr, uint32_t data);
int MUST_CHECK msi_vec_unmask(struct msi_vec *vec);
void msi_vec_mask(struct msi_vec *vec);
bool msi_vec_pending(const struct msi_vec *vec);

/* One KVM_SET_GSI_ROUTING if anything changed since the last. */
int MUST_CHECK irq_commit(struct irq *irq);

#endif
