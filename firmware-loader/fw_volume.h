/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flash image is: firmware code, a variable store, or both in one, told by the firmware
 * volumes in it. [PI-1.8 Volume 3, 3.2.1 Firmware Volume Header], the variable store as edk2 lays
 * it out (MdeModulePkg/Include/Guid/VariableFormat.h). The images are untrusted. Any thread.
 */
#ifndef FIRMWARE_LOADER_FW_VOLUME_H
#define FIRMWARE_LOADER_FW_VOLUME_H

#include "core/util.h"

#define FW_FLASH_BLOCK 4096u /* every image is a multiple of it */

enum fw_kind {
	FW_UNKNOWN,
	FW_CODE,     /* ends with the reset vector */
	FW_VARS,     /* a variable store */
	FW_COMBINED, /* a variable store with the code behind it */
};

/* `ret_vars_size`: the length of the variable store in front; 0 for FW_CODE and FW_UNKNOWN. */
enum fw_kind fw_volume_kind(const uint8_t *data, size_t size, size_t *ret_vars_size);

/*
 * NULL if `data` is a variable store of exactly `size` bytes that firmware accepts, or can repair
 * because it was interrupted while it rewrote the store; else what is wrong with it.
 */
const char *fw_volume_vars_problem(const uint8_t *data, size_t size);

#endif
