/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say where on the host the machine lies. Pure. Main thread. */
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"

static int bad_pin(const char *value)
{
	int r = err_set(ERR_USAGE, -EINVAL, "--pin: '%s' is no list of CPUs", value);

	err_hint("write it as --pin 0-7 or --pin 2,4,6, in the order of the vCPUs, or --pin auto");
	return r;
}

int options_parse_pin(struct options *options, const char *value)
{
	struct cpu_set seen = { 0 };
	const char *pos = value;
	unsigned first, last;

	if (strcmp(value, "auto") == 0) {
		options->pin = PIN_AUTO;
		return 0;
	}
	while (pos) {
		if (!cpu_set_scan(&pos, &first, &last))
			return bad_pin(value);
		for (unsigned cpu = first; cpu <= last; cpu++) {
			if (cpu_set_has(&seen, cpu))
				return err_set(ERR_USAGE, -EINVAL, "--pin: CPU %u is named twice",
					       cpu);
			if (options->pin_count == OPTIONS_PIN_MAX)
				return err_set(ERR_USAGE, -EINVAL,
					       "--pin: more than %u CPUs are named",
					       OPTIONS_PIN_MAX);
			cpu_set_add(&seen, cpu);
			options->pin_cpus[options->pin_count++] = (uint16_t)cpu;
		}
	}
	options->pin = PIN_LIST;
	return 0;
}

int options_parse_numa(struct options *options, const char *value)
{
	int r;

	if (strcmp(value, "auto") == 0) {
		options->numa = NUMA_AUTO;
	} else if (strcmp(value, "off") == 0) {
		options->numa = NUMA_OFF;
	} else if (cpu_set_parse(value, &options->numa_nodes)) {
		options->numa = NUMA_LIST;
	} else {
		r = err_set(ERR_USAGE, -EINVAL, "--numa: '%s' is not auto, off or a list of nodes",
			    value);
		err_hint("write nodes as --numa 0,1");
		return r;
	}
	return 0;
}
