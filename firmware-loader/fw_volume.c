/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of firmware volumes; see fw_volume.h. Pure functions. */
#include "firmware-loader/fw_volume.h"

#define GUID_SIZE 16u

/* EFI_FIRMWARE_VOLUME_HEADER. [PI-1.8 Volume 3, 3.2.1.1] */
#define FV_GUID          16u
#define FV_LENGTH        32u /* 8 bytes */
#define FV_SIGNATURE     40u
#define FV_HEADER_LENGTH 48u /* 2 bytes */
#define FV_REVISION      55u
#define FV_HEADER_MIN    64u /* with an empty block map */
#define FV_REVISION_2    2u

/* VARIABLE_STORE_HEADER, behind the volume's header. */
#define STORE_GUID        0u
#define STORE_SIZE        16u /* 4 bytes */
#define STORE_FORMAT      20u
#define STORE_STATE       21u
#define STORE_HEADER_SIZE 28u
#define STORE_FORMATTED   0x5au
#define STORE_HEALTHY     0xfeu

#define RESET_VECTOR_SIZE 16u

/* fff12b8d-7696-4c8b-a985-2747075b4f50: EFI_SYSTEM_NV_DATA_FV_GUID */
static const uint8_t nv_data_guid[GUID_SIZE] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
						 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };
/* aaf32c78-947b-439a-a180-2e144ec37792: EFI_AUTHENTICATED_VARIABLE_GUID */
static const uint8_t auth_store_guid[GUID_SIZE] = {
	0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
	0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92
};
/* ddcf3616-3275-4164-98b6-fe85707ffe7d: EFI_VARIABLE_GUID */
static const uint8_t plain_store_guid[GUID_SIZE] = {
	0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
	0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d
};

/*
 * NULL if a volume's header lies at the start of the `size` bytes of `data`; else what is wrong.
 * The volume may be longer than the data.
 */
static const char *header_problem(const uint8_t *data, size_t size, uint64_t *ret_length)
{
	uint16_t sum = 0;
	size_t header;

	if (size < FV_HEADER_MIN || memcmp(data + FV_SIGNATURE, "_FVH", 4))
		return "it does not begin with a firmware volume";
	header = load_le(data + FV_HEADER_LENGTH, 2);
	if (header < FV_HEADER_MIN || header % 2 || header > size)
		return "the header of its firmware volume has an impossible length";
	for (size_t i = 0; i < header; i += 2)
		sum = (uint16_t)(sum + load_le(data + i, 2));
	if (sum)
		return "the header of its firmware volume is corrupt (checksum)";
	if (data[FV_REVISION] != FV_REVISION_2)
		return "its firmware volume has an unknown revision";
	*ret_length = load_le(data + FV_LENGTH, 8);
	return *ret_length < header ? "its firmware volume has an impossible length" : NULL;
}

static bool is_nv_data(const uint8_t *data)
{
	return !memcmp(data + FV_GUID, nv_data_guid, GUID_SIZE);
}

/* A volume with code in front and something to execute in the last 16 bytes. */
static bool is_code(const uint8_t *data, size_t size)
{
	const uint8_t *vector = data + size - RESET_VECTOR_SIZE;
	uint64_t length;

	if (header_problem(data, size, &length) || length > size || is_nv_data(data))
		return false;
	/* All bytes alike is erased flash, or zeroes. */
	return memcmp(vector, vector + 1, RESET_VECTOR_SIZE - 1) != 0;
}

enum fw_kind fw_volume_kind(const uint8_t *data, size_t size, size_t *ret_vars_size)
{
	uint64_t length;

	*ret_vars_size = 0;
	if (size % FW_FLASH_BLOCK || header_problem(data, size, &length) || length > size)
		return FW_UNKNOWN;
	if (!is_nv_data(data))
		return is_code(data, size) ? FW_CODE : FW_UNKNOWN;
	if (length % FW_FLASH_BLOCK)
		return FW_UNKNOWN;
	if (length < size && !is_code(data + length, size - length))
		return FW_UNKNOWN;
	*ret_vars_size = length;
	return length < size ? FW_COMBINED : FW_VARS;
}

/* The store as one of its two copies has it: a volume of `total` bytes, of which `size` are here.
 */
static const char *store_problem(const uint8_t *data, size_t size, size_t total)
{
	const uint8_t *store;
	uint64_t length;
	const char *problem = header_problem(data, size, &length);
	size_t header, store_size;

	if (problem)
		return problem;
	if (!is_nv_data(data))
		return "it is firmware code, not a variable store";
	if (length != total)
		return "its length is not that of the variable store in it";
	header = load_le(data + FV_HEADER_LENGTH, 2);
	if (!range_fits(header, STORE_HEADER_SIZE, size))
		return "there is no variable store in it";
	store = data + header;
	if (memcmp(store + STORE_GUID, auth_store_guid, GUID_SIZE) &&
	    memcmp(store + STORE_GUID, plain_store_guid, GUID_SIZE))
		return "there is no variable store in it";
	store_size = load_le(store + STORE_SIZE, 4);
	if (store[STORE_FORMAT] != STORE_FORMATTED || store[STORE_STATE] != STORE_HEALTHY ||
	    store_size < STORE_HEADER_SIZE || !range_fits(header, store_size, size))
		return "its variable store is corrupt";
	return NULL;
}

const char *fw_volume_vars_problem(const uint8_t *data, size_t size)
{
	const char *problem;

	if (!size || size % FW_FLASH_BLOCK)
		return "its length is not a multiple of 4 KiB";
	problem = store_problem(data, size, size);
	/*
	 * Firmware rewrites the store by way of a spare copy in the second half. If it was stopped
	 * when it had erased the first, it restores it from there at the next start.
	 */
	if (problem && !store_problem(data + size / 2, size / 2, size))
		problem = NULL;
	return problem;
}
