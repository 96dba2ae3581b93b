/* SPDX-License-Identifier: Apache-2.0 */
/* Resource descriptors; see aml_res.h. [ACPI-6.5 6.4 Resource Data Types for ACPI] */
#include "boot/aml_res.h"

#include <errno.h>

/* Tags: small items with their length in the low 3 bits, large items with a length field. */
#define RES_IO             0x47
#define RES_END            0x79
#define RES_MEMORY32_FIXED 0x86
#define RES_DWORD_SPACE    0x87
#define RES_WORD_SPACE     0x88
#define RES_EXTENDED_IRQ   0x89
#define RES_QWORD_SPACE    0x8a

#define IO_DECODE16       (1u << 0)
#define MEMORY_READ_WRITE (1u << 0)
#define IO_ENTIRE_RANGE   3u /* ISA and non-ISA ports */

#define IRQ_CONSUMER   (1u << 0)
#define IRQ_EDGE       (1u << 1)
#define IRQ_ACTIVE_LOW (1u << 2)

#define SPACE_MIN_FIXED (1u << 2)
#define SPACE_MAX_FIXED (1u << 3)

size_t aml_res_open(struct buf *b)
{
	return aml_buffer_open(b);
}

void aml_res_close(struct buf *b, size_t mark)
{
	buf_le(b, 1, RES_END);
	buf_le(b, 1, 0); /* no checksum */
	aml_buffer_close(b, mark);
}

void aml_res_io(struct buf *b, uint16_t base, uint8_t len)
{
	buf_le(b, 1, RES_IO);
	buf_le(b, 1, IO_DECODE16);
	buf_le(b, 2, base); /* lowest and highest base: it cannot move */
	buf_le(b, 2, base);
	buf_le(b, 1, 1); /* alignment */
	buf_le(b, 1, len);
}

void aml_res_memory32(struct buf *b, uint32_t base, uint32_t len)
{
	buf_le(b, 1, RES_MEMORY32_FIXED);
	buf_le(b, 2, 9); /* bytes that follow */
	buf_le(b, 1, MEMORY_READ_WRITE);
	buf_le(b, 4, base);
	buf_le(b, 4, len);
}

void aml_res_irq(struct buf *b, uint32_t gsi, bool edge, bool active_low)
{
	unsigned flags = IRQ_CONSUMER;

	flags |= edge ? IRQ_EDGE : 0;
	flags |= active_low ? IRQ_ACTIVE_LOW : 0;
	buf_le(b, 1, RES_EXTENDED_IRQ);
	buf_le(b, 2, 6); /* bytes that follow */
	buf_le(b, 1, flags);
	buf_le(b, 1, 1); /* one interrupt */
	buf_le(b, 4, gsi);
}

void aml_res_window(struct buf *b, unsigned width, enum aml_space space, uint64_t min, uint64_t max)
{
	unsigned tag = width == 2 ? RES_WORD_SPACE : width == 4 ? RES_DWORD_SPACE : RES_QWORD_SPACE;
	/* The length of the window is a field too: all of 2^64 has none. */
	bool ok = (width == 2 || width == 4 || width == 8) && min <= max && max <= ones(width) &&
		  max - min < ones(width);

	if (!ok) {
		buf_fail(b, -EINVAL);
		return;
	}
	buf_le(b, 1, tag);
	buf_le(b, 2, 3 + 5 * width); /* bytes that follow */
	buf_le(b, 1, space);
	buf_le(b, 1, SPACE_MIN_FIXED | SPACE_MAX_FIXED);
	buf_le(b, 1,
	       space == AML_SPACE_MEMORY ? MEMORY_READ_WRITE
	       : space == AML_SPACE_IO   ? IO_ENTIRE_RANGE
					 : 0);
	buf_le(b, width, 0); /* granularity */
	buf_le(b, width, min);
	buf_le(b, width, max);
	buf_le(b, width, 0); /* translation */
	buf_le(b, width, max - min + 1);
}
