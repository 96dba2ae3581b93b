/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a run in its two forms, to the letter. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware-loader/json.h"
#include "run/record.h"

static char *text;
static struct record *record;

static char *const words[] = { "pytest", "tests/gpu", NULL };

static int setup(void **state)
{
	record = test_calloc(1, sizeof(*record));
	record->argv = words;
	record->argc = 2;
	record->verdict = (struct verdict){ .reason = "the command ended with status 0" };
	record->started = (struct timespec){ 1795368307, 42000000 };
	for (unsigned i = 0; i < RECORD_PHASES; i++)
		record->us[i] = RECORD_UNKNOWN;
	record->total_us = 9100;
	record->program = "0.1.0";
	strcpy(record->host.nodename, "build7");
	strcpy(record->host.release, "6.1.0-28-amd64");
	record->cpus = 2;
	record->memory = 4 * GiB;
	return 0;
}

static int teardown(void **state)
{
	free(text);
	text = NULL;
	free(record->kernel_log);
	test_free(record);
	return 0;
}

static const char *print(void (*form)(const struct record *record, FILE *out))
{
	size_t len;
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	form(record, out);
	fclose(out);
	return text;
}

static void add_gpu(void)
{
	struct record_gpu *gpu = &record->gpus[record->gpu_count++];

	*gpu = (struct record_gpu){
		.name = { "0000:01:00.0" },
		.vendor = 0x10de,
		.device = 0x2204,
		.text = "NVIDIA GA102 [GeForce RTX 3090]",
		.host_driver = "nouveau",
		.guest_driver = { "nvidia", "550.54.14" },
		.was_used = true,
		.clean = true,
	};
}

static void passed_run_as_json(void **state)
{
	for (unsigned i = 0; i < RECORD_PHASES; i++)
		record->us[i] = 1000 * i + 5;
	strcpy(record->guest_kernel, "6.1.0-28-amd64");
	record->oom_kills = 1;
	record->peak_command = 350 * MiB;
	record->peak_process = 4200 * MiB;
	add_gpu();
	assert_string_equal(print(record_json),
			    "{\n"
			    "  \"version\": 1,\n"
			    "  \"command\": [\n"
			    "    \"pytest\",\n"
			    "    \"tests/gpu\"\n"
			    "  ],\n"
			    "  \"verdict\": \"passed\",\n"
			    "  \"status\": 0,\n"
			    "  \"signal\": null,\n"
			    "  \"reason\": \"the command ended with status 0\",\n"
			    "  \"started\": \"2026-11-22T17:25:07.042Z\",\n"
			    "  \"timings_ms\": {\n"
			    "    \"host_checks\": 0.005,\n"
			    "    \"open_files\": 1.005,\n"
			    "    \"take_devices\": 2.005,\n"
			    "    \"build\": 3.005,\n"
			    "    \"boot\": 4.005,\n"
			    "    \"command\": 5.005,\n"
			    "    \"tear_down\": 6.005,\n"
			    "    \"give_back\": 7.005,\n"
			    "    \"total\": 9.100\n"
			    "  },\n"
			    "  \"gpus\": [\n"
			    "    {\n"
			    "      \"address\": \"0000:01:00.0\",\n"
			    "      \"uuid\": null,\n"
			    "      \"id\": \"10de:2204\",\n"
			    "      \"name\": \"NVIDIA GA102 [GeForce RTX 3090]\",\n"
			    "      \"host_driver\": \"nouveau\",\n"
			    "      \"guest_driver\": \"nvidia\",\n"
			    "      \"guest_driver_version\": \"550.54.14\",\n"
			    "      \"reset\": true\n"
			    "    }\n"
			    "  ],\n"
			    "  \"host\": {\n"
			    "    \"name\": \"build7\",\n"
			    "    \"kernel\": \"6.1.0-28-amd64\",\n"
			    "    \"tinyvmm\": \"0.1.0\"\n"
			    "  },\n"
			    "  \"guest\": {\n"
			    "    \"kernel\": \"6.1.0-28-amd64\",\n"
			    "    \"cpus\": 2,\n"
			    "    \"memory\": 4294967296,\n"
			    "    \"oom_kills\": 1\n"
			    "  },\n"
			    "  \"peak_memory\": {\n"
			    "    \"command\": 367001600,\n"
			    "    \"process\": 4404019200\n"
			    "  },\n"
			    "  \"kernel_log\": null\n"
			    "}\n");
}

static void assert_text(const struct json *json, uint32_t value, const char *expected)
{
	char buf[256];

	assert_int_equal(json_string(json, value, buf, sizeof(buf)), 0);
	assert_string_equal(buf, expected);
}

