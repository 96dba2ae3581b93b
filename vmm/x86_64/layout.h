/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-physical map and the port map, drawn once. Sources: Intel 3 Series (MCH) and ICH9
 * datasheets for what exists on a q35, edk2's OvmfPkg for where firmware expects it.
 *
 *   0x0000_0000  RAM, up to LOW_RAM_MAX (2 GiB); the rest of it starts at 4 GiB
 *   0xb000_0000  ECAM, 256 MiB, wherever PCIEXBAR says (firmware before 202305)
 *   0xc000_0000  32-bit PCI window, up to 0xfc00_0000
 *   0xe000_0000  ECAM in newer firmware, the PCI window then lies below it
 *   0xfec0_0000  IOAPIC (in KVM)
 *   0xfee0_0000  local APIC, MSI addresses (in KVM)
 *   0xfeff_c000  KVM's identity map page and TSS pages, never seen by the guest
 *   0xffc0_0000  flash: VARS, then CODE, which ends at 4 GiB
 *   0x1_0000_0000 RAM above 4 GiB
 *   above RAM    64-bit PCI window, see firmware-loader/mmio_window.h
 */
#ifndef X86_64_LAYOUT_H
#define X86_64_LAYOUT_H

#include "core/util.h"

#define LOW_RAM_MAX   (2 * GiB)
#define HIGH_RAM_BASE (4 * GiB)

/*
 * AMD reserves this range for HyperTransport: its IOMMUs cannot map it, so RAM that would reach
 * into it continues at 1 TiB. [AMD-48882 2.1.2 IOMMU Logical Topology]
 */
#define AMD_HT_HOLE_BASE 0xfd00000000ull
#define AMD_HT_HOLE_END  0x10000000000ull

#define IOAPIC_BASE           0xfec00000ull
#define LAPIC_BASE            0xfee00000ull
#define KVM_IDENTITY_MAP_ADDR 0xfeffc000ull
#define KVM_TSS_ADDR          0xfeffd000ull /* three pages */

#define ECAM_BASE_OVMF 0xb0000000ull /* before firmware has chosen one */
#define ECAM_SIZE      (256 * MiB)

#define FLASH_END (4 * GiB)

/*
 * Without firmware: what a kernel is told and starts with lies below 1 MiB, tables where a kernel
 * that was not told their address looks for them ([ACPI-6.5 5.2.5.1], [SMBIOS-3.0 5.2.2]). ECAM and
 * the window below it are as newer firmware has them: larger, and aligned to 512 MiB.
 */
#define BOOT_INFO        0x7000u
#define BOOT_TABLES      0x8000u /* arch_boot.tables */
#define BOOT_CMDLINE     0x20000u
#define BIOS_HOLE_BASE   0xa0000u /* no RAM for the guest up to 1 MiB */
#define BOOT_ACPI        0xe0000u
#define BOOT_SMBIOS      0xf0000u
#define BOOT_SMBIOS_END  0x100000u
#define ECAM_BASE_BOOT   0xe0000000ull
#define PCI_IO_BASE_BOOT 0x1000u /* up to the last port */
#define PCI_IO_END       0x10000u

/* Ports. */
#define PORT_PIC1       0x20 /* in KVM */
#define PORT_PIT        0x40 /* in KVM, with 0x61 */
#define PORT_I8042_CMD  0x64 /* 0xfe pulses the reset line */
#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA  0x71
#define PORT_COM1       0x3f8
#define PORT_DEBUG      0x402
#define PORT_FW_CFG     0x510
#define PORT_PM_BASE    0x600 /* reset value and what firmware programs into PMBASE */
#define PORT_PCI_ADDR   0xcf8
#define PORT_RESET      0xcf9
#define PORT_PCI_DATA   0xcfc

/* GSIs. */
#define GSI_COM1 4
#define GSI_RTC  8
#define GSI_SCI  9
/* 16..23: INTx of PCI slots, see pci_root_gsi */

/* Slots of the root bus. */
#define SLOT_HOST_BRIDGE 0
#define SLOT_RNG         1
#define FUNCTION_FIRST_NET 1 /* of that slot, up to 4 networks */
#define SLOT_FIRST_DISK  2 /* up to 12 disks */
/* 14..29: up to 16 root ports, one a passed-through slot; see PCI_SLOT_FIRST_PORT */
/* The streams of a run of one command, and in functions 1 to 7 the folders that it shares. */
#define SLOT_COMMAND 30
#define SLOT_LPC     31

#endif
