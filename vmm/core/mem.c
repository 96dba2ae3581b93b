/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM banks on anonymous memory, reserved huge pages or files in memory, placed so that huge
 * pages can form on both sides.
 */
#include "core/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "core/err.h"

void guest_mem_init(struct guest_mem *mem)
{
	*mem = (struct guest_mem){ 0 };
}

void guest_mem_fini(struct guest_mem *mem)
{
	for (unsigned i = 0; i < mem->count; i++) {
		munmap(mem->banks[i].area, mem->banks[i].area_size);
		close_fd(&mem->banks[i].fd);
	}
	mem->count = 0;
}

/*
 * `size` bytes at an address congruent to `gpa` modulo `align`, within an area that is larger by
 * that: what is left of it on both sides stays, untouched, since it costs nothing but addresses.
 */
static bool reserve(struct mem_bank *bank, uint64_t align, int prot)
{
	bank->area_size = bank->size + align;
	bank->area = mmap(NULL, bank->area_size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);
	if (bank->area == MAP_FAILED)
		return false;
	bank->hva = bank->area + ((bank->gpa - (uint64_t)(uintptr_t)bank->area) & (align - 1));
	return true;
}

/*
 * A file in memory of the pages that are wanted, sealed: a process that it is given to could
 * otherwise cut it off, and our next access to the lost part would be a SIGBUS.
 */
static int make_file(const struct guest_mem *mem, uint64_t size)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING |
			       (mem->page_size == GiB ? MFD_HUGETLB | MFD_HUGE_1GB
				: mem->page_size != 0 ? MFD_HUGETLB | MFD_HUGE_2MB
						      : 0);
	int fd = memfd_create("guest RAM", flags);

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	close_fd(&fd);
	return -1;
}

/*
 * Reserved pages have to be shared: a private page that a device reaches could be copied at a
 * write, and the two would then see different memory. Of ordinary memory that is kept away by
 * MADV_DONTFORK.
 */
static bool back(const struct guest_mem *mem, uint8_t *hva, uint64_t size, int *ret_fd)
{
	const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB |
			  (mem->page_size == GiB ? MAP_HUGE_1GB : MAP_HUGE_2MB);

	if (mem->shared) {
		*ret_fd = make_file(mem, size);
		return *ret_fd >= 0 && mmap(hva, size, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_FIXED, *ret_fd, 0) != MAP_FAILED;
	}
	return mmap(hva, size, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED;
}

#define NODES_MAX 1024

/* Before the first touch. Without it (a kernel without NUMA) the guest runs as well. */
static void place_part(uint8_t *hva, uint64_t size, const struct mem_part *part)
{
	const unsigned bits = 8 * sizeof(unsigned long);
	unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))] = { 0 };

	if (part->node < 0 || part->node >= NODES_MAX)
		return;
	mask[(unsigned)part->node / bits] = 1ul << ((unsigned)part->node % bits);
	/* The kernel counts one bit more than it reads. */
	(void)syscall(SYS_mbind, hva, size, part->strict ? MPOL_BIND : MPOL_PREFERRED, mask,
		      NODES_MAX + 1, 0);
}

static void place_bank(const struct guest_mem *mem, uint64_t gpa, uint64_t size, uint8_t *hva)
{
	for (unsigned i = 0; i < mem->part_count; i++) {
		const struct mem_part *part = &mem->parts[i];
		const uint64_t start = MAX(gpa, part->gpa);
		const uint64_t end = MIN(gpa + size, part->gpa + part->size);

		if (start < end)
			place_part(hva + (start - gpa), end - start, part);
	}
}

int guest_mem_add(struct guest_mem *mem, uint64_t gpa, uint64_t size)
{
	const uint64_t align = MAX(mem->page_size, 2 * MiB);
	const bool ordinary = !mem->shared && !mem->page_size;
	struct mem_bank bank = { .gpa = gpa, .size = size, .fd = -1 };
	struct rlimit addresses;

	assert(mem->count < GUEST_MEM_BANKS_MAX);
	assert(!mem->page_size || (gpa | size) % mem->page_size == 0);
	assert(size && size % 4096 == 0 && gpa % 4096 == 0 && range_fits(gpa, size, UINT64_MAX));

	/* Of ordinary memory, what is there is what is wanted. */
	if (!reserve(&bank, align, ordinary ? PROT_READ | PROT_WRITE : PROT_NONE))
		goto fail;
	if (!ordinary && !back(mem, bank.hva, size, &bank.fd)) {
		munmap(bank.area, bank.area_size);
		close_fd(&bank.fd);
		goto fail;
	}
	place_bank(mem, gpa, size, bank.hva);
	/* Both are wishes: without them the guest runs as well, only slower or larger in a dump. */
	(void)madvise(bank.hva, size, mem->small_pages ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	(void)madvise(bank.hva, size, MADV_DONTDUMP);
	/* A child (modprobe) must not inherit pinned pages: copy-on-write would part us from DMA.
	 */
	(void)madvise(bank.hva, size, MADV_DONTFORK);
	mem->banks[mem->count++] = bank;
	return 0;
fail:
	err_sys(ERR_LIMIT, -ENOMEM, "reserve %llu MiB of guest memory",
		(unsigned long long)(size / MiB));
	if (getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY)
		err_hint("this process may use %llu MiB of addresses; raise that with 'ulimit -v', "
			 "or ask for less with --memory",
			 (unsigned long long)(addresses.rlim_cur / MiB));
	return -ENOMEM;
}

uint64_t guest_mem_size(const struct guest_mem *mem)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < mem->count; i++)
		sum += mem->banks[i].size;
	return sum;
}

/* Linux 5.14; the headers of older systems lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void mem_populate(const struct guest_mem *mem, uint8_t *p, uint64_t len)
{
	const uint64_t step = MAX(mem->page_size, (uint64_t)sysconf(_SC_PAGESIZE));

	if (madvise(p, len, MADV_POPULATE_WRITE) == 0 || errno != EINVAL)
		return;
	/* An older kernel: a write to each page that changes nothing, not even in a race. */
	for (uint64_t off = 0; off < len; off += step) {
		uint8_t now = __atomic_load_n(p + off, __ATOMIC_RELAXED);

		(void)__atomic_compare_exchange_n(p + off, &now, now, false, __ATOMIC_RELAXED,
						  __ATOMIC_RELAXED);
	}
}

void *mem_ptr(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->count; i++) {
		const struct mem_bank *bank = &mem->banks[i];

		if (gpa >= bank->gpa && range_fits(gpa - bank->gpa, len, bank->size))
			return bank->hva + (gpa - bank->gpa);
	}
	return NULL;
}

const struct mem_part *mem_part_of(const struct guest_mem *mem, uint64_t gpa)
{
	for (unsigned i = 0; i < mem->part_count; i++) {
		const struct mem_part *part = &mem->parts[i];

		if (gpa >= part->gpa && gpa - part->gpa < part->size)
			return part;
	}
	return NULL;
}

bool mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf, size_t len)
{
	const void *p = mem_ptr(mem, gpa, len);

	if (!p)
		return false;
	memcpy(buf, p, len);
	return true;
}

bool mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf, size_t len)
{
	void *p = mem_ptr(mem, gpa, len);

	if (!p)
		return false;
	memcpy(p, buf, len);
	return true;
}
