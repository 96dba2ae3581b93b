/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: one file a changed device, which says how it was before. It is written before the
 * first change and removed after the device was given back, so what a killed run leaves behind
 * tells the next one the truth. Only who holds the device's lease touches its file. Main thread.
 */
#ifndef VFIO_HOST_JOURNAL_H
#define VFIO_HOST_JOURNAL_H

#include "core/util.h"
#include "vfio/host.h"

/* On disk, whole and under its name, when this returns. Sets the error chain. */
int MUST_CHECK host_journal_write(const char *state_dir, struct pci_addr addr,
				  const struct vfio_host_before *before);

/* -ENOENT if there is none, -EBADMSG if it says nothing sensible. No error chain. */
int MUST_CHECK host_journal_read(const char *state_dir, struct pci_addr addr,
				 struct vfio_host_before *ret_before);

/* Removing what is not there is success. No error chain. */
int MUST_CHECK host_journal_remove(const char *state_dir, struct pci_addr addr);

/*
 * The devices that have a file, in the order of lspci; free() them. No error chain.
 */
int MUST_CHECK host_journal_list(const char *state_dir, struct pci_addr **ret_addrs,
				 unsigned *ret_count);

#endif
