/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to standard error, one write(2) a line, any thread. Lines begin with "tinyvmm: ".
 * What a guest can cause goes through log_guest, which is rate-limited.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdatomic.h>

#include "core/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Messages above `level` are dropped. LOG_INFO at start. */
void log_set_level(enum log_level level);

/*
 * True while the terminal is in raw mode: lines then end in CR LF. Set by the console that owns the
 * terminal.
 */
void log_set_raw_terminal(bool raw);

void log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/*
 * A guest's fault, at warning level: at most LOG_GUEST_BURST lines a call site for the life of the
 * process, the last of which says that more are dropped.
 */
#define LOG_GUEST_BURST 8u
#define log_guest(...)                                                                             \
	do {                                                                                       \
		static atomic_uint log_guest_count_;                                               \
		log_guest_limited(&log_guest_count_, __VA_ARGS__);                                 \
	} while (0)
void log_guest_limited(atomic_uint *count, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
