/* SPDX-License-Identifier: Apache-2.0 */
/* The AML encoder against the byte sequences of the specification. */
#include "cmocka_all.h"

#include <errno.h>

#include "boot/aml_res.h"

#define assert_bytes(b, ...)                                                \
	do {                                                                \
		const uint8_t expected[] = { __VA_ARGS__ };                 \
		assert_int_equal((b)->error, 0);                            \
		assert_int_equal((b)->len, sizeof(expected));               \
		assert_memory_equal((b)->data, expected, sizeof(expected)); \
		buf_fini(b);                                                \
	} while (0)

static void integers_take_their_shortest_form(void **state)
{
	struct buf b = { 0 };

	aml_int(&b, 0);
	aml_int(&b, 1);
	aml_int(&b, 2);
	aml_int(&b, 0xff);
	aml_int(&b, 0x100);
	aml_int(&b, 0xffff);
	assert_bytes(&b, 0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0b, 0xff, 0xff);

	aml_int(&b, 0x10000);
	aml_int(&b, 0xffffffff);
	assert_bytes(&b, 0x0c, 0, 0, 1, 0, 0x0c, 0xff, 0xff, 0xff, 0xff);

	aml_int(&b, 0x100000000);
	assert_bytes(&b, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}

static void names_are_padded_and_prefixed(void **state)
{
	struct buf b = { 0 };

	aml_path(&b, "_CRS");
	aml_path(&b, "A");
	assert_bytes(&b, '_', 'C', 'R', 'S', 'A', '_', '_', '_');

	aml_path(&b, "\\_S5");
	assert_bytes(&b, '\\', '_', 'S', '5', '_');

	aml_path(&b, "^^_SB.PCI0");
	assert_bytes(&b, '^', '^', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');

	aml_path(&b, "\\_SB.PCI0.X9");
	assert_bytes(&b, '\\', 0x2f, 3, '_', 'S', 'B', '_', 'P', 'C', 'I', '0', 'X', '9', '_', '_');
}

static void bad_names_fail_and_stay_failed(void **state)
{
	static const char *const bad[] = { "", "TOOLONG", "9ABC", "lower", "A..B", "A.", "A B" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf b = { 0 };
		size_t len;

		aml_path(&b, bad[i]);
		assert_int_equal(b.error, -EINVAL);
		len = b.len;
		aml_name_int(&b, "GOOD", 1);
		aml_close(&b, 0);
		assert_int_equal(b.error, -EINVAL);
		assert_int_equal(b.len, len);
		buf_fini(&b);
	}
}

static void eisa_ids_are_packed(void **state)
{
	struct buf b = { 0 };

	aml_eisa_id(&b, "PNP0A08");
	aml_eisa_id(&b, "PNP0501");
	assert_bytes(&b, 0x0c, 0x41, 0xd0, 0x0a, 0x08, 0x0c, 0x41, 0xd0, 0x05, 0x01);

	aml_eisa_id(&b, "PNP0A0");
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
	aml_eisa_id(&b, "PNPXXXX");
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
}

static void uuids_are_mixed_endian(void **state)
{
	struct buf b = { 0 };

	aml_uuid(&b, "33db4d5b-1FF7-401c-9657-7441c03dd766");
	assert_bytes(&b, 0x11, 19, 0x0a, 16, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96,
		     0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66);

	aml_uuid(&b, "33db4d5b01ff7-401c-9657-7441c03dd766");
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
	aml_uuid(&b, "33db4d5b-1ff7-401c-9657-7441c03dd76x");
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
}

/* A scope around `inner` bytes; returns its whole length after decoding the PkgLength. */
static void check_package_length(size_t inner, unsigned length_bytes)
{
	static const uint8_t zeroes[4096];
	struct buf b = { 0 };
	size_t mark = aml_scope_open(&b, "_SB_"), decoded, i;

	for (i = 4; i < inner; i += MIN(inner - i, sizeof(zeroes)))
		buf_put(&b, zeroes, MIN(inner - i, sizeof(zeroes)));
	aml_close(&b, mark);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.data[0], 0x10);
	assert_int_equal(b.data[1] >> 6, length_bytes - 1);
	decoded = length_bytes == 1 ? b.data[1] : b.data[1] & 0xf;
	for (i = 1; i < length_bytes; i++)
		decoded |= (size_t)b.data[1 + i] << (4 + 8 * (i - 1));
	assert_int_equal(decoded, b.len - 1);
	assert_int_equal(b.len, 1 + length_bytes + inner);
	assert_memory_equal(b.data + 1 + length_bytes, "_SB_", 4);
	buf_fini(&b);
}

static void lengths_grow_at_their_limits(void **state)
{
	check_package_length(4, 1);
	check_package_length(62, 1);
	check_package_length(63, 2);
	check_package_length(4093, 2);
	check_package_length(4094, 3);
	check_package_length(0xffffc, 3);
	check_package_length(0xffffd, 4);
}

static void packages_count_their_elements(void **state)
{
	struct buf b = { 0 };
	size_t mark = aml_package_open(&b);

	aml_int(&b, 5);
	aml_int(&b, 0);
	aml_package_close(&b, mark, 2);
	assert_bytes(&b, 0x12, 5, 2, 0x0a, 5, 0);

	mark = aml_package_open(&b);
	for (unsigned i = 0; i < 256; i++)
		aml_int(&b, 1);
	aml_package_close(&b, mark, 256);
	/* VarPackage, length 261, word prefix, 256 */
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 6 + 256);
	assert_memory_equal(b.data, "\x13\x45\x10\x0b\x00\x01\x01", 7);
	buf_fini(&b);
}

