/* SPDX-License-Identifier: Apache-2.0 */
/* What --help shows: that it fits, and names all that there is. */
#include "cmocka_all.h"

#include <stdio.h>

#include "options/options.h"
#include "options/options_defs.h"
#include "options/options_help.h"

#define ARGS_MAX 64

static struct options options;

/* Words with one space between them. */
static int parse(const char *words, struct options *ret_options)
{
	char copy[1024], *argv[ARGS_MAX] = { (char *)"tinyvmm" };
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *p = copy; *p && argc < ARGS_MAX - 1;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
	}
	memset(ret_options, 0, sizeof(*ret_options));
	return options_parse(argc, argv, ret_options);
}

static void assert_fits_a_screen(const char *text)
{
	unsigned lines = 0;

	for (const char *p = text; *p; p += strcspn(p, "\n") + 1) {
		assert_in_range(strcspn(p, "\n"), 0, 79);
		assert_true(p[strcspn(p, "\n")] == '\n');
		lines++;
	}
	assert_in_range(lines, 1, 23);
}

static const char *help_of(const char *command, const char *page)
{
	char words[64];

	snprintf(words, sizeof(words), "%s --help %s", command, page);
	assert_int_equal(parse(words + (*command ? 0 : 1), &options), 0);
	assert_true(options.help);
	return options_help(&options);
}

static bool in_a_page_of_run(const char *name)
{
	bool found = false;

	for (unsigned i = 0; options_help_pages[i]; i++)
		found |= strstr(options_help_run(options_help_pages[i]), name) != NULL;
	return found;
}

static void pages_of_run_fit_a_screen_and_are_named_by_the_first(void **state)
{
	for (unsigned i = 1; options_help_pages[i]; i++) {
		char name[64];

		assert_fits_a_screen(help_of("run", options_help_pages[i]));
		/* In one of two columns. */
		snprintf(name, sizeof(name), "  %s  ", options_help_pages[i]);
		assert_non_null(strstr(strstr(help_of("run", ""), "run --help PAGE"), name));
		assert_ptr_not_equal(help_of("run", options_help_pages[i]), help_of("run", ""));
	}
}

static void help_can_name_the_command_behind_it(void **state)
{
	assert_ptr_equal(help_of("", "list"), help_of("list", ""));
}

static void help_of_a_command_fits_a_screen_and_names_all_its_options(void **state)
{
	for (unsigned c = 0; c < options_command_count; c++) {
		const struct command_def *command = &options_commands[c];
		const char *help = help_of(command->name, "");
		char name[64];

		assert_fits_a_screen(help);
		for (unsigned i = 0; i < options_def_count; i++) {
			snprintf(name, sizeof(name), "--%s", options_defs[i].name);
			if (options_defs[i].commands & FOR(command->command) &&
			    !strstr(help, name) &&
			    !(command->command == OPTIONS_RUN && in_a_page_of_run(name)))
				fail_msg("the help of %s lacks %s", command->name, name);
		}
	}
}

/* At the beginning of a line, or behind another one. */
static bool names_a_command(const char *list, const char *name)
{
	const size_t len = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += len) {
		if (p[-1] == ' ' && strchr(" ,", p[-2]) && strchr(" ,", p[len]))
			return true;
	}
	return false;
}

static void overview_fits_a_screen_and_names_all_commands(void **state)
{
	const char *help = help_of("", ""), *first = strstr(help, "Commands:\n");

	assert_fits_a_screen(help);
	assert_non_null(first);
	for (unsigned c = 0; c < options_command_count; c++) {
		if (!names_a_command(first, options_commands[c].name))
			fail_msg("the overview lacks %s", options_commands[c].name);
	}
}

static void examples_of_the_help_are_good(void **state)
{
	const char *p = strstr(help_of("", ""), "Examples:\n");
	unsigned examples = 0;
	char words[256];

	assert_non_null(p);
	while ((p = strstr(p, "  tinyvmm "))) {
		p += strlen("  tinyvmm ");
		snprintf(words, sizeof(words), "%.*s", (int)strcspn(p, "\n"), p);
		assert_int_equal(parse(words, &options), 0);
		examples++;
	}
	assert_int_equal(examples, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_of_a_command_fits_a_screen_and_names_all_its_options),
		cmocka_unit_test(pages_of_run_fit_a_screen_and_are_named_by_the_first),
		cmocka_unit_test(help_can_name_the_command_behind_it),
		cmocka_unit_test(overview_fits_a_screen_and_names_all_commands),
		cmocka_unit_test(examples_of_the_help_are_good),
	};

	return cmocka_run_group_tests_name("options_help", tests, NULL, NULL);
}
