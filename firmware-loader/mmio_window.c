/* SPDX-License-Identifier: Apache-2.0 */
/* PCI windows of OVMF; see mmio_window.h. Pure functions. */
#include "firmware-loader/mmio_window.h"

#include <errno.h>

#include "core/err.h"

#define CLASSIC_SIZE      (32 * GiB) /* PcdPciMmio64Size */
#define BITS_MIN          36u
#define BITS_MAX          48u /* firmware asserts it */
#define BITS_MAX_202211   47u
#define BITS_MAX_202308   46u
#define BITS_NO_GIB_PAGES 40u
#define BITS_BELIEVED     41u /* this many or more are taken for true */
#define BITS_PREFERRED    40u /* 1 TiB: room for most, and 4 MiB of page tables */

/* [AMD-48882 2.1.2 IOMMU Logical Topology] */
#define AMD_HOLE_BASE 0xfd00000000ull
#define AMD_HOLE_END  0x10000000000ull

#define BRIDGE_GRANULARITY MiB
#define ROOT_0_SIZE        (16 * MiB) /* emulated devices, where others follow behind them */
#define BAR_MAX            (16 * TiB)

#define ECAM_SIZE         (256 * MiB)
#define ECAM_BASE_202305  0xe0000000ull
#define MMIO32_END_202211 0xfc000000ull

static uint64_t pow2_floor(uint64_t v)
{
	return 1ull << (63 - __builtin_clzll(v));
}

static bool phys_bits_believed(const struct mmio_case *c)
{
	if (c->phys_bits >= BITS_BELIEVED)
		return true;
	switch (c->vendor) {
	case MMIO_VENDOR_INTEL:
		return c->phys_bits == 36 || c->phys_bits == 39;
	case MMIO_VENDOR_AMD:
		return c->phys_bits == 40;
	case MMIO_VENDOR_OTHER:
		break;
	}
	return false;
}

static unsigned clamp_phys_bits(const struct mmio_case *c)
{
	bool gib_pages = c->gib_pages && (c->firmware < OVMF_202308 || c->gib_page_tables);
	unsigned max = c->firmware < OVMF_202308 ? BITS_MAX_202211 : BITS_MAX_202308;

	if (!gib_pages)
		max = BITS_NO_GIB_PAGES;
	return MIN(c->phys_bits, max);
}

struct mmio_window mmio_window_predict(const struct mmio_case *c)
{
	const bool knob = c->knob && c->knob <= MMIO_WINDOW_KNOB_MAX;
	struct mmio_window w = { .size = knob ? align_up(c->knob * MiB, GiB) : CLASSIC_SIZE };
	uint64_t dynamic;

	w.base = align_up(MAX(c->ram_end, 4 * GiB), GiB);
	w.base = align_up(w.base, pow2_floor(w.size));

	if (!phys_bits_believed(c)) {
		w.phys_bits = BITS_MIN;
		while (w.phys_bits < BITS_MAX && w.base + w.size > 1ull << w.phys_bits)
			w.phys_bits++;
		return w;
	}
	w.phys_bits = clamp_phys_bits(c);
	dynamic = 1ull << (w.phys_bits - 3);
	if (c->firmware >= OVMF_202505 && knob)
		return w;
	if (w.size < dynamic && w.base + dynamic < 1ull << w.phys_bits) {
		w.size = dynamic;
		w.base = (1ull << w.phys_bits) - dynamic;
	}
	return w;
}

/* True if every firmware that can reach the window at all computes it as planned. */
static bool all_firmware_agrees(const struct mmio_request *req, const struct mmio_plan *plan)
{
	for (unsigned i = 0; i < 3 * 3 * 2; i++) {
		struct mmio_case c = {
			.firmware = (enum mmio_firmware)(i % 3),
			.vendor = (enum mmio_vendor)(i / 3 % 3),
			.gib_page_tables = i / 9,
			.phys_bits = plan->phys_bits,
			.gib_pages = req->gib_pages,
			.ram_end = req->ram_end,
			.knob = plan->knob,
		};
		struct mmio_window w;

		if (c.firmware >= OVMF_202308 && !c.gib_page_tables && !plan->below_1tib)
			continue;
		w = mmio_window_predict(&c);
		if (w.base != plan->base || w.size != plan->size ||
		    w.base + w.size > 1ull << w.phys_bits)
			return false;
	}
	return true;
}

/*
 * What lies side by side on the root bus: a BAR there, or the window of the root port whose first
 * BAR is number `i`. False if BAR `i` is not the first.
 */
static bool root_bus_node(const struct mmio_request *req, size_t i, uint64_t *ret_len,
			  uint64_t *ret_align)
{
	const unsigned port = req->bars[i].port;
	uint64_t len = 0, align = BRIDGE_GRANULARITY;

	for (size_t k = 0; port && k < i; k++) {
		if (req->bars[k].port == port)
			return false;
	}
	for (size_t k = i; k < (port ? req->count : i + 1); k++) {
		uint64_t size = MAX(pow2_ceil(req->bars[k].size), BRIDGE_GRANULARITY);

		if (req->bars[k].port == port) {
			/* Powers of two, the largest first, leave no gaps. */
			len += size;
			align = MAX(align, size);
		}
	}
	*ret_len = len;
	*ret_align = align;
	return true;
}

/*
 * The length of all BARs of a root bus, in a window that is aligned to the largest. Of neighbours
 * with the same alignment that which leaves the smallest gap behind it counts as the last: the
 * worst case.
 */
