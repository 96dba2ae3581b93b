/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the program, a file each. Each returns the exit status of the process. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "core/util.h"

struct options;

/* Runs one guest, by the words behind `run`, of which `options` are made. */
int cmd_run(const struct options *options, int count, const char *const words[]);

/* Shows the host's GPUs. */
int cmd_list(const struct options *options);

/* Checks what a run needs; the status of the first failure's kind. */
int cmd_doctor(const struct options *options);

/* Guests that run: lists, ends, shows and steers them. */
int cmd_ps(const struct options *options);
int cmd_stop(const struct options *options);
int cmd_console(const struct options *options);
int cmd_logs(const struct options *options);
int cmd_control(const struct options *options);

/* Moves devices to vfio-pci for good, and back. */
int cmd_bind(const struct options *options);
int cmd_release(const struct options *options);

/* command.c, for the commands that change devices of the host: */

/*
 * Signals that end a command come through this fd from here on, and none ends the process by
 * itself.
 */
int MUST_CHECK command_open_signals(int *ret_fd);

/* command_failed, but for a failure with -EINTR the status of the signal. */
int command_ended(int r, int signal_fd);

/*
 * Gives back what an earlier command left behind because it was killed. The first thing that every
 * command does that looks at devices; one that wants some of them leases those before. No signal
 * ends it half way, whether the command has opened signals or not.
 */
void command_recover(void);

/* Prints the error chain as one line, with what to do about it; the exit status of its kind. */
int command_failed(void);

#endif
