/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON writer; see json_out.h. Main thread. */
#include "core/json_out.h"

#include <assert.h>

#include "core/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void quote(struct json_out *json, const char *text)
{
	putc('"', json->out);
	while (*text) {
		size_t len;
		const int32_t c = text_decode(text, &len);

		if (c == '"' || c == '\\')
			fprintf(json->out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", json->out);
		else if (c == '\t')
			fputs("\\t", json->out);
		else if (c < 0)
			fputs(REPLACEMENT, json->out);
		else if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) /* C1: for who looks at it */
			fprintf(json->out, "\\u%04x", (unsigned)c);
		else
			fwrite(text, 1, len, json->out);
		text += len;
	}
	putc('"', json->out);
}

static void indent(struct json_out *json)
{
	if (json->one_line)
		return;
	putc('\n', json->out);
	for (unsigned i = 0; i < json->depth; i++)
		fputs("  ", json->out);
}

/* What stands before a value. */
static void begin(struct json_out *json, const char *key)
{
	if (!json->depth)
		return;
	assert(!key == (json->ends[json->depth - 1] == ']'));
	if (!json->empty[json->depth - 1])
		fputs(json->one_line ? ", " : ",", json->out);
	json->empty[json->depth - 1] = false;
	indent(json);
	if (key) {
		quote(json, key);
		fputs(": ", json->out);
	}
}

static void open_container(struct json_out *json, const char *key, char first, char last)
{
	begin(json, key);
	putc(first, json->out);
	assert(json->depth < JSON_OUT_DEPTH_MAX);
	json->ends[json->depth] = last;
	json->empty[json->depth++] = true;
}

void json_out_init(struct json_out *json, FILE *out)
{
	*json = (struct json_out){ .out = out };
}

void json_out_init_line(struct json_out *json, FILE *out)
{
	*json = (struct json_out){ .out = out, .one_line = true };
}

void json_out_fini(struct json_out *json)
{
	assert(!json->depth);
	putc('\n', json->out);
}

void json_out_object(struct json_out *json, const char *key)
{
	open_container(json, key, '{', '}');
}

void json_out_array(struct json_out *json, const char *key)
{
	open_container(json, key, '[', ']');
}

void json_out_end(struct json_out *json)
{
	assert(json->depth);
	json->depth--;
	if (!json->empty[json->depth])
		indent(json);
	putc(json->ends[json->depth], json->out);
}

void json_out_string(struct json_out *json, const char *key, const char *text)
{
	if (!text) {
		json_out_null(json, key);
		return;
	}
	begin(json, key);
	quote(json, text);
}

void json_out_number(struct json_out *json, const char *key, uint64_t number)
{
	begin(json, key);
	fprintf(json->out, "%llu", (unsigned long long)number);
}

void json_out_thousandths(struct json_out *json, const char *key, uint64_t number)
{
	begin(json, key);
	fprintf(json->out, "%llu.%03llu", (unsigned long long)(number / 1000),
		(unsigned long long)(number % 1000));
}

void json_out_bool(struct json_out *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->out);
}

void json_out_null(struct json_out *json, const char *key)
{
	begin(json, key);
	fputs("null", json->out);
}
