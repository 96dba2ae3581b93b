/* SPDX-License-Identifier: Apache-2.0 */
/* `tinyvmm ps`: the guests that run, as their control sockets tell. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "control/control_client.h"
#include "control/run_folder.h"
#include "core/err.h"
#include "core/json_out.h"
#include "core/log.h"
#include "core/text.h"
#include "firmware-loader/json.h"
#include "options/options.h"

/* What a cell may hold of a list. */
#define CELL_SIZE 256

/* There may be many runs, and one that is busy is told as that. */
#define ANSWER_MS 500u

#define MS_PER_S   1000u
#define S_PER_MIN  60u
#define S_PER_HOUR 3600u
#define S_PER_DAY  86400u

static const struct table_column columns[] = {
	{ .title = "NAME" },
	{ .title = "PID" },
	{ .title = "STATE" },
	{ .title = "UPTIME" },
	{ .title = "CPUS" },
	{ .title = "MEMORY" },
	{ .title = "GPUS", .optional = true },
	{ .title = "RUNS", .shrink_to = 16 },
};

static uint64_t number_of(const struct json *json, const char *key)
{
	const uint32_t token = json_member(json, 0, key);

	return json_is(json, token, JSON_NUMBER)
		       ? strtoull(json->text + json->tokens[token].start, NULL, 10)
		       : 0;
}

/* "3s", "12m", "5h 2m", "3d 4h" */
static void cell_uptime(struct table *table, uint64_t ms)
{
	const unsigned long long s = ms / MS_PER_S;

	if (s < S_PER_MIN)
		table_cell(table, "%llus", s);
	else if (s < S_PER_HOUR)
		table_cell(table, "%llum", s / S_PER_MIN);
	else if (s < S_PER_DAY)
		table_cell(table, "%lluh %llum", s / S_PER_HOUR, s % S_PER_HOUR / S_PER_MIN);
	else
		table_cell(table, "%llud %lluh", s / S_PER_DAY, s % S_PER_DAY / S_PER_HOUR);
}

/* The strings of a list with spaces between them, as many as fit. */
static void join(const struct json *json, const char *key, char buf[CELL_SIZE])
{
	const uint32_t array = json_member(json, 0, key);
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t i = JSON_NONE; (i = json_next(json, array, i)) != JSON_NONE;) {
		char text[CELL_SIZE];

		if (json_string(json, i, text, sizeof(text)) < 0 ||
		    len + strlen(text) + 2 > CELL_SIZE)
			return;
		len += (size_t)snprintf(buf + len, CELL_SIZE - len, "%s%s", len ? " " : "", text);
	}
}

/* The command, or what the guest starts from. */
static void cell_what(struct table *table, const struct json *json)
{
	char text[CELL_SIZE];

	join(json, "command", text);
	if (!text[0])
		join(json, "disks", text);
	if (!text[0] && json_string(json, json_member(json, 0, "kernel"), text, sizeof(text)) < 0)
		text[0] = '\0';
	table_cell(table, "%s", text[0] ? text : "-");
}

static void add_row(struct table *table, const struct json *json, const char *name)
{
	char state[32], gpus[CELL_SIZE];

	if (json_string(json, json_member(json, 0, "state"), state, sizeof(state)) < 0)
		strcpy(state, "-");
	if (strcmp(state, "running") == 0 &&
	    json_is(json, json_member(json, 0, "stopping"), JSON_TRUE))
		strcpy(state, "stopping");
	join(json, "gpus", gpus);
	table_cell(table, "%s", name);
	table_cell(table, "%llu", (unsigned long long)number_of(json, "pid"));
	table_cell(table, "%s", state);
	cell_uptime(table, number_of(json, "uptime_ms"));
	table_cell(table, "%llu", (unsigned long long)number_of(json, "cpus"));
	table_cell(table, "%s", text_size(number_of(json, "memory")).s);
	table_cell(table, "%s", gpus[0] ? gpus : "-");
	cell_what(table, json);
}

