/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items that fw_cfg offers; see fw_cfg_items.h. Main thread before the machine starts, then
 * vCPU threads, with the lock of fw_cfg.
 */
#include "devices/chipset/fw_cfg_items.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"

void fw_cfg_items_init(struct fw_cfg_items *items)
{
	*items = (struct fw_cfg_items){ .next_file = FW_CFG_FILE_FIRST };
}

void fw_cfg_items_fini(struct fw_cfg_items *items)
{
	for (unsigned i = 0; i < items->count; i++)
		free(items->list[i].data);
	free(items->list);
}

struct fw_cfg_item *fw_cfg_items_key(struct fw_cfg_items *items, uint16_t key)
{
	for (unsigned i = 0; i < items->count; i++) {
		if (items->list[i].key == key)
			return &items->list[i];
	}
	return NULL;
}

struct fw_cfg_item *fw_cfg_items_file(struct fw_cfg_items *items, const char *name)
{
	for (unsigned i = 0; i < items->count; i++) {
		if (items->list[i].name[0] && strcmp(items->list[i].name, name) == 0)
			return &items->list[i];
	}
	return NULL;
}

/* Replaces an item's contents by a copy of `data`. */
static int set_contents(struct fw_cfg_item *item, const void *data, size_t len)
{
	uint8_t *copy = malloc(MAX(len, 1u));

	if (!copy)
		return err_sys(ERR_LIMIT, -ENOMEM, "fw_cfg item 0x%x of %zu bytes", item->key, len);
	if (len > 0)
		memcpy(copy, data, len);
	free(item->data);
	item->data = copy;
	item->len = len;
	return 0;
}

int fw_cfg_item_read(const struct fw_cfg_item *item, uint64_t off, void *to, size_t len)
{
	assert(range_fits(off, len, item->len));
	if (!item->data)
		return sys_pread_full(item->piece.fd, to, len, item->piece.off + off);
	memcpy(to, item->data + off, len);
	return 0;
}

/* Without contents yet. */
static int new_item(struct fw_cfg_items *items, uint16_t key, const char *name,
		    struct fw_cfg_item **ret_item)
{
	struct fw_cfg_item *list, *item;

	assert(!fw_cfg_items_key(items, key));
	list = reallocarray(items->list, items->count + 1, sizeof(*list));
	if (!list)
		return err_sys(ERR_LIMIT, -ENOMEM, "fw_cfg");
	items->list = list;
	item = &list[items->count];
	*item = (struct fw_cfg_item){ .key = key };
	memcpy(item->name, name, strlen(name)); /* its length was checked */
	items->count++;
	*ret_item = item;
	return 0;
}

static int add_item(struct fw_cfg_items *items, uint16_t key, const char *name, const void *data,
		    size_t len)
{
	struct fw_cfg_item *item = NULL;
	int r = new_item(items, key, name, &item);

	return r < 0 ? r : set_contents(item, data, len);
}

/* The directory of files, in the order in which they were added. */
static int update_directory(struct fw_cfg_items *items)
{
	struct fw_cfg_item *dir = fw_cfg_items_key(items, FW_CFG_FILE_DIR);
	const uint32_t files = items->next_file - FW_CFG_FILE_FIRST;
	const size_t len = sizeof(uint32_t) + files * sizeof(struct fw_cfg_file);
	uint32_t count = htobe32(files);
	uint8_t *data, *p;
	int r;

	data = malloc(len);
	if (!data)
		return err_sys(ERR_LIMIT, -ENOMEM, "fw_cfg directory");
	memcpy(data, &count, sizeof(count));
	p = data + sizeof(count);
	for (unsigned i = 0; i < items->count; i++) {
		const struct fw_cfg_item *item = &items->list[i];
		struct fw_cfg_file file = {
			.size = htobe32((uint32_t)item->len),
			.select = htobe16(item->key),
		};

		if (item->key < FW_CFG_FILE_FIRST)
			continue;
		memcpy(file.name, item->name, sizeof(file.name));
		memcpy(p, &file, sizeof(file));
		p += sizeof(file);
	}
	r = set_contents(dir, data, len);
	free(data);
	return r;
}

int fw_cfg_items_add(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len)
{
	assert(key < FW_CFG_FILE_FIRST);
	return add_item(items, key, "", data, len);
}

int fw_cfg_items_add_piece(struct fw_cfg_items *items, uint16_t key,
			   const struct fw_cfg_piece *piece)
{
	struct fw_cfg_item *item = NULL;
	int r;

	assert(key < FW_CFG_FILE_FIRST);
	r = new_item(items, key, "", &item);
	if (r < 0)
		return r;
	item->piece = *piece;
	item->len = piece->len;
	return 0;
}

int fw_cfg_items_add_directory(struct fw_cfg_items *items)
{
	const uint32_t no_files = 0;

	return fw_cfg_items_add(items, FW_CFG_FILE_DIR, &no_files, sizeof(no_files));
}

int fw_cfg_items_add_file(struct fw_cfg_items *items, const char *name, const void *data,
			  size_t len)
{
	int r;

	assert(name[0] && strlen(name) < FW_CFG_MAX_FILE_PATH && len <= UINT32_MAX);
	assert(!fw_cfg_items_file(items, name) && items->next_file < FW_CFG_WRITE_CHANNEL);
	r = add_item(items, items->next_file, name, data, len);
	if (r == 0) {
		items->next_file++;
		r = update_directory(items);
	}
	return r;
}

int fw_cfg_items_set_file(struct fw_cfg_items *items, const char *name, const void *data,
			  size_t len)
{
	struct fw_cfg_item *item = fw_cfg_items_file(items, name);
	int r;

	assert(item && len <= UINT32_MAX);
	r = set_contents(item, data, len);
	if (r == 0)
		r = update_directory(items);
	return r;
}
