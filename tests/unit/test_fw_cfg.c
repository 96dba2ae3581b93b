/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg as OVMF and Linux read it: the data port, the directory, DMA, and requests out of bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "core/bus.h"
#include "core/mem.h"
#include "core/vm.h"
#include "devices/chipset/fw_cfg.h"
#include "temp_dir.h"

#define PORT     0x510
#define SELECTOR (PORT + 0)
#define DATA     (PORT + 1)
#define DMA_HIGH (PORT + 4)
#define DMA_LOW  (PORT + 8)

/* RAM: 64 KiB at 0, and 64 KiB above 4 GiB; nothing between. */
#define BANK_SIZE (64 * KiB)
#define HIGH_BANK (4 * GiB)
#define REQUEST   0x1000ull /* where tests put the DMA request */
#define BUFFER    0x2000ull

struct fixture {
	struct bus pio;
	struct guest_mem mem;
	struct vm vm; /* takes requests, no more */
	struct board board;
	struct fw_cfg *fw;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *f = &fixture;

	*f = (struct fixture){ .board = { .vm = &f->vm, .pio = &f->pio, .mem = &f->mem } };
	bus_init(&f->pio);
	guest_mem_init(&f->mem);
	assert_int_equal(guest_mem_add(&f->mem, 0, BANK_SIZE), 0);
	assert_int_equal(guest_mem_add(&f->mem, HIGH_BANK, BANK_SIZE), 0);
	memset(mem_ptr(&f->mem, 0, BANK_SIZE), 0x77, BANK_SIZE);
	memset(mem_ptr(&f->mem, HIGH_BANK, BANK_SIZE), 0x77, BANK_SIZE);
	assert_int_equal(fw_cfg_create(&f->board, PORT, &f->fw), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct device *dev = fw_cfg_device(f->fw);

	dev->ops->destroy(dev);
	guest_mem_fini(&f->mem);
	bus_fini(&f->pio);
	return 0;
}

static void select_item(struct fixture *f, uint16_t key)
{
	bus_write(&f->pio, SELECTOR, 2, key);
}

/* REP INSB */
static void read_port(struct fixture *f, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)bus_read(&f->pio, DATA, 1);
}

/* Runs a DMA request at REQUEST; its control word afterwards. */
static uint32_t dma(struct fixture *f, uint32_t control, uint64_t gpa, uint32_t len)
{
	struct fw_cfg_dma_access req = { .control = htobe32(control),
					 .length = htobe32(len),
					 .address = htobe64(gpa) };

	assert_true(mem_write(&f->mem, REQUEST, &req, sizeof(req)));
	bus_write(&f->pio, DMA_HIGH, 4, htobe32((uint32_t)(REQUEST >> 32)));
	bus_write(&f->pio, DMA_LOW, 4, htobe32((uint32_t)REQUEST));
	assert_true(mem_read(&f->mem, REQUEST, &req, sizeof(req)));
	return be32toh(req.control);
}

static uint32_t dma_select(uint16_t key)
{
	return (uint32_t)key << 16 | FW_CFG_DMA_CTL_SELECT;
}

/* Looks a file up the way OVMF's QemuFwCfgFindFile does. */
static bool find_file(struct fixture *f, const char *name, uint16_t *ret_key, uint32_t *ret_size)
{
	uint32_t count;
	struct fw_cfg_file file;

	select_item(f, FW_CFG_FILE_DIR);
	read_port(f, &count, sizeof(count));
	for (uint32_t i = 0; i < be32toh(count); i++) {
		read_port(f, &file, sizeof(file));
		if (strcmp(file.name, name) == 0) {
			*ret_key = be16toh(file.select);
			*ret_size = be32toh(file.size);
			return true;
		}
	}
	return false;
}

static void firmware_detects_the_device(void **state)
{
	struct fixture *f = *state;
	char sig[4];
	uint32_t id;

	select_item(f, FW_CFG_SIGNATURE);
	read_port(f, sig, sizeof(sig));
	assert_memory_equal(sig, "QEMU", 4);
	select_item(f, FW_CFG_ID);
	read_port(f, &id, sizeof(id));
	assert_int_equal(le32toh(id), FW_CFG_VERSION | FW_CFG_VERSION_DMA);
}

static void dma_port_reads_the_signature(void **state)
{
	struct fixture *f = *state;
	uint8_t sig[8];

	store_le(sig, 4, bus_read(&f->pio, DMA_HIGH, 4));
	store_le(sig + 4, 4, bus_read(&f->pio, DMA_LOW, 4));
	assert_memory_equal(sig, "QEMU CFG", 8);
}

