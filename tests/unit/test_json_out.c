/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON that is written: its form, and that the strict reader takes it. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/json_out.h"
#include "firmware-loader/json.h"

static char *text;
static size_t len;
static struct json_out out;
static struct json json;

static int setup(void **state)
{
	json_out_init(&out, open_memstream(&text, &len));
	assert_non_null(out.out);
	return 0;
}

static int teardown(void **state)
{
	free(text);
	return 0;
}

/* Ends the document, which must be JSON. */
static void parse(void)
{
	json_out_fini(&out);
	fclose(out.out);
	assert_int_equal(json_parse(text, len, &json), 0);
}

static void document_of_every_kind_of_value(void **state)
{
	json_out_object(&out, NULL);
	json_out_string(&out, "name", "x");
	json_out_string(&out, "none", NULL);
	json_out_number(&out, "most", UINT64_MAX);
	json_out_bool(&out, "yes", true);
	json_out_array(&out, "list");
	json_out_number(&out, NULL, 0);
	json_out_object(&out, NULL);
	json_out_end(&out);
	json_out_null(&out, NULL);
	json_out_end(&out);
	json_out_array(&out, "empty");
	json_out_end(&out);
	json_out_bool(&out, "no", false);
	json_out_end(&out);
	parse();
	assert_string_equal(text, "{\n"
				  "  \"name\": \"x\",\n"
				  "  \"none\": null,\n"
				  "  \"most\": 18446744073709551615,\n"
				  "  \"yes\": true,\n"
				  "  \"list\": [\n"
				  "    0,\n"
				  "    {},\n"
				  "    null\n"
				  "  ],\n"
				  "  \"empty\": [],\n"
				  "  \"no\": false\n"
				  "}\n");
	json_fini(&json);
}

/* What comes out again is what went in. */
static void assert_comes_back(const char *in, const char *back)
{
	char buf[64];

	json_out_object(&out, NULL);
	json_out_string(&out, in, in);
	json_out_end(&out);
	parse();
	assert_int_equal(json_string(&json, json_member(&json, 0, back), buf, sizeof(buf)), 0);
	assert_string_equal(buf, back);
	json_fini(&json);
	teardown(NULL);
	setup(NULL);
}

static void strings_of_any_bytes_are_json(void **state)
{
	assert_comes_back("", "");
	assert_comes_back("a \"quoted\" \\ path/\n\t\r\x1b[31m\x01\x7f",
			  "a \"quoted\" \\ path/\n\t\r\x1b[31m\x01\x7f");
	assert_comes_back("M\xc3\xb6"
			  "bius \xf0\x9f\x96\xa5 \xc2\x9b",
			  "M\xc3\xb6"
			  "bius \xf0\x9f\x96\xa5 \xc2\x9b");
	assert_comes_back("\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd");
	fclose(out.out);
}

static void controls_are_escaped(void **state)
{
	json_out_string(&out, NULL, "\x1b\xc2\x9b\x7f");
	parse();
	assert_string_equal(text, "\"\\u001b\\u009b\\u007f\"\n");
	json_fini(&json);
}

static void thousandths_have_three_digits(void **state)
{
	json_out_array(&out, NULL);
	json_out_thousandths(&out, NULL, 0);
	json_out_thousandths(&out, NULL, 1050);
	json_out_end(&out);
	parse();
	assert_string_equal(text, "[\n  0.000,\n  1.050\n]\n");
	json_fini(&json);
}

static void document_on_one_line(void **state)
{
	json_out_init_line(&out, out.out);
	json_out_object(&out, NULL);
	json_out_number(&out, "id", 1);
	json_out_array(&out, "list");
	json_out_string(&out, NULL, "a\nb");
	json_out_bool(&out, NULL, true);
	json_out_end(&out);
	json_out_end(&out);
	parse();
	assert_string_equal(text, "{\"id\": 1, \"list\": [\"a\\nb\", true]}\n");
	json_fini(&json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(document_of_every_kind_of_value),
		TEST(document_on_one_line),
		TEST(strings_of_any_bytes_are_json),
		TEST(controls_are_escaped),
		TEST(thousandths_have_three_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
