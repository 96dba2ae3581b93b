/* SPDX-License-Identifier: Apache-2.0 */
/* Where guest RAM lies, and whether the host has so much. Pure but for /proc. Main thread. */
#ifndef GUEST_RAM_H
#define GUEST_RAM_H

#include "core/hugepages.h"
#include "core/mem.h"
#include "core/util.h"

/*
 * The banks of `memory` bytes, without host memory: below the PCI hole first, the rest above 4 GiB,
 * around what an AMD IOMMU cannot map. Returns how many.
 */
unsigned guest_ram_layout(uint64_t memory, struct mem_bank ret_banks[GUEST_MEM_BANKS_MAX]);

/*
 * Pours the memory of each node (`shares`, which sum up to that of the banks) into the banks in
 * their order: a part's `node` is the index of its share. `nodes` at most PLACEMENT_NODES_MAX.
 * Returns how many parts.
 */
unsigned guest_ram_split(const struct mem_bank *banks, unsigned bank_count, const uint64_t *shares,
			 unsigned nodes, struct mem_part ret_parts[MEM_PARTS_MAX]);

/*
 * More memory than the host has can only end in the guest's or somebody else's death. A
 * passed-through device needs all of it at once (`pinned`), because any page may be the target of
 * DMA; without one the kernel gives out pages as the guest touches them, and less than that may be
 * free now. Huge pages that are reserved are not counted as free, and asked for instead. -ENOMEM,
 * kind ERR_LIMIT; or what hugepages_choose says.
 */
int MUST_CHECK guest_ram_check(uint64_t memory, enum hugepages_mode mode, bool pinned);
/* The same, and which pages it comes from; 0: ordinary ones. */
int MUST_CHECK guest_ram_choose(uint64_t memory, enum hugepages_mode mode, bool pinned,
				uint64_t *ret_page_size);

/* The same of ordinary pages alone. `root` is in front of /proc, "" but in tests. */
int MUST_CHECK guest_ram_check_free(const char *root, uint64_t memory, bool pinned);

#endif
