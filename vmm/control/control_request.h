/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket's protocol, and lines of its answers. Pure, any thread. */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include <stdio.h>

#include "core/json_out.h"
#include "core/util.h"
#include "firmware-loader/json.h"

#define CONTROL_ID_MAX   64u /* bytes of a request's id, if it is a string, with its NUL */
#define CONTROL_WORD_MAX 32u

struct control_request {
	struct json json; /* of the caller's text */
	char word[CONTROL_WORD_MAX];
	char id[CONTROL_ID_MAX];
	bool has_id, id_is_number;
	uint64_t number;
};

/* NULL, or what is wrong with it; `request` is to be finished in both cases, and is zeroed before.
 */
const char *control_request_read(const char *text, size_t len, struct control_request *request);
void control_request_fini(struct control_request *request);
bool control_request_is_true(const struct control_request *request, const char *key);
/* If it has one. */
void control_request_put_id(const struct control_request *request, struct json_out *json);

/* A line that is being written: one object. */
struct control_line {
	char *text;
	size_t len;
	FILE *file;
	struct json_out json;
};

/* -ENOMEM without an error chain; else to be ended. */
int MUST_CHECK control_line_begin(struct control_line *line);
/* False if there was no memory for it. free() its text in both cases. */
bool control_line_end(struct control_line *line);

#endif
