/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of the host's CPUs, or of its NUMA nodes, as sysfs and the user write them: "0-3,8". Any
 * thread.
 */
#ifndef CORE_CPU_SET_H
#define CORE_CPU_SET_H

#include <pthread.h>

#include "core/util.h"

/* The most that Linux is configured for on x86 [Linux: arch/x86/Kconfig, NR_CPUS_RANGE_END]. */
#define CPU_SET_MAX 8192u

struct cpu_set {
	uint64_t bits[CPU_SET_MAX / 64];
};

static inline bool cpu_set_has(const struct cpu_set *set, unsigned cpu)
{
	return cpu < CPU_SET_MAX && (set->bits[cpu / 64] >> cpu % 64 & 1);
}

static inline void cpu_set_add(struct cpu_set *set, unsigned cpu)
{
	set->bits[cpu / 64] |= 1ull << cpu % 64;
}

static inline void cpu_set_remove(struct cpu_set *set, unsigned cpu)
{
	set->bits[cpu / 64] &= ~(1ull << cpu % 64);
}

unsigned cpu_set_count(const struct cpu_set *set);

/* The first member that is at least `from`; -1: none. */
int cpu_set_next(const struct cpu_set *set, unsigned from);

/* set |= other, set &= other, set &= ~other */
void cpu_set_join(struct cpu_set *set, const struct cpu_set *other);
void cpu_set_keep(struct cpu_set *set, const struct cpu_set *other);
void cpu_set_drop(struct cpu_set *set, const struct cpu_set *other);

/*
 * One entry of a list, "3" or "4-7", at *pos, which moves behind it and its comma; to NULL behind
 * the last. False if that is something else, or too large.
 */
bool cpu_set_scan(const char **pos, unsigned *ret_first, unsigned *ret_last);

/* A whole list; an empty one is an empty set. False, with nothing set, if it is malformed. */
bool cpu_set_parse(const char *text, struct cpu_set *ret_set);

/* "0-3,8"; cut with "..." where it does not fit. */
#define CPU_SET_TEXT 128
struct cpu_set_text {
	char s[CPU_SET_TEXT];
};
struct cpu_set_text cpu_set_text(const struct cpu_set *set);

/* Where the calling thread may run, and where it shall. A negative errno. */
int MUST_CHECK cpu_set_allowed(struct cpu_set *ret_set);
int MUST_CHECK cpu_set_bind(const struct cpu_set *set);

/* The calling thread may run where that other one may, if that can be had. */
void cpu_set_follow(pthread_t thread);

#endif
