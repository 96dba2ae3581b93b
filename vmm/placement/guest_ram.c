/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM before it is there; see guest_ram.h. Main thread. */
#include "placement/guest_ram.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"
#include "placement/placement.h"
#include "vfio/host_sysfs.h"
#include "x86_64/layout.h"

unsigned guest_ram_layout(uint64_t memory, struct mem_bank ret_banks[GUEST_MEM_BANKS_MAX])
{
	uint64_t left = memory - MIN(memory, LOW_RAM_MAX);
	uint64_t gpa = HIGH_RAM_BASE;
	unsigned count = 0;

	ret_banks[count++] = (struct mem_bank){ .gpa = 0, .size = memory - left };
	for (; left; gpa = AMD_HT_HOLE_END) {
		uint64_t size = gpa < AMD_HT_HOLE_BASE ? MIN(left, AMD_HT_HOLE_BASE - gpa) : left;

		ret_banks[count++] = (struct mem_bank){ .gpa = gpa, .size = size };
		left -= size;
	}
	return count;
}

unsigned guest_ram_split(const struct mem_bank *banks, unsigned bank_count, const uint64_t *shares,
			 unsigned nodes, struct mem_part ret_parts[MEM_PARTS_MAX])
{
	_Static_assert(PLACEMENT_NODES_MAX + GUEST_MEM_BANKS_MAX <= MEM_PARTS_MAX,
		       "each bank and each node ends one part");
	unsigned count = 0, node = 0;
	uint64_t given = 0; /* of the node's share */

	for (unsigned i = 0; i < bank_count; i++) {
		uint64_t off = 0;

		while (off < banks[i].size && node < nodes) {
			const uint64_t size = MIN(banks[i].size - off, shares[node] - given);

			if (size)
				ret_parts[count++] = (struct mem_part){ .gpa = banks[i].gpa + off,
									.size = size,
									.node = (int)node };
			off += size;
			given += size;
			if (given == shares[node]) {
				node++;
				given = 0;
			}
		}
	}
	return count;
}

struct meminfo {
	uint64_t total, available; /* 0: nobody says */
	uint64_t reserved;         /* in huge pages of all sizes; UINT64_MAX: nobody says */
};

#define MEMINFO_SIZE 4096 /* what procfs gives at once */

/* A line of /proc/meminfo, in bytes. */
static uint64_t meminfo_line(const char *text, const char *name, uint64_t otherwise)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * KiB : otherwise;
}

static struct meminfo read_meminfo(const char *root)
{
	char text[MEMINFO_SIZE];

	if (sys_read_head(host_sysfs_path(root, "proc/meminfo").s, text, sizeof(text)) < 0)
		text[0] = '\0';
	return (struct meminfo){
		.total = meminfo_line(text, "MemTotal:", 0),
		.available = meminfo_line(text, "\nMemAvailable:", 0),
		.reserved = meminfo_line(text, "\nHugetlb:", UINT64_MAX),
	};
}

static int check_free(const struct meminfo *host, uint64_t memory, bool pinned)
{
	const uint64_t have = pinned ? host->available : host->total;

	if (!have || memory <= have)
		return 0;
	err_set(ERR_LIMIT, -ENOMEM, "--memory: %llu MiB are more than the %llu MiB that %s",
		(unsigned long long)(memory / MiB), (unsigned long long)(have / MiB),
		pinned ? "are free on this host, and a passed-through device needs all at once"
		       : "this host has");
	err_hint("ask for less with --memory");
	return -ENOMEM;
}

int guest_ram_check_free(const char *root, uint64_t memory, bool pinned)
{
	const struct meminfo host = read_meminfo(root);

	return check_free(&host, memory, pinned);
}

int guest_ram_choose(uint64_t memory, enum hugepages_mode mode, bool pinned,
		     uint64_t *ret_page_size)
{
	const struct meminfo host = read_meminfo("");
	uint64_t page_size = 0;
	int r = 0;

	/* Most hosts have none, and say so here already. */
	if (mode != HUGEPAGES_AUTO || host.reserved)
		r = hugepages_choose(mode, memory, &page_size);
	if (r == 0 && !page_size)
		r = check_free(&host, memory, pinned);
	if (r == 0)
		*ret_page_size = page_size;
	return r;
}

int guest_ram_check(uint64_t memory, enum hugepages_mode mode, bool pinned)
{
	uint64_t page_size;

	return guest_ram_choose(memory, mode, pinned, &page_size);
}
