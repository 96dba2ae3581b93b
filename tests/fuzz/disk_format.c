/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images that say to be of some format, as a guest can have written them. */
#include "fuzz.h"

#include <stdlib.h>

#include "core/err.h"
#include "devices/blk/blk_format.h"

#define VERSION_3 3u
#define NAME      "200"       /* of the file, where it lies */
#define BACKING   0xe2792acau /* [QEMU: docs/interop/qcow2.rst, Header extensions] */

static void put_be(uint8_t *p, unsigned len, uint64_t v)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> 8 * (len - 1 - i));
}

static size_t seed_qcow2(uint8_t *p, bool backing)
{
	memcpy(p, "QFI\xfb", 4);
	put_be(p + 4, 4, VERSION_3);
	put_be(p + 20, 4, 16);
	put_be(p + 24, 8, MiB);
	put_be(p + 100, 4, 104);
	if (backing) {
		/* The image itself, so that the chain has no end. */
		put_be(p + 8, 8, 0x200);
		put_be(p + 16, 4, strlen(NAME));
		put_be(p + 104, 4, BACKING);
		put_be(p + 108, 4, 5);
		memcpy(p + 112, "qcow2", 5);
		memcpy(p + 0x200, NAME, strlen(NAME));
	}
	return 0x240;
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const char *const magics[] = { "KDMV", "COWD", "vhdxfile", "conectix" };

	seed[0] = (uint8_t)nr;
	if (nr < 4)
		return 1 + seed_qcow2(seed + 1, nr >= BLK_FORMAT_QCOW2);
	if (nr - 4 < ARRAY_SIZE(magics)) {
		fuzz_put_text(seed + 1, magics[nr - 4]);
		return 513;
	}
	return 0;
}

/* A byte that says what the user calls it, then the image. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	const enum blk_format said = fuzz_below(&in, BLK_FORMAT_VPC + 1);
	uint64_t disk = 0;
	static const char path[] = "/proc/self/fd/" NAME;
	char made[32];
	const int fd = fuzz_file(in.p, in.left, made);

	if (dup2(fd, (int)strtol(NAME, NULL, 10)) < 0)
		abort();
	err_clear();
	(void)!blk_format_check(path, said);
	for (enum blk_format format = BLK_FORMAT_RAW; format <= BLK_FORMAT_QCOW2; format++)
		(void)!blk_format_size(path, format, &disk);
	close(fd);
	return 0;
}
