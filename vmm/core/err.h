/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error chain: what went wrong on the host's or the user's side, told once, as one line.
 *
 * A function that fails returns a negative errno and leaves a chain behind; each caller that knows
 * more puts its context in front. The log gets "context: cause; hint", and the process exits with
 * the status of the chain's kind. Guest errors never come here (they are logged, see log.h), and
 * our own bugs are asserts.
 *
 * The chain belongs to the calling thread, like errno. A thread that fails on behalf of another
 * hands over the text itself.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include "core/util.h"

/* The exit status of the process, by what the user has to change. docs/exit-status.md lists them.
 */
enum err_kind {
	ERR_INTERNAL = 1, /* none of the below: a failure nobody foresaw */
	ERR_USAGE = 2,    /* the command line */
	ERR_HOST = 3,     /* KVM, IOMMU, permissions: the machine or its kernel */
	ERR_DEVICE = 4,   /* a PCI device: absent, busy, its group, its reset */
	ERR_FILE = 5,     /* a disk image, firmware, ROM or variable store */
	ERR_LIMIT = 6,    /* memory, memlock, open files: a size that does not fit */
	ERR_GUEST = 7,    /* the guest crashed in a way that the CPU cannot continue from */
	ERR_AER = 8,      /* a PCI device reported an uncorrectable error to the host */
	ERR_WANTED = 9,   /* the host wants a device back */
	ERR_RESET = 10,   /* a PCI device did not come back from a reset */
};

/*
 * Starts a new chain with the cause and returns `code` (a negative errno). The errno's own text is
 * not added: say it in the words of the user, or pass "%s" and strerror(-code).
 */
int err_set(enum err_kind kind, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Starts a new chain "what: strerror(-code)" and returns `code`. Where the errno alone says what
 * helps (the limit of open files), that is the hint until somebody says better; and a want of open
 * files is a limit, whatever `kind` says of what was to be opened.
 */
int err_sys(enum err_kind kind, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "text: " in front of the chain and returns `code`. */
int err_wrap(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Says what to do about it. The first hint of a chain stays: it was given closest to the cause. */
void err_hint(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The chain of this thread; "" and ERR_INTERNAL when there is none. Valid until the next err_*. */
const char *err_text(void);
const char *err_hint_text(void);
enum err_kind err_kind(void);
void err_clear(void);

/* The chain on the log: "context: cause; hint". */
void err_log(void);

/*
 * The chain, put aside while a clean-up runs whose own failures are not the story. After a restore
 * the chain is as it was.
 */
struct err_chain {
	enum err_kind kind;
	char text[1024];
	char hint[512];
	bool hint_of_errno;
};
void err_save(struct err_chain *ret_chain);
void err_restore(const struct err_chain *chain);

#endif
