/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk that tells a cloud image's cloud-init what to do at its first start: what the user wrote
 * for it, and the keys that may log in. A NoCloud seed, made in memory. Main thread.
 */
#ifndef SEED_H
#define SEED_H

#include "core/util.h"

/*
 * Either file may be NULL. -> *ret_fd: the disk's image in a file without a name, which nothing can
 * change any more. What cloud-init would not understand is an error (kind ERR_FILE).
 */
int MUST_CHECK seed_make(const char *user_data, const char *ssh_key, int *ret_fd);

#endif
