/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where firmware puts PCI BARs, and how to make it choose well before it runs. OVMF cannot be told
 * a window, but it computes one from the CPU's physical address bits, the end of RAM and the fw_cfg
 * file opt/ovmf/X-PciMmio64Mb (edk2, OvmfPkg/Library/PlatformInitLib/MemDetect.c). Pure functions.
 *
 * It knows two windows above 4 GiB, of which the knob is the size in MiB:
 *  classic: `knob` large (32 GiB without it), from the end of RAM rounded up to that;
 *  dynamic: the last eighth of the address space, if the CPU's address bits look believable.
 * Up to 202502 the dynamic one wins if it is the larger, from 202505 on the knob always wins.
 *
 * So mmio_window_plan asks for a classic window that is at least as large as the dynamic one: all
 * versions then agree on one place, known in advance, with the fewest address bits. Few bits
 * matter: stock 4M images map all of the address space with 2 MiB pages before they do anything
 * else, and from 202308 on such images refuse to look beyond 40 bits.
 */
#ifndef FIRMWARE_LOADER_MMIO_WINDOW_H
#define FIRMWARE_LOADER_MMIO_WINDOW_H

#include "core/util.h"

#define MMIO_WINDOW_KNOB_FILE "opt/ovmf/X-PciMmio64Mb"
#define MMIO_WINDOW_KNOB_MAX  0x1000000u /* MiB; firmware ignores a larger one */

/* A 64-bit memory BAR. Behind a root port only prefetchable ones go above 4 GiB. */
struct mmio_bar {
	uint64_t size;
	unsigned port; /* a number for each root port with devices behind it; 0: the root bus */
	unsigned root; /* the root bus of the port: 0, or 1, 2, ... for further ones */
};

struct mmio_request {
	const struct mmio_bar *bars;
	size_t count;
	uint64_t ram_end;        /* guest-physical end of RAM */
	uint64_t low_ram;        /* bytes of RAM below 4 GiB */
	unsigned host_phys_bits; /* CPUID 0x80000008 EAX[7:0] of the host */
	bool gib_pages;          /* CPUID 0x80000001 EDX bit 26 of the guest */
};

struct mmio_plan {
	/* For CPUID 0x80000008 EAX: this in bits 7..0, and 0 in bits 23..16 (GuestPhysBits). */
	unsigned phys_bits;
	uint32_t knob;       /* for MMIO_WINDOW_KNOB_FILE */
	uint64_t base, size; /* the window, for the root bridge's _CRS as well */
	/*
	 * False: the window ends above 1 TiB, where images of 202308 or newer whose PEI phase has
	 * 32 bits (OvmfPkgIa32X64) do not reach.
	 */
	bool below_1tib;
};

/*
 * The window holds all BARs in the order in which firmware places them, largest alignment first,
 * where a root port's window has the alignment of its largest BAR; and a quarter more. Where there
 * are further root buses, each has a place of its own, behind those before it. The window avoids
 * the addresses below 1 TiB that an AMD IOMMU cannot map.
 *
 * Behind the window the plan leaves free as much as the BARs have, or before it twice as much:
 * Linux takes addresses for a GPU's own memory from what lies in no resource (kernel/resource.c,
 * request_free_mem_region). For the same reason the root bridge's _CRS must not claim all that RAM
 * leaves.
 *
 * -ENOSPC (kind ERR_LIMIT) with what does not fit.
 */
int MUST_CHECK mmio_window_plan(const struct mmio_request *request, struct mmio_plan *ret_plan);

/* The firmware versions that differ here; each up to the next. */
enum mmio_firmware { OVMF_202211, OVMF_202308, OVMF_202505 };
enum mmio_vendor { MMIO_VENDOR_INTEL, MMIO_VENDOR_AMD, MMIO_VENDOR_OTHER };

struct mmio_case {
	enum mmio_firmware firmware;
	bool gib_page_tables;    /* built with PcdUse1GPageTable: X64 images yes, Ia32X64 no */
	enum mmio_vendor vendor; /* of the guest's CPUID */
	unsigned phys_bits;
	bool gib_pages;
	uint64_t ram_end; /* below 2^62 */
	uint32_t knob;    /* 0: absent */
};

struct mmio_window {
	uint64_t base, size;
	unsigned phys_bits; /* firmware maps 2^this; what lies beyond it cannot reach */
};

/* The window that firmware computes. */
struct mmio_window mmio_window_predict(const struct mmio_case *c);

/*
 * The 32-bit window of firmware that put ECAM (256 MiB) at `ecam_base`: 0xb0000000 up to 202302,
 * with the window behind it, 0xe0000000 since, with the window before it. `low_ram_end` is at most
 * 2 GiB (or, in general, `ecam_base`).
 */
void mmio_window_32(uint64_t ecam_base, uint64_t low_ram_end, uint64_t *ret_base,
		    uint64_t *ret_end);

/*
 * Extends the window [*base, *base + *size) to contain a BAR: for firmware that did not do what was
 * planned. The BAR is above 4 GiB and does not wrap.
 */
void mmio_window_cover(uint64_t *base, uint64_t *size, uint64_t bar, uint64_t bar_size);

#endif
