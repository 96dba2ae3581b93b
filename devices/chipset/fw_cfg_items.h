/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of fw_cfg's items: by number, and files with a directory of them. No lock of its own;
 * between fw_cfg.c and this file only. [QEMU docs/specs/fw_cfg: QEMU Firmware Configuration Device]
 */
#ifndef DEVICES_FW_CFG_ITEMS_H
#define DEVICES_FW_CFG_ITEMS_H

#include <linux/qemu_fw_cfg.h>

#include "core/util.h"
#include "devices/chipset/fw_cfg.h"

struct fw_cfg_item {
	uint16_t key;
	char name[FW_CFG_MAX_FILE_PATH]; /* "" unless a file */
	uint8_t *data;                   /* NULL: a piece of a host's file */
	size_t len;
	struct fw_cfg_piece piece;
	void (*select)(void *opaque); /* fixed after start, as is opaque */
	void *opaque;
};

struct fw_cfg_items {
	struct fw_cfg_item *list; /* in the order in which they were added */
	unsigned count;
	uint16_t next_file; /* the number that the next one gets */
};

void fw_cfg_items_init(struct fw_cfg_items *items);
void fw_cfg_items_fini(struct fw_cfg_items *items);

/* NULL if there is none. An item is where it is until the next is added. */
struct fw_cfg_item *fw_cfg_items_key(struct fw_cfg_items *items, uint16_t key);
struct fw_cfg_item *fw_cfg_items_file(struct fw_cfg_items *items, const char *name);

/* Bytes of an item, which has them all. Fails only where they have to be read from a file. */
int MUST_CHECK fw_cfg_item_read(const struct fw_cfg_item *item, uint64_t off, void *to, size_t len);

/* As fw_cfg.h has it of the functions of these names. The directory is added before any file. */
int MUST_CHECK fw_cfg_items_add(struct fw_cfg_items *items, uint16_t key, const void *data,
				size_t len);
int MUST_CHECK fw_cfg_items_add_piece(struct fw_cfg_items *items, uint16_t key,
				      const struct fw_cfg_piece *piece);
int MUST_CHECK fw_cfg_items_add_directory(struct fw_cfg_items *items);
int MUST_CHECK fw_cfg_items_add_file(struct fw_cfg_items *items, const char *name, const void *data,
				     size_t len);
int MUST_CHECK fw_cfg_items_set_file(struct fw_cfg_items *items, const char *name, const void *data,
				     size_t len);

#endif
