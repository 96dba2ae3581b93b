/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit statuses of a run beside those of err_kind (core/err.h). docs/exit-status.md and
 * docs/command.md list them.
 */
#ifndef RUN_STATUS_H
#define RUN_STATUS_H

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
#define STATUS_NO_RUN         125 /* it could not be started, or we could not go on */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

#endif
