/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's PIC, IOAPIC, local APICs and PIT: made at start, put back to their power-on state at a
 * reset. [KVM API 4.24 KVM_CREATE_IRQCHIP, 4.71 KVM_CREATE_PIT2].
 */
#include <linux/kvm.h>

#include "core/arch.h"
#include "core/device.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/layout.h"
#include "x86_64/x86.h"

/* KVM has the local APICs only, with IDs of 32 bits; the reserved routes are our IOAPIC's pins. */
static int init_large(struct vm *vm)
{
	struct kvm_enable_cap ids = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IRQ_LINES } };
	int r = sys_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &ids);

	if (r >= 0)
		r = sys_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &split);
	return r < 0 ? err_sys(ERR_HOST, r, "interrupts of more than 255 vCPUs") : 0;
}

int arch_vm_init(struct vm *vm, const struct arch_cpu *cpu)
{
	/* Port 0x61 belongs to the PIT: its gate and output are how Linux calibrates clocks. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = KVM_IDENTITY_MAP_ADDR;
	int r;

	r = sys_ioctl(vm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	if (r < 0)
		return err_sys(ERR_HOST, r, "place KVM's identity map");
	r = sys_ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)KVM_TSS_ADDR);
	if (r < 0)
		return err_sys(ERR_HOST, r, "place KVM's task state segment");
	if (arch_cpu_is_large(cpu))
		return init_large(vm);
	r = sys_ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP, NULL);
	if (r < 0)
		return err_sys(ERR_HOST, r, "create the interrupt controllers");
	r = sys_ioctl(vm->vm_fd, KVM_CREATE_PIT2, &pit);
	if (r < 0)
		return err_sys(ERR_HOST, r, "create the interval timer");
	return 0;
}

/*
 * Which pins may be level-triggered: wired, but KVM keeps it among the PIC's registers, and a 0
 * would freeze them all at edge. [ICH9 13.4.8 ELCR1, ELCR2]
 */
#define PIC1_ELCR_MASK 0xf8
#define PIC2_ELCR_MASK 0xde

/* Power-on: every register 0, all IOAPIC pins masked. [82093AA 3.2.4 I/O Redirection Table] */
static void reset_chip(struct vm *vm, unsigned id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	if (id == KVM_IRQCHIP_PIC_MASTER) {
		chip.chip.pic.elcr_mask = PIC1_ELCR_MASK;
	} else if (id == KVM_IRQCHIP_PIC_SLAVE) {
		chip.chip.pic.elcr_mask = PIC2_ELCR_MASK;
	} else {
		chip.chip.ioapic.base_address = IOAPIC_BASE;
		for (unsigned pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
			chip.chip.ioapic.redirtbl[pin].fields.mask = 1;
	}
	if (sys_ioctl(vm->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
		log_error("reset of interrupt controller %u failed", id);
}

int arch_irqs_init(const struct board *board, struct arch_cpu *cpu)
{
	if (arch_cpu_is_large(cpu))
		return ioapic_init(cpu_ioapic(cpu), board->irq, board->vm->vm_fd, board->mmio);
	return irq_init(board->irq, board->vm->vm_fd);
}

void arch_irqs_fini(const struct board *board, struct arch_cpu *cpu)
{
	irq_fini(board->irq);
	if (arch_cpu_is_large(cpu))
		ioapic_fini(cpu_ioapic(cpu));
}

void arch_irqs_reset(struct vm *vm, struct arch_cpu *cpu)
{
	struct kvm_pit_state2 pit = { .flags = 0 };

	if (arch_cpu_is_large(cpu)) {
		ioapic_reset(cpu_ioapic(cpu));
		return;
	}
	/* The timer first: a last tick of it must not pend in the chips afterwards. */
	for (unsigned i = 0; i < 3; i++) {
		/* What KVM_CREATE_PIT2 leaves: mode 255 counts nothing, the gate of 2 is closed. */
		pit.channels[i].mode = 0xff;
		pit.channels[i].gate = i != 2;
		pit.channels[i].count = 0x10000;
	}
	if (sys_ioctl(vm->vm_fd, KVM_SET_PIT2, &pit) < 0)
		log_error("reset of the interval timer failed");
	reset_chip(vm, KVM_IRQCHIP_PIC_MASTER);
	reset_chip(vm, KVM_IRQCHIP_PIC_SLAVE);
	reset_chip(vm, KVM_IRQCHIP_IOAPIC);
}
