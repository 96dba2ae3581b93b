/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's visit to a fake host, and what it says there, for tests. All assert. */
#ifndef SUPPORT_DOCTOR_VISIT_H
#define SUPPORT_DOCTOR_VISIT_H

#include "cli/doctor.h"
#include "fake_sysfs.h"
#include "firmware-loader/fw_image.h"

/* A host with firmware, with KVM and with a user who may do all; its devices are the test's. */
struct doctor_visit {
	struct fake_sysfs fs;
	struct doctor_config config;
	struct fw_search search;
	struct arch_host arch;
	const char *kvm_error, *pin_error; /* NULL: it works */
	bool command_lacks;                /* something that a guest's command needs */
	/* What visit_run has got; where the firmware lies is cut out. */
	char *text;
	int status;
};

extern struct doctor_visit visit;

/* For `search.pairs`: no firmware is installed. */
extern const struct fw_pair visit_no_pairs[];

/* For cmocka. The end checks that the doctor wrote nothing. */
int visit_setup(void **state);
int visit_teardown(void **state);

void visit_run(void);

/* VFIO's modules can be loaded by this kernel. */
void visit_add_modules(const char *release);

/* The devices asked for; `b` may be NULL. */
void visit_give(const char *a, const char *b);

/* A row that begins so, and, if not NULL, what mends it. */
void assert_row(const char *head, const char *mend);
void assert_no_row(const char *head);

#endif
