/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the program, a file each. Each returns the exit status of the process. */
#ifndef COMMANDS_H
#define COMMANDS_H

struct options;

/* Runs one guest: checks the host, takes the devices, runs the machine, gives the devices back. */
int cmd_run(const struct options *options);

/* Shows the host's GPUs. */
int cmd_list(const struct options *options);

/* Prints the error chain as one line, with what to do about it; the exit status of its kind. */
int command_failed(void);

#endif
