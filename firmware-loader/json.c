/* SPDX-License-Identifier: Apache-2.0 */
/* JSON reader; see json.h. Recursive descent, with the depth bounded. */
#include "firmware-loader/json.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "firmware-loader/json_char.h"

struct parser {
	const char *text;
	uint32_t len, pos;
	unsigned depth;
	struct json_token *tokens;
	uint32_t count, allocated;
};

static int parse_value(struct parser *p);

static int fail(const struct parser *p, const char *what)
{
	unsigned line = 1;

	for (uint32_t i = 0; i < p->pos && i < p->len; i++)
		line += p->text[i] == '\n';
	return err_set(ERR_FILE, -EINVAL, "line %u: %s", line, what);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The next byte, or NUL (which is nowhere legal in a document) at the end. */
static char peek(const struct parser *p)
{
	return p->pos < p->len ? p->text[p->pos] : '\0';
}

static bool skip(struct parser *p, char c)
{
	if (p->pos >= p->len || p->text[p->pos] != c)
		return false;
	p->pos++;
	return true;
}

static void skip_space(struct parser *p)
{
	while (p->pos < p->len && strchr(" \t\r\n", p->text[p->pos]) && p->text[p->pos])
		p->pos++;
}

/* Its end and next are set when the value was read. */
static int add_token(struct parser *p, enum json_type type, uint32_t *ret_token)
{
	if (p->count == p->allocated) {
		uint32_t allocated = p->allocated ? 2 * p->allocated : 64;
		struct json_token *tokens = realloc(p->tokens, allocated * sizeof(*tokens));

		if (!tokens) {
			err_sys(ERR_FILE, -ENOMEM, "JSON");
			return -ENOMEM;
		}
		p->tokens = tokens;
		p->allocated = allocated;
	}
	p->tokens[p->count] = (struct json_token){ .type = type, .start = p->pos };
	*ret_token = p->count++;
	return 0;
}

static void end_token(struct parser *p, uint32_t token, uint32_t end)
{
	p->tokens[token].end = end;
	p->tokens[token].next = p->count;
}

static int parse_string(struct parser *p)
{
	uint32_t token;
	int r;

	if (!skip(p, '"'))
		return fail(p, "expected a string");
	r = add_token(p, JSON_STRING, &token);
	if (r)
		return r;
	while (p->pos < p->len && p->text[p->pos] != '"') {
		char out[JSON_CHAR_MAX];
		size_t out_len;
		size_t n = json_char(p->text + p->pos, p->len - p->pos, out, &out_len);

		if (!n)
			return fail(p, "malformed string");
		p->pos += (uint32_t)n;
	}
	end_token(p, token, p->pos);
	return skip(p, '"') ? 0 : fail(p, "string without an end");
}

static bool skip_digits(struct parser *p)
{
	uint32_t start = p->pos;

	while (is_digit(peek(p)))
		p->pos++;
	return p->pos > start;
}

static int parse_number(struct parser *p)
{
	uint32_t token;
	int r = add_token(p, JSON_NUMBER, &token);

	if (r)
		return r;
	skip(p, '-');
	/* No leading zeroes. */
	if (!skip(p, '0') && !skip_digits(p))
		return fail(p, "malformed number");
	if (skip(p, '.') && !skip_digits(p))
		return fail(p, "malformed number");
	if (skip(p, 'e') || skip(p, 'E')) {
		if (!skip(p, '+'))
			skip(p, '-');
		if (!skip_digits(p))
			return fail(p, "malformed number");
	}
	end_token(p, token, p->pos);
	return 0;
}

static int parse_word(struct parser *p)
{
	static const struct {
		const char *word;
		enum json_type type;
	} words[] = {
		{ "true", JSON_TRUE },
		{ "false", JSON_FALSE },
		{ "null", JSON_NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].word);
		uint32_t token;
		int r;

		if (!range_fits(p->pos, len, p->len) ||
		    memcmp(p->text + p->pos, words[i].word, len))
			continue;
		r = add_token(p, words[i].type, &token);
		if (r)
			return r;
		p->pos += (uint32_t)len;
		end_token(p, token, p->pos);
		return 0;
	}
	return fail(p, "expected a value");
}

