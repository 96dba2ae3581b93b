/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that was written by others (names of devices, processes and drivers) for terminals: what
 * would steer one is taken out, and widths are counted in characters. UTF-8. And the small forms of
 * lists and sizes in messages. Pure, any thread.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/util.h"

/*
 * Puts "?" in the place of every control character, of what changes the direction of text or is
 * invisible, and of every byte that is not UTF-8. In place.
 */
void text_clean(char *text);

/* Characters of clean text: each is taken to be one column wide. */
size_t text_width(const char *text);

/* Bytes of the first `width` characters of clean text, or of all of it. */
size_t text_bytes(const char *text, size_t width);

/*
 * One character of any bytes: its code point and, in *ret_len, its length. -1 and 1 for a byte that
 * is not UTF-8; 0 at the NUL.
 */
int32_t text_decode(const char *text, size_t *ret_len);

/*
 * How near what somebody wrote is to a `known` word: 0 if it begins it, SIZE_MAX if it is too far
 * to be meant.
 */
size_t text_nearness(const char *name, const char *known);

/* The value of a hexadecimal digit, or -1. */
int text_hex_digit(char c);

/* A list for a message: "a, b, c", cut when it is full. Zeroed: empty. */
struct text_list {
	char s[400];
	size_t len;
};
void text_list_add(struct text_list *list, const char *separator, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* "16G", "768M", "4K", "512": in the largest unit of which it is a whole number. */
#define TEXT_SIZE_LEN 24
struct text_size {
	char s[TEXT_SIZE_LEN];
};
struct text_size text_size(uint64_t bytes);

#endif
