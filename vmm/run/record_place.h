/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a file of the host ends up whose way leads through folders that a guest can write to: no
 * symbolic link in them is followed, so what the guest put there leads nowhere else. Any thread.
 */
#ifndef RECORD_PLACE_H
#define RECORD_PLACE_H

#include <limits.h>

#include "core/util.h"

struct record_shares;

struct record_place {
	int dir; /* the folder, O_PATH */
	char name[NAME_MAX + 1];
	bool shared; /* `dir` is one that a guest can write to, or below one */
};

/*
 * `path` is absolute. Its last part need not be there; if it is a symbolic link outside of all
 * shares, the place is where it leads. -ELOOP: it, or what it points at, has a link on its way that
 * lies in a share, or belongs to another user who could put it there; or leads back up inside of
 * one.
 */
int MUST_CHECK record_place_find(const char *path, const struct record_shares *shares,
				 struct record_place *ret_place);

void record_place_fini(struct record_place *place);

#endif