static void numbers_are_little_endian(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[4];

	assert_int_equal(fw_cfg_add_u16(f->fw, FW_CFG_NB_CPUS, 0x0102), 0);
	assert_int_equal(fw_cfg_add_u32(f->fw, FW_CFG_KERNEL_SIZE, 0x01020304), 0);
	select_item(f, FW_CFG_NB_CPUS);
	read_port(f, bytes, 2);
	assert_memory_equal(bytes, "\x02\x01", 2);
	select_item(f, FW_CFG_KERNEL_SIZE);
	read_port(f, bytes, 4);
	assert_memory_equal(bytes, "\x04\x03\x02\x01", 4);
}

static void beyond_the_end_reads_zero(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[6] = { 1, 1, 1, 1, 1, 1 };

	select_item(f, FW_CFG_SIGNATURE);
	read_port(f, bytes, sizeof(bytes));
	assert_memory_equal(bytes, "QEMU\0\0", 6);
	select_item(f, 0x3333); /* unknown */
	read_port(f, bytes, sizeof(bytes));
	assert_memory_equal(bytes, "\0\0\0\0\0\0", 6);
}

static void selecting_again_rewinds(void **state)
{
	struct fixture *f = *state;
	char c;

	for (unsigned i = 0; i < 2; i++) {
		select_item(f, FW_CFG_SIGNATURE);
		read_port(f, &c, 1);
		assert_int_equal(c, 'Q');
		read_port(f, &c, 1);
		assert_int_equal(c, 'E');
	}
}

static void empty_directory(void **state)
{
	struct fixture *f = *state;
	uint16_t key;
	uint32_t size;

	assert_false(find_file(f, "etc/e820", &key, &size));
}

static void files_are_listed_in_order(void **state)
{
	struct fixture *f = *state;
	uint16_t key;
	uint32_t size;
	char data[8];

	assert_int_equal(fw_cfg_add_file(f->fw, "etc/e820", "0123456789", 10), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "bootorder", "", 0), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "etc/acpi/rsdp", "RSD PTR ", 8), 0);
	assert_true(find_file(f, "etc/e820", &key, &size));
	assert_int_equal(key, FW_CFG_FILE_FIRST);
	assert_int_equal(size, 10);
	assert_true(find_file(f, "bootorder", &key, &size));
	assert_int_equal(size, 0);
	assert_true(find_file(f, "etc/acpi/rsdp", &key, &size));
	assert_int_equal(key, FW_CFG_FILE_FIRST + 2);
	assert_int_equal(size, 8);
	select_item(f, key);
	read_port(f, data, sizeof(data));
	assert_memory_equal(data, "RSD PTR ", 8);
}

static void dma_reads_and_continues(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = mem_ptr(&f->mem, BUFFER, 64);

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	select_item(f, FW_CFG_FILE_FIRST);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, BUFFER, 4), 0);
	assert_memory_equal(buf, "0123\x77", 5);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_SKIP, 0, 2), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, BUFFER, 8), 0);
	assert_memory_equal(buf, "6789\0\0\0\0\x77", 9);
}

static void dma_selects_and_reads_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	assert_int_equal(dma(f, dma_select(FW_CFG_FILE_FIRST) | FW_CFG_DMA_CTL_READ, BUFFER, 10),
			 0);
	assert_memory_equal(mem_ptr(&f->mem, BUFFER, 10), "0123456789", 10);
}

static void dma_of_unknown_item_is_zero(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dma(f, dma_select(0x7777) | FW_CFG_DMA_CTL_READ, BUFFER, 4), 0);
	assert_memory_equal(mem_ptr(&f->mem, BUFFER, 5), "\0\0\0\0\x77", 5);
}

static void dma_write_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char c;

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	assert_int_equal(dma(f, dma_select(FW_CFG_FILE_FIRST) | FW_CFG_DMA_CTL_WRITE, BUFFER, 4),
			 0);
	select_item(f, FW_CFG_FILE_FIRST);
	read_port(f, &c, 1);
	assert_int_equal(c, '0');
}

static void skip_of_4_gib_is_instant_and_ends_the_item(void **state)
{
	struct fixture *f = *state;

	select_item(f, FW_CFG_SIGNATURE);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(dma(f, FW_CFG_DMA_CTL_SKIP, 0, UINT32_MAX), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, BUFFER, 2), 0);
	assert_memory_equal(mem_ptr(&f->mem, BUFFER, 3), "\0\0\x77", 3);
}

