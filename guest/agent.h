/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: process 1 of the guest in which `tinyvmm run -- COMMAND` runs the command. One thread.
 * It trusts the host, which has made it, and not the command.
 */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <stdbool.h>

struct job;

/* Tells the host why the command cannot be run, and ends the guest. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The same with the text of errno behind it. */
void fail_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* modules.c: the kernel modules in the initial RAM disk, in the order of their list. */
void modules_load(void);
/* Those that the devices of this guest ask for, by the root file system's own modprobe. */
void modules_for_devices(void);

/* mounts.c: the kernel's own file systems, and after that the root, with its network_resolver. */
void mounts_begin(void);
void mounts_root(const struct job *job);
/* What the command has written is with the host. */
void mounts_end(const struct job *job);

/* network.c: the loopback interface; then those of the job. */
void network_loopback(void);
void network_set_up(const struct job *job);
/* In the root file system, who knows names: it replaces what lies there. */
void network_resolver(const struct job *job);

/*
 * router.c: before the interface comes up: whoever announces addresses of IPv6 to it is asked to
 * repeat that before their time is over. Of the file, -1 if there is none, POLLIN says that
 * router_serve has something to do.
 */
void router_watch(const char *interface);
int router_file(void);
void router_serve(void);

/*
 * command.c: runs it, while `control` is the port's; the status that wait(2) gave. All that it
 * wrote is on its way to the host.
 */
int command_run(const struct job *job, int control);

/*
 * pressure.c: a file that has POLLPRI when all of the guest waits for memory and gets nowhere, for
 * pressure_felt, which has the kernel kill what has most of it; -1: the kernel cannot tell.
 */
int pressure_open(void);
void pressure_felt(void);
/* By the text of /proc/meminfo, whether what is in memory cannot be had again. */
bool pressure_is_want(const char *text);

/* report.c: words for the host's records. */
void report_kernel(void);
void report_drivers(void);
/* The command is about to be sent a signal: what it does from now on may be for that. */
void report_signal(void);
/* Of the processes; and how many the kernel killed for want of it. */
void report_memory(void);

#endif
