/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's CPU that does what an input says: reads and writes of ports and of memory that traps,
 * mostly where there is something.
 */
#ifndef FUZZ_HOSTILE_CPU_H
#define FUZZ_HOSTILE_CPU_H

#include "core/bus.h"
#include "fuzz.h"

/* Where something is. */
struct hostile_place {
	struct bus *bus;
	uint64_t base, size;
};

/*
 * One access at one of the places, or, for the next number after theirs, anywhere on the bus of the
 * first of them. Of a port it is 4 bytes long at most, as of a CPU.
 */
void hostile_cpu_access(const struct hostile_place *places, unsigned count, struct fuzz_input *in);

/* For seeds: such an access. */
void hostile_seed_write(uint8_t **p, unsigned place, uint32_t off, unsigned len, uint64_t val);
void hostile_seed_read(uint8_t **p, unsigned place, uint32_t off, unsigned len);

#endif
