/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of options that have a form of their own; between options.c and this file only. Each
 * adds to `options` what `value` says, which is not empty and shorter than PATH_MAX. -EINVAL, kind
 * ERR_USAGE, with the option's name and what it accepts in the error chain.
 */
#ifndef OPTIONS_VALUE_H
#define OPTIONS_VALUE_H

#include "options.h"

int MUST_CHECK options_value_gpu(struct options *options, const char *value);
int MUST_CHECK options_value_disk(struct options *options, const char *value);
int MUST_CHECK options_value_cpus(struct options *options, const char *value);
int MUST_CHECK options_value_memory(struct options *options, const char *value);
int MUST_CHECK options_value_firmware(struct options *options, const char *value);

#endif
