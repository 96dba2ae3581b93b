/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged firmware: an image that is code, variables or both, with the input's bytes written over
 * it, and descriptors, which are JSON.
 */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "core/err.h"
#include "fake_firmware.h"
#include "firmware-loader/fw_descriptor.h"
#include "firmware-loader/fw_image.h"
#include "firmware-loader/fw_volume.h"

#define SIZE (FAKE_VARS_SIZE + FAKE_CODE_SIZE)

enum { CODE, VARS, BOTH, DESCRIPTOR, KINDS };

static const char *const descriptors[] = {
	"{ \"interface-types\": [ \"uefi\" ], \"mapping\": { \"device\": \"flash\", \"mode\": "
	"\"split\", \"executable\": { \"filename\": \"/a\", \"format\": \"raw\" }, "
	"\"nvram-template\": { \"filename\": \"/b\", \"format\": \"raw\" } }, \"targets\": [ { "
	"\"architecture\": \"x86_64\", \"machines\": [ \"pc-q35-*\", \"\\u00e9\\ud83d\\ude00\" ] "
	"} ], \"features\": [ \"acpi-s3\", \"requires-smm\" ] }",
	"[[[[]]], -1.5e+3, true, false, null, {\"a\": {\"b\": \"\\\\\\n\"}}]",
};

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	if (nr >= DESCRIPTOR + ARRAY_SIZE(descriptors))
		return 0;
	seed[0] = (uint8_t)MIN(nr, DESCRIPTOR);
	if (nr >= DESCRIPTOR)
		return 1 + fuzz_put_text(seed + 1, descriptors[nr - DESCRIPTOR]);
	/* One byte of a volume's header becomes what it was. */
	seed[1] = 40;
	seed[5] = 1;
	seed[6] = '_';
	return 7;
}

/* Pieces, each with its place and length. */
static void damage(uint8_t *image, size_t size, struct fuzz_input *in)
{
	const uint8_t *bytes;

	while (in->left) {
		const size_t at = fuzz_take(in, 4) % size;
		const size_t len = fuzz_bytes(in, fuzz_below(in, 64), &bytes);

		memcpy(image + at, bytes, MIN(len, size - at));
	}
}

static void open_image(unsigned kind, struct fuzz_input *in)
{
	static const struct fw_pair no_pairs[] = { { NULL, NULL } };
	static const char *const no_dirs[] = { NULL };
	static const struct fw_search search = { no_dirs, no_pairs };
	static uint8_t image[SIZE];
	uint8_t *code = kind == BOTH ? image + FAKE_VARS_SIZE : image;
	const size_t size = kind == BOTH ? SIZE : FAKE_CODE_SIZE;
	struct fw_image opened;
	size_t vars_size = 0;
	char path[32];
	int fd;

	if (kind != VARS)
		fake_code(code, FAKE_CODE_SIZE);
	if (kind != CODE)
		fake_vars(image, FAKE_VARS_SIZE);
	damage(image, size, in);
	/* Past the check of the sum, which would hide all else; as often as not. */
	if (image[size / 2] & 1)
		fake_fix_checksum(image);
	(void)fw_volume_kind(image, size, &vars_size);
	assert(vars_size <= size);
	(void)fw_volume_vars_problem(image, size);
	fd = fuzz_file(image, size, path);
	if (fw_image_open(path, &search, &opened) == 0)
		fw_image_fini(&opened);
	close(fd);
}

static void read_descriptor(struct fuzz_input *in)
{
	struct fw_descriptor descriptor;
	char path[32];
	const int fd = fuzz_file(in->p, in->left, path);

	if (fw_descriptor_read(path, &descriptor) == 0)
		fw_descriptor_fini(&descriptor);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	const unsigned kind = fuzz_below(&in, KINDS);

	err_clear();
	if (kind == DESCRIPTOR)
		read_descriptor(&in);
	else
		open_image(kind, &in);
	return 0;
}
