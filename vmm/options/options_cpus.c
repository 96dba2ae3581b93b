/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say what the CPUs are and what they say they are. Pure. Main thread. */
#include <ctype.h>
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options/options_value.h"

/* The longest name of a feature. */
#define FEATURE_MAX 30

/* What --cpus can name, 0 where it does not. */
struct counts {
	unsigned total, sockets, cores, threads;
};

/* Where `part` says how many of something, sets it. 0 is no number of anything. */
static bool parse_count(struct counts *counts, const char *part)
{
	const struct {
		const char *key;
		unsigned *count;
	} parts[] = {
		{ "sockets", &counts->sockets },
		{ "cores", &counts->cores },
		{ "threads", &counts->threads },
	};
	unsigned *count = &counts->total;
	const char *number = part;
	uint64_t val;

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *text = options_value_property(part, parts[i].key);

		if (text) {
			number = text;
			count = parts[i].count;
		}
	}
	if (*count || !options_value_digits(number, strlen(number), &val) || val < 1 ||
	    val > OPTIONS_CPUS_MAX)
		return false;
	*count = (unsigned)val;
	return true;
}

/*
 * What is not named is 1, but one that is missing takes the rest of the total: cores rather than
 * sockets, sockets rather than threads.
 */
static bool complete_counts(struct counts *counts)
{
	unsigned *missing = NULL, *const order[] = { &counts->threads, &counts->sockets,
						     &counts->cores };
	uint64_t product;

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		if (*order[i])
			continue;
		*order[i] = 1;
		missing = order[i];
	}
	product = (uint64_t)counts->sockets * counts->cores * counts->threads;
	if (counts->total && missing && counts->total % product == 0) {
		*missing = (unsigned)(counts->total / product);
		product = counts->total;
	}
	if (!counts->total && product <= OPTIONS_CPUS_MAX)
		counts->total = (unsigned)product;
	return counts->total == product;
}

int options_parse_cpus(struct options *options, const char *value)
{
	struct counts counts = { 0 };
	const char *pos = value;
	char part[PATH_MAX];
	int r;

	while (options_value_part(&pos, part)) {
		if (parse_count(&counts, part))
			continue;
		r = err_set(ERR_USAGE, -EINVAL, "--cpus %s: '%s' is not understood", value, part);
		err_hint("write it as N or [N,]sockets=N,cores=N,threads=N, each once and from 1 "
			 "to %u",
			 OPTIONS_CPUS_MAX);
		return r;
	}
	if (!complete_counts(&counts)) {
		if (!counts.total)
			return err_set(ERR_USAGE, -EINVAL, "--cpus %s: the most is %u in all",
				       value, OPTIONS_CPUS_MAX);
		return err_set(ERR_USAGE, -EINVAL,
			       "--cpus %s: %u is not %u sockets x %u cores x %u threads", value,
			       counts.total, counts.sockets, counts.cores, counts.threads);
	}
	options->cpus = counts.total;
	options->topology = (struct arch_topology){ counts.sockets, counts.cores, counts.threads };
	return 0;
}

/* Which names there are, the architecture knows. */
int options_parse_cpu(struct options *options, const char *value)
{
	const char *pos = value;
	char part[PATH_MAX];

	while (options_value_part(&pos, part)) {
		if ((part[0] == '-' || part[0] == '+') &&
		    options_value_visible(part + 1, FEATURE_MAX))
			continue;
		err_set(ERR_USAGE, -EINVAL, "--cpu: '%s' is not understood", part);
		if (isdigit((unsigned char)part[0])) {
			err_hint("the number of CPUs is --cpus %s", value);
			return -EINVAL;
		}
		err_hint("write -NAME for a feature that the guest shall not have, +NAME for one "
			 "that it must have");
		return -EINVAL;
	}
	if (strlen(value) > OPTIONS_FEATURES_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--cpu: the value is longer than %u characters",
			       OPTIONS_FEATURES_MAX);
	strcpy(options->cpu_features, value);
	return 0;
}

static int check_hypervisor(const struct options *options)
{
	const char *other = options->hyperv                 ? "--hyperv"
			    : options->hypervisor_vendor[0] ? "--hypervisor-vendor"
							    : NULL;

	if (!options->hide_hypervisor || !other)
		return 0;
	return err_set(ERR_USAGE, -EINVAL, "--hide-hypervisor and %s exclude each other", other);
}

int options_parse_dedicated(struct options *options, const char *value)
{
	options->dedicated = true;
	return 0;
}

int options_parse_hyperv(struct options *options, const char *value)
{
	options->hyperv = true;
	return check_hypervisor(options);
}

int options_parse_hide_hypervisor(struct options *options, const char *value)
{
	options->hide_hypervisor = true;
	return check_hypervisor(options);
}

int options_parse_hypervisor_vendor(struct options *options, const char *value)
{
	int r;

	if (!options_value_visible(value, OPTIONS_VENDOR_MAX)) {
		r = err_set(ERR_USAGE, -EINVAL, "--hypervisor-vendor: '%s' cannot be told", value);
		err_hint("it takes 1 to %u visible ASCII characters", OPTIONS_VENDOR_MAX);
		return r;
	}
	strcpy(options->hypervisor_vendor, value);
	return check_hypervisor(options);
}
