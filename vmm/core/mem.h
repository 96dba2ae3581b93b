/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: a few banks, each contiguous in guest-physical and in host memory, fixed after the
 * machine starts. The table may be read by any thread without a lock.
 *
 * The contents belong to a hostile guest and can change at any moment: copy a structure once
 * (mem_read), check the copy, and never look at guest memory again for the same value.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/util.h"

#define GUEST_MEM_BANKS_MAX 8

struct cpu_set;

struct mem_bank {
	uint64_t gpa;  /* first guest-physical address, page aligned */
	uint64_t size; /* bytes, page multiple */
	uint8_t *hva;  /* host mapping, read-write */
	uint8_t *area; /* mem.c's: the mapping that hva is in */
	uint64_t area_size;
	int fd;        /* what is mapped there from its start, for another process; -1: nobody's */
};

/* A range of guest-physical addresses whose memory has a place on the host. */
struct mem_part {
	uint64_t gpa, size;
	int node;                   /* of the host; -1: any */
	bool strict;                /* nowhere else; or else there first */
	const struct cpu_set *cpus; /* that fetch it best; NULL: any; outlives the memory */
};

#define MEM_PARTS_MAX 24

struct guest_mem {
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	unsigned count;
	/* How banks are made; set between guest_mem_init and the first of them. */
	uint64_t page_size; /* of reserved huge pages: 2 MiB or 1 GiB; 0: ordinary memory */
	bool small_pages;   /* no transparent huge pages in that */
	bool shared;        /* each bank has a file that another process can map */
	/* Where its memory comes from, in ascending order; what is in none: from anywhere. */
	struct mem_part parts[MEM_PARTS_MAX];
	unsigned part_count;
};

void guest_mem_init(struct guest_mem *mem);
void guest_mem_fini(struct guest_mem *mem);

/*
 * Adds a bank of zeroed memory, backed lazily. The file of a shared one cannot change its size, so
 * that who maps it cannot take pages from under us. Banks must not overlap. `gpa` and `hva` are
 * congruent modulo 2 MiB, or the larger size of reserved pages, so that huge pages can map both
 * sides; both are multiples of mem->page_size. Fails with -ENOMEM (kind ERR_LIMIT).
 */
int MUST_CHECK guest_mem_add(struct guest_mem *mem, uint64_t gpa, uint64_t size);

uint64_t guest_mem_size(const struct guest_mem *mem); /* the sum of all banks */

/*
 * Gives `len` bytes at `p`, whole pages of a bank, the pages behind them, zeroed. What is in use
 * already stays as it is, even if the guest writes to it meanwhile. A page that cannot be had is
 * left to its first use. Any thread, several at once on different parts.
 */
void mem_populate(const struct guest_mem *mem, uint8_t *p, uint64_t len);

/* The host address of [gpa, gpa + len), or NULL unless the whole range lies in one bank. */
void *mem_ptr(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* The part that `gpa` is in, or NULL. */
const struct mem_part *mem_part_of(const struct guest_mem *mem, uint64_t gpa);

/* One copy; false, with nothing copied, unless the whole range lies in one bank. */
bool MUST_CHECK mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf, size_t len);
bool MUST_CHECK mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf, size_t len);

#endif