static void methods_and_branches(void **state)
{
	struct buf b = { 0 };
	size_t method = aml_method_open(&b, "TEST", 2, true);
	size_t branch = aml_if_open(&b);

	aml_op(&b, AML_LNOT);
	aml_op(&b, AML_LEQUAL);
	aml_arg(&b, 1);
	aml_local(&b, 7);
	aml_op(&b, AML_STORE);
	aml_int(&b, 1);
	aml_local(&b, 0);
	aml_close(&b, branch);
	branch = aml_else_open(&b);
	aml_op(&b, AML_RETURN);
	aml_int(&b, 0);
	aml_close(&b, branch);
	aml_close(&b, method);
	assert_bytes(&b, 0x14, 19, 'T', 'E', 'S', 'T', 0x0a, 0xa0, 8, 0x92, 0x93, 0x69, 0x67, 0x70,
		     0x01, 0x60, 0xa1, 3, 0xa4, 0x00);

	aml_arg(&b, 7);
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
	aml_local(&b, 8);
	assert_int_equal(b.error, -EINVAL);
	buf_fini(&b);
}

static void resource_templates(void **state)
{
	struct buf b = { 0 };
	size_t mark = aml_res_open(&b);

	aml_res_io(&b, 0x3f8, 8);
	aml_res_irq(&b, 4, true, false);
	aml_res_memory32(&b, 0xb0000000, 0x10000000);
	aml_res_close(&b, mark);
	assert_bytes(&b, 0x11, 0x22, 0x0a, 31, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4,
		     0, 0, 0, 0x86, 9, 0, 1, 0, 0, 0, 0xb0, 0, 0, 0, 0x10, 0x79, 0);
}

static void windows_of_all_widths(void **state)
{
	struct buf b = { 0 };

	aml_res_window(&b, 2, AML_SPACE_BUS, 0, 255);
	assert_bytes(&b, 0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1);
	aml_res_window(&b, 4, AML_SPACE_MEMORY, 0xc0000000, 0xfbffffff);
	assert_bytes(&b, 0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xfb,
		     0, 0, 0, 0, 0, 0, 0, 0x3c);
	aml_res_window(&b, 8, AML_SPACE_MEMORY, 1ull << 40, (1ull << 41) - 1);
	assert_bytes(&b, 0x8a, 43, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
		     0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		     1, 0, 0);
}

static void impossible_windows_fail(void **state)
{
	static const struct {
		unsigned width;
		uint64_t min, max;
	} bad[] = {
		{ 2, 2, 1 },          { 2, 0, 0xffff },     { 2, 0, 0x10000 },
		{ 4, 0, 0xffffffff }, { 8, 0, UINT64_MAX }, { 3, 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf b = { 0 };

		aml_res_window(&b, bad[i].width, AML_SPACE_IO, bad[i].min, bad[i].max);
		assert_int_equal(b.error, -EINVAL);
		assert_int_equal(b.len, 0);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_take_their_shortest_form),
		cmocka_unit_test(names_are_padded_and_prefixed),
		cmocka_unit_test(bad_names_fail_and_stay_failed),
		cmocka_unit_test(eisa_ids_are_packed),
		cmocka_unit_test(uuids_are_mixed_endian),
		cmocka_unit_test(lengths_grow_at_their_limits),
		cmocka_unit_test(packages_count_their_elements),
		cmocka_unit_test(methods_and_branches),
		cmocka_unit_test(resource_templates),
		cmocka_unit_test(windows_of_all_widths),
		cmocka_unit_test(impossible_windows_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
