/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource templates of AML: what a device occupies or a bridge forwards.
 * [ACPI-6.5 6.4 Resource Data Types for ACPI]. Errors stick to the buffer. Any one thread.
 */
#ifndef BOOT_AML_RES_H
#define BOOT_AML_RES_H

#include "boot/aml.h"

/* ResourceTemplate () { ... }: the descriptors lie between open and close. */
size_t MUST_CHECK aml_res_open(struct buf *b);
void aml_res_close(struct buf *b, size_t mark);

/* Fixed ports, decoded with 16 bits. */
void aml_res_io(struct buf *b, uint16_t base, uint8_t len);
/* Fixed 32-bit memory, read-write. */
void aml_res_memory32(struct buf *b, uint32_t base, uint32_t len);
/* One GSI, not shared. */
void aml_res_irq(struct buf *b, uint32_t gsi, bool edge, bool active_low);

enum aml_space { AML_SPACE_MEMORY, AML_SPACE_IO, AML_SPACE_BUS };

/*
 * A window [min, max] that the bridge forwards (ResourceProducer, both ends fixed, positive
 * decode), in the address space descriptor of `width` bytes: 2, 4 or 8. Memory is read-write and
 * not cacheable. Its size is the same for every value.
 */
void aml_res_window(struct buf *b, unsigned width, enum aml_space space, uint64_t min,
		    uint64_t max);

#endif
