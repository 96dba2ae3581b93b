/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to standard error, one write(2) a line, any thread. Lines begin with "tinyvmm: ". Or to
 * a function of the program that has the machine inside. What a guest can cause goes through
 * log_guest, which is rate-limited.
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

/*
 * In place of standard error: gets each message without prefix and end of line, on the thread that
 * has it. NULL: standard error again. Not while other threads of ours run.
 */
void log_set_sink(void (*sink)(void *opaque, enum log_level level, const char *text), void *opaque);

void log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/*
 * What a guest can cause: at most LOG_LIMIT lines a call site for each machine of the process, the
 * last of which says that more are dropped. A guest's fault is a warning.
 */
#define LOG_LIMIT 8u
#define log_limited(level, ...)                                   \
	do {                                                      \
		static atomic_uint log_count_;                    \
		log_msg_limited(&log_count_, level, __VA_ARGS__); \
	} while (0)
#define log_guest(...) log_limited(LOG_WARN, __VA_ARGS__)
void log_msg_limited(atomic_uint *count, enum log_level level, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Another machine begins: what the one before it used up is there again. */
void log_begin_machine(void);

#endif
