/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping guest RAM for DMA, whatever the IOMMU interface: what the IOMMU cannot do and what the
 * limit of locked memory forbids is found and told before anything is pinned. Main thread, but for
 * the mapping itself (pin.c).
 */
#include "vfio/iommu.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/device.h"
#include "vfio/memlock.h"
#include "vfio/p2p.h"

#define RANGES_TEXT_SIZE 256

/* See vfio_iommu_check_ram. */
#define SLICE_MIN (256 * MiB)

/* "0x0-0xfedfffff, 0xfef00000-0x7fffffffff" */
static void ranges_text(const struct vfio_iommu_limits *limits, char *buf)
{
	size_t len = 0;

	for (unsigned i = 0; i < limits->range_count && len < RANGES_TEXT_SIZE - 1; i++)
		len += (size_t)snprintf(buf + len, RANGES_TEXT_SIZE - len,
					"%s0x%" PRIx64 "-0x%" PRIx64, i ? ", " : "",
					(uint64_t)limits->ranges[i].start,
					(uint64_t)limits->ranges[i].end);
}

int vfio_iommu_check_range(const struct vfio_iommu_limits *limits, const struct mem_bank *bank)
{
	const uint64_t last = bank->gpa + (bank->size - 1);
	char text[RANGES_TEXT_SIZE] = "";
	uint64_t top = 0;

	for (unsigned i = 0; i < limits->range_count; i++) {
		const struct vfio_iova_range *r = &limits->ranges[i];

		if (r->start <= bank->gpa && last <= r->end)
			return 0;
		top = MAX(top, (uint64_t)r->end);
	}
	if (!limits->range_count)
		return 0;
	ranges_text(limits, text);
	err_set(last > top ? ERR_LIMIT : ERR_HOST, -ERANGE,
		"guest memory at 0x%" PRIx64 "-0x%" PRIx64
		" is not among the addresses that the IOMMU can map for the devices (%s)",
		bank->gpa, last, text);
	if (last > top)
		err_hint("give the guest less memory: this IOMMU ends at 0x%" PRIx64, top);
	else
		err_hint("the platform reserves a part of it: see "
			 "/sys/kernel/iommu_groups/*/reserved_regions");
	return -ERANGE;
}

/*
 * How many slices of `size` all banks make at most: slices begin at multiples of their size, and
 * the end of a part cuts one in two.
 */
static uint64_t count_slices(const struct guest_mem *mem, uint64_t size)
{
	uint64_t count = mem->part_count;

	for (unsigned i = 0; i < mem->count; i++) {
		const struct mem_bank *bank = &mem->banks[i];

		count += (bank->gpa + bank->size - 1) / size - bank->gpa / size + 1;
	}
	return count;
}

static int check_limits(struct vfio_iommu *iommu, const struct guest_mem *mem)
{
	struct vfio_iommu_limits limits;
	int r = iommu->ops->limits(iommu, &limits);

	if (r < 0)
		return r;
	if (mem->count + mem->part_count > limits.maps_left)
		return err_set(ERR_LIMIT, -ENOSPC,
			       "guest memory takes %u DMA mappings, and the IOMMU allows %u more",
			       mem->count + mem->part_count, limits.maps_left);
	for (unsigned i = 0; i < mem->count; i++) {
		const struct mem_bank *bank = &mem->banks[i];
		const uint64_t page = limits.page_sizes & -limits.page_sizes;

		if (page && ((bank->gpa | bank->size) & (page - 1)))
			return err_set(ERR_HOST, -EINVAL,
				       "the IOMMU maps pages of %" PRIu64
				       " bytes, and guest memory is not made of them",
				       page);
		r = vfio_iommu_check_range(&limits, bank);
		if (r < 0)
			return r;
	}
	iommu->slice_size = MAX(SLICE_MIN, mem->page_size);
	while (count_slices(mem, iommu->slice_size) > limits.maps_left)
		iommu->slice_size *= 2;
	return 0;
}

static bool may_lock_anything(void)
{
	char status[8192];

	if (sys_read_text("/proc/self/status", status, sizeof(status)) < 0)
		return false;
	return memlock_status_number(status, "\nCapEff:", 16) >> CAP_IPC_LOCK & 1;
}

