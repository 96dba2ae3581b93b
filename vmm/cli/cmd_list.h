/* SPDX-License-Identifier: Apache-2.0 */
/* What `tinyvmm list` prints, apart from where; docs/list-doctor.md has the form. Main thread. */
#ifndef CMD_LIST_H
#define CMD_LIST_H

#include <stdio.h>

#include "core/util.h"

struct list_config {
	const char *root; /* in front of /sys, /proc, /dev and /usr: "" but in tests */
	bool all;         /* every device but bridges, not only GPUs */
	bool json;
	unsigned width; /* of the terminal; 0: none */
};

/* An error of the host is an empty list; -ENOMEM, kind ERR_LIMIT. */
int MUST_CHECK list_print(const struct list_config *config, FILE *out);

#endif
