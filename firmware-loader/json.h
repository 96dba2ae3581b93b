/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict JSON reader for small files: the text becomes an array of tokens that point into it.
 * [RFC 8259 The JavaScript Object Notation (JSON) Data Interchange Format]. Bytes above 0x7f in
 * strings are taken as they are. Any one thread.
 */
#ifndef FIRMWARE_LOADER_JSON_H
#define FIRMWARE_LOADER_JSON_H

#include "core/util.h"

#define JSON_DEPTH_MAX 32u             /* containers inside containers */
#define JSON_TEXT_MAX  (1024u * 1024u) /* bytes */

enum json_type {
	JSON_OBJECT, /* its tokens: key, value, key, value... */
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json_token {
	enum json_type type;
	uint32_t start, end; /* in the text; a string's without its quotes */
	uint32_t next;       /* the first token behind this value and all that it contains */
};

struct json {
	const char *text;          /* borrowed */
	struct json_token *tokens; /* [0] is the document */
	uint32_t count;
};

/* No token. Every function below takes it and answers as for a value of the wrong type. */
#define JSON_NONE UINT32_MAX

/*
 * Reads one document, which needs no NUL. -EINVAL (kind ERR_FILE, with the line) if it is not JSON
 * or nested too deeply, -EFBIG, -ENOMEM.
 */
int MUST_CHECK json_parse(const char *text, size_t len, struct json *ret_json);
void json_fini(struct json *json);

bool json_is(const struct json *json, uint32_t token, enum json_type type);

/* The value of member `key` of an object (the first, if there are several), or JSON_NONE. */
uint32_t json_member(const struct json *json, uint32_t object, const char *key);

/* The elements of an array, one after the other: begin with JSON_NONE; JSON_NONE at the end. */
uint32_t json_next(const struct json *json, uint32_t array, uint32_t element);

/* True if the value is a string and equal to `text`, escapes resolved. */
bool json_equals(const struct json *json, uint32_t token, const char *text);

/*
 * A string's contents, escapes resolved, as a NUL-terminated string. -EINVAL if the value is not a
 * string or contains a NUL, -ENAMETOOLONG if it does not fit. Sets no error chain.
 */
int MUST_CHECK json_string(const struct json *json, uint32_t token, char *buf, size_t size);

#endif