static uint64_t space_of_root(const struct mmio_request *req, unsigned root, uint64_t *ret_align)
{
	uint64_t end = 0;

	*ret_align = BRIDGE_GRANULARITY;
	for (uint64_t align = BAR_MAX; align >= BRIDGE_GRANULARITY; align /= 2) {
		uint64_t sum = 0, smallest_gap = align;

		for (size_t i = 0; i < req->count; i++) {
			uint64_t len, node_align, gap;

			if (req->bars[i].root != root ||
			    !root_bus_node(req, i, &len, &node_align) || node_align != align)
				continue;
			gap = align_up(len, align) - len;
			sum += len + gap;
			smallest_gap = MIN(smallest_gap, gap);
		}
		if (sum) {
			end = align_up(end, align) + sum - smallest_gap;
			*ret_align = MAX(*ret_align, align);
		}
	}
	return end;
}

static uint64_t space_needed(const struct mmio_request *req)
{
	unsigned roots = 0;
	uint64_t end, align;

	for (size_t i = 0; i < req->count; i++)
		roots = MAX(roots, req->bars[i].root);
	end = space_of_root(req, 0, &align) + (roots ? ROOT_0_SIZE : 0);
	for (unsigned root = 1; root <= roots; root++) {
		const uint64_t len = space_of_root(req, root, &align);

		end = align_up(end, align) + len;
	}
	return end;
}

/* Completes a plan with phys_bits and size; false if the window does not go there. */
static bool place(const struct mmio_request *req, uint64_t bars, struct mmio_plan *plan)
{
	const uint64_t ram_end = MAX(req->ram_end, 4 * GiB);
	const uint64_t space = 1ull << plan->phys_bits;
	uint64_t end;

	plan->base = align_up(ram_end, pow2_floor(plan->size));
	if (!range_fits(plan->base, plan->size, space))
		return false;
	end = plan->base + plan->size;
	if (ranges_overlap(plan->base, plan->size, AMD_HOLE_BASE, AMD_HOLE_END - AMD_HOLE_BASE))
		return false;
	/* Linux tries from the top down in steps of what it needs: only there one length is enough.
	 */
	if (space - end < bars && plan->base - ram_end < 2 * bars)
		return false;
	plan->knob = (uint32_t)(plan->size / MiB);
	plan->below_1tib = end <= TiB;
	return all_firmware_agrees(req, plan);
}

/* `bars` in MiB, so that every sum can be told. */
static int does_not_fit(const struct mmio_request *req, uint64_t bars)
{
	int r = err_set(ERR_LIMIT, -ENOSPC,
			"64-bit BARs of %llu MiB do not fit above %llu MiB of guest addresses with "
			"the host's %u address bits",
			(unsigned long long)bars, (unsigned long long)(req->ram_end / MiB),
			req->host_phys_bits);

	err_hint("pass fewer or smaller devices through, or give the guest less memory");
	return r;
}

int mmio_window_plan(const struct mmio_request *req, struct mmio_plan *ret_plan)
{
	const unsigned max =
		MIN(req->host_phys_bits, req->gib_pages ? BITS_MAX_202308 : BITS_NO_GIB_PAGES);
	const uint64_t size_max = (uint64_t)MMIO_WINDOW_KNOB_MAX * MiB;
	uint64_t bars = 0, need;
	bool possible = req->ram_end <= 1ull << BITS_MAX_202308;

	for (size_t i = 0; i < req->count; i++) {
		bars += req->bars[i].size / MiB;
		possible = possible && req->bars[i].size <= BAR_MAX && bars <= size_max / MiB;
	}
	if (!possible)
		return does_not_fit(req, bars);
	need = space_needed(req);
	need = MAX(align_up(need + need / 4, GiB), CLASSIC_SIZE);

	for (unsigned bits = MIN(max, BITS_PREFERRED); bits >= BITS_MIN && bits <= max; bits++) {
		struct mmio_plan plan = { .phys_bits = bits };
		const uint64_t tables = (1ull << bits) / GiB * 4 * KiB;

		plan.size = MAX(need, 1ull << (bits - 3));
		/* A larger one may lie elsewhere, behind the addresses that AMD reserves. */
		while (plan.size <= size_max && !place(req, bars * MiB, &plan))
			plan.size = pow2_ceil(plan.size + 1);
		if (plan.size > size_max)
			continue;
		if (tables > req->low_ram / 2)
			return err_set(ERR_LIMIT, -ENOSPC,
				       "firmware needs %llu MiB "
				       "of guest memory to reach %u address bits",
				       (unsigned long long)(2 * tables / MiB), bits);
		*ret_plan = plan;
		return 0;
	}
	return does_not_fit(req, bars);
}

void mmio_window_32(uint64_t ecam_base, uint64_t low_ram_end, uint64_t *ret_base, uint64_t *ret_end)
{
	if (ecam_base < ECAM_BASE_202305) {
		*ret_base = ecam_base + ECAM_SIZE;
		*ret_end = MMIO32_END_202211;
	} else {
		*ret_base = 4 * GiB - pow2_floor(4 * GiB - low_ram_end);
		*ret_end = ecam_base;
	}
}

void mmio_window_cover(uint64_t *base, uint64_t *size, uint64_t bar, uint64_t bar_size)
{
	uint64_t end = MAX(*base + *size, bar + bar_size);

	if (!*size) {
		*base = bar;
		*size = bar_size;
		return;
	}
	*base = MIN(*base, bar);
	*size = end - *base;
}
