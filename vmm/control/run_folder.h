/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a run that has a name, for as long as it runs: its control socket, its log and its
 * process. Private to the user. Who runs has the folder locked, so that what a killed run left is
 * known for that, and removed by the next who looks. Any one thread.
 *
 * They lie in /run/tinyvmm/guests for root, else in $XDG_RUNTIME_DIR/tinyvmm/guests.
 */
#ifndef RUN_FOLDER_H
#define RUN_FOLDER_H

#include "core/util.h"

#define RUN_NAME_MAX          40u /* characters */
#define RUN_FOLDER_PLACE_SIZE 512

/* What is in a folder. */
#define RUN_FOLDER_SOCKET  "control"
#define RUN_FOLDER_LOG     "log"
#define RUN_FOLDER_OLD_LOG "log.old"
#define RUN_FOLDER_PID     "pid"

struct run_folder {
	int fd; /* of the folder, with the lock if it is ours; -1: none */
	char name[RUN_NAME_MAX + 1];
};

/* Letters, digits, "-", "_" and "."; begins with a letter or a digit. */
bool run_folder_name_fits(const char *name);

/*
 * Makes and locks the folder of this process; `name` "": the least number that is free. `root` is
 * in front of all paths, "" but in tests. -EEXIST, kind ERR_USAGE: another run has the name.
 */
int MUST_CHECK run_folder_create(const char *root, const char *name, struct run_folder *ret_folder);
/* Removes it, and everything that it may hold. */
void run_folder_remove(const char *root, struct run_folder *folder);

/* The folder of another run. -ENOENT, kind ERR_USAGE: no guest of that name runs. */
int MUST_CHECK run_folder_open(const char *root, const char *name, struct run_folder *ret_folder);
void run_folder_close(struct run_folder *folder);
bool run_folder_is_alive(const struct run_folder *folder); /* one that run_folder_open gave */

/*
 * The directory that has to be there before a run can have a folder: /run, or a user's
 * $XDG_RUNTIME_DIR. False: it is not, so no guest of this user can be seen.
 */
struct run_folder_place {
	char s[RUN_FOLDER_PLACE_SIZE];
};
bool run_folder_place(const char *root, struct run_folder_place *ret_place);

/*
 * The names of those that run, in order; removes what killed ones have left. free() each and the
 * array.
 */
int MUST_CHECK run_folder_list(const char *root, char ***ret_names, unsigned *ret_count);

/* "/proc/self/fd/7/control": the file `file` of the folder, however long the folder's own path. */
struct run_folder_path {
	char s[64];
};
struct run_folder_path run_folder_path(const struct run_folder *folder, const char *file);

#endif