/* Whatever the guest and the user put into it. */
static void failed_run_of_any_bytes_is_json(void **state)
{
	static char *const odd[] = { "a \"b\"\n", "\xff\x1b", "", NULL };
	struct json json;
	uint32_t log;

	record->argv = odd;
	record->argc = 3;
	record->verdict = (struct verdict){ VERDICT_PANIC, 123, 0, true, "\"\\\x01" };
	record->kernel_log = strdup("one\n\n\xc3\x28 \x01\nlast");
	add_gpu();
	record->gpus[0] = (struct record_gpu){ .name = { "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" },
					       .mediated = true };
	strcpy(record->guest_kernel, "\x9b\"");
	print(record_json);
	assert_int_equal(json_parse(text, strlen(text), &json), 0);
	assert_text(&json, json_member(&json, 0, "verdict"), "panic");
	log = json_member(&json, 0, "kernel_log");
	assert_text(&json, json_next(&json, log, JSON_NONE), "one");
	json_fini(&json);
	assert_non_null(strstr(text, "\"uuid\": \"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\""));
	assert_non_null(strstr(text, "\"reset\": null"));
	assert_non_null(strstr(text, "\"kernel_log\": [\n    \"one\",\n    \"\",\n    "
				     "\"\xef\xbf\xbd( \\u0001\",\n    \"last\"\n  ]"));
	assert_non_null(strstr(text, "\"boot\": null"));
}

static void passed_run_as_junit(void **state)
{
	record->us[RECORD_COMMAND] = 12345678;
	strcpy(record->guest_kernel, "6.1.0-28-amd64");
	add_gpu();
	assert_string_equal(print(record_junit),
			    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			    "<testsuites tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\" "
			    "time=\"12.345\">\n"
			    "  <testsuite name=\"tinyvmm\" tests=\"1\" failures=\"0\" errors=\"0\" "
			    "skipped=\"0\" time=\"12.345\" timestamp=\"2026-11-22T17:25:07\" "
			    "hostname=\"build7\">\n"
			    "    <properties>\n"
			    "      <property name=\"verdict\" value=\"passed\"/>\n"
			    "      <property name=\"status\" value=\"0\"/>\n"
			    "      <property name=\"gpu\" value=\"0000:01:00.0\"/>\n"
			    "      <property name=\"gpu.name\" value=\"NVIDIA GA102 [GeForce RTX "
			    "3090]\"/>\n"
			    "      <property name=\"gpu.driver\" value=\"nvidia\"/>\n"
			    "      <property name=\"kernel\" value=\"6.1.0-28-amd64\"/>\n"
			    "    </properties>\n"
			    "    <testcase classname=\"tinyvmm\" name=\"pytest tests/gpu\" "
			    "time=\"12.345\">\n"
			    "    </testcase>\n"
			    "  </testsuite>\n"
			    "</testsuites>\n");
}

static void test_that_fails_is_a_failure(void **state)
{
	record->verdict =
		(struct verdict){ VERDICT_FAILED, 1, 0, true, "the command ended with status 1" };
	print(record_junit);
	assert_non_null(strstr(text, " failures=\"1\" errors=\"0\""));
	assert_non_null(strstr(text, "<failure type=\"failed\" "
				     "message=\"the command ended with status 1\"/>\n"));
	assert_null(strstr(text, "<error"));
	record->verdict.kind = VERDICT_SIGNALED;
	assert_non_null(strstr(print(record_junit), "<failure type=\"signaled\""));
}

static void run_without_a_result_is_an_error(void **state)
{
	for (int kind = 0; kind < VERDICTS; kind++) {
		char element[64];

		if (verdict_is_commands(kind))
			continue;
		record->verdict.kind = kind;
		snprintf(element, sizeof(element), "<error type=\"%s\"", verdict_name(kind));
		print(record_junit);
		assert_non_null(strstr(text, element));
		assert_non_null(strstr(text, " failures=\"0\" errors=\"1\""));
		/* How long a run took that did not come to its command. */
		assert_non_null(strstr(text, "time=\"0.009\""));
	}
}

static void xml_has_no_characters_that_xml_lacks(void **state)
{
	static char *const odd[] = { "<&>\"'", "\x1b\x01\t\n", "\xff", "\xef\xbf\xbe", NULL };

	record->argv = odd;
	record->argc = 4;
	record->verdict.kind = VERDICT_TIMED_OUT;
	record->kernel_log = strdup("]]> <oops>\n\x07 \xc2\x85\n");
	print(record_junit);
	assert_non_null(strstr(text, "name=\"&lt;&amp;&gt;&quot;' \xef\xbf\xbd\xef\xbf\xbd"
				     "&#9;&#10; \xef\xbf\xbd \xef\xbf\xbd\""));
	assert_non_null(strstr(text, "<system-err>]]&gt; &lt;oops&gt;\n\xef\xbf\xbd \xc2\x85\n"
				     "</system-err>"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(passed_run_as_json),
		T(failed_run_of_any_bytes_is_json),
		T(passed_run_as_junit),
		T(test_that_fails_is_a_failure),
		T(run_without_a_result_is_an_error),
		T(xml_has_no_characters_that_xml_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
