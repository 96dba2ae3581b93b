/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AML encoder; see aml.h. [ACPI-6.5 20.2 AML Grammar Definition]. Containers carry their length in
 * front, in 1 to 4 bytes that count themselves, so it is put in at the close.
 */
#include "boot/aml.h"

#include <errno.h>

#include "core/text.h"

/* [ACPI-6.5 20.3 AML Byte Stream Byte Values] */
#define OP_ZERO        0x00
#define OP_ONE         0x01
#define OP_NAME        0x08
#define OP_BYTE        0x0a
#define OP_WORD        0x0b
#define OP_DWORD       0x0c
#define OP_STRING      0x0d
#define OP_QWORD       0x0e
#define OP_SCOPE       0x10
#define OP_BUFFER      0x11
#define OP_PACKAGE     0x12
#define OP_VAR_PACKAGE 0x13
#define OP_METHOD      0x14
#define OP_DUAL_NAME   0x2e
#define OP_MULTI_NAME  0x2f
#define OP_EXT         0x5b
#define OP_LOCAL0      0x60
#define OP_ARG0        0x68
#define OP_EXT_DEVICE  0x82
#define OP_IF          0xa0
#define OP_ELSE        0xa1

#define METHOD_SERIALIZED (1u << 3)
#define METHOD_ARGS_MAX   7u
#define LOCALS_MAX        8u
#define NAME_SEGMENTS_MAX 255u

static void put_byte(struct buf *b, unsigned byte)
{
	buf_le(b, 1, byte);
}

static bool is_lead_char(char c)
{
	return (c >= 'A' && c <= 'Z') || c == '_';
}

static void put_segment(struct buf *b, const char *seg, size_t len)
{
	bool ok = len >= 1 && len <= 4 && is_lead_char(seg[0]);

	for (size_t i = 1; ok && i < len; i++)
		ok = is_lead_char(seg[i]) || (seg[i] >= '0' && seg[i] <= '9');
	if (!ok) {
		buf_fail(b, -EINVAL);
		return;
	}
	buf_put(b, seg, len);
	buf_put(b, "____", 4 - len);
}

/* [ACPI-6.5 20.2.2 Name Objects Encoding] */
void aml_path(struct buf *b, const char *path)
{
	size_t count = 1;

	for (; *path == '\\' || *path == '^'; path++)
		put_byte(b, (unsigned char)*path);
	for (const char *p = path; *p; p++)
		count += *p == '.';
	if (count > NAME_SEGMENTS_MAX) {
		buf_fail(b, -EINVAL);
		return;
	}
	if (count == 2) {
		put_byte(b, OP_DUAL_NAME);
	} else if (count > 2) {
		put_byte(b, OP_MULTI_NAME);
		put_byte(b, (unsigned)count);
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(path, ".");

		put_segment(b, path, len);
		path += len + 1;
	}
}

/* The shortest encoding of `val` and its length, at most 9 bytes. */
static unsigned encode_int(uint64_t val, uint8_t ret_bytes[9])
{
	static const struct {
		uint64_t max;
		uint8_t op;
		unsigned len;
	} encodings[] = {
		{ 0, OP_ZERO, 0 },           { 1, OP_ONE, 0 },
		{ UINT8_MAX, OP_BYTE, 1 },   { UINT16_MAX, OP_WORD, 2 },
		{ UINT32_MAX, OP_DWORD, 4 }, { UINT64_MAX, OP_QWORD, 8 },
	};
	unsigned i = 0;

	while (val > encodings[i].max)
		i++;
	ret_bytes[0] = encodings[i].op;
	store_le(ret_bytes + 1, encodings[i].len, val);
	return 1 + encodings[i].len;
}

void aml_int(struct buf *b, uint64_t val)
{
	uint8_t bytes[9];
	unsigned len = encode_int(val, bytes);

	buf_put(b, bytes, len);
}

void aml_string(struct buf *b, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p > 0x7f)
			buf_fail(b, -EINVAL);
	}
	put_byte(b, OP_STRING);
	buf_put(b, text, strlen(text) + 1);
}

/*
 * Three letters of 5 bits and four hexadecimal digits, the most significant byte first.
 * [ACPI-6.5 19.6.37 EISAID]
 */
void aml_eisa_id(struct buf *b, const char *id)
{
	uint32_t packed = 0;
	bool ok = strlen(id) == 7;

	for (unsigned i = 0; ok && i < 7; i++) {
		int digit = text_hex_digit(id[i]);

		if (i < 3) {
			ok = id[i] >= 'A' && id[i] <= 'Z';
			packed = packed << 5 | (uint32_t)(id[i] - '@');
		} else {
			ok = digit >= 0;
			packed = packed << 4 | (uint32_t)digit;
		}
	}
	if (!ok) {
		buf_fail(b, -EINVAL);
		return;
	}
	put_byte(b, OP_DWORD);
	buf_le(b, 4, __builtin_bswap32(packed));
}

