/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to standard error, a line in one write(2) so that lines of several threads stay whole.
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

static atomic_int max_level = LOG_INFO;
static atomic_bool raw_terminal;
static void (*log_sink)(void *opaque, enum log_level level, const char *text);
static void *log_sink_opaque;

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, level);
}

void log_set_raw_terminal(bool raw)
{
	atomic_store(&raw_terminal, raw);
}

void log_set_sink(void (*sink)(void *opaque, enum log_level level, const char *text), void *opaque)
{
	log_sink = sink;
	log_sink_opaque = opaque;
}

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[1024] = "tinyvmm: ";
	const size_t prefix = strlen(line);
	const char *end = atomic_load(&raw_terminal) ? "\r\n" : "\n";
	const size_t room = sizeof(line) - prefix - strlen(end);
	int n = vsnprintf(line + prefix, room, fmt, ap);
	size_t len = prefix + (n < 0 ? 0 : MIN((size_t)n, room - 1));

	if (log_sink) {
		log_sink(log_sink_opaque, level, line + prefix);
		return;
	}
	strcpy(line + len, end);
	/* Nothing can be done about a closed standard error. */
	if (write(STDERR_FILENO, line, len + strlen(end)) < 0)
		return;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if ((int)level > atomic_load(&max_level))
		return;
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

/* Counts begin at this, which each machine has moved by more than any can come to. */
static atomic_uint first_count;
#define COUNT_STEP (2 * LOG_LIMIT)

void log_begin_machine(void)
{
	atomic_fetch_add(&first_count, COUNT_STEP);
}

void log_msg_limited(atomic_uint *count, enum log_level level, const char *fmt, ...)
{
	const unsigned first = atomic_load(&first_count);
	unsigned old = atomic_load(count), n;
	va_list ap;

	if ((int)level > atomic_load(&max_level))
		return;
	do {
		/* What an earlier machine has left is below. */
		n = old - first < COUNT_STEP ? old - first : 0;
		if (n >= LOG_LIMIT)
			return;
	} while (!atomic_compare_exchange_weak(count, &old, first + n + 1));
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
	if (n == LOG_LIMIT - 1)
		log_msg(level, "(more of the same is not shown)");
}
