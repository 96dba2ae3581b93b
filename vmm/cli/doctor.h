/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tinyvmm doctor` checks and prints, apart from where; docs/list-doctor.md has the form.
 *
 * A check is a function and a line of a table: doctor_host_checks or doctor_device_checks. It adds
 * rows to the report, at least one, and changes nothing. What a run checks as well is asked of the
 * same function, which tells by the error chain (doctor_from_error). Main thread.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdio.h>

#include "core/arch.h"
#include "core/err.h"
#include "core/hugepages.h"
#include "core/util.h"
#include "vfio/host.h"
#include "vfio/host_info.h"
#include "vfio/host_system.h"
#include "vfio/pci_names.h"

struct fw_search;

enum doctor_status {
	DOCTOR_PASS,
	DOCTOR_INFO, /* neither good nor bad */
	DOCTOR_WARN, /* a guest would run, but not as well as it could, or at a price */
	DOCTOR_FAIL, /* a run would fail */
};

struct doctor_row {
	const char *check;
	enum doctor_status status;
	enum err_kind kind; /* of a failure */
	char text[512];
	char mend[512]; /* what to do about it; "": nothing */
};

struct doctor_rows {
	struct doctor_row *rows;
	unsigned count;
};

struct doctor_need {
	int (*check)(void); /* error chain on failure */
	const char *met;    /* what the report says where it is so */
};

struct doctor_config {
	const char *root; /* in front of /sys, /proc, /dev, /lib, /run and /usr: "" but in tests */
	const struct pci_addr *devices; /* to be passed together */
	unsigned device_count;          /* 0: each GPU of the host, alone */
	uint64_t memory;                /* of the guest */
	enum hugepages_mode hugepages;
	bool json;
	bool quiet;     /* only warnings and failures */
	bool color;     /* of a terminal */
	unsigned width; /* of the terminal; 0: none */
	/* What is not found in files below `root`. */
	int (*query_kvm)(struct arch_host *ret_host); /* error chain on failure */
	int (*check_memory)(uint64_t memory, enum hugepages_mode mode, bool pinned);
	int (*allow_pinning)(uint64_t bytes); /* error chain on failure */
	/* What a guest's command needs, ended by an entry without a check. */
	const struct doctor_need *command_needs;
	const struct fw_search *firmware;
	bool privileged; /* root */
};

struct doctor_device {
	struct host_info info;
	char name[PCI_NAME_SIZE];
	/* This device and what has to go with it; its own is the first. */
	struct vfio_host together;
	bool there; /* an endpoint that answers: the other checks make sense */
	struct doctor_rows rows;
};

struct doctor {
	const struct doctor_config *config;
	struct host_system system;
	bool kvm; /* it works, and `arch` is true */
	struct arch_host arch;
	struct doctor_rows host;
	struct doctor_device *devices;
	unsigned device_count;
	/* Where rows go now, and under which name. */
	struct doctor_rows *rows;
	const char *check;
	bool failed; /* out of memory */
};

struct doctor_host_check {
	const char *name;
	void (*check)(struct doctor *doctor);
};

struct doctor_device_check {
	const char *name;
	bool needs_device; /* only for one that is there */
	void (*check)(struct doctor *doctor, struct doctor_device *dev);
};

extern const struct doctor_host_check doctor_host_checks[];
extern const unsigned doctor_host_check_count;
extern const struct doctor_device_check doctor_device_checks[];
extern const unsigned doctor_device_check_count;

/* One row each; `mend` "" or what to do. */
void doctor_pass(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_info(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_warn(struct doctor *doctor, const char *mend, const char *fmt, ...) PRINTF_LIKE(3, 4);
void doctor_fail(struct doctor *doctor, enum err_kind kind, const char *mend, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* A failure, or a warning, as the error chain tells it. The chain is cleared. */
void doctor_from_error(struct doctor *doctor, enum doctor_status status);

/*
 * Checks all and prints it. `ret_status` is 0, or the status of the first failure's kind. -ENOMEM,
 * kind ERR_LIMIT.
 */
int MUST_CHECK doctor_run(const struct doctor_config *config, FILE *out, int *ret_status);

#endif
