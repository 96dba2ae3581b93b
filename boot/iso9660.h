/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a small ISO 9660 image: a few files in one folder, with their real names by Rock Ridge.
 * [ECMA-119: Volume and File Structure of CDROM], [SUSP: System Use Sharing Protocol 1.12],
 * [RRIP: Rock Ridge Interchange Protocol 1.12]. Pure, any one thread.
 */
#ifndef BOOT_ISO9660_H
#define BOOT_ISO9660_H

#include "boot/buf.h"

/* Letters, digits, "-" and "_" of the names. */
#define ISO9660_NAME_MAX  64u
#define ISO9660_FILES_MAX 8u

struct iso9660_file {
	const char *name;
	const void *data;
	uint32_t len;
};

/*
 * `label` is of at most 32 upper-case letters and digits. The names differ in their first eight
 * characters and come in their order. buf->error tells of a failure.
 */
void iso9660_write(struct buf *buf, const char *label, const struct iso9660_file *files,
		   unsigned count);

#endif
