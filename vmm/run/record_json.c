/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a run as JSON; see record.h. Main thread. */
#include "core/json_out.h"
#include "run/record.h"

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static void number_or_null(struct json_out *json, const char *key, uint64_t number)
{
	if (number)
		json_out_number(json, key, number);
	else
		json_out_null(json, key);
}

static void out_verdict(struct json_out *json, const struct record *record)
{
	json_out_array(json, "command");
	for (unsigned i = 0; i < record->argc; i++)
		json_out_string(json, NULL, record->argv[i]);
	json_out_end(json);
	json_out_string(json, "verdict", verdict_name(record->verdict.kind));
	json_out_number(json, "status", (uint64_t)record->verdict.status);
	number_or_null(json, "signal", (uint64_t)record->verdict.signal);
	json_out_string(json, "reason", record->verdict.reason);
}

static void out_started(struct json_out *json, const struct record *record)
{
	char text[64], second[32];
	struct tm utc;

	gmtime_r(&record->started.tv_sec, &utc);
	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text, sizeof(text), "%s.%03ldZ", second, record->started.tv_nsec / 1000000 % 1000);
	json_out_string(json, "started", text);
}

static void out_timings(struct json_out *json, const struct record *record)
{
	static const char *const names[RECORD_PHASES] = {
		[RECORD_HOST_CHECKS] = "host_checks",
		[RECORD_OPEN_FILES] = "open_files",
		[RECORD_TAKE_DEVICES] = "take_devices",
		[RECORD_BUILD] = "build",
		[RECORD_BOOT] = "boot",
		[RECORD_COMMAND] = "command",
		[RECORD_TEAR_DOWN] = "tear_down",
		[RECORD_GIVE_BACK] = "give_back",
	};

	json_out_object(json, "timings_ms");
	for (unsigned i = 0; i < RECORD_PHASES; i++) {
		if (record->us[i] == RECORD_UNKNOWN)
			json_out_null(json, names[i]);
		else
			json_out_thousandths(json, names[i], record->us[i]);
	}
	json_out_thousandths(json, "total", record->total_us);
	json_out_end(json);
}

static void out_gpu(struct json_out *json, const struct record_gpu *gpu)
{
	char id[16];

	json_out_object(json, NULL);
	json_out_string(json, "address", gpu->mediated ? NULL : gpu->name.s);
	json_out_string(json, "uuid", gpu->mediated ? gpu->name.s : NULL);
	snprintf(id, sizeof(id), "%04x:%04x", gpu->vendor, gpu->device);
	json_out_string(json, "id", gpu->vendor || gpu->device ? id : NULL);
	json_out_string(json, "name", or_null(gpu->text));
	json_out_string(json, "host_driver", or_null(gpu->host_driver));
	json_out_string(json, "guest_driver", or_null(gpu->guest_driver.name));
	json_out_string(json, "guest_driver_version", or_null(gpu->guest_driver.version));
	if (gpu->was_used)
		json_out_bool(json, "reset", gpu->clean);
	else
		json_out_null(json, "reset");
	json_out_end(json);
}

static void out_log(struct json_out *json, const char *log)
{
	char line[1024];

	if (!log) {
		json_out_null(json, "kernel_log");
		return;
	}
	json_out_array(json, "kernel_log");
	while (*log) {
		const size_t len = strcspn(log, "\n");
		const size_t part = MIN(len, sizeof(line) - 1);

		memcpy(line, log, part);
		line[part] = '\0';
		json_out_string(json, NULL, line);
		log += part;
		log += part == len && *log == '\n';
	}
	json_out_end(json);
}

void record_json(const struct record *record, FILE *out)
{
	struct json_out json;

	json_out_init(&json, out);
	json_out_object(&json, NULL);
	json_out_number(&json, "version", RECORD_VERSION);
	out_verdict(&json, record);
	out_started(&json, record);
	out_timings(&json, record);
	json_out_array(&json, "gpus");
	for (unsigned i = 0; i < record->gpu_count; i++)
		out_gpu(&json, &record->gpus[i]);
	json_out_end(&json);
	json_out_object(&json, "host");
	json_out_string(&json, "name", record->host.nodename);
	json_out_string(&json, "kernel", record->host.release);
	json_out_string(&json, "tinyvmm", record->program);
	json_out_end(&json);
	json_out_object(&json, "guest");
	json_out_string(&json, "kernel", or_null(record->guest_kernel));
	number_or_null(&json, "cpus", record->cpus);
	number_or_null(&json, "memory", record->memory);
	if (record->oom_kills == RECORD_UNKNOWN)
		json_out_null(&json, "oom_kills");
	else
		json_out_number(&json, "oom_kills", record->oom_kills);
	json_out_end(&json);
	json_out_object(&json, "peak_memory");
	number_or_null(&json, "command", record->peak_command);
	number_or_null(&json, "process", record->peak_process);
	json_out_end(&json);
	out_log(&json, record->kernel_log);
	json_out_end(&json);
	json_out_fini(&json);
}
