/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON, one document, indented or on one line. [RFC 8259 The JavaScript Object Notation (JSON) Data
 * Interchange Format]. Strings may hold any bytes: what is not UTF-8 becomes U+FFFD. Main thread.
 *
 * In an object every value has a key; elsewhere `key` is NULL.
 */
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include <stdio.h>

#include "core/util.h"

#define JSON_OUT_DEPTH_MAX 16

struct json_out {
	FILE *out;
	bool one_line;
	unsigned depth;
	char ends[JSON_OUT_DEPTH_MAX]; /* '}' or ']' of each open container */
	bool empty[JSON_OUT_DEPTH_MAX];
};

void json_out_init(struct json_out *json, FILE *out);
void json_out_init_line(struct json_out *json, FILE *out); /* all on one line */
/* Ends the line behind the document, which is complete. */
void json_out_fini(struct json_out *json);

void json_out_object(struct json_out *json, const char *key);
void json_out_array(struct json_out *json, const char *key);
void json_out_end(struct json_out *json); /* of the last object or array that is open */

void json_out_string(struct json_out *json, const char *key, const char *text); /* NULL: null */
void json_out_number(struct json_out *json, const char *key, uint64_t number);
/* "1.234" for 1234. */
void json_out_thousandths(struct json_out *json, const char *key, uint64_t number);
void json_out_bool(struct json_out *json, const char *key, bool value);
void json_out_null(struct json_out *json, const char *key);

#endif
