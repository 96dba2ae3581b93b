/* SPDX-License-Identifier: Apache-2.0 */
/* What values of options are made of; for the parsers of single options only. Pure. */
#ifndef OPTIONS_VALUE_H
#define OPTIONS_VALUE_H

#include "options/options.h"

/*
 * Copies the next comma-separated part of *pos, whose text is shorter than PATH_MAX, and moves
 * behind it. Two commas are one comma of the text. False when *pos is at its end (NULL).
 */
bool options_value_part(const char **pos, char part[PATH_MAX]);

/* The text behind "key=", NULL if `part` is something else. */
const char *options_value_property(const char *part, const char *key);

/* Decimal digits and nothing else. */
bool options_value_digits(const char *text, size_t len, uint64_t *ret_val);

/* 1 to `max` visible ASCII characters and nothing else. */
bool options_value_visible(const char *text, size_t max);

/*
 * "30s", "5m", "2h" in milliseconds: at least one, at most OPTIONS_WAIT_MAX. -EINVAL, kind
 * ERR_USAGE, with the name of the option (with dashes) in front.
 */
int MUST_CHECK options_value_time(const char *option, const char *value, unsigned *ret_ms);

#endif
