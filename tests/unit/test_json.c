/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: what it takes, what it refuses, and hostile texts. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "firmware-loader/json.h"

/* Parses exact-length heap copies, so that a sanitizer sees every read past the end. */
static int parse(const char *text, size_t len, struct json *ret_json, char **ret_copy)
{
	*ret_copy = calloc(1, len ? len : 1);
	memcpy(*ret_copy, text, len);
	return json_parse(*ret_copy, len, ret_json);
}

static bool accepts(const char *text, size_t len)
{
	struct json json = { 0 };
	char *copy;
	int r = parse(text, len, &json, &copy);

	if (!r)
		json_fini(&json);
	else
		assert_null(json.tokens); /* untouched */
	free(copy);
	return r == 0;
}

static void reads_all_kinds_of_values(void **state)
{
	static const char text[] =
		"\t{ \"a\" : [1, -0.5e+3, true,false , null], \"b\":{\"c\":\"x\"},"
		"\"e\":[],\"f\":{}}\r\n";
	struct json j;
	uint32_t a, i;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	assert_true(json_is(&j, 0, JSON_OBJECT));
	a = json_member(&j, 0, "a");
	i = json_next(&j, a, JSON_NONE);
	assert_true(json_is(&j, i, JSON_NUMBER));
	i = json_next(&j, a, i);
	assert_true(json_is(&j, i, JSON_NUMBER));
	i = json_next(&j, a, i);
	assert_true(json_is(&j, i, JSON_TRUE));
	i = json_next(&j, a, i);
	assert_true(json_is(&j, i, JSON_FALSE));
	i = json_next(&j, a, i);
	assert_true(json_is(&j, i, JSON_NULL));
	assert_int_equal(json_next(&j, a, i), JSON_NONE);
	assert_true(json_equals(&j, json_member(&j, json_member(&j, 0, "b"), "c"), "x"));
	assert_int_equal(json_next(&j, json_member(&j, 0, "e"), JSON_NONE), JSON_NONE);
	assert_int_equal(json_member(&j, json_member(&j, 0, "f"), "c"), JSON_NONE);
	json_fini(&j);
}

static void absent_values_answer_like_wrong_ones(void **state)
{
	static const char text[] = "{\"a\":1}";
	struct json j;
	char buf[8];
	uint32_t none;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	none = json_member(&j, 0, "missing");
	assert_int_equal(none, JSON_NONE);
	assert_int_equal(json_member(&j, none, "x"), JSON_NONE);
	assert_int_equal(json_next(&j, none, JSON_NONE), JSON_NONE);
	assert_int_equal(json_next(&j, 0, JSON_NONE), JSON_NONE); /* an object is no array */
	assert_false(json_equals(&j, none, ""));
	assert_false(json_is(&j, none, JSON_NULL));
	assert_int_equal(json_string(&j, none, buf, sizeof(buf)), -EINVAL);
	assert_int_equal(json_string(&j, json_member(&j, 0, "a"), buf, sizeof(buf)), -EINVAL);
	json_fini(&j);
}

static void keys_are_not_taken_for_values(void **state)
{
	static const char text[] = "{\"a\":\"b\",\"b\":\"c\",\"a\":\"d\"}";
	struct json j;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	assert_true(json_equals(&j, json_member(&j, 0, "b"), "c"));
	assert_true(json_equals(&j, json_member(&j, 0, "a"), "b")); /* the first of two */
	json_fini(&j);
}

static void escapes_are_resolved(void **state)
{
	static const char text[] =
		"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"]";
	static const char expected[] = "\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
	struct json j;
	char buf[sizeof(expected)];

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	assert_int_equal(json_string(&j, 1, buf, sizeof(buf)), 0);
	assert_string_equal(buf, expected);
	assert_true(json_equals(&j, 1, expected));
	assert_false(json_equals(&j, 1, "\"\\/"));
	assert_int_equal(json_string(&j, 1, buf, sizeof(buf) - 1), -ENAMETOOLONG);
	json_fini(&j);
}