/* A member of an object or an element of an array. */
static int parse_element(struct parser *p, enum json_type container)
{
	int r;

	if (container == JSON_OBJECT) {
		skip_space(p);
		r = parse_string(p);
		if (r < 0)
			return r;
		skip_space(p);
		if (!skip(p, ':'))
			return fail(p, "expected ':'");
	}
	return parse_value(p);
}

static int parse_container(struct parser *p, enum json_type type, char close)
{
	uint32_t token;
	int r;

	if (p->depth == JSON_DEPTH_MAX)
		return fail(p, "nested too deeply");
	p->depth++;
	r = add_token(p, type, &token);
	if (r)
		return r;
	p->pos++; /* the opening bracket */
	skip_space(p);
	while (!skip(p, close)) {
		if (p->count > token + 1 && !skip(p, ','))
			return fail(p, "expected ',' or a closing bracket");
		r = parse_element(p, type);
		if (r < 0)
			return r;
		skip_space(p);
	}
	p->depth--;
	end_token(p, token, p->pos);
	return 0;
}

static int parse_value(struct parser *p)
{
	skip_space(p);
	switch (peek(p)) {
	case '{':
		return parse_container(p, JSON_OBJECT, '}');
	case '[':
		return parse_container(p, JSON_ARRAY, ']');
	case '"':
		return parse_string(p);
	case '-':
	case '0' ... '9':
		return parse_number(p);
	default:
		return parse_word(p);
	}
}

int json_parse(const char *text, size_t len, struct json *ret_json)
{
	struct parser p = { .text = text, .len = (uint32_t)len };
	int r;

	if (len > JSON_TEXT_MAX)
		return err_set(ERR_FILE, -EFBIG, "larger than %u bytes", JSON_TEXT_MAX);
	r = parse_value(&p);
	if (!r) {
		skip_space(&p);
		if (p.pos < p.len)
			r = fail(&p, "something behind the end");
	}
	if (r < 0) {
		free(p.tokens);
		return r;
	}
	*ret_json = (struct json){ .text = text, .tokens = p.tokens, .count = p.count };
	return 0;
}

void json_fini(struct json *json)
{
	if (!json)
		return;
	free(json->tokens);
	*json = (struct json){ 0 };
}

bool json_is(const struct json *json, uint32_t token, enum json_type type)
{
	return token < json->count && json->tokens[token].type == type;
}

uint32_t json_member(const struct json *json, uint32_t object, const char *key)
{
	uint32_t end;

	if (!json_is(json, object, JSON_OBJECT))
		return JSON_NONE;
	end = json->tokens[object].next;
	for (uint32_t i = object + 1; i < end; i = json->tokens[i + 1].next) {
		if (json_equals(json, i, key))
			return i + 1;
	}
	return JSON_NONE;
}

uint32_t json_next(const struct json *json, uint32_t array, uint32_t element)
{
	uint32_t next;

	if (!json_is(json, array, JSON_ARRAY))
		return JSON_NONE;
	next = element < json->count ? json->tokens[element].next : array + 1;
	return next < json->tokens[array].next ? next : JSON_NONE;
}

int json_string(const struct json *json, uint32_t token, char *buf, size_t size)
{
	const char *s;
	size_t left, len = 0;

	if (!json_is(json, token, JSON_STRING) || !size)
		return -EINVAL;
	s = json->text + json->tokens[token].start;
	left = json->tokens[token].end - json->tokens[token].start;
	while (left) {
		char out[JSON_CHAR_MAX];
		size_t out_len, n = json_char(s, left, out, &out_len);

		/* n is never 0: the string was read once. */
		if (!n || !out[0])
			return -EINVAL;
		if (out_len >= size - len)
			return -ENAMETOOLONG;
		memcpy(buf + len, out, out_len);
		len += out_len;
		s += n;
		left -= n;
	}
	buf[len] = '\0';
	return 0;
}

bool json_equals(const struct json *json, uint32_t token, const char *text)
{
	const char *s;
	size_t left;

	if (!json_is(json, token, JSON_STRING))
		return false;
	s = json->text + json->tokens[token].start;
	left = json->tokens[token].end - json->tokens[token].start;
	while (left) {
		char out[JSON_CHAR_MAX];
		size_t out_len, n = json_char(s, left, out, &out_len);

		if (!n || strnlen(text, out_len) < out_len || memcmp(text, out, out_len))
			return false;
		text += out_len;
		s += n;
		left -= n;
	}
	return !*text;
}
