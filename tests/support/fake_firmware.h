/* SPDX-License-Identifier: Apache-2.0 */
/* Flash images that look like firmware to tinyvmm: headers only. */
#ifndef TESTS_FAKE_FIRMWARE_H
#define TESTS_FAKE_FIRMWARE_H

#include "core/util.h"

#define FAKE_HEADER 72u /* of a firmware volume with one entry in its block map */

#define FAKE_CODE_SIZE 0x8000u
#define FAKE_VARS_SIZE 0x8000u

static inline void fake_fix_checksum(uint8_t *volume)
{
	uint16_t sum = 0;

	store_le(volume + 50, 2, 0);
	for (unsigned i = 0; i < FAKE_HEADER; i += 2)
		sum = (uint16_t)(sum + load_le(volume + i, 2));
	store_le(volume + 50, 2, (uint16_t)-sum);
}

static inline void fake_volume(uint8_t *p, uint64_t len, const uint8_t guid[16])
{
	memset(p, 0, FAKE_HEADER);
	memcpy(p + 16, guid, 16);
	store_le(p + 32, 8, len);
	memcpy(p + 40, "_FVH", 4);
	store_le(p + 44, 4, 0x4feff);
	store_le(p + 48, 2, FAKE_HEADER);
	p[55] = 2;
	store_le(p + 56, 4, len / 4096);
	store_le(p + 60, 4, 4096);
	fake_fix_checksum(p);
}

/* Two volumes, as OVMF_CODE.fd has them, and a jump in the last 16 bytes. */
static inline void fake_code(uint8_t *p, size_t size)
{
	static const uint8_t ffs2[16] = { 0x78, 0xe5, 0x8c, 0x8c, 0x3d, 0x8a, 0x1c, 0x4f,
					  0x99, 0x35, 0x89, 0x61, 0x85, 0xc3, 0x2d, 0xd3 };

	memset(p, 0xff, size);
	fake_volume(p, size - 4096, ffs2);
	fake_volume(p + size - 4096, 4096, ffs2);
	memset(p + size - 16, 0x90, 16);
	p[size - 14] = 0xe9;
}

/* A store of authenticated variables without any, and an erased spare half. */
static inline void fake_vars(uint8_t *p, size_t size)
{
	static const uint8_t nv_data[16] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
					     0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };
	static const uint8_t store[16] = { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
					   0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92 };
	uint8_t *header = p + FAKE_HEADER;

	memset(p, 0xff, size);
	fake_volume(p, size, nv_data);
	memset(header, 0, 28);
	memcpy(header, store, 16);
	store_le(header + 16, 4, size / 2 - 8192 - FAKE_HEADER);
	header[20] = 0x5a;
	header[21] = 0xfe;
}

#endif
