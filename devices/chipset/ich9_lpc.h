/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ISA bridge of an ICH9, function 00:1f.0, with what a PC finds behind it: ACPI power
 * management (PM timer, power button, S5), and the two ways to reset the machine.
 * [ICH9 13 LPC Interface Bridge Registers (D31:F0), Intel I/O Controller Hub 9 datasheet]
 *
 * For the ACPI tables: the PM timer has 24 bits (no TMR_VAL_EXT), no GPE block, S5 is SLP_TYP 0,
 * ACPI mode is always on (no SMI_CMD).
 */
#ifndef DEVICES_ICH9_LPC_H
#define DEVICES_ICH9_LPC_H

#include "devices/pci/pci.h"

/* The PM block's registers, relative to its base. */
#define ICH9_PM1_STS 0x00
#define ICH9_PM1_EN  0x02
#define ICH9_PM1_CNT 0x04
#define ICH9_PM_TMR  0x08
#define ICH9_PM_SIZE 0x80 /* ports that it occupies */

struct ich9_lpc;

struct ich9_lpc_config {
	/*
	 * Where the PM block is after power-on, already decoded (ACPI_CNTL says so, and firmware
	 * then leaves it alone). A multiple of ICH9_PM_SIZE.
	 */
	uint16_t pm_base;
	/*
	 * The command port of the keyboard controller (0x64). There is no such controller, its
	 * ports read all ones; but its command to pulse the reset line is obeyed.
	 */
	uint16_t kbd_command_port;
	unsigned sci_gsi;
};

/* Puts nothing on a bus: the caller adds ich9_lpc_pci() as 00:1f.0. -ENOMEM, or bus_add's errors.
 */
int MUST_CHECK ich9_lpc_create(const struct board *board, const struct ich9_lpc_config *config,
			       struct ich9_lpc **ret_lpc);

/* The function on the bus and the device that machine resets and destroys. */
struct pci_dev *ich9_lpc_pci(struct ich9_lpc *lpc);

/*
 * Presses the power button. False if the guest does not listen (no ACPI driver has enabled the
 * event yet); the press is then forgotten. Any thread.
 */
bool ich9_lpc_power_button(struct ich9_lpc *lpc);

/*
 * Byte accesses to port CF9, which belongs to the PCI root's port range. `lpc` is a void pointer so
 * that they fit there.
 */
uint8_t ich9_lpc_reset_read(void *lpc);
void ich9_lpc_reset_write(void *lpc, uint8_t val);

#endif
