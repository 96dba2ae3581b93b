/* SPDX-License-Identifier: Apache-2.0 */
/* The image, front to back; see iso9660.h. */
#include "boot/iso9660.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

#define BLOCK 2048u

/* The blocks: 16 for the system, then these [ECMA-119 6.2]. */
enum {
	BLOCK_VOLUME = 16, /* primary volume descriptor */
	BLOCK_END,         /* volume descriptor set terminator */
	BLOCK_PATHS_LE,    /* the path table twice, in either byte order */
	BLOCK_PATHS_BE,
	BLOCK_ROOT,
	BLOCK_FIRST_FILE,
};

/* Readers look at blocks behind the descriptors before they know what is there. */
#define BLOCKS_MIN 32u

#define VOLUME_PRIMARY 1
#define VOLUME_END     255

/* [ECMA-119 9.1 Format of a Directory Record] */
#define RECORD_HEAD   33u /* before the name */
#define RECORD_FOLDER 0x02
/* What the name of the folder itself, and of the one above it, is there. */
#define NAME_SELF  "\0"
#define NAME_ABOVE "\1"

/* The name, "." and ";1": eight characters of it [ECMA-119 10.1 Level 1]. */
#define SHORT_NAME 8u

#define PATH_TABLE_LEN 10u /* of the root alone [ECMA-119 9.4] */

static uint32_t blocks(uint32_t len)
{
	return (uint32_t)(align_up(len, BLOCK) / BLOCK);
}

static void put_be(struct buf *b, unsigned len, uint32_t val)
{
	while (len--)
		buf_le(b, 1, val >> 8 * len);
}

/* Numbers are there in both byte orders. */
static void put_both(struct buf *b, unsigned len, uint32_t val)
{
	buf_le(b, len, val);
	put_be(b, len, val);
}

/* All is as old as Unix: the same files make the same image. */
static void put_date(struct buf *b)
{
	static const uint8_t date[7] = { 70, 1, 1 };

	buf_put(b, date, sizeof(date));
}

/* Modes and owners [RRIP 4.1.1 PX] */
static void put_mode(struct buf *b, mode_t mode, unsigned links)
{
	buf_text(b, "PX", 2, 0);
	buf_le(b, 1, 4 + 4 * 8);
	buf_le(b, 1, 1);
	put_both(b, 4, mode);
	put_both(b, 4, links);
	put_both(b, 4, 0);
	put_both(b, 4, 0);
}

/* In the root's own record: that there is more than ECMA-119 in all of them, and what. */
static void put_extensions(struct buf *b)
{
	static const uint8_t sharing[] = { 'S', 'P', 7, 1, 0xbe, 0xef, 0 }; /* [SUSP 5.3 SP] */
	static const char rock_ridge[] = "RRIP_1991A";

	buf_put(b, sharing, sizeof(sharing));
	/* [SUSP 5.5 ER], without the texts that describe it to people */
	buf_text(b, "ER", 2, 0);
	buf_le(b, 1, 8 + sizeof(rock_ridge) - 1);
	buf_le(b, 1, 1);
	buf_le(b, 1, sizeof(rock_ridge) - 1);
	buf_le(b, 1, 0);
	buf_le(b, 1, 0);
	buf_le(b, 1, 1);
	buf_text(b, rock_ridge, sizeof(rock_ridge) - 1, 0);
}

/* [RRIP 4.1.4 NM] */
static void put_real_name(struct buf *b, const char *name)
{
	const size_t len = strlen(name);

	buf_text(b, "NM", 2, 0);
	buf_le(b, 1, 5 + len);
	buf_le(b, 1, 1);
	buf_le(b, 1, 0);
	buf_put(b, name, len);
}

/* Up to the extensions, which the caller adds; returns where it began. */
static size_t begin_record(struct buf *b, const char *name, size_t name_len, uint32_t block,
			   uint32_t len, uint8_t flags)
{
	const size_t start = b->len;

	buf_le(b, 1, 0); /* the record's length: see end_record */
	buf_le(b, 1, 0);
	put_both(b, 4, block);
	put_both(b, 4, len);
	put_date(b);
	buf_le(b, 1, flags);
	buf_le(b, 2, 0);
	put_both(b, 2, 1); /* volume 1 of 1 */
	buf_le(b, 1, name_len);
	buf_put(b, name, name_len);
	if ((RECORD_HEAD + name_len) % 2)
		buf_le(b, 1, 0);
	return start;
}

static void end_record(struct buf *b, size_t start)
{
	if ((b->len - start) % 2)
		buf_le(b, 1, 0);
	assert(b->error || b->len - start <= UINT8_MAX);
	buf_patch_le(b, start, 1, b->len - start);
}

