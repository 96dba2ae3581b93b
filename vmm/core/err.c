/* SPDX-License-Identifier: Apache-2.0 */
/* The error chain of each thread: a kind, one line of text, one hint. No allocation. */
#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/log.h"

static _Thread_local struct err_chain chain = { .kind = ERR_INTERNAL };

int err_set(enum err_kind kind, int code, const char *fmt, ...)
{
	va_list ap;

	chain.kind = kind;
	chain.hint[0] = '\0';
	chain.hint_of_errno = false;
	va_start(ap, fmt);
	vsnprintf(chain.text, sizeof(chain.text), fmt, ap);
	va_end(ap);
	return code;
}

static void hint_of_errno(int code)
{
	struct rlimit limit;

	chain.hint_of_errno = code == -EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0;
	if (chain.hint_of_errno)
		snprintf(chain.hint, sizeof(chain.hint),
			 "this process may have %llu files open; raise that with 'ulimit -n', "
			 "LimitNOFILE= in a systemd unit or nofile in /etc/security/limits.conf",
			 (unsigned long long)limit.rlim_cur);
}

int err_sys(enum err_kind kind, int code, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	chain.kind = kind;
	chain.hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(chain.text, sizeof(chain.text), fmt, ap);
	va_end(ap);
	len = strlen(chain.text);
	snprintf(chain.text + len, sizeof(chain.text) - len, ": %s", strerror(-code));
	/* Which file was the one too many says nothing of what is wrong. */
	if (code == -EMFILE || code == -ENFILE)
		chain.kind = ERR_LIMIT;
	hint_of_errno(code);
	return code;
}

int err_wrap(int code, const char *fmt, ...)
{
	char cause[sizeof(chain.text)];
	va_list ap;
	size_t len;

	memcpy(cause, chain.text, sizeof(cause));
	va_start(ap, fmt);
	vsnprintf(chain.text, sizeof(chain.text), fmt, ap);
	va_end(ap);
	len = strlen(chain.text);
	snprintf(chain.text + len, sizeof(chain.text) - len, ": %s", cause);
	return code;
}

void err_hint(const char *fmt, ...)
{
	va_list ap;

	if (chain.hint[0] && !chain.hint_of_errno)
		return;
	chain.hint_of_errno = false;
	va_start(ap, fmt);
	vsnprintf(chain.hint, sizeof(chain.hint), fmt, ap);
	va_end(ap);
}

const char *err_text(void)
{
	return chain.text;
}

const char *err_hint_text(void)
{
	return chain.hint;
}

enum err_kind err_kind(void)
{
	return chain.kind;
}

void err_clear(void)
{
	chain.kind = ERR_INTERNAL;
	chain.text[0] = '\0';
	chain.hint[0] = '\0';
	chain.hint_of_errno = false;
}

void err_log(void)
{
	log_error("%s%s%s", chain.text, chain.hint[0] ? "; " : "", chain.hint);
}

void err_save(struct err_chain *ret_chain)
{
	*ret_chain = chain;
}

void err_restore(const struct err_chain *saved)
{
	chain = *saved;
}
