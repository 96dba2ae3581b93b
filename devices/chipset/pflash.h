/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two flash chips of a PC's firmware: CODE, which the guest executes and cannot write, and
 * VARS, where firmware keeps its variables. They lie below 4 GiB, VARS directly below CODE.
 *
 * VARS understands the part of the Intel command set that edk2 uses, in bytes: program, erase a
 * block of 4 KiB, read and clear status, read array. [Intel 28F256P30 datasheet 9 Device Commands],
 * [edk2 OvmfPkg/QemuFlashFvbServicesRuntimeDxe/QemuFlash.c]
 */
#ifndef DEVICES_PFLASH_H
#define DEVICES_PFLASH_H

#include "core/device.h"

#define PFLASH_BLOCK_SIZE 4096u /* erase block; both chips are a multiple of it */

/*
 * CODE: `image` of `size` bytes, page aligned and read-only or not, mapped so that it ends at
 * `end`. It stays the caller's and must outlive the device. Fails if `size` is no multiple of a
 * block (ERR_FILE) or with the error of vm_slot_map.
 */
int MUST_CHECK pflash_code_create(const struct board *board, uint64_t end, void *image, size_t size,
				  struct device **ret_dev);

/*
 * VARS, likewise. With `fd` >= 0 the contents are that file, open for reading and writing and of at
 * least `size` bytes: the guest's changes go to it at once, survive the process in the page cache
 * and are on the disk when the device is destroyed. The fd stays the caller's and may be closed.
 * With fd -1 they are a copy of `initial`, gone with the device.
 */
int MUST_CHECK pflash_vars_create(const struct board *board, uint64_t end, int fd,
				  const void *initial, size_t size, struct device **ret_dev);

#endif
