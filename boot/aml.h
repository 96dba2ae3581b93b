/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encoder of AML, the byte code of ACPI's DSDT. [ACPI-6.5 20 ACPI Machine Language (AML)
 * Specification]. Resource descriptors are in aml_res.h.
 *
 * Everything is appended to a struct buf in the order of the byte code: an operator first, then its
 * operands. Objects that contain others are opened and closed; opening gives a mark for the close.
 * A name or value that cannot be encoded makes the buffer fail with -EINVAL. Any one thread.
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include "boot/buf.h"

/*
 * A name: "_CRS", "\\_S5", "_SB.PCI0". Segments are 1 to 4 characters of A-Z, 0-9 and '_', and do
 * not begin with a digit; short ones are padded with '_'.
 */
void aml_path(struct buf *b, const char *path);

void aml_int(struct buf *b, uint64_t val);        /* in its shortest encoding */
void aml_string(struct buf *b, const char *text); /* ASCII */
void aml_eisa_id(struct buf *b, const char *id);  /* "PNP0A08": EisaId() */
void aml_uuid(struct buf *b, const char *uuid);   /* "33db4d5b-...": ToUUID() */

/* Name (path, ...): the value follows. */
void aml_name(struct buf *b, const char *path);
void aml_name_int(struct buf *b, const char *path, uint64_t val);
void aml_name_string(struct buf *b, const char *path, const char *text);
void aml_name_eisa_id(struct buf *b, const char *path, const char *id);

/* Containers: what is appended up to the close lies inside. */
size_t MUST_CHECK aml_scope_open(struct buf *b, const char *path);
size_t MUST_CHECK aml_device_open(struct buf *b, const char *name);
size_t MUST_CHECK aml_method_open(struct buf *b, const char *name, unsigned args, bool serialized);
size_t MUST_CHECK aml_if_open(struct buf *b); /* the condition follows, then the body */
size_t MUST_CHECK aml_else_open(struct buf *b);
void aml_close(struct buf *b, size_t mark);

/* Package () { ... }; `count` says how many elements were appended, any number. */
size_t MUST_CHECK aml_package_open(struct buf *b);
void aml_package_close(struct buf *b, size_t mark, size_t count);

/* Buffer () { ... }: the bytes in between. */
size_t MUST_CHECK aml_buffer_open(struct buf *b);
void aml_buffer_close(struct buf *b, size_t mark);

/* Operators and the two kinds of variables of a method; their operands follow. */
enum aml_op {
	AML_STORE = 0x70,              /* source, target */
	AML_AND = 0x7b,                /* a, b, target */
	AML_OR = 0x7d,                 /* a, b, target */
	AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, byte index, name */
	AML_LNOT = 0x92,               /* a */
	AML_LEQUAL = 0x93,             /* a, b */
	AML_RETURN = 0xa4,             /* value */
};
void aml_op(struct buf *b, enum aml_op op);
void aml_local(struct buf *b, unsigned n); /* Local0..Local7 */
void aml_arg(struct buf *b, unsigned n);   /* Arg0..Arg6 */

#endif
