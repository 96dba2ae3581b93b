/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: one file a changed device, which says how it was before. It is written before the
 * first change and removed after the device was given back, so what a killed run leaves behind
 * tells the next one the truth. The record of a device that the user has bound for good is the same
 * file in another folder, which recovery leaves alone. Only who holds the device's lease touches
 * its files. Main thread.
 */
#ifndef VFIO_HOST_JOURNAL_H
#define VFIO_HOST_JOURNAL_H

#include "core/util.h"
#include "vfio/host.h"

enum host_journal {
	HOST_JOURNAL_TAKEN, /* until the run ends */
	HOST_JOURNAL_BOUND, /* until `tinyvmm release` */
	HOST_JOURNAL_DIRTY, /* a mark: a guest has it, or has left something in it */
};

/* On disk, whole and under its name, when this returns. Sets the error chain. */
int MUST_CHECK host_journal_write(const char *state_dir, enum host_journal kind,
				  struct pci_addr addr, const struct vfio_host_before *before);

/* -ENOENT if there is none, -EBADMSG if it says nothing sensible. No error chain. */
int MUST_CHECK host_journal_read(const char *state_dir, enum host_journal kind,
				 struct pci_addr addr, struct vfio_host_before *ret_before);

/*
 * The file becomes one of the other kind, in one step, and replaces what is there. Sets the error
 * chain.
 */
int MUST_CHECK host_journal_move(const char *state_dir, struct pci_addr addr,
				 enum host_journal from, enum host_journal to);

/* The mark, which counts until the host is rebooted. _mark sets the error chain. */
int MUST_CHECK host_journal_mark(const char *state_dir, const char *root, struct pci_addr addr);
bool host_journal_is_marked(const char *state_dir, const char *root, struct pci_addr addr);

/* Removing what is not there is success. No error chain. */
int MUST_CHECK host_journal_remove(const char *state_dir, enum host_journal kind,
				   struct pci_addr addr);

/* The devices that have a file, in the order of lspci; free() them. No error chain. */
int MUST_CHECK host_journal_list(const char *state_dir, enum host_journal kind,
				 struct pci_addr **ret_addrs, unsigned *ret_count);

#endif
