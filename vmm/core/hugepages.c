/* SPDX-License-Identifier: Apache-2.0 */
/* Reserved huge pages, as sysfs counts them. Main thread. */
#include "core/hugepages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-%llukB/%s"

/* A file of the pool of pages of `size`; 0 if it is not there. */
static uint64_t pool_number(uint64_t size, const char *file)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), POOL, (unsigned long long)(size / KiB), file);
	if (sys_read_text(path, text, sizeof(text)) < 0)
		return 0;
	return strtoull(text, NULL, 10);
}

static bool has_pool(uint64_t size)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), POOL, (unsigned long long)(size / KiB), "nr_hugepages");
	return sys_read_text(path, text, sizeof(text)) == 0;
}

/* Those that nobody has, and nobody was promised. */
static uint64_t free_pages(uint64_t size)
{
	const uint64_t have = pool_number(size, "free_hugepages");
	const uint64_t promised = pool_number(size, "resv_hugepages");

	return have > promised ? have - promised : 0;
}

static int require(const char *name, uint64_t size, uint64_t memory)
{
	const uint64_t wanted = memory / size, have = free_pages(size);
	int r;

	if (memory % size)
		return err_set(ERR_USAGE, -EINVAL,
			       "--hugepages %s: %llu MiB of memory are not made of such pages",
			       name, (unsigned long long)(memory / MiB));
	if (wanted <= have)
		return 0;
	if (!has_pool(size)) {
		r = err_set(ERR_HOST, -ENOTSUP,
			    "--hugepages %s: this host has no pages of that size", name);
		err_hint("leave the option out: other huge pages are used if there are any");
		return r;
	}
	r = err_set(ERR_LIMIT, -ENOMEM,
		    "--hugepages %s: the guest's memory takes %llu pages, and %llu are free: %llu "
		    "are missing",
		    name, (unsigned long long)wanted, (unsigned long long)have,
		    (unsigned long long)(wanted - have));
	err_hint("reserve them with 'echo %llu > /sys/kernel/mm/hugepages/hugepages-%llukB/"
		 "nr_hugepages', soon after the host's start",
		 (unsigned long long)(pool_number(size, "nr_hugepages") + wanted - have),
		 (unsigned long long)(size / KiB));
	return r;
}

int hugepages_choose(enum hugepages_mode mode, uint64_t memory, uint64_t *ret_page_size)
{
	uint64_t size = 0;
	int r = 0;

	switch (mode) {
	case HUGEPAGES_AUTO:
		if (memory % GiB == 0 && memory / GiB <= free_pages(GiB))
			size = GiB;
		else if (memory % (2 * MiB) == 0 && memory / (2 * MiB) <= free_pages(2 * MiB))
			size = 2 * MiB;
		break;
	case HUGEPAGES_2M:
		size = 2 * MiB;
		r = require("2M", size, memory);
		break;
	case HUGEPAGES_1G:
		size = GiB;
		r = require("1G", size, memory);
		break;
	case HUGEPAGES_OFF:
		break;
	}
	if (r == 0)
		*ret_page_size = size;
	return r;
}
