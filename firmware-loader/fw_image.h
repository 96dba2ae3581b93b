/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware of a run: finds the image, checks it and brings it into memory. The code is never
 * written; the variable store (VARS) that belongs to it is a template, see fw_vars.h. Main thread,
 * at start.
 */
#ifndef FIRMWARE_LOADER_FW_IMAGE_H
#define FIRMWARE_LOADER_FW_IMAGE_H

#include "core/util.h"

/* Code and store together: below that lie KVM's own pages and the local APIC. */
#define FW_FLASH_MAX (16 * MiB)

/* A raw image of firmware code and the pristine variable store that goes with it. */
struct fw_pair {
	const char *code, *vars;
};

/* Where to look; descriptors first, then the known pairs. */
struct fw_search {
	const char *const *descriptor_dirs; /* NULL-terminated, see fw_descriptor.h */
	const struct fw_pair *pairs;        /* ended by one whose code is NULL */
};

/* Where distributions install raw images that need no SMM. */
extern const struct fw_pair fw_image_known_pairs[];

/* Page-aligned copies, so that they can back memory slots. */
struct fw_image {
	char *code_path;
	char *vars_path; /* of the template; NULL if it is part of code_path, or none is known */
	uint8_t *code;   /* to be mapped so that it ends at 4 GiB */
	size_t code_size;
	uint8_t *vars; /* the template, directly below the code; NULL: none is known */
	size_t vars_size;
};

/*
 * Opens the image at `path`, or, if that is NULL, the first one that `search` finds.
 *
 * The template of a given image is the one that its descriptor names, else the file whose name has
 * VARS where this has CODE. An image that holds both (OVMF.fd) is taken apart, and its store is the
 * template: such a file is never written either.
 *
 * Fails (kind ERR_FILE) with what is wrong with the file, among others when its descriptor says
 * that it needs SMM, which a KVM guest here does not have. An image that only by its name seems to
 * need it is warned about.
 */
int MUST_CHECK fw_image_open(const char *path, const struct fw_search *search,
			     struct fw_image *ret_image);
void fw_image_fini(struct fw_image *image);

/*
 * A file of at most FW_FLASH_MAX bytes as page-aligned memory; munmap it. `fd` stays open. Sets no
 * error chain.
 */
int MUST_CHECK fw_image_load(int fd, uint8_t **ret_data, size_t *ret_size);

#endif
