/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and paragraphs; see table.h. Main thread. */
#include "cli/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "core/err.h"
#include "core/text.h"

#define GAP             2u  /* between columns */
#define WIDTH_UNKNOWN   80u /* of a terminal that does not say */
#define PARAGRAPH_LEAST 20u /* characters in a line, however narrow the terminal */
#define ELLIPSIS        "..."

void table_init(struct table *table, const struct table_column *columns, unsigned count)
{
	*table = (struct table){ .columns = columns, .column_count = count };
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){ 0 };
}

void table_cell(struct table *table, const char *fmt, ...)
{
	char **cells = reallocarray(table->cells, table->cell_count + 1, sizeof(*cells));
	char *text = NULL;
	va_list ap;
	int n;

	if (!cells) {
		table->failed = true;
		return;
	}
	table->cells = cells;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		table->failed = true;
		return;
	}
	text_clean(text);
	table->cells[table->cell_count++] = text;
}

static const char *cell(const struct table *table, size_t row, unsigned column)
{
	return table->cells[row * table->column_count + column];
}

/* The width of each column, 0 for one that is left out. */
static void measure(const struct table *table, size_t rows, unsigned *widths)
{
	for (unsigned c = 0; c < table->column_count; c++) {
		bool empty = table->columns[c].optional;

		widths[c] = (unsigned)text_width(table->columns[c].title);
		for (size_t row = 0; row < rows; row++) {
			const char *text = cell(table, row, c);

			widths[c] = MAX(widths[c], (unsigned)text_width(text));
			empty = empty && strcmp(text, "-") == 0;
		}
		if (empty)
			widths[c] = 0;
	}
}

static unsigned total(const struct table *table, const unsigned *widths, bool below)
{
	unsigned sum = 0;

	for (unsigned c = 0; c < table->column_count; c++) {
		if (widths[c] && !(below && table->columns[c].own_line))
			sum += widths[c] + (sum ? GAP : 0);
	}
	return sum;
}

/* Takes from the columns that may shrink what the table is too wide; false if that is not enough.
 */
static bool shrink(const struct table *table, unsigned *widths, unsigned width, bool below)
{
	for (unsigned c = 0; c < table->column_count; c++) {
		const unsigned now = total(table, widths, below);
		const unsigned least = table->columns[c].shrink_to;

		if (now <= width)
			return true;
		if (least && widths[c] > least)
			widths[c] -= MIN(now - width, widths[c] - least);
	}
	return total(table, widths, below) <= width;
}

static void print_cut(FILE *out, const char *text, unsigned width)
{
	const size_t dots = strlen(ELLIPSIS);

	if (text_width(text) <= width)
		fputs(text, out);
	else
		fprintf(out, "%.*s" ELLIPSIS, (int)text_bytes(text, width - MIN(width, dots)),
			text);
}

/* `row` -1: the titles. */
static void print_row(const struct table *table, FILE *out, long row, const unsigned *widths,
		      bool below)
{
	unsigned gap = 0;

	for (unsigned c = 0; c < table->column_count; c++) {
		const char *text = row < 0 ? table->columns[c].title : cell(table, (size_t)row, c);
		const unsigned len = (unsigned)MIN(text_width(text), (size_t)widths[c]);

		if (!widths[c] || (below && table->columns[c].own_line))
			continue;
		/* No spaces at the end of a line. */
		fprintf(out, "%*s", (int)gap, "");
		print_cut(out, text, widths[c]);
		gap = widths[c] - len + GAP;
	}
	putc('\n', out);
	for (unsigned c = 0; below && row >= 0 && c < table->column_count; c++) {
		if (table->columns[c].own_line && widths[c])
			fprintf(out, "%*s%s\n", (int)(widths[0] + GAP), "",
				cell(table, (size_t)row, c));
	}
}

int table_print(const struct table *table, FILE *out, unsigned width)
{
	const size_t rows = table->column_count ? table->cell_count / table->column_count : 0;
	unsigned *widths, *narrow;
	bool below = false;

	if (table->failed)
		return -ENOMEM;
	assert(table->cell_count == rows * table->column_count);
	widths = calloc(2 * table->column_count, sizeof(*widths));
	if (!widths)
		return -ENOMEM;
	measure(table, rows, widths);
	if (width) {
		narrow = widths + table->column_count;
		memcpy(narrow, widths, table->column_count * sizeof(*widths));
		below = !shrink(table, narrow, width, false);
		if (!below)
			memcpy(widths, narrow, table->column_count * sizeof(*widths));
		else
			(void)shrink(table, widths, width, true);
	}
	for (long row = -1; row < (long)rows; row++)
		print_row(table, out, row, widths, below);
	free(widths);
	return 0;
}

void table_paragraph(FILE *out, const char *text, unsigned at, unsigned width)
{
	const size_t room = width > at + PARAGRAPH_LEAST ? width - at : PARAGRAPH_LEAST;
	char *copy = strdup(text);
	const char *pos = copy ? copy : "";

	if (copy)
		text_clean(copy);
	while (width && text_width(pos) > room) {
		const size_t most = text_bytes(pos, room);
		size_t len = most;

		while (len && pos[len] != ' ')
			len--;
		if (!len) /* one long word */
			len = strchrnul(pos + most, ' ') - pos;
		fprintf(out, "%.*s\n", (int)len, pos);
		pos += len;
		pos += strspn(pos, " ");
		if (!*pos)
			break;
		fprintf(out, "%*s", (int)at, "");
	}
	if (*pos || pos == copy)
		fprintf(out, "%s\n", pos);
	free(copy);
}

int table_flush(FILE *out)
{
	if (fflush(out) == 0 && !ferror(out))
		return 0;
	return err_sys(ERR_FILE, errno ? -errno : -EIO, "write to standard output");
}

unsigned table_terminal_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)))
		return 0;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return WIDTH_UNKNOWN;
	return size.ws_col;
}
