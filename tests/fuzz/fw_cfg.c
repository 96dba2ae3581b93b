/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg: its ports, and DMA requests at any address, of any length. */
#include "hostile_cpu.h"

#include <assert.h>
#include <linux/qemu_fw_cfg.h>

#include "core/mem.h"
#include "core/vm.h"
#include "devices/chipset/fw_cfg.h"

#define PORT      0x510u
#define RAM       (64 * KiB)
#define HIGH      (4 * GiB)
#define STEPS_MAX 32u /* a request may be of 4 GiB */
#define KERNEL    8u  /* an item's number */

enum { ACCESS, DMA, MEMORY, STEPS };

static void put_dma(uint8_t **p, uint64_t at, uint32_t control, uint64_t gpa, uint32_t len)
{
	fuzz_put(p, 1, DMA);
	fuzz_put(p, 8, at);
	fuzz_put(p, 4, control);
	fuzz_put(p, 8, gpa);
	fuzz_put(p, 4, len);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	const uint32_t read = FW_CFG_DMA_CTL_SELECT | FW_CFG_DMA_CTL_READ;
	uint8_t *p = seed;

	switch (nr) {
	case 0:
		put_dma(&p, 0x1000, FW_CFG_FILE_DIR << 16 | read, 0x2000, 200);
		put_dma(&p, 0x1000, FW_CFG_DMA_CTL_SKIP, 0, 8);
		put_dma(&p, 0x1000, KERNEL << 16 | read, HIGH, 4000);
		break;
	case 1:
		put_dma(&p, HIGH + RAM - 16, KERNEL << 16 | read, RAM - 8, 8);
		put_dma(&p, 0, FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_CTL_SELECT, 0, 0);
		put_dma(&p, 0x10, FW_CFG_DMA_CTL_WRITE, 0x2000, 8);
		break;
	case 2:
		fuzz_put(&p, 1, ACCESS);
		hostile_seed_write(&p, 0, 0, 2, FW_CFG_FILE_DIR);
		for (unsigned i = 0; i < 8; i++) {
			fuzz_put(&p, 1, ACCESS);
			hostile_seed_read(&p, 0, 1, 1);
		}
		break;
	}
	return (size_t)(p - seed);
}

static void dma(const struct board *board, struct fuzz_input *in)
{
	const uint64_t at = fuzz_take(in, 8);
	struct fw_cfg_dma_access request = { .control = htobe32((uint32_t)fuzz_take(in, 4)) };

	request.address = htobe64(fuzz_take(in, 8));
	request.length = htobe32((uint32_t)fuzz_take(in, 4));
	(void)!mem_write(board->mem, at, &request, sizeof(request));
	bus_write(board->pio, PORT + 4, 4, htobe32((uint32_t)(at >> 32)));
	bus_write(board->pio, PORT + 8, 4, htobe32((uint32_t)at));
}

static void step(const struct board *board, struct fuzz_input *in)
{
	const struct hostile_place place = { board->pio, PORT, FW_CFG_PORTS };
	const uint8_t *bytes;
	uint64_t at;
	size_t len;

	switch (fuzz_below(in, STEPS)) {
	case ACCESS:
		hostile_cpu_access(&place, 1, in);
		break;
	case DMA:
		dma(board, in);
		break;
	default:
		at = fuzz_take(in, 2);
		len = fuzz_bytes(in, fuzz_below(in, 64), &bytes);
		(void)!mem_write(board->mem, at, bytes, len);
	}
}

static void init_memory(struct guest_mem *mem)
{
	int r = 0;

	if (!mem->count) {
		guest_mem_init(mem);
		r = guest_mem_add(mem, 0, RAM);
		assert(r == 0);
		r = guest_mem_add(mem, HIGH, RAM);
	}
	assert(r == 0);
	memset(mem_ptr(mem, 0, RAM), 0, RAM);
	memset(mem_ptr(mem, HIGH, RAM), 0, RAM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t content[5000];
	static struct bus pio;
	struct fuzz_input in = { data, size };
	struct vm vm = { 0 };
	static struct guest_mem mem; /* the same for all, zeroed */
	const struct board board = { .vm = &vm, .pio = &pio, .mem = &mem };
	char path[32];
	const int fd = fuzz_file(content, sizeof(content), path);
	const struct fw_cfg_piece piece = { fd, 100, sizeof(content) - 100, "the kernel" };
	struct fw_cfg *fw;
	int r;

	bus_init(&pio);
	init_memory(&mem);
	r = fw_cfg_create(&board, PORT, &fw);
	assert(r == 0);
	r = fw_cfg_add_file(fw, "etc/a", content, 300);
	assert(r == 0);
	r = fw_cfg_add_piece(fw, KERNEL, &piece);
	assert(r == 0);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(&board, &in);
	fw_cfg_device(fw)->ops->destroy(fw_cfg_device(fw));
	bus_fini(&pio);
	close(fd);
	return 0;
}
