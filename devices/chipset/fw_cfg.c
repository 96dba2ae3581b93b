/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fw_cfg device: the selector, the data port and the DMA interface. vCPU threads.
 * [QEMU docs/specs/fw_cfg: QEMU Firmware Configuration Device]
 */
#include "devices/chipset/fw_cfg.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/vm.h"
#include "devices/chipset/fw_cfg_items.h"

/* The ports, relative to the first. The selector is little-endian, the DMA address big-endian. */
enum { PORT_SELECTOR = 0, PORT_DATA = 1, PORT_DMA_HIGH = 4, PORT_DMA_LOW = 8 };

#define DMA_ADDRESS_SIZE 8u
#define GUEST_PAGE       4096u /* RAM banks are made of these */

struct fw_cfg {
	struct device device;
	struct vm *vm;
	struct guest_mem *mem;
	struct bus *pio;
	struct bus_range range;

	pthread_mutex_t lock; /* guards all below */
	struct fw_cfg_items items;
	uint16_t key; /* selected */
	uint64_t off; /* in that item; beyond its end reads zeroes */
	uint32_t dma_high;
	bool unreadable; /* a file of the host, and the run is over */
};

/* Selects an item and lets its owner renew it first. Takes the lock. */
static void select_key(struct fw_cfg *fw, uint16_t key)
{
	struct fw_cfg_item *item;
	void (*select)(void *opaque) = NULL;
	void *opaque = NULL;

	pthread_mutex_lock(&fw->lock);
	item = fw_cfg_items_key(&fw->items, key);
	if (item) {
		select = item->select;
		opaque = item->opaque;
	}
	pthread_mutex_unlock(&fw->lock);

	if (select)
		select(opaque);

	pthread_mutex_lock(&fw->lock);
	fw->key = key;
	fw->off = 0;
	pthread_mutex_unlock(&fw->lock);
}

/* The selected item, if there is more of it than the offset, and how much more. */
static const struct fw_cfg_item *rest_of_item(struct fw_cfg *fw, uint64_t *ret_len)
{
	const struct fw_cfg_item *item = fw_cfg_items_key(&fw->items, fw->key);

	if (!item || fw->off >= item->len)
		return NULL;
	*ret_len = item->len - fw->off;
	return item;
}

/* With the lock. Zeroes from then on, and the end of the run, where a file cannot be read. */
static void read_item(struct fw_cfg *fw, const struct fw_cfg_item *item, uint64_t off, void *to,
		      size_t len)
{
	int r = fw->unreadable ? -EIO : fw_cfg_item_read(item, off, to, len);

	if (r == 0)
		return;
	memset(to, 0, len);
	if (fw->unreadable)
		return;
	fw->unreadable = true;
	log_error("the firmware cannot read %s: %s (has it become shorter?)", item->piece.what,
		  strerror(-r));
	vm_request(fw->vm, VM_REQUEST_CRASH);
}

static uint8_t read_data(struct fw_cfg *fw)
{
	const struct fw_cfg_item *item;
	uint64_t len;
	uint8_t byte = 0;

	pthread_mutex_lock(&fw->lock);
	item = rest_of_item(fw, &len);
	if (item)
		read_item(fw, item, fw->off++, &byte, 1);
	pthread_mutex_unlock(&fw->lock);
	return byte;
}

/* Writes `len` bytes of `item` from `off` on, or zeroes if NULL, wherever the range is RAM. */
static void fill_guest(struct fw_cfg *fw, uint64_t gpa, const struct fw_cfg_item *item,
		       uint64_t off, uint64_t len)
{
	uint64_t done = 0;

	if (len > UINT64_MAX - gpa) {
		log_guest("fw_cfg: DMA beyond the end of the address space");
		return;
	}
	while (done < len) {
		/* All at once if it is one bank, else in pages, none of which spans two banks. */
		uint64_t chunk = len - done;
		uint8_t *to = mem_ptr(fw->mem, gpa + done, chunk);

		if (!to) {
			chunk = MIN(chunk, GUEST_PAGE - (gpa + done) % GUEST_PAGE);
			to = mem_ptr(fw->mem, gpa + done, chunk);
		}
		if (to && item)
			read_item(fw, item, off + done, to, chunk);
		else if (to)
			memset(to, 0, chunk);
		done += chunk;
	}
}

