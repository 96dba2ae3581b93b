/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping and trapping the BARs of a passed-through device. Maps change on a vCPU's thread with the
 * device's lock held; trapped accesses take the lock for the MSI-X table only.
 * [PCI-3.0 6.2.5 Base Addresses], [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure].
 */
#include "vfio/bar.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "core/err.h"
#include "core/log.h"

static uint64_t host_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

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

	if (!region->mmap || region->size < page)
		return 0;
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

static bool in_area(const struct vfio_area *area, uint64_t off)
{
	return off >= area->off && off - area->off < area->size;
}

static uint64_t bar_read(void *opaque, uint64_t off, unsigned len)
{
	struct vfio_bar *bar = opaque;
	struct vfio_bars *bars = bar->bars;
	const struct vfio_msix_layout *m = &bars->msix;
	const bool table = m->msix && bar->n == m->table_bar && in_area(&m->table, off);
	const bool pba = m->msix && bar->n == m->pba_bar && in_area(&m->pba, off);
	uint64_t val = 0;

	/*
	 * A vector that was unmasked once pends in its eventfd, one that never was in the device:
	 * the two together are what the guest would see.
	 */
	if (!table && (!pba || m->pba_is_real))
		val = vfio_region_read(bars->dev, bar->n, off, len);
	if (!table && !pba)
		return val;
	pthread_mutex_lock(&bars->pci->lock);
	if (table)
		val = pci_msix_table_read(m->msix, off - m->table.off, len);
	else
		val |= pci_msix_pba_read(m->msix, off - m->pba.off, len);
	pthread_mutex_unlock(&bars->pci->lock);
	return val;
}

static void bar_write(void *opaque, uint64_t off, unsigned len, uint64_t val)
{
	struct vfio_bar *bar = opaque;
	struct vfio_bars *bars = bar->bars;
	const struct vfio_msix_layout *m = &bars->msix;

	if (m->msix && bar->n == m->table_bar && in_area(&m->table, off)) {
		pthread_mutex_lock(&bars->pci->lock);
		pci_msix_table_write(m->msix, off - m->table.off, len, val);
		pthread_mutex_unlock(&bars->pci->lock);
		return;
	}
	if (m->msix && bar->n == m->pba_bar && in_area(&m->pba, off))
		return; /* read-only */
	vfio_region_write(bars->dev, bar->n, off, len, val);
}

static const struct bus_ops bar_ops = { .read = bar_read, .write = bar_write };

static struct bus *bar_bus(const struct vfio_bars *bars, unsigned n)
{
	const struct board *board = bars->pci->board;

	return bars->pci->bars[n].kind == PCI_BAR_IO ? board->pio : board->mmio;
}

/*
 * What kind of BAR `n` is; VFIO shows its flags. The host may have found no room for one, I/O ports
 * above all: its register is 0 then and there is nothing to reach.
 */
static enum pci_bar_kind bar_kind(const struct vfio_region *region, unsigned n, uint32_t reg)
{
	if (!region->size || !reg)
		return PCI_BAR_NONE;
	if (reg & PCI_BASE_ADDRESS_SPACE_IO)
		return PCI_BAR_IO;
	if ((reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 &&
	    n + 1 < PCI_BARS)
		return PCI_BAR_MEM64;
	return PCI_BAR_MEM32;
}

static void bar_init(struct vfio_bars *bars, unsigned n)
{
	const struct vfio_region *region = &bars->dev->regions[n];
	const uint32_t reg = (uint32_t)vfio_region_read(bars->dev, VFIO_PCI_CONFIG_REGION_INDEX,
							PCI_BASE_ADDRESS_0 + 4 * n, 4);
	const enum pci_bar_kind kind = bar_kind(region, n, reg);
	/* At least what the register's flags leave: 4 ports or 16 bytes. */
	const uint64_t least = kind == PCI_BAR_IO ? 4 : 16;

	bars->bar[n].bars = bars;
	bars->bar[n].n = n;
	if (kind == PCI_BAR_NONE || (n && bars->pci->bars[n - 1].kind == PCI_BAR_MEM64))
		return;
	pci_bar_init(bars->pci, n, kind, pow2_ceil(MAX(region->size, least)),
		     kind != PCI_BAR_IO && reg & PCI_BASE_ADDRESS_MEM_PREFETCH);
	bars->bar[n].range = (struct bus_range){
		.size = bars->pci->bars[n].size,
		.ops = &bar_ops,
		.dev = &bars->bar[n],
	};
}

void vfio_bars_init(struct vfio_bars *bars, struct pci_dev *pci, const struct vfio_device *dev)
{
	*bars = (struct vfio_bars){ .pci = pci, .dev = dev };
	for (unsigned n = 0; n < PCI_BARS; n++)
		bar_init(bars, n);
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
	const uint64_t size = align_up(dev->regions[bar->n].size, host_page());
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
	count = vfio_bar_split(region, traps, trap_count, host_page(), pieces);
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

void vfio_bar_map(struct vfio_bars *bars, unsigned n)
{
	struct vfio_bar *bar = &bars->bar[n];
	const uint64_t addr = bars->pci->bars[n].addr;
	struct vm *vm = bars->pci->board->vm;
	int r;

	if (bars->asleep)
		return;
	bar->range.base = addr;
	r = bus_add(bar_bus(bars, n), &bar->range);
	if (r < 0) {
		log_guest("%s: BAR %u cannot be at 0x%" PRIx64 ": %s", bars->dev->bdf, n, addr,
			  strerror(-r));
		return;
	}
	for (unsigned i = 0; i < bar->piece_count; i++) {
		struct vfio_bar_piece *piece = &bar->pieces[i];

		r = vm_slot_map(vm, &piece->slot, addr + piece->off, piece->size, piece->hva, 0);
		if (r < 0)
			log_guest("%s: BAR %u is not mapped at 0x%" PRIx64 ": %s", bars->dev->bdf,
				  n, addr + piece->off, strerror(-r));
	}
}

void vfio_bar_unmap(struct vfio_bars *bars, unsigned n)
{
	struct vfio_bar *bar = &bars->bar[n];

	for (unsigned i = 0; i < bar->piece_count; i++)
		vm_slot_unmap(bars->pci->board->vm, &bar->pieces[i].slot);
	bus_remove(bar_bus(bars, n), &bar->range);
}

void vfio_bars_sleep(struct vfio_bars *bars)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (bars->pci->bars[n].mapped)
			vfio_bar_unmap(bars, n);
	}
	bars->asleep = true;
}

void vfio_bars_wake(struct vfio_bars *bars)
{
	if (!bars->asleep)
		return;
	bars->asleep = false;
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (bars->pci->bars[n].mapped)
			vfio_bar_map(bars, n);
	}
}
