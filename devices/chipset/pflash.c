/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's flash. CODE is a read-only memory slot and nothing else. VARS is one too while it
 * shows its array; writes exit to the command machine below, and only while the guest reads the
 * status register the slot is away so that reads exit as well. vCPU threads.
 * [Intel 28F256P30 datasheet 9 Device Commands, 10 Status Register]
 */
#include "devices/chipset/pflash.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/bus.h"
#include "core/err.h"
#include "core/log.h"
#include "core/vm.h"

enum {
	CMD_PROGRAM_ALT = 0x40,
	CMD_PROGRAM = 0x10,
	CMD_ERASE = 0x20,
	CMD_CLEAR_STATUS = 0x50,
	CMD_READ_STATUS = 0x70,
	CMD_ERASE_CONFIRM = 0xd0,
	CMD_READ_ARRAY = 0xff,
};

#define STATUS_READY      0x80u
#define STATUS_ERASE_FAIL 0x20u
#define STATUS_PROG_FAIL  0x10u
#define STATUS_BAD_SEQ    (STATUS_ERASE_FAIL | STATUS_PROG_FAIL)

#define ERASED 0xff

enum pflash_mode {
	MODE_ARRAY,
	MODE_STATUS,
	MODE_PROGRAM, /* the next write is the data */
	MODE_ERASE,   /* the next write confirms */
};

struct pflash {
	struct device device;
	const struct board *board;
	struct vm_slot slot; /* VARS: the lock */
	uint8_t *array;
	uint64_t base;
	size_t size;

	/* VARS only. */
	bool own; /* `array` was mapped here */
	struct bus_range range;
	pthread_mutex_t lock; /* guards all below */
	enum pflash_mode mode;
	uint8_t status;
};

/* Without the slot reads exit and are answered from the array: slower, but never wrong. */
static void hide_array(struct pflash *flash)
{
	vm_slot_unmap(flash->board->vm, &flash->slot);
}

static void show_array(struct pflash *flash)
{
	flash->mode = MODE_ARRAY;
	/* It fails while a guest has put something else there. */
	if (!flash->slot.mapped && vm_slot_map(flash->board->vm, &flash->slot, flash->base,
					       flash->size, flash->array, VM_SLOT_READONLY) < 0)
		log_guest("flash at 0x%llx: the address is taken", (unsigned long long)flash->base);
}

static void start_command(struct pflash *flash, uint8_t cmd)
{
	switch (cmd) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT:
		flash->mode = MODE_PROGRAM;
		break;
	case CMD_ERASE:
		flash->mode = MODE_ERASE;
		break;
	case CMD_CLEAR_STATUS:
		/* Cleared is 0, although the chip would still say ready: edk2 looks for that. */
		flash->status = 0;
		break;
	case CMD_READ_STATUS:
		flash->mode = MODE_STATUS;
		hide_array(flash);
		break;
	case CMD_READ_ARRAY:
	default: /* no ID, no CFI query, no buffer: what is not known shows the array */
		show_array(flash);
		break;
	}
}

/* As in a real cell, programming clears bits and only an erase sets them. */
static void program(struct pflash *flash, uint64_t off, unsigned len, uint64_t val)
{
	for (unsigned i = 0; i < len; i++)
		flash->array[off + i] &= (uint8_t)(val >> 8 * i);
	flash->status |= STATUS_READY;
	show_array(flash);
}

static void erase(struct pflash *flash, uint64_t off, uint8_t confirm)
{
	flash->status |= STATUS_READY;
	if (confirm == CMD_ERASE_CONFIRM)
		memset(flash->array + align_down(off, PFLASH_BLOCK_SIZE), ERASED,
		       PFLASH_BLOCK_SIZE);
	else
		flash->status |= STATUS_BAD_SEQ;
	show_array(flash);
}

static void vars_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct pflash *flash = dev;

	pthread_mutex_lock(&flash->lock);
	switch (flash->mode) {
	case MODE_ARRAY:
	case MODE_STATUS:
		start_command(flash, (uint8_t)val);
		break;
	case MODE_PROGRAM:
		program(flash, off, len, val);
		break;
	case MODE_ERASE:
		erase(flash, off, (uint8_t)val);
		break;
	}
	pthread_mutex_unlock(&flash->lock);
}

static uint64_t vars_read(void *dev, uint64_t off, unsigned len)
{
	struct pflash *flash = dev;
	uint64_t val = 0;

	pthread_mutex_lock(&flash->lock);
	if (flash->mode == MODE_STATUS) {
		for (unsigned i = 0; i < len; i++)
			val |= (uint64_t)flash->status << 8 * i;
	} else {
		val = load_le(flash->array + off, len);
	}
	pthread_mutex_unlock(&flash->lock);
	return val;
}