/* The first three fields are little-endian. [ACPI-6.5 19.6.142 ToUUID] */
void aml_uuid(struct buf *b, const char *uuid)
{
	/* Where in the text the digits of each byte are. */
	static const uint8_t digits[16] = { 6,  4,  2,  0,  11, 9,  16, 14,
					    19, 21, 24, 26, 28, 30, 32, 34 };
	bool ok = strlen(uuid) == 36;

	for (unsigned i = 8; ok && i <= 23; i += 5)
		ok = uuid[i] == '-';
	if (!ok) {
		buf_fail(b, -EINVAL);
		return;
	}

	size_t mark = aml_buffer_open(b);

	for (unsigned i = 0; i < sizeof(digits); i++) {
		int high = text_hex_digit(uuid[digits[i]]);
		int low = text_hex_digit(uuid[digits[i] + 1]);

		if (high < 0 || low < 0)
			buf_fail(b, -EINVAL);
		put_byte(b, (unsigned)(high << 4 | low) & 0xff);
	}
	aml_buffer_close(b, mark);
}

void aml_name(struct buf *b, const char *path)
{
	put_byte(b, OP_NAME);
	aml_path(b, path);
}

void aml_name_int(struct buf *b, const char *path, uint64_t val)
{
	aml_name(b, path);
	aml_int(b, val);
}

void aml_name_string(struct buf *b, const char *path, const char *text)
{
	aml_name(b, path);
	aml_string(b, text);
}

void aml_name_eisa_id(struct buf *b, const char *path, const char *id)
{
	aml_name(b, path);
	aml_eisa_id(b, id);
}

size_t aml_scope_open(struct buf *b, const char *path)
{
	put_byte(b, OP_SCOPE);

	size_t mark = b->len;

	aml_path(b, path);
	return mark;
}

size_t aml_device_open(struct buf *b, const char *name)
{
	put_byte(b, OP_EXT);
	put_byte(b, OP_EXT_DEVICE);

	size_t mark = b->len;

	aml_path(b, name);
	return mark;
}

size_t aml_method_open(struct buf *b, const char *name, unsigned args, bool serialized)
{
	if (args > METHOD_ARGS_MAX)
		buf_fail(b, -EINVAL);
	put_byte(b, OP_METHOD);

	size_t mark = b->len;

	aml_path(b, name);
	put_byte(b, args | (serialized ? METHOD_SERIALIZED : 0));
	return mark;
}

size_t aml_if_open(struct buf *b)
{
	put_byte(b, OP_IF);
	return b->len;
}

size_t aml_else_open(struct buf *b)
{
	put_byte(b, OP_ELSE);
	return b->len;
}

/*
 * PkgLength: one byte up to 63; else the low 4 bits with the number of further bytes in bits 6-7,
 * then 8 bits a byte. [ACPI-6.5 20.2.4 Package Length Encoding]
 */
void aml_close(struct buf *b, size_t mark)
{
	uint8_t bytes[4];
	size_t len = b->len - mark;
	unsigned n;

	if (b->error)
		return;
	if (len + 1 <= 0x3f) {
		bytes[0] = (uint8_t)(len + 1);
		buf_insert(b, mark, bytes, 1);
		return;
	}
	for (n = 2; n < 4 && len + n > (1ull << (4 + 8 * (n - 1))) - 1; n++)
		;
	len += n;
	if (len > (1ull << 28) - 1) {
		buf_fail(b, -EINVAL);
		return;
	}
	bytes[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
	store_le(bytes + 1, n - 1, len >> 4);
	buf_insert(b, mark, bytes, n);
}

size_t aml_buffer_open(struct buf *b)
{
	put_byte(b, OP_BUFFER);
	return b->len;
}

void aml_buffer_close(struct buf *b, size_t mark)
{
	uint8_t bytes[9];
	unsigned len = encode_int(b->len - mark, bytes);

	buf_insert(b, mark, bytes, len);
	aml_close(b, mark);
}

size_t aml_package_open(struct buf *b)
{
	put_byte(b, OP_PACKAGE);
	return b->len;
}

void aml_package_close(struct buf *b, size_t mark, size_t count)
{
	uint8_t bytes[9];
	unsigned len = 1;

	bytes[0] = (uint8_t)count;
	if (count > UINT8_MAX) {
		buf_patch_le(b, mark - 1, 1, OP_VAR_PACKAGE);
		len = encode_int(count, bytes);
	}
	buf_insert(b, mark, bytes, len);
	aml_close(b, mark);
}

void aml_op(struct buf *b, enum aml_op op)
{
	put_byte(b, op);
}

void aml_local(struct buf *b, unsigned n)
{
	if (n >= LOCALS_MAX)
		buf_fail(b, -EINVAL);
	put_byte(b, OP_LOCAL0 + n);
}

void aml_arg(struct buf *b, unsigned n)
{
	if (n >= METHOD_ARGS_MAX)
		buf_fail(b, -EINVAL);
	put_byte(b, OP_ARG0 + n);
}