static void put_folder_record(struct buf *b, const char *name)
{
	const size_t start = begin_record(b, name, 1, BLOCK_ROOT, BLOCK, RECORD_FOLDER);

	if (!name[0])
		put_extensions(b);
	put_mode(b, S_IFDIR | 0755, 2);
	end_record(b, start);
}

/* "user-data" is "USER_DAT.;1" to those who do not read its real name. */
static void put_file_record(struct buf *b, const struct iso9660_file *file, uint32_t block)
{
	char name[SHORT_NAME + 4] = "";
	size_t len, start;

	assert(strlen(file->name) <= ISO9660_NAME_MAX);
	for (len = 0; len < SHORT_NAME && file->name[len]; len++)
		name[len] = isalnum((unsigned char)file->name[len])
				    ? (char)toupper((unsigned char)file->name[len])
				    : '_';
	memcpy(name + len, ".;1", 3);
	start = begin_record(b, name, len + 3, file->len ? block : 0, file->len, 0);
	put_mode(b, S_IFREG | 0444, 1);
	put_real_name(b, file->name);
	end_record(b, start);
}

static void put_path_table(struct buf *b, bool big_endian)
{
	buf_le(b, 1, 1);
	buf_le(b, 1, 0);
	if (big_endian)
		put_be(b, 4, BLOCK_ROOT);
	else
		buf_le(b, 4, BLOCK_ROOT);
	/* The folder above the root is the first in the table: itself. */
	if (big_endian)
		put_be(b, 2, 1);
	else
		buf_le(b, 2, 1);
	buf_le(b, 2, 0);
	buf_align(b, BLOCK);
}

static void put_volume_head(struct buf *b, uint8_t type)
{
	buf_le(b, 1, type);
	buf_text(b, "CD001", 5, 0);
	buf_le(b, 1, 1);
}

/* No time is given [ECMA-119 8.4.26.1]. */
static void put_no_time(struct buf *b)
{
	buf_text(b, "", 16, '0');
	buf_le(b, 1, 0);
}

/* [ECMA-119 8.4 Primary Volume Descriptor] */
static void put_volume(struct buf *b, const char *label, uint32_t all_blocks)
{
	size_t start;

	put_volume_head(b, VOLUME_PRIMARY);
	buf_le(b, 1, 0);
	buf_text(b, "", 32, ' '); /* the system that it is for */
	buf_text(b, label, 32, ' ');
	buf_zero(b, 8);
	put_both(b, 4, all_blocks);
	buf_zero(b, 32);
	put_both(b, 2, 1); /* volumes of the set, */
	put_both(b, 2, 1); /* and this one's number */
	put_both(b, 2, BLOCK);
	put_both(b, 4, PATH_TABLE_LEN);
	buf_le(b, 4, BLOCK_PATHS_LE);
	buf_le(b, 4, 0);
	put_be(b, 4, BLOCK_PATHS_BE);
	put_be(b, 4, 0);
	start = begin_record(b, NAME_SELF, 1, BLOCK_ROOT, BLOCK, RECORD_FOLDER);
	end_record(b, start);
	/* The set; who published and prepared it, by what program; files on rights and contents. */
	buf_text(b, "", 4 * 128, ' ');
	buf_text(b, "", 3 * 37, ' ');
	for (unsigned i = 0; i < 4; i++) /* made, changed, expires, valid from */
		put_no_time(b);
	buf_le(b, 1, 1); /* the directory's version */
	buf_align(b, BLOCK);
}

void iso9660_write(struct buf *b, const char *label, const struct iso9660_file *files,
		   unsigned count)
{
	uint32_t next = BLOCK_FIRST_FILE;

	assert(b->len == 0 && count <= ISO9660_FILES_MAX);
	for (unsigned i = 0; i < count; i++)
		next += blocks(files[i].len);
	buf_zero(b, BLOCK_VOLUME * BLOCK);
	put_volume(b, label, MAX(next, BLOCKS_MIN));
	put_volume_head(b, VOLUME_END);
	buf_align(b, BLOCK);
	put_path_table(b, false);
	put_path_table(b, true);
	put_folder_record(b, NAME_SELF);
	put_folder_record(b, NAME_ABOVE);
	next = BLOCK_FIRST_FILE;
	for (unsigned i = 0; i < count; i++) {
		put_file_record(b, &files[i], next);
		next += blocks(files[i].len);
	}
	buf_align(b, BLOCK);
	for (unsigned i = 0; i < count; i++) {
		buf_put(b, files[i].data, files[i].len);
		buf_align(b, BLOCK);
	}
	if (next < BLOCKS_MIN)
		buf_zero(b, (BLOCKS_MIN - next) * BLOCK);
}
