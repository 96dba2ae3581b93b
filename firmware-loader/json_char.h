/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of JSON's strings, for json.c. Pure, any thread. */
#ifndef FIRMWARE_LOADER_JSON_CHAR_H
#define FIRMWARE_LOADER_JSON_CHAR_H

#include <stddef.h>
#include <stdint.h>

#define JSON_CHAR_MAX 4 /* bytes of UTF-8 */

/*
 * One character inside a string, which may be an escape; returns how much of `s` it takes, 0 if
 * malformed.
 */
size_t json_char(const char *s, size_t len, char out[JSON_CHAR_MAX], size_t *ret_out_len);

#endif
