/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS 3.0 tables: what the machine and its processors are called and how much memory it has, for
 * dmidecode and its like. [SMBIOS-3.0 5.2.2 64-bit Entry Point], [SMBIOS-3.0 7 Structure
 * Definitions]. The BIOS information (type 0) is the firmware's own. Pure functions, any thread.
 */
#ifndef BOOT_SMBIOS_H
#define BOOT_SMBIOS_H

#include "boot/buf.h"

#define SMBIOS_ANCHOR_FILE "etc/smbios/smbios-anchor"
#define SMBIOS_TABLES_FILE "etc/smbios/smbios-tables"

struct smbios_range {
	uint64_t base, size; /* bytes of RAM */
};

/* One processor package; all are alike. */
struct smbios_cpu {
	const char *vendor, *name;        /* as texts of the machine */
	uint32_t signature, features;     /* EAX and EDX of CPUID leaf 1 */
	unsigned sockets, cores, threads; /* cores of each socket, threads of each core */
};

struct smbios_machine {
	/* Printable ASCII, NULL or "": not told. */
	const char *manufacturer, *product, *version;
	uint8_t uuid[16]; /* in the order of its text; all zeroes: none */
	struct smbios_cpu cpu;
	const struct smbios_range *ram;
	unsigned ram_ranges; /* 1..256 */
};

struct smbios_tables {
	struct buf anchor; /* SMBIOS_ANCHOR_FILE; its table address is 0, firmware has its own */
	struct buf tables; /* SMBIOS_TABLES_FILE */
};

/* -EINVAL (kind ERR_INTERNAL) for a text or a range that cannot be told, -ENOMEM. */
int MUST_CHECK smbios_build(const struct smbios_machine *m, struct smbios_tables *ret_tables);
/*
 * For a guest without firmware: completes the anchor, which will lie at `gpa`; where the tables
 * have to lie, behind it. At most 4 GiB.
 */
uint64_t smbios_link(struct smbios_tables *t, uint64_t gpa);
void smbios_tables_fini(struct smbios_tables *t);

#endif
