/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of run's --help: one that names what is used most, and one a part of the machine. Pure.
 */
#ifndef OPTIONS_HELP_H
#define OPTIONS_HELP_H

#include "core/util.h"

/* The pages' names, ended by NULL; the first is "", the page of "--help" alone. */
extern const char *const options_help_pages[];

bool options_help_is_page(const char *name);

/* `page` is one of options_help_pages. */
const char *options_help_run(const char *page);

#endif
