/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of a run of one command to programs: as JSON (--json) and for those that show the
 * results of tests (--junit). Plain data, of which nothing need be known but the command, the
 * verdict and the beginning. docs/command.md describes each field. Main thread.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>

#include "command/session.h"
#include "run/verdict.h"
#include "vfio/host.h"
#include "vfio/pci_names.h"

/* Of the JSON: grows when a field changes its meaning or goes, not when one is added. */
#define RECORD_VERSION 1

#define RECORD_UNKNOWN UINT64_MAX

/* In the order of what happens; "boot" is from the first instruction to the command's start. */
enum record_phase {
	RECORD_HOST_CHECKS,
	RECORD_OPEN_FILES,
	RECORD_TAKE_DEVICES,
	RECORD_BUILD,
	RECORD_BOOT,
	RECORD_COMMAND,
	RECORD_TEAR_DOWN,
	RECORD_GIVE_BACK,
	RECORD_PHASES,
};

struct record_gpu {
	struct options_gpu_name name; /* the address, or the UUID of a mediated device */
	bool mediated;
	uint16_t vendor, device; /* both 0: it is not there */
	char text[PCI_NAME_SIZE];
	char host_driver[VFIO_HOST_DRIVER_SIZE]; /* that it had before; "": none */
	struct session_driver guest_driver;
	bool was_used, clean; /* by the guest; and reset after it */
};

struct record {
	char *const *argv;
	unsigned argc;
	struct verdict verdict;
	struct timespec started;    /* by the clock on the wall */
	uint64_t us[RECORD_PHASES]; /* microseconds, or RECORD_UNKNOWN */
	uint64_t total_us;          /* from exec until now */
	struct record_gpu gpus[OPTIONS_GPUS_MAX];
	unsigned gpu_count;
	const char *program; /* our version */
	struct utsname host;
	char guest_kernel[SESSION_TEXT_SIZE]; /* its release; "": unknown */
	unsigned cpus;
	uint64_t memory;    /* bytes */
	uint64_t oom_kills; /* of the guest's kernel; RECORD_UNKNOWN */
	/* Bytes, 0: unknown. The largest process of the command; our own, guest memory included. */
	uint64_t peak_command, peak_process;
	char *kernel_log; /* lines; NULL: there is none, or nothing failed. free() it */
};

void record_json(const struct record *record, FILE *out);

/* As JUnit's: one suite with one test. [github.com/testmoapp/junitxml] */
void record_junit(const struct record *record, FILE *out);

#endif
