/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign text for terminals; see text.h. [RFC 3629 UTF-8], [Unicode 9.6 General Category]. */
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>

#define CODE_POINT_MAX 0x10ffff

/* The smallest code point that needs so many bytes: a longer form of a smaller one is not UTF-8. */
static const int32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

int32_t text_decode(const char *text, size_t *ret_len)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = p[0] < 0x80       ? 1
		     : p[0] >> 5 == 6  ? 2
		     : p[0] >> 4 == 14 ? 3
		     : p[0] >> 3 == 30 ? 4
				       : 0;
	int32_t c;

	*ret_len = 1;
	if (!len)
		return -1;
	if (len == 1)
		return p[0];
	c = p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2) /* a NUL ends it here, too */
			return -1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[len] || c > CODE_POINT_MAX || (c >= 0xd800 && c <= 0xdfff))
		return -1;
	*ret_len = len;
	return c;
}

static bool is_harmless(int32_t c)
{
	static const struct {
		int32_t first, last;
	} harmful[] = {
		{ 0x00, 0x1f },       /* C0 controls */
		{ 0x7f, 0x9f },       /* DEL, C1 controls */
		{ 0xad, 0xad },       /* soft hyphen */
		{ 0x61c, 0x61c },     /* Arabic letter mark */
		{ 0x200b, 0x200f },   /* zero width, direction marks */
		{ 0x2028, 0x202e },   /* separators, embedding and override of direction */
		{ 0x2060, 0x206f },   /* invisible operators, isolation of direction */
		{ 0xfeff, 0xfeff },   /* zero width no-break space */
		{ 0xe0000, 0xe007f }, /* tags */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(harmful); i++) {
		if (c >= harmful[i].first && c <= harmful[i].last)
			return false;
	}
	return c >= 0;
}

void text_clean(char *text)
{
	char *to = text;

	while (*text) {
		size_t len;

		if (is_harmless(text_decode(text, &len))) {
			memmove(to, text, len);
			to += len;
		} else {
			*to++ = '?';
		}
		text += len;
	}
	*to = '\0';
}

size_t text_bytes(const char *text, size_t width)
{
	size_t bytes = 0;

	for (; width && text[bytes]; width--) {
		size_t len;

		(void)text_decode(text + bytes, &len);
		bytes += len;
	}
	return bytes;
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		size_t len;

		(void)text_decode(text, &len);
		text += len;
		width++;
	}
	return width;
}

struct text_size text_size(uint64_t bytes)
{
	static const char units[] = "\0KMGTPE";
	struct text_size size;
	unsigned unit = 0;

	for (; bytes && bytes % KiB == 0; bytes /= KiB)
		unit++;
	snprintf(size.s, sizeof(size.s), "%llu%.1s", (unsigned long long)bytes, units + unit);
	return size;
}

/*
 * How many letters must be added, dropped or changed, or neighbours swapped, to make `a` of `b`
 * (optimal string alignment).
 */
#define DISTANCE_TEXT_MAX 32
static size_t distance(const char *a, const char *b)
{
	const size_t alen = strlen(a), blen = strlen(b);
	size_t rows[3][DISTANCE_TEXT_MAX + 1];

	if (alen > DISTANCE_TEXT_MAX || blen > DISTANCE_TEXT_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= blen; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= alen; i++) {
		const size_t *before = rows[(i + 1) % 3], *above = rows[(i + 2) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			const size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = MIN(change, MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
	}
	return rows[alen % 3][blen];
}

/* Of a short word, two changes leave too little to say that it was meant. */
#define DISTANCE_NEAR  2u
#define DISTANCE_SHORT 1u
#define SHORT_MAX      4u
size_t text_nearness(const char *name, const char *known)
{
	const size_t len = strlen(name);
	const size_t d = distance(name, known);
	const size_t near = len > SHORT_MAX ? DISTANCE_NEAR : DISTANCE_SHORT;

	if (len > 1 && strncmp(name, known, len) == 0)
		return 0;
	return d < MIN(len, near + 1) ? d : SIZE_MAX;
}

int text_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void text_list_add(struct text_list *list, const char *separator, const char *fmt, ...)
{
	char item[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(item, sizeof(item), fmt, ap);
	va_end(ap);
	if (list->len >= sizeof(list->s))
		return;
	n = snprintf(list->s + list->len, sizeof(list->s) - list->len, "%s%s",
		     list->len ? separator : "", item);
	list->len += n > 0 ? (size_t)n : 0;
}
