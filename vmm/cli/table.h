/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people: tables and paragraphs in the width of a terminal. All cells are cleaned (see
 * core/text.h), so they may hold foreign text. Main thread.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdio.h>

#include "core/util.h"

struct table_column {
	const char *title;
	unsigned shrink_to; /* may be cut down to so many characters; 0: never cut */
	bool optional;      /* left out when every cell of it is "-" */
	bool own_line; /* goes below the row, under the second column, where the terminal is too
			  narrow */
};

struct table {
	const struct table_column *columns;
	unsigned column_count;
	char **cells; /* row by row */
	size_t cell_count;
	bool failed; /* out of memory */
};

/* `columns` is borrowed. */
void table_init(struct table *table, const struct table_column *columns, unsigned count);
void table_fini(struct table *table);

/* The next cell, in rows from the left to the right. */
void table_cell(struct table *table, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* All rows are complete. `width` 0: as wide as it gets. -ENOMEM, with nothing printed. */
int MUST_CHECK table_print(const struct table *table, FILE *out, unsigned width);

/*
 * Prints `text` and a newline: the first line continues at column `at`, further ones begin there.
 * Lines are broken at spaces. `width` 0: one line.
 */
void table_paragraph(FILE *out, const char *text, unsigned at, unsigned width);

/* All that was printed has been written; if not, kind ERR_FILE. */
int MUST_CHECK table_flush(FILE *out);

/* The columns of the terminal that is `out`; 0: it is none. */
unsigned table_terminal_width(FILE *out);

#endif