static const struct bus_ops vars_bus_ops = {
	.read = vars_read,
	.write = vars_write,
	.name = "firmware variables",
};

static void vars_reset(struct device *dev)
{
	struct pflash *flash = container_of(dev, struct pflash, device);

	pthread_mutex_lock(&flash->lock);
	flash->status = 0;
	show_array(flash);
	pthread_mutex_unlock(&flash->lock);
}

static void pflash_destroy(struct device *dev)
{
	struct pflash *flash = container_of(dev, struct pflash, device);

	vm_slot_unmap(flash->board->vm, &flash->slot);
	bus_remove(flash->board->mmio, &flash->range);
	if (flash->own) {
		if (msync(flash->array, flash->size, MS_SYNC) < 0)
			log_error("firmware variables: not all reached the disk: %s",
				  strerror(errno));
		munmap(flash->array, flash->size);
	}
	pthread_mutex_destroy(&flash->lock);
	free(flash);
}

/* CODE has no state, so nothing to reset. */
static const struct device_ops code_device_ops = { .destroy = pflash_destroy };

static const struct device_ops vars_device_ops = {
	.reset = vars_reset,
	.destroy = pflash_destroy,
};

static int check_size(uint64_t end, size_t size)
{
	if (size == 0 || size % PFLASH_BLOCK_SIZE || size > end)
		return err_set(ERR_FILE, -EINVAL,
			       "firmware of %zu bytes does not fill whole blocks of %u", size,
			       PFLASH_BLOCK_SIZE);
	return 0;
}

static struct pflash *pflash_new(const struct board *board, const char *name,
				 const struct device_ops *ops, uint64_t end, size_t size)
{
	struct pflash *flash = calloc(1, sizeof(*flash));

	if (!flash)
		return NULL;
	flash->device = (struct device){ .name = name, .ops = ops };
	flash->board = board;
	flash->base = end - size;
	flash->size = size;
	pthread_mutex_init(&flash->lock, NULL);
	return flash;
}

int pflash_code_create(const struct board *board, uint64_t end, void *image, size_t size,
		       struct device **ret_dev)
{
	struct pflash *flash;
	int r = check_size(end, size);

	if (r < 0)
		return r;
	flash = pflash_new(board, "pflash-code", &code_device_ops, end, size);
	if (!flash)
		return err_sys(ERR_LIMIT, -ENOMEM, "firmware flash");
	flash->array = image;
	/* Writes exit to the mmio bus, where nobody takes them: they vanish. */
	r = vm_slot_map(board->vm, &flash->slot, flash->base, size, image, VM_SLOT_READONLY);
	if (r < 0) {
		pflash_destroy(&flash->device);
		return err_sys(ERR_HOST, r, "map the firmware");
	}
	*ret_dev = &flash->device;
	return 0;
}

static int map_vars(struct pflash *flash, int fd, const void *initial)
{
	struct stat st;
	void *array;

	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			return err_sys(ERR_FILE, -errno, "firmware variables");
		if (st.st_size < 0 || (uint64_t)st.st_size < flash->size)
			return err_set(ERR_FILE, -EINVAL,
				       "firmware variables: the file is shorter than %zu bytes",
				       flash->size);
	}
	array = mmap(NULL, flash->size, PROT_READ | PROT_WRITE,
		     fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (array == MAP_FAILED)
		return err_sys(ERR_FILE, -errno, "map the firmware variables");
	flash->array = array;
	flash->own = true;
	if (fd < 0)
		memcpy(array, initial, flash->size);
	return 0;
}

int pflash_vars_create(const struct board *board, uint64_t end, int fd, const void *initial,
		       size_t size, struct device **ret_dev)
{
	struct pflash *flash;
	int r = check_size(end, size);

	assert(fd >= 0 || initial);
	if (r < 0)
		return r;
	flash = pflash_new(board, "pflash-vars", &vars_device_ops, end, size);
	if (!flash)
		return err_sys(ERR_LIMIT, -ENOMEM, "firmware variables");
	flash->range = (struct bus_range){
		.base = flash->base, .size = size, .ops = &vars_bus_ops, .dev = flash
	};
	r = map_vars(flash, fd, initial);
	if (r < 0)
		goto fail;
	r = bus_add(board->mmio, &flash->range);
	if (r == 0)
		r = vm_slot_map(board->vm, &flash->slot, flash->base, size, flash->array,
				VM_SLOT_READONLY);
	if (r < 0) {
		err_sys(ERR_HOST, r, "map the firmware variables");
		goto fail;
	}
	*ret_dev = &flash->device;
	return 0;
fail:
	pflash_destroy(&flash->device);
	return r;
}
