/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign text: what reaches a terminal of it, and how wide it is. */
#include "cmocka_all.h"

#include "core/text.h"

static void assert_clean(const char *text, const char *clean)
{
	char buf[128];

	strcpy(buf, text);
	text_clean(buf);
	assert_string_equal(buf, clean);
}

static void plain_and_accented_text_stays(void **state)
{
	assert_clean("", "");
	assert_clean("GA102 [GeForce RTX 3090]", "GA102 [GeForce RTX 3090]");
	assert_clean("M\xc3\xb6"
		     "bius \xe2\x82\xac \xf0\x9f\x96\xa5",
		     "M\xc3\xb6"
		     "bius \xe2\x82\xac \xf0\x9f\x96\xa5");
}

static void what_steers_a_terminal_goes(void **state)
{
	assert_clean("a\x1b[31mb", "a?[31mb");
	assert_clean("a\nb\tc\rd\x7f", "a?b?c?d?");
	assert_clean("a\xc2\x9b"
		     "31mb",
		     "a?31mb"); /* CSI as one C1 control */
	assert_clean("a\xe2\x80\xae"
		     "b",
		     "a?b"); /* right-to-left override */
	assert_clean("a\xe2\x80\x8b"
		     "b\xef\xbb\xbf",
		     "a?b?"); /* of no width */
}

static void what_is_not_utf8_goes(void **state)
{
	assert_clean("a\xff\xfe"
		     "b",
		     "a??b");
	assert_clean("a\xc3", "a?"); /* cut off */
	assert_clean("a\xe2\x82", "a??");
	assert_clean("a\xc0\xaf", "a??");           /* a slash in two bytes */
	assert_clean("a\xed\xa0\x80", "a???");      /* half of a surrogate pair */
	assert_clean("a\xf4\x90\x80\x80", "a????"); /* beyond U+10FFFF */
}

static void width_counts_characters(void **state)
{
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("M\xc3\xb6"
				    "bius \xe2\x82\xac"),
			 8);
	assert_int_equal(text_bytes("M\xc3\xb6"
				    "bius",
				    2),
			 3);
	assert_int_equal(text_bytes("abc", 0), 0);
	assert_int_equal(text_bytes("abc", 9), 3);
}

static void sizes_are_short(void **state)
{
	assert_string_equal(text_size(0).s, "0");
	assert_string_equal(text_size(128).s, "128");
	assert_string_equal(text_size(4096).s, "4K");
	assert_string_equal(text_size(1536 * KiB).s, "1536K");
	assert_string_equal(text_size(256 * MiB).s, "256M");
	assert_string_equal(text_size(32 * GiB).s, "32G");
	assert_string_equal(text_size(1ull << 63).s, "8E");
	assert_string_equal(text_size(UINT64_MAX).s, "18446744073709551615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_and_accented_text_stays),
		cmocka_unit_test(what_steers_a_terminal_goes),
		cmocka_unit_test(what_is_not_utf8_goes),
		cmocka_unit_test(width_counts_characters),
		cmocka_unit_test(sizes_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
