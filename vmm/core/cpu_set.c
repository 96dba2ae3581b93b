/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of CPUs; see cpu_set.h. [Linux: Documentation/admin-guide/cputopology.rst]. */
#include "core/cpu_set.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>

unsigned cpu_set_count(const struct cpu_set *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(set->bits); i++)
		count += (unsigned)__builtin_popcountll(set->bits[i]);
	return count;
}

int cpu_set_next(const struct cpu_set *set, unsigned from)
{
	for (unsigned cpu = from; cpu < CPU_SET_MAX;) {
		const uint64_t rest = set->bits[cpu / 64] >> cpu % 64;

		if (rest)
			return (int)cpu + __builtin_ctzll(rest);
		cpu = (cpu / 64 + 1) * 64;
	}
	return -1;
}

void cpu_set_join(struct cpu_set *set, const struct cpu_set *other)
{
	for (unsigned i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] |= other->bits[i];
}

void cpu_set_keep(struct cpu_set *set, const struct cpu_set *other)
{
	for (unsigned i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] &= other->bits[i];
}

void cpu_set_drop(struct cpu_set *set, const struct cpu_set *other)
{
	for (unsigned i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] &= ~other->bits[i];
}

static bool scan_number(const char **pos, unsigned *ret_number)
{
	const char *p = *pos;
	unsigned number = 0;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		number = 10 * number + (unsigned)(*p - '0');
		if (number >= CPU_SET_MAX)
			return false;
	}
	*pos = p;
	*ret_number = number;
	return true;
}

bool cpu_set_scan(const char **pos, unsigned *ret_first, unsigned *ret_last)
{
	const char *p = *pos;
	unsigned first, last;

	if (!scan_number(&p, &first))
		return false;
	last = first;
	if (*p == '-') {
		p++;
		if (!scan_number(&p, &last))
			return false;
	}
	if (last < first || (*p && *p != ','))
		return false;
	*pos = *p ? p + 1 : NULL;
	*ret_first = first;
	*ret_last = last;
	return true;
}

bool cpu_set_parse(const char *text, struct cpu_set *ret_set)
{
	struct cpu_set set = { 0 };
	const char *pos = *text ? text : NULL;

	while (pos) {
		unsigned first, last;

		if (!cpu_set_scan(&pos, &first, &last))
			return false;
		for (unsigned cpu = first; cpu <= last; cpu++)
			cpu_set_add(&set, cpu);
	}
	*ret_set = set;
	return true;
}

struct cpu_set_text cpu_set_text(const struct cpu_set *set)
{
	struct cpu_set_text text = { "" };
	size_t len = 0;

	for (int first = cpu_set_next(set, 0); first >= 0;) {
		int last = first;
		char entry[32];
		int n;

		while (cpu_set_has(set, (unsigned)last + 1))
			last++;
		n = last == first ? snprintf(entry, sizeof(entry), "%s%d", len ? "," : "", first)
				  : snprintf(entry, sizeof(entry), "%s%d-%d", len ? "," : "", first,
					     last);
		if (len + (size_t)n + sizeof(",...") > sizeof(text.s)) {
			memcpy(text.s + len, ",...", sizeof(",..."));
			break;
		}
		memcpy(text.s + len, entry, (size_t)n + 1);
		len += (size_t)n;
		first = cpu_set_next(set, (unsigned)last + 1);
	}
	return text;
}

int cpu_set_allowed(struct cpu_set *ret_set)
{
	struct cpu_set set = { 0 };

	if (sched_getaffinity(0, sizeof(set), (cpu_set_t *)set.bits) < 0)
		return -errno;
	*ret_set = set;
	return 0;
}

void cpu_set_follow(pthread_t thread)
{
	struct cpu_set set = { 0 };

	if (pthread_getaffinity_np(thread, sizeof(set), (cpu_set_t *)set.bits) == 0)
		(void)sched_setaffinity(0, sizeof(set), (const cpu_set_t *)set.bits);
}

int cpu_set_bind(const struct cpu_set *set)
{
	return sched_setaffinity(0, sizeof(*set), (const cpu_set_t *)set->bits) < 0 ? -errno : 0;
}