/*
 * Pinned pages count against RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK. Finding out only
 * from the kernel would take as long as zeroing all memory.
 */
int vfio_iommu_allow_pinning(uint64_t bytes, bool by_user)
{
	const uint64_t before = by_user ? memlock_of_user("/proc") : memlock_of_process("/proc");
	const uint64_t need = bytes + before;
	struct rlimit lim, want;

	if (getrlimit(RLIMIT_MEMLOCK, &lim) < 0)
		return err_sys(ERR_HOST, -errno, "read the limit of locked memory");
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur >= need)
		return 0;

	want.rlim_cur = need;
	want.rlim_max = MAX(lim.rlim_max, (rlim_t)need);
	if (setrlimit(RLIMIT_MEMLOCK, &want) == 0)
		return 0;
	if (may_lock_anything())
		return 0;

	err_set(ERR_LIMIT, -ENOMEM,
		"the devices need all %llu MiB of guest memory pinned, which takes a limit of "
		"locked memory of %llu KiB; it is %llu KiB",
		bytes / MiB, need / KiB, lim.rlim_max / KiB);
	if (by_user && before)
		err_hint("raise it with 'ulimit -l %llu': "
			 "iommufd counts what all programs of a user have pinned, "
			 "%llu KiB before this one; --iommu type1 counts this one alone",
			 need / KiB, before / KiB);
	else
		err_hint("raise it with 'ulimit -l %llu', LimitMEMLOCK= in a systemd unit "
			 "or memlock in /etc/security/limits.conf, or run as root",
			 need / KiB);
	return -ENOMEM;
}

int vfio_iommu_check_clean(const struct vfio_iommu *iommu)
{
	for (struct vfio_device *dev = iommu->devices; dev; dev = dev->next) {
		int r;

		if (dev->clean)
			continue;
		r = dev->failed ? vfio_device_answers(dev) : 0;
		if (r < 0) {
			err_hint("a power cycle of the host may bring it back");
			return r;
		}
		if (dev->failed && dev->dirty) {
			r = err_set(ERR_RESET, -EIO,
				    "%s; what its last guest left in it is still there", dev->why);
			err_hint("if that does not matter: "
				 "tinyvmm release %s forgets it, and so does a reboot of the host",
				 dev->bdf);
			return r;
		}
		log_warn("%s: could not be reset: the guest gets it as its last user left it",
			 dev->bdf);
	}
	return 0;
}

int vfio_iommu_check_ram(struct vfio_iommu *iommu, const struct guest_mem *mem)
{
	int r;

	assert(!iommu->mapped_count);
	r = check_limits(iommu, mem);
	if (r < 0)
		return r;
	return vfio_iommu_allow_pinning(guest_mem_size(mem), iommu->ops->pins_by_user);
}

int vfio_iommu_map(struct vfio_iommu *iommu, const struct mem_bank *part)
{
	const unsigned n = iommu->mapped_count;
	int r = iommu->ops->map(iommu, part->gpa, part->size, part->hva);

	if (r < 0)
		return err_wrap(r, "map guest memory at 0x%" PRIx64 "-0x%" PRIx64 " for DMA",
				part->gpa, part->gpa + (part->size - 1));
	if (n && iommu->mapped[n - 1].iova + iommu->mapped[n - 1].size == part->gpa) {
		iommu->mapped[n - 1].size += part->size;
		return 0;
	}
	assert(n < ARRAY_SIZE(iommu->mapped));
	iommu->mapped[n].iova = part->gpa;
	iommu->mapped[n].size = part->size;
	iommu->mapped_count++;
	return 0;
}

void vfio_iommu_destroy(struct vfio_iommu *iommu)
{
	if (!iommu)
		return;
	while (iommu->mapped_count) {
		iommu->mapped_count--;
		iommu->ops->unmap(iommu, iommu->mapped[iommu->mapped_count].iova,
				  iommu->mapped[iommu->mapped_count].size);
	}
	vfio_p2p_destroy(iommu->p2p);
	iommu->ops->destroy(iommu);
}