static void read_is_bounded_by_ram(void **state)
{
	struct fixture *f = *state;
	uint8_t *end = mem_ptr(&f->mem, BANK_SIZE - 8, 8);
	uint8_t *high = mem_ptr(&f->mem, HIGH_BANK, BANK_SIZE);

	/* From the end of the low bank across the hole: both banks get their part. */
	assert_int_equal(dma(f, dma_select(FW_CFG_SIGNATURE) | FW_CFG_DMA_CTL_READ, BANK_SIZE - 8,
			     UINT32_MAX),
			 0);
	assert_memory_equal(end, "QEMU\0\0\0\0", 8);
	assert_int_equal(high[0], 0);
	/* BANK_SIZE - 8 + 4 GiB - 1 is the first byte that was not asked for. */
	assert_int_equal(high[BANK_SIZE - 10], 0);
	assert_int_equal(high[BANK_SIZE - 9], 0x77);
}

static void dma_outside_ram_is_harmless(void **state)
{
	struct fixture *f = *state;
	const uint32_t read = dma_select(FW_CFG_SIGNATURE) | FW_CFG_DMA_CTL_READ;

	assert_int_equal(dma(f, read, 0x80000000, 4), 0);
	assert_int_equal(dma(f, read, UINT64_MAX - 1, 4), 0);
	assert_int_equal(dma(f, read, UINT64_MAX, UINT32_MAX), 0);
	/* A request that is itself nowhere, or only half there. */
	bus_write(&f->pio, DMA_HIGH, 4, 0xffffffff);
	bus_write(&f->pio, DMA_LOW, 4, 0xffffffff);
	bus_write(&f->pio, DMA_LOW, 4, htobe32(BANK_SIZE - 8));
}

static void dma_request_above_4_gib(void **state)
{
	struct fixture *f = *state;
	struct fw_cfg_dma_access req = {
		.control = htobe32(dma_select(FW_CFG_SIGNATURE) | FW_CFG_DMA_CTL_READ),
		.length = htobe32(4),
		.address = htobe64(HIGH_BANK + 0x100),
	};

	assert_true(mem_write(&f->mem, HIGH_BANK, &req, sizeof(req)));
	bus_write(&f->pio, DMA_HIGH, 4, htobe32(1));
	bus_write(&f->pio, DMA_LOW, 4, htobe32(0));
	assert_true(mem_read(&f->mem, HIGH_BANK, &req, sizeof(req)));
	assert_int_equal(req.control, 0);
	assert_memory_equal(mem_ptr(&f->mem, HIGH_BANK + 0x100, 4), "QEMU", 4);
}

static void renew(void *opaque)
{
	struct fixture *f = opaque;

	assert_int_equal(fw_cfg_set_file(f->fw, "etc/acpi/tables", "fresh", 5), 0);
	assert_int_equal(fw_cfg_set_file(f->fw, "etc/table-loader", "LOADER", 6), 0);
}

static void selecting_a_file_renews_it(void **state)
{
	struct fixture *f = *state;
	uint16_t tables, loader;
	uint32_t size;
	char data[6];

	assert_int_equal(fw_cfg_add_file(f->fw, "etc/acpi/tables", "stale", 5), 0);
	assert_int_equal(fw_cfg_add_file(f->fw, "etc/table-loader", "loader", 6), 0);
	fw_cfg_on_select(f->fw, "etc/table-loader", renew, f);
	assert_true(find_file(f, "etc/acpi/tables", &tables, &size));
	assert_true(find_file(f, "etc/table-loader", &loader, &size));
	select_item(f, tables);
	read_port(f, data, 5);
	assert_memory_equal(data, "stale", 5);
	select_item(f, loader);
	read_port(f, data, 6);
	assert_memory_equal(data, "LOADER", 6);
	select_item(f, tables);
	read_port(f, data, 5);
	assert_memory_equal(data, "fresh", 5);
}

static void a_new_length_shows_in_the_directory(void **state)
{
	struct fixture *f = *state;
	uint16_t key;
	uint32_t size;

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	assert_int_equal(fw_cfg_set_file(f->fw, "f", "abc", 3), 0);
	assert_true(find_file(f, "f", &key, &size));
	assert_int_equal(size, 3);
}

static void item_that_shrinks_while_read_ends(void **state)
{
	struct fixture *f = *state;
	char data[8];

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	select_item(f, FW_CFG_FILE_FIRST);
	read_port(f, data, 8);
	assert_int_equal(fw_cfg_set_file(f->fw, "f", "abc", 3), 0);
	read_port(f, data, 2);
	assert_memory_equal(data, "\0\0", 2);
}

static void other_accesses_read_all_ones(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bus_read(&f->pio, SELECTOR, 2), 0xffff);
	assert_int_equal(bus_read(&f->pio, DATA, 2), 0xffff);
	bus_write(&f->pio, DATA, 1, 0x55);
	bus_write(&f->pio, SELECTOR, 1, 1);
	bus_write(&f->pio, PORT + 2, 2, 1);
	firmware_detects_the_device(state);
}