static void a_nul_is_no_part_of_a_name(void **state)
{
	static const char text[] = "[\"/etc/a\\u0000b\"]";
	struct json j;
	char buf[32];

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	assert_int_equal(json_string(&j, 1, buf, sizeof(buf)), -EINVAL);
	assert_false(json_equals(&j, 1, "/etc/a"));
	json_fini(&j);
}

static void refuses_what_is_not_json(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[",
		"]",
		"[1,]",
		"[,1]",
		"[1 2]",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"{\"a\":1,}",
		"{\"a\":1 \"b\":2}",
		"{1:2}",
		"[1}",
		"{\"a\":1]",
		"1 2",
		"[]]",
		"tru",
		"True",
		"nul",
		"nullx",
		"+1",
		"01",
		"-",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x10",
		"NaN",
		"\"abc",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\ud800\"",
		"\"\\ud800x\"",
		"\"\\ud800\\u0041\"",
		"\"\\udc00\"",
		"\"a\nb\"",
		"\"\t\"",
		"'a'",
		"[1] // comment",
		"\xef\xbb\xbf[]",
		"{\"a\":1}x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (accepts(bad[i], strlen(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
	assert_false(accepts("[1]\0", 4));
	assert_false(accepts("\"a\0b\"", 5));
	assert_true(accepts("0", 1));
	assert_true(accepts("-0", 2));
}

static void errors_tell_the_line(void **state)
{
	static const char text[] = "{\n\"a\": 1,\n\"b\": x\n}";
	struct json j;

	assert_int_equal(json_parse(text, strlen(text), &j), -EINVAL);
	assert_string_equal(err_text(), "line 3: expected a value");
	assert_int_equal(err_kind(), ERR_FILE);
}

static void depth_is_bounded(void **state)
{
	char text[4096];
	char *p = text;

	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		*p++ = '[';
	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		*p++ = ']';
	assert_true(accepts(text, (size_t)(p - text)));
	memset(text, '[', sizeof(text));
	assert_false(accepts(text, sizeof(text)));
	memset(text, '{', sizeof(text));
	assert_false(accepts(text, sizeof(text)));
	/* Siblings are not depth. */
	p = text;
	*p++ = '[';
	for (unsigned i = 0; i < 1000; i++) {
		memcpy(p, "[],", 3);
		p += 3;
	}
	memcpy(p, "1]", 2);
	assert_true(accepts(text, (size_t)(p + 2 - text)));
}

static void size_is_bounded(void **state)
{
	char *text = malloc(JSON_TEXT_MAX + 1);
	struct json j;

	memset(text, ' ', JSON_TEXT_MAX + 1);
	text[0] = '1';
	assert_int_equal(json_parse(text, JSON_TEXT_MAX + 1, &j), -EFBIG);
	assert_int_equal(json_parse(text, JSON_TEXT_MAX, &j), 0);
	json_fini(&j);
	free(text);
}

/* Cut at every length and with every byte replaced: no crash, no read past the end. */
static void damaged_texts_do_no_harm(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,true,\"x\\u00e4\\ud83d\\ude00\"],\"b\":{\"c\":null}}";
	static const char damage[] = "\0\"\\{}[],:u0e.-\x80";
	char copy[sizeof(text)];

	for (size_t len = 0; len < strlen(text); len++)
		assert_false(accepts(text, len));
	for (size_t i = 0; i < strlen(text); i++) {
		for (size_t k = 0; k < sizeof(damage); k++) {
			memcpy(copy, text, sizeof(copy));
			copy[i] = damage[k];
			accepts(copy, strlen(text));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_kinds_of_values),
		cmocka_unit_test(absent_values_answer_like_wrong_ones),
		cmocka_unit_test(keys_are_not_taken_for_values),
		cmocka_unit_test(escapes_are_resolved),
		cmocka_unit_test(a_nul_is_no_part_of_a_name),
		cmocka_unit_test(refuses_what_is_not_json),
		cmocka_unit_test(errors_tell_the_line),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(size_is_bounded),
		cmocka_unit_test(damaged_texts_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
