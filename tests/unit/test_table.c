/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and paragraphs, exactly as they are printed. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/table.h"
#include "core/err.h"

static const struct table_column columns[] = {
	{ "ADDRESS", 0, false, false },
	{ "NAME", 8, false, false },
	{ "NUMA", 0, true, false },
	{ "STATE", 0, false, true },
};

static char *text;
static size_t len;
static FILE *out;
static struct table table;

static int setup(void **state)
{
	out = open_memstream(&text, &len);
	assert_non_null(out);
	table_init(&table, columns, ARRAY_SIZE(columns));
	return 0;
}

static int teardown(void **state)
{
	table_fini(&table);
	fclose(out);
	free(text);
	return 0;
}

static void add_row(const char *address, const char *name, const char *numa, const char *state)
{
	table_cell(&table, "%s", address);
	table_cell(&table, "%s", name);
	table_cell(&table, "%s", numa);
	table_cell(&table, "%s", state);
}

static void assert_prints(unsigned width, const char *expected)
{
	rewind(out);
	assert_int_equal(table_print(&table, out, width), 0);
	fflush(out);
	text[ftell(out)] = '\0';
	assert_string_equal(text, expected);
}

static void columns_are_as_wide_as_their_longest_cell(void **state)
{
	add_row("0000:01:00.0", "GA102 [GeForce RTX 3090]", "0", "ready");
	add_row("0000:c1:00.0", "MI50", "-", "no IOMMU");
	assert_prints(0, "ADDRESS       NAME                      NUMA  STATE\n"
			 "0000:01:00.0  GA102 [GeForce RTX 3090]  0     ready\n"
			 "0000:c1:00.0  MI50                      -     no IOMMU\n");
}

static void optional_column_without_content_is_left_out(void **state)
{
	add_row("0000:01:00.0", "GA102", "-", "ready");
	assert_prints(0, "ADDRESS       NAME   STATE\n"
			 "0000:01:00.0  GA102  ready\n");
}

static void narrow_terminal_cuts_names_and_never_addresses(void **state)
{
	add_row("0000:01:00.0", "GA102 [GeForce RTX 3090]", "0", "ready");
	assert_prints(42, "ADDRESS       NAME             NUMA  STATE\n"
			  "0000:01:00.0  GA102 [GeFor...  0     ready\n");
}

static void very_narrow_terminal_gets_the_state_below(void **state)
{
	add_row("0000:01:00.0", "GA102 [GeForce RTX 3090]", "0", "shared with 0000:02:00.0");
	assert_prints(40, "ADDRESS       NAME                  NUMA\n"
			  "0000:01:00.0  GA102 [GeForce RT...  0\n"
			  "              shared with 0000:02:00.0\n");
	/* Narrower than what may be cut. */
	assert_prints(10, "ADDRESS       NAME      NUMA\n"
			  "0000:01:00.0  GA102...  0\n"
			  "              shared with 0000:02:00.0\n");
}

static void foreign_names_are_cleaned_and_counted_in_characters(void **state)
{
	add_row("0000:01:00.0",
		"M\xc3\xb6"
		"bius\x1b[31m",
		"-", "ready");
	add_row("0000:02:00.0", "Moebius\n", "-", "ready");
	assert_prints(0, "ADDRESS       NAME         STATE\n"
			 "0000:01:00.0  M\xc3\xb6"
			 "bius?[31m  ready\n"
			 "0000:02:00.0  Moebius?     ready\n");
}

static void table_without_rows_has_its_titles(void **state)
{
	assert_prints(0, "ADDRESS  NAME  STATE\n");
}

static void full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "we");

	assert_non_null(full);
	fputs("some text\n", full);
	assert_int_equal(table_flush(full), -ENOSPC);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_string_equal(err_text(), "write to standard output: No space left on device");
	fclose(full);
	assert_int_equal(table_flush(out), 0);
}

static void assert_paragraph(const char *in, unsigned at, unsigned width, const char *expected)
{
	rewind(out);
	table_paragraph(out, in, at, width);
	fflush(out);
	text[ftell(out)] = '\0';
	assert_string_equal(text, expected);
}

static void paragraphs_break_at_spaces(void **state)
{
	assert_paragraph("one two three four five six seven", 4, 30,
			 "one two three four five\n    six seven\n");
	assert_paragraph("one two three four five six seven", 4, 0,
			 "one two three four five six seven\n");
	assert_paragraph("", 4, 30, "\n");
	assert_paragraph("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs now", 2, 30,
			 "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs\n  now\n");
	assert_paragraph("twenty six characters here", 4, 30, "twenty six characters here\n");
	assert_paragraph("a\nb", 0, 0, "a?b\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(columns_are_as_wide_as_their_longest_cell),
		TEST(optional_column_without_content_is_left_out),
		TEST(narrow_terminal_cuts_names_and_never_addresses),
		TEST(very_narrow_terminal_gets_the_state_below),
		TEST(foreign_names_are_cleaned_and_counted_in_characters),
		TEST(table_without_rows_has_its_titles),
		TEST(full_disk_is_an_error),
		TEST(paragraphs_break_at_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
