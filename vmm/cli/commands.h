/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the program, a file each. Each returns the exit status of the process. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "core/util.h"

struct options;

/* Runs one guest: checks the host, takes the devices, runs the machine, gives the devices back. */
int cmd_run(const struct options *options);

/* Shows the host's GPUs. */
int cmd_list(const struct options *options);

/* Checks what a run needs; the status of the first failure's kind. */
int cmd_doctor(const struct options *options);

/* Moves devices to vfio-pci for good, and back. */
int cmd_bind(const struct options *options);
int cmd_release(const struct options *options);

/* command.c, for the commands that change devices of the host: */

/* As a shell reports a command that a signal ended. */
#define STATUS_SIGNAL 128

/*
 * Of a run of one command, where the command's own status cannot be had; as a shell's, env's and
 * timeout's where those have one.
 */
#define STATUS_NOT_RESET      120 /* a device did not come back from a reset */
#define STATUS_DEVICE         121 /* a device failed, or the host took it */
#define STATUS_NO_MEMORY      122 /* the guest had too little memory for the command */
#define STATUS_PANIC          123 /* the guest's kernel or a vCPU crashed */
#define STATUS_TIMED_OUT      124
#define STATUS_NO_RUN         125 /* it could not be started */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

/*
 * The status of a run of one command that is tinyvmm's own and not the command's: `status` is of
 * err_kind, or above all of those, and then as it is.
 */
int command_status_beside(int status);

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