/* At most 4 GiB, as `len` has it. */
static void dma_read(struct fw_cfg *fw, uint64_t gpa, uint32_t len)
{
	const struct fw_cfg_item *item;
	uint64_t have = 0;

	pthread_mutex_lock(&fw->lock);
	item = rest_of_item(fw, &have);
	have = MIN(have, len);
	fill_guest(fw, gpa, item, fw->off, have);
	fw->off += len;
	pthread_mutex_unlock(&fw->lock);
	if (have < len && have <= UINT64_MAX - gpa)
		fill_guest(fw, gpa + have, NULL, 0, len - have);
}

/* The guest wrote the address of a request. Its outcome is always success, see the header. */
static void dma_run(struct fw_cfg *fw, uint64_t gpa)
{
	struct fw_cfg_dma_access req;
	const uint32_t done = 0;
	uint32_t control, len;

	if (!mem_read(fw->mem, gpa, &req, sizeof(req))) {
		log_guest("fw_cfg: DMA request outside RAM, at 0x%llx", (unsigned long long)gpa);
		return;
	}
	control = be32toh(req.control);
	len = be32toh(req.length);

	if (control & FW_CFG_DMA_CTL_SELECT)
		select_key(fw, (uint16_t)(control >> 16));
	if (control & FW_CFG_DMA_CTL_READ) {
		dma_read(fw, be64toh(req.address), len);
	} else if (control & FW_CFG_DMA_CTL_WRITE) {
		log_guest("fw_cfg: a write was ignored");
	} else if (control & FW_CFG_DMA_CTL_SKIP) {
		pthread_mutex_lock(&fw->lock);
		fw->off += len;
		pthread_mutex_unlock(&fw->lock);
	}
	if (!mem_write(fw->mem, gpa, &done, sizeof(done)))
		log_guest("fw_cfg: DMA request went away");
}

static uint64_t fw_cfg_read(void *dev, uint64_t off, unsigned len)
{
	static const uint8_t signature[DMA_ADDRESS_SIZE] = "QEMU CFG";
	struct fw_cfg *fw = dev;

	if (off == PORT_DATA && len == 1)
		return read_data(fw);
	if (off >= PORT_DMA_HIGH && range_fits(off - PORT_DMA_HIGH, len, sizeof(signature)))
		return load_le(signature + (off - PORT_DMA_HIGH), len);
	return ones(len);
}

static void fw_cfg_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct fw_cfg *fw = dev;
	uint64_t gpa;

	if (off == PORT_SELECTOR && len == 2) {
		select_key(fw, (uint16_t)val);
	} else if (off == PORT_DMA_HIGH && len == 4) {
		pthread_mutex_lock(&fw->lock);
		fw->dma_high = __builtin_bswap32((uint32_t)val);
		pthread_mutex_unlock(&fw->lock);
	} else if (off == PORT_DMA_LOW && len == 4) {
		pthread_mutex_lock(&fw->lock);
		gpa = (uint64_t)fw->dma_high << 32 | __builtin_bswap32((uint32_t)val);
		fw->dma_high = 0;
		pthread_mutex_unlock(&fw->lock);
		dma_run(fw, gpa);
	}
	/* The data port takes no writes: nothing here is writable. */
}

static void fw_cfg_reset(struct device *dev)
{
	struct fw_cfg *fw = container_of(dev, struct fw_cfg, device);

	pthread_mutex_lock(&fw->lock);
	fw->key = FW_CFG_SIGNATURE;
	fw->off = 0;
	fw->dma_high = 0;
	pthread_mutex_unlock(&fw->lock);
}

