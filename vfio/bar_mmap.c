/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a passed-through device's BARs in this process: which parts may be mapped, and
 * where. Main thread, before and after the guest. [Linux: VFIO_DEVICE_GET_REGION_INFO, mmap of the
 * device's file].
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "core/err.h"
#include "core/log.h"
#include "vfio/bar.h"

/* Of the traps that touch [from, end): the pages of the one that begins first, in *ret_trap. */
static bool first_trap(const struct vfio_area *traps, unsigned count, uint64_t page, uint64_t from,
		       uint64_t end, struct vfio_area *ret_trap)
{
	bool found = false;

	for (unsigned i = 0; i < count; i++) {
		const uint64_t off = align_down(traps[i].off, page);
		const uint64_t size = align_up(traps[i].off + traps[i].size, page) - off;

		if (!ranges_overlap(off, size, from, end - from) || (found && ret_trap->off <= off))
			continue;
		*ret_trap = (struct vfio_area){ off, size };
		found = true;
	}
	return found;
}

unsigned vfio_bar_split(const struct vfio_region *region, const struct vfio_area *traps,
			unsigned trap_count, uint64_t page,
			struct vfio_area ret_pieces[VFIO_BAR_PIECES_MAX])
{
	const struct vfio_area whole = { 0, region->size };
	const struct vfio_area *areas = region->sparse ? region->areas : &whole;
	const unsigned area_count = region->sparse ? region->area_count : 1;
	unsigned count = 0;

	if (!region->mmap || !region->size)
		return 0;
	if (region->size < page) {
		struct vfio_area trap;

		if (region->sparse || first_trap(traps, trap_count, page, 0, page, &trap))
			return 0;
		ret_pieces[0] = (struct vfio_area){ 0, page };
		return 1;
	}
	for (unsigned i = 0; i < area_count; i++) {
		uint64_t from = align_up(areas[i].off, page);
		const uint64_t end = align_down(areas[i].off + areas[i].size, page);

		while (from < end && count < VFIO_BAR_PIECES_MAX) {
			struct vfio_area trap = { end, 0 };

			(void)first_trap(traps, trap_count, page, from, end, &trap);
			if (trap.off > from)
				ret_pieces[count++] = (struct vfio_area){ from, trap.off - from };
			from = trap.off + trap.size;
			if (!trap.size)
				break;
		}
	}
	return count;
}

/* Address space without memory, at `want` (which it replaces) or, if that is NULL, anywhere. */
static void *reserve(void *want, uint64_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	return mmap(want, size, PROT_NONE, want ? flags | MAP_FIXED : flags, -1, 0);
}

/*
 * Address space for the whole BAR at an address that is congruent with any that the BAR can have,
 * modulo 1 GiB: then one entry of both page tables maps as much as the CPU can.
 */
static int reserve_bar(struct vfio_bar *bar)
{
	const struct vfio_device *dev = bar->bars->dev;
	const uint64_t size = align_up(dev->regions[bar->n].size, vfio_host_page());
	const uint64_t align = MIN(size & -size, 1 * GiB);
	uint8_t *p = reserve(NULL, size + align);
	uint8_t *base;

	if (p == MAP_FAILED)
		return err_sys(ERR_LIMIT, -errno,
			       "%s: address space for BAR %u, 0x%" PRIx64 " bytes", dev->bdf,
			       bar->n, size);
	base = (uint8_t *)align_up((uintptr_t)p, align);
	if (base > p)
		munmap(p, (size_t)(base - p));
	munmap(base + size, (size_t)(p + align - base));
	bar->map = base;
	bar->map_size = size;
	return 0;
}

static int mmap_bar(struct vfio_bar *bar)
{
	const struct vfio_bars *bars = bar->bars;
	const struct vfio_msix_layout *m = &bars->msix;
	const struct vfio_region *region = &bars->dev->regions[bar->n];
	struct vfio_area traps[2], pieces[VFIO_BAR_PIECES_MAX];
	unsigned trap_count = 0, count;
	int r;

	if (m->msix && m->table_bar == bar->n)
		traps[trap_count++] = m->table;
	if (m->msix && m->pba_bar == bar->n)
		traps[trap_count++] = m->pba;
	count = vfio_bar_split(region, traps, trap_count, vfio_host_page(), pieces);
	if (!count)
		return 0;
	r = reserve_bar(bar);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++) {
		void *want = (uint8_t *)bar->map + pieces[i].off;
		void *p = mmap(want, pieces[i].size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       bars->dev->fd, (off_t)(region->offset + pieces[i].off));

		if (p == MAP_FAILED && errno == EBUSY) {
			/* Trapped reads would be refused in the same way, and read ones. */
			err_set(ERR_DEVICE, -EBUSY, "%s: BAR %u is in use by the host itself",
				bars->dev->bdf, bar->n);
			err_hint("/proc/iomem says by what; a boot framebuffer goes away with the "
				 "kernel option initcall_blacklist=sysfb_init");
			return -EBUSY;
		}
		if (p == MAP_FAILED) {
			log_warn("%s: BAR %u at 0x%" PRIx64 " cannot be mapped (%s): slow access",
				 bars->dev->bdf, bar->n, pieces[i].off, strerror(errno));
			/* The failed call may have left a hole, which must not become another's. */
			(void)reserve(want, pieces[i].size);
			continue;
		}
		bar->pieces[bar->piece_count++] = (struct vfio_bar_piece){
			.off = pieces[i].off,
			.size = pieces[i].size,
			.hva = p,
		};
	}
	return 0;
}

int vfio_bars_mmap(struct vfio_bars *bars, const struct vfio_msix_layout *msix)
{
	bars->msix = *msix;
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const enum pci_bar_kind kind = bars->pci->bars[n].kind;
		int r;

		if (kind != PCI_BAR_MEM32 && kind != PCI_BAR_MEM64)
			continue;
		r = mmap_bar(&bars->bar[n]);
		if (r < 0)
			return r;
	}
	return 0;
}

void vfio_bars_fini(struct vfio_bars *bars)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct vfio_bar *bar = &bars->bar[n];

		if (bar->map)
			munmap(bar->map, bar->map_size);
		bar->map = NULL;
		bar->piece_count = 0;
	}
}