/* One that is starting or ending answers nobody. */
static void add_busy_row(struct table *table, const char *name, pid_t pid)
{
	table_cell(table, "%s", name);
	table_cell(table, "%d", (int)pid);
	table_cell(table, "busy");
	for (unsigned i = 0; i < 5; i++)
		table_cell(table, "-");
}

static void copy(struct json_out *out, const char *key, const struct json *json, uint32_t token)
{
	char text[CONTROL_LINE_MAX];

	switch (json->tokens[token].type) {
	case JSON_STRING:
		json_out_string(out, key,
				json_string(json, token, text, sizeof(text)) < 0 ? NULL : text);
		return;
	case JSON_NUMBER:
		json_out_number(out, key,
				strtoull(json->text + json->tokens[token].start, NULL, 10));
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		json_out_bool(out, key, json->tokens[token].type == JSON_TRUE);
		return;
	case JSON_ARRAY:
		json_out_array(out, key);
		for (uint32_t i = JSON_NONE; (i = json_next(json, token, i)) != JSON_NONE;)
			copy(out, NULL, json, i);
		json_out_end(out);
		return;
	case JSON_OBJECT:
	case JSON_NULL:
		json_out_null(out, key);
		return;
	}
}

/* What the answer holds behind its "ok". */
static void copy_status(struct json_out *out, const struct json *json)
{
	json_out_object(out, NULL);
	for (uint32_t key = 1; key < json->tokens[0].next;) {
		const uint32_t value = json->tokens[key].next;
		char name[32];

		if (json_string(json, key, name, sizeof(name)) == 0 && strcmp(name, "ok") != 0)
			copy(out, name, json, value);
		key = json->tokens[value].next;
	}
	json_out_end(out);
}

static void copy_busy(struct json_out *out, const char *name, pid_t pid)
{
	json_out_object(out, NULL);
	json_out_string(out, "name", name);
	json_out_number(out, "pid", (uint64_t)pid);
	json_out_string(out, "state", "busy");
	json_out_end(out);
}

static void show(const char *name, struct table *table, struct json_out *out)
{
	static struct control_client client;
	struct json json = { 0 };
	char *answer;

	if (control_client_open("", name, &client) < 0)
		return; /* it has just ended */
	if (control_client_ask(&client, "\"do\":\"status\"", ANSWER_MS, &answer) < 0 ||
	    json_parse(answer, strlen(answer), &json) < 0) {
		if (out)
			copy_busy(out, name, client.pid);
		else
			add_busy_row(table, name, client.pid);
	} else if (out) {
		copy_status(out, &json);
	} else {
		add_row(table, &json, name);
	}
	json_fini(&json);
	control_client_close(&client);
}

int cmd_ps(const struct options *options)
{
	struct json_out json;
	struct table table;
	struct run_folder_place place;
	char **names;
	unsigned count;
	int r = run_folder_list("", &names, &count);

	if (r < 0)
		return command_failed();
	/* A service or a job has another one than a login, or none. */
	if (!run_folder_place("", &place))
		log_warn("there is no %s, where guests would be; XDG_RUNTIME_DIR must be what it "
			 "was at their start",
			 place.s);
	table_init(&table, columns, ARRAY_SIZE(columns));
	json_out_init(&json, stdout);
	if (options->json)
		json_out_array(&json, NULL);
	for (unsigned i = 0; i < count; i++) {
		show(names[i], &table, options->json ? &json : NULL);
		free(names[i]);
	}
	free(names);
	if (options->json) {
		json_out_end(&json);
		json_out_fini(&json);
	} else {
		r = table_print(&table, stdout, table_terminal_width(stdout));
	}
	table_fini(&table);
	if (r < 0)
		return command_failed();
	return table_flush(stdout) < 0 ? command_failed() : 0;
}
