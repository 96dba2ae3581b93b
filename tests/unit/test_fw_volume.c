/* SPDX-License-Identifier: Apache-2.0 */
/* Telling flash images apart, also when they are damaged or hostile. */
#include "cmocka_all.h"
#include "fake_firmware.h"

#include <stdlib.h>

#include "firmware-loader/fw_volume.h"

/* Heap copies of exact length, so that a sanitizer sees every read past the end. */
static enum fw_kind kind_of(const uint8_t *data, size_t size, size_t *ret_vars_size)
{
	uint8_t *copy = calloc(1, size ? size : 1);
	enum fw_kind kind;

	memcpy(copy, data, size);
	kind = fw_volume_kind(copy, size, ret_vars_size);
	free(copy);
	return kind;
}

static bool vars_ok(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, size ? size : 1);
	bool ok;

	memcpy(copy, data, size);
	ok = fw_volume_vars_problem(copy, size) == NULL;
	free(copy);
	return ok;
}

static void code_vars_and_combined(void **state)
{
	uint8_t image[FAKE_VARS_SIZE + FAKE_CODE_SIZE];
	size_t vars;

	fake_code(image, FAKE_CODE_SIZE);
	assert_int_equal(kind_of(image, FAKE_CODE_SIZE, &vars), FW_CODE);
	assert_int_equal(vars, 0);
	assert_string_equal(fw_volume_vars_problem(image, FAKE_CODE_SIZE),
			    "it is firmware code, not a variable store");

	fake_vars(image, FAKE_VARS_SIZE);
	assert_int_equal(kind_of(image, FAKE_VARS_SIZE, &vars), FW_VARS);
	assert_int_equal(vars, FAKE_VARS_SIZE);
	assert_true(vars_ok(image, FAKE_VARS_SIZE));

	fake_code(image + FAKE_VARS_SIZE, FAKE_CODE_SIZE);
	assert_int_equal(kind_of(image, sizeof(image), &vars), FW_COMBINED);
	assert_int_equal(vars, FAKE_VARS_SIZE);
	assert_false(vars_ok(image, sizeof(image)));
}

static void unknown_files(void **state)
{
	static const uint8_t zeroes[8192];
	uint8_t image[FAKE_CODE_SIZE];
	size_t vars;

	assert_int_equal(kind_of(zeroes, 0, &vars), FW_UNKNOWN);
	assert_int_equal(kind_of(zeroes, 1, &vars), FW_UNKNOWN);
	assert_int_equal(kind_of(zeroes, sizeof(zeroes), &vars), FW_UNKNOWN);
	assert_false(vars_ok(zeroes, 0));
	assert_false(vars_ok(zeroes, sizeof(zeroes)));

	/* Not whole blocks. */
	fake_code(image, sizeof(image));
	assert_int_equal(kind_of(image, sizeof(image) - 1, &vars), FW_UNKNOWN);
	/* No reset vector: the end was erased, or zeroed. */
	memset(image + sizeof(image) - 16, 0xff, 16);
	assert_int_equal(kind_of(image, sizeof(image), &vars), FW_UNKNOWN);
	memset(image + sizeof(image) - 16, 0, 16);
	assert_int_equal(kind_of(image, sizeof(image), &vars), FW_UNKNOWN);
}

static void impossible_lengths(void **state)
{
	static const uint64_t lengths[] = { 0,    1,     71,         FAKE_VARS_SIZE + 4096,
					    4097, ~0ull, 1ull << 63, FAKE_VARS_SIZE - 4096 };
	static const uint16_t headers[] = { 0, 1, 2, 63, 71, 0xffff, 0xfffe };
	uint8_t image[FAKE_VARS_SIZE];
	size_t vars;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		fake_vars(image, sizeof(image));
		store_le(image + 32, 8, lengths[i]);
		fake_fix_checksum(image);
		assert_int_equal(kind_of(image, sizeof(image), &vars), FW_UNKNOWN);
		assert_false(vars_ok(image, sizeof(image)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		fake_vars(image, sizeof(image));
		store_le(image + 48, 2, headers[i]);
		fake_fix_checksum(image);
		assert_int_equal(kind_of(image, sizeof(image), &vars), FW_UNKNOWN);
		assert_false(vars_ok(image, sizeof(image)));
	}
}

/* Any bit of the header or of the store's header, up to the reserved fields at its end. */
static void damaged_stores_are_refused(void **state)
{
	uint8_t image[FAKE_VARS_SIZE];

	fake_vars(image, sizeof(image));
	for (unsigned bit = 0; bit < 8 * (FAKE_HEADER + 16); bit++) {
		image[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(vars_ok(image, sizeof(image)));
		image[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(vars_ok(image, sizeof(image)));

	store_le(image + FAKE_HEADER + 16, 4, 27); /* smaller than its header */
	assert_false(vars_ok(image, sizeof(image)));
	store_le(image + FAKE_HEADER + 16, 4, sizeof(image)); /* past the end */
	assert_false(vars_ok(image, sizeof(image)));
	store_le(image + FAKE_HEADER + 16, 4, 0xffffffff);
	assert_false(vars_ok(image, sizeof(image)));
	fake_vars(image, sizeof(image));
	image[FAKE_HEADER + 20] = 0;
	assert_false(vars_ok(image, sizeof(image)));
	fake_vars(image, sizeof(image));
	image[FAKE_HEADER + 21] = 0;
	assert_false(vars_ok(image, sizeof(image)));
}

static void plain_variables_are_accepted(void **state)
{
	static const uint8_t plain[16] = { 0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
					   0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d };
	uint8_t image[FAKE_VARS_SIZE];

	fake_vars(image, sizeof(image));
	memcpy(image + FAKE_HEADER, plain, sizeof(plain));
	assert_true(vars_ok(image, sizeof(image)));
}

/* Firmware was killed after it erased the store and before it rewrote it from its spare copy. */
static void interrupted_rewrite_is_left_to_firmware(void **state)
{
	uint8_t image[FAKE_VARS_SIZE];

	fake_vars(image, sizeof(image));
	memcpy(image + sizeof(image) / 2, image, sizeof(image) / 2);
	memset(image, 0xff, 4096);
	assert_true(vars_ok(image, sizeof(image)));
	image[sizeof(image) / 2 + 40] ^= 1;
	assert_false(vars_ok(image, sizeof(image)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_vars_and_combined),
		cmocka_unit_test(unknown_files),
		cmocka_unit_test(impossible_lengths),
		cmocka_unit_test(damaged_stores_are_refused),
		cmocka_unit_test(plain_variables_are_accepted),
		cmocka_unit_test(interrupted_rewrite_is_left_to_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
