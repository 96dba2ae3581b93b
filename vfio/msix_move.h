/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X structures out of the way: a device may have its table or its pending bits in one page with
 * registers, and since the guest's accesses to the table are trapped, so would be those to all of
 * that page. The guest reads from the capability where they are: they can be anywhere else. Main
 * thread, before the guest runs. [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure].
 */
#ifndef VFIO_MSIX_MOVE_H
#define VFIO_MSIX_MOVE_H

#include "vfio/bar.h"

/*
 * True if a page of `page` bytes begins with something else than the MSI-X structure in it. What
 * follows a structure is taken for padding: to begin a page with it is the usual way to have that
 * page for it.
 */
bool vfio_msix_shares_page(const struct vfio_msix_layout *layout, uint64_t page);

/*
 * If a page is shared and could be mapped but for that, moves table and pending bits to a BAR that
 * the device does not have, or, if it has all, behind the registers of its smallest memory BAR, and
 * says so in the capability at `cap`. After vfio_bars_init, before vfio_bars_mmap.
 */
void vfio_msix_move(struct vfio_msix_layout *layout, struct vfio_bars *bars, unsigned cap);

#endif
