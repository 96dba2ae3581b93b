/* SPDX-License-Identifier: Apache-2.0 */
/* A command line for the parser, and what it made of it in one line that a test can compare. */
#ifndef OPTIONS_LINE_H
#define OPTIONS_LINE_H

#include <stddef.h>

#include "options/options.h"

#define OPTIONS_LINE_MAX 1024

struct golden {
	const char *words, *expected;
};

/*
 * Runs the parser on words with one space between them. The line is what the options say, without
 * what nobody asked for; of an error it is "text; hint".
 */
int options_line(const char *words, struct options *options, char line[OPTIONS_LINE_MAX]);

/* Fails the test at the first line that is not as expected, or that is not refused as expected. */
void check_understood(const struct golden *cases, size_t count);
void check_refused(const struct golden *cases, size_t count);

#endif
