/* SPDX-License-Identifier: Apache-2.0 */
/* Escapes of JSON and UTF-8; see json_char.h. [RFC 8259 7 Strings], [RFC 3629 3]. */
#include "firmware-loader/json_char.h"

#include <string.h>

#include "core/text.h"

/* Four hexadecimal digits at `s`, or -1. */
static int32_t utf16_unit(const char *s, size_t len)
{
	int32_t unit = 0;

	if (len < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int digit = text_hex_digit(s[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

static size_t utf8(uint32_t c, char out[JSON_CHAR_MAX])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* A \u escape (two for a surrogate pair); returns how much of `s` it takes, 0 if malformed. */
static size_t decode_unicode(const char *s, size_t len, char out[JSON_CHAR_MAX],
			     size_t *ret_out_len)
{
	int32_t high = utf16_unit(s + 2, len - 2), low;

	if (high < 0 || (high >= 0xdc00 && high < 0xe000))
		return 0;
	if (high < 0xd800 || high >= 0xe000) {
		*ret_out_len = utf8((uint32_t)high, out);
		return 6;
	}
	if (len < 12 || s[6] != '\\' || s[7] != 'u')
		return 0;
	low = utf16_unit(s + 8, len - 8);
	if (low < 0xdc00 || low >= 0xe000)
		return 0;
	*ret_out_len =
		utf8(0x10000 + ((uint32_t)(high - 0xd800) << 10 | (uint32_t)(low - 0xdc00)), out);
	return 12;
}

size_t json_char(const char *s, size_t len, char out[JSON_CHAR_MAX], size_t *ret_out_len)
{
	static const char escapes[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
	const char *escape;

	*ret_out_len = 1;
	if (s[0] != '\\') {
		out[0] = s[0];
		return (unsigned char)s[0] < ' ' ? 0 : 1;
	}
	if (len < 2 || !s[1])
		return 0;
	if (s[1] == 'u')
		return decode_unicode(s, len, out, ret_out_len);
	escape = strchr(escapes, s[1]);
	if (!escape)
		return 0;
	out[0] = meaning[escape - escapes];
	return 2;
}
