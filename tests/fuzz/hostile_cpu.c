/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's CPU that does what an input says. */
#include "hostile_cpu.h"

#define PORTS    0x10000u
#define WRITES   0x80u /* in the byte of the length, whose lowest two bits are that */
#define ANYWHERE 8u    /* bytes of an address */

void hostile_cpu_access(const struct hostile_place *places, unsigned count, struct fuzz_input *in)
{
	const unsigned nr = fuzz_below(in, count + 1);
	const struct hostile_place *place = &places[nr < count ? nr : 0];
	const unsigned how = (unsigned)fuzz_take(in, 1);
	const bool port = place->base + place->size <= PORTS;
	const unsigned len = 1u << (port ? how % 3 : how % 4);
	uint64_t addr;

	if (nr < count)
		addr = place->base + fuzz_take(in, 4) % place->size;
	else
		addr = fuzz_take(in, ANYWHERE) & (port ? PORTS - 1 : UINT64_MAX);
	if (how & WRITES)
		bus_write(place->bus, addr, len, fuzz_take(in, len));
	else
		(void)bus_read(place->bus, addr, len);
}

void hostile_seed_write(uint8_t **p, unsigned place, uint32_t off, unsigned len, uint64_t val)
{
	fuzz_put(p, 1, place);
	fuzz_put(p, 1, (unsigned)__builtin_ctz(len) | WRITES);
	fuzz_put(p, 4, off);
	fuzz_put(p, len, val);
}

void hostile_seed_read(uint8_t **p, unsigned place, uint32_t off, unsigned len)
{
	fuzz_put(p, 1, place);
	fuzz_put(p, 1, (unsigned)__builtin_ctz(len));
	fuzz_put(p, 4, off);
}