static void fw_cfg_destroy(struct device *dev)
{
	struct fw_cfg *fw = container_of(dev, struct fw_cfg, device);

	bus_remove(fw->pio, &fw->range);
	fw_cfg_items_fini(&fw->items);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

static const struct device_ops fw_cfg_device_ops = {
	.reset = fw_cfg_reset,
	.destroy = fw_cfg_destroy,
};

static const struct bus_ops fw_cfg_bus_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.name = "fw_cfg",
};

int fw_cfg_add_bytes(struct fw_cfg *fw, uint16_t key, const void *data, size_t len)
{
	int r;

	pthread_mutex_lock(&fw->lock);
	r = fw_cfg_items_add(&fw->items, key, data, len);
	pthread_mutex_unlock(&fw->lock);
	return r;
}

int fw_cfg_add_u16(struct fw_cfg *fw, uint16_t key, uint16_t val)
{
	val = htole16(val);
	return fw_cfg_add_bytes(fw, key, &val, sizeof(val));
}

int fw_cfg_add_u32(struct fw_cfg *fw, uint16_t key, uint32_t val)
{
	val = htole32(val);
	return fw_cfg_add_bytes(fw, key, &val, sizeof(val));
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
	int r;

	pthread_mutex_lock(&fw->lock);
	r = fw_cfg_items_add_file(&fw->items, name, data, len);
	pthread_mutex_unlock(&fw->lock);
	return r;
}

int fw_cfg_add_piece(struct fw_cfg *fw, uint16_t key, const struct fw_cfg_piece *piece)
{
	int r;

	pthread_mutex_lock(&fw->lock);
	r = fw_cfg_items_add_piece(&fw->items, key, piece);
	pthread_mutex_unlock(&fw->lock);
	return r;
}

int fw_cfg_set_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
	int r;

	pthread_mutex_lock(&fw->lock);
	r = fw_cfg_items_set_file(&fw->items, name, data, len);
	pthread_mutex_unlock(&fw->lock);
	return r;
}

void fw_cfg_on_select(struct fw_cfg *fw, const char *name, void (*select)(void *opaque),
		      void *opaque)
{
	struct fw_cfg_item *item;

	pthread_mutex_lock(&fw->lock);
	item = fw_cfg_items_file(&fw->items, name);
	assert(item);
	item->select = select;
	item->opaque = opaque;
	pthread_mutex_unlock(&fw->lock);
}

int fw_cfg_create(const struct board *board, uint16_t port, struct fw_cfg **ret_fw)
{
	struct fw_cfg *fw;
	int r;

	fw = calloc(1, sizeof(*fw));
	if (!fw)
		return err_sys(ERR_LIMIT, -ENOMEM, "fw_cfg");
	fw->device = (struct device){ .name = "fw-cfg", .ops = &fw_cfg_device_ops };
	fw->vm = board->vm;
	fw->mem = board->mem;
	fw->pio = board->pio;
	fw_cfg_items_init(&fw->items);
	fw->range = (struct bus_range){
		.base = port, .size = FW_CFG_PORTS, .ops = &fw_cfg_bus_ops, .dev = fw
	};
	pthread_mutex_init(&fw->lock, NULL);

	r = fw_cfg_add_bytes(fw, FW_CFG_SIGNATURE, "QEMU", FW_CFG_SIG_SIZE);
	if (r < 0)
		goto fail;
	r = fw_cfg_add_u32(fw, FW_CFG_ID, FW_CFG_VERSION | FW_CFG_VERSION_DMA);
	if (r < 0)
		goto fail;
	r = fw_cfg_items_add_directory(&fw->items);
	if (r < 0)
		goto fail;
	r = bus_add(board->pio, &fw->range);
	if (r < 0) {
		err_sys(ERR_INTERNAL, r, "fw_cfg at I/O port 0x%x", port);
		goto fail;
	}
	*ret_fw = fw;
	return 0;
fail:
	fw_cfg_destroy(&fw->device);
	return r;
}

struct device *fw_cfg_device(struct fw_cfg *fw)
{
	return &fw->device;
}
