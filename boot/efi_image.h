/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file says of itself as an EFI program, as which firmware starts a kernel.
 * [PE Format, Microsoft], [UEFI-2.10 2.1.1 UEFI Images]. The file is not trusted. Main thread.
 */
#ifndef BOOT_EFI_IMAGE_H
#define BOOT_EFI_IMAGE_H

#include "core/util.h"

/* True if the file begins as such a program does, whatever comes then. */
bool efi_image_detect(const uint8_t *head, size_t len);

/*
 * For what machine it is ("arm64"), or NULL if that is not known or it is no such program. `head`
 * is the file's beginning.
 */
const char *efi_image_machine(const uint8_t *head, size_t len);

/* Refuses what the firmware of an x86-64 would not start, `size` being the file's: ERR_FILE. */
int MUST_CHECK efi_image_check(const uint8_t *head, size_t len, uint64_t size);

#endif
