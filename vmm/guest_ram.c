/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM before it is there; see guest_ram.h. Main thread. */
#include "guest_ram.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"
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

int guest_ram_check_free(const char *root, uint64_t memory, bool pinned)
{
	FILE *meminfo = fopen(host_sysfs_path(root, "proc/meminfo").s, "re");
	uint64_t have = 0;
	char line[128], name[32];
	unsigned long long kib;

	while (meminfo && fgets(line, sizeof(line), meminfo)) {
		if (sscanf(line, "%31[^:]: %llu kB", name, &kib) == 2 &&
		    strcmp(name, pinned ? "MemAvailable" : "MemTotal") == 0)
			have = kib * KiB;
	}
	if (meminfo)
		fclose(meminfo);
	if (!have || memory <= have)
		return 0;
	err_set(ERR_LIMIT, -ENOMEM, "--memory: %llu MiB are more than the %llu MiB that %s",
		(unsigned long long)(memory / MiB), (unsigned long long)(have / MiB),
		pinned ? "are free on this host, and a passed-through device needs all at once"
		       : "this host has");
	err_hint("ask for less with --memory");
	return -ENOMEM;
}

int guest_ram_check(uint64_t memory, enum hugepages_mode mode, bool pinned)
{
	uint64_t page_size = 0;
	int r = hugepages_choose(mode, memory, &page_size);

	return r < 0 || page_size ? r : guest_ram_check_free("", memory, pinned);
}
