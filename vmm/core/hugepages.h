/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages guest RAM is made of. Huge pages that the administrator has reserved (hugetlb) are
 * certain and need no zeroing page by page; transparent ones form when the kernel finds room.
 * [Linux: Documentation/admin-guide/mm/hugetlbpage.rst]. Main thread.
 */
#ifndef CORE_HUGEPAGES_H
#define CORE_HUGEPAGES_H

#include "core/util.h"

enum hugepages_mode {
	HUGEPAGES_AUTO, /* reserved ones if there are enough, else transparent ones */
	HUGEPAGES_2M,   /* reserved ones of this size, or an error */
	HUGEPAGES_1G,
	HUGEPAGES_OFF, /* ordinary pages */
};

/*
 * The size of the reserved pages to make `memory` bytes of, 0: none. -ENOMEM, kind ERR_LIMIT, with
 * how many are missing and what reserves them; -EINVAL, kind ERR_USAGE, if `memory` is no multiple.
 * Nobody keeps the pages for us until they are mapped.
 */
int MUST_CHECK hugepages_choose(enum hugepages_mode mode, uint64_t memory, uint64_t *ret_page_size);

#endif
