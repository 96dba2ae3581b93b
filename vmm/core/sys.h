/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls with one way to report failure: the result or a negative errno. EINTR is retried
 * where a retry is safe. Unit tests replace these functions with the linker's --wrap. Any thread.
 */
#ifndef CORE_SYS_H
#define CORE_SYS_H

#include <sys/types.h>

#include "core/util.h"

/* Close-on-exec is always added. */
int MUST_CHECK sys_open(const char *path, int flags, mode_t mode);
int MUST_CHECK sys_ioctl(int fd, unsigned long request, void *arg);
int MUST_CHECK sys_eventfd(void);   /* non-blocking, close-on-exec, count 0 */
void sys_eventfd_signal(int fd);    /* adds 1; a full counter already means "signalled" */
uint64_t sys_eventfd_drain(int fd); /* the count since the last drain, 0 if none */

/*
 * The next signal of a signalfd that does not block; 0: none. A signalfd tells of signals that are
 * ignored, too, as they were when we were started (nohup, a shell's background job): not this.
 */
int sys_signal_read(int fd);
bool sys_signal_waits(int fd); /* whether that would find one; true for any other readable fd */

/* The whole buffer or an error; a short transfer is -EIO. */
int MUST_CHECK sys_pread_full(int fd, void *buf, size_t len, uint64_t off);
int MUST_CHECK sys_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/*
 * A small file (sysfs, procfs) as a string without its trailing newline; -EFBIG if it does not fit
 * with its NUL. The file is opened, read in one go and closed.
 */
int MUST_CHECK sys_read_text(const char *path, char *buf, size_t size);
/*
 * The same with one read(2), for what of a longer file that gives: what does not fit is left out.
 */
int MUST_CHECK sys_read_head(const char *path, char *buf, size_t size);
/* One write(2) of the whole text, as sysfs wants it. */
int MUST_CHECK sys_write_text(const char *path, const char *text);

/*
 * A whole file into fresh memory, NUL-terminated beyond its length; free() it. -EFBIG above `max`.
 */
int MUST_CHECK sys_read_file(const char *path, size_t max, void **ret_data, size_t *ret_len);

#endif