static void reset_keeps_the_items(void **state)
{
	struct fixture *f = *state;
	struct device *dev = fw_cfg_device(f->fw);
	uint16_t key;
	uint32_t size;
	char c;

	assert_int_equal(fw_cfg_add_file(f->fw, "f", "0123456789", 10), 0);
	select_item(f, FW_CFG_FILE_FIRST);
	dev->ops->reset(dev);
	read_port(f, &c, 1);
	assert_int_equal(c, 'Q');
	assert_true(find_file(f, "f", &key, &size));
}

static void taken_port_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct fw_cfg *second = NULL;

	assert_int_equal(fw_cfg_create(&f->board, PORT + 8, &second), -EEXIST);
	assert_null(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_piece_of_a_file_is_read_when_it_is_asked_for(void **state)
{
	struct fixture *f = *state;
	struct temp_dir dir;
	const char *path;
	uint8_t bytes[3], *ram;
	int fd;

	temp_dir_init(&dir);
	path = temp_file(&dir, "initrd", "..abcdefgh", 10);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fw_cfg_add_piece(f->fw, FW_CFG_INITRD_DATA,
					  &(struct fw_cfg_piece){ fd, 2, 6, path }),
			 0);
	select_item(f, FW_CFG_INITRD_DATA);
	read_port(f, bytes, sizeof(bytes));
	assert_memory_equal(bytes, "abc", 3);
	/* The file is not kept in memory. */
	temp_file(&dir, "initrd", "..ABCDEFGH", 10);
	assert_int_equal(dma(f, dma_select(FW_CFG_INITRD_DATA) | FW_CFG_DMA_CTL_READ, BUFFER, 8),
			 0);
	ram = mem_ptr(&f->mem, BUFFER, 9);
	assert_memory_equal(ram, "ABCDEF\0\0\x77", 9);
	/* On from an offset. */
	assert_int_equal(dma(f, dma_select(FW_CFG_INITRD_DATA) | FW_CFG_DMA_CTL_SKIP, 0, 4), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, BUFFER, 1), 0);
	assert_memory_equal(ram, "EB", 2);
	assert_int_equal(f->vm.request, VM_REQUEST_NONE);
	close(fd);
	temp_dir_fini(&dir);
}

static void a_piece_that_is_gone_ends_the_run(void **state)
{
	struct fixture *f = *state;
	struct temp_dir dir;
	const char *path;
	uint8_t *ram;
	int fd;

	temp_dir_init(&dir);
	path = temp_file(&dir, "kernel", "0123456789", 10);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fw_cfg_add_piece(f->fw, FW_CFG_KERNEL_DATA,
					  &(struct fw_cfg_piece){ fd, 0, 10, path }),
			 0);
	assert_int_equal(truncate(path, 4), 0);
	/* The request ends all the same: firmware would wait for ever. */
	assert_int_equal(dma(f, dma_select(FW_CFG_KERNEL_DATA) | FW_CFG_DMA_CTL_READ, BUFFER, 10),
			 0);
	assert_int_equal(f->vm.request, VM_REQUEST_CRASH);
	ram = mem_ptr(&f->mem, BUFFER, 11);
	assert_memory_equal(ram, "\0\0\0\0\0\0\0\0\0\0\x77", 11);
	close(fd);
	temp_dir_fini(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(firmware_detects_the_device),
		TEST(dma_port_reads_the_signature),
		TEST(numbers_are_little_endian),
		TEST(beyond_the_end_reads_zero),
		TEST(selecting_again_rewinds),
		TEST(empty_directory),
		TEST(files_are_listed_in_order),
		TEST(dma_reads_and_continues),
		TEST(dma_selects_and_reads_at_once),
		TEST(dma_of_unknown_item_is_zero),
		TEST(dma_write_changes_nothing),
		TEST(skip_of_4_gib_is_instant_and_ends_the_item),
		TEST(read_is_bounded_by_ram),
		TEST(dma_outside_ram_is_harmless),
		TEST(dma_request_above_4_gib),
		TEST(selecting_a_file_renews_it),
		TEST(a_new_length_shows_in_the_directory),
		TEST(item_that_shrinks_while_read_ends),
		TEST(other_accesses_read_all_ones),
		TEST(reset_keeps_the_items),
		TEST(taken_port_is_an_error),
		TEST(a_piece_of_a_file_is_read_when_it_is_asked_for),
		TEST(a_piece_that_is_gone_ends_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
