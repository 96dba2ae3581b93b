/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and runs the ACPI linker script; see acpi_loader.h and acpi.h. Pure functions. */
#include "boot/acpi_loader.h"

#include <errno.h>
#include <stdlib.h>

#include "boot/acpi.h"
#include "core/err.h"

#define ENTRY_SIZE 128u
#define FILE_SIZE  56u

enum command { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };

/* Offsets in an entry; the command is at 0. */
#define ALLOCATE_FILE   4u
#define ALLOCATE_ALIGN  60u
#define ALLOCATE_ZONE   64u
#define POINTER_FILE    4u
#define POINTER_POINTEE 60u
#define POINTER_OFFSET  116u
#define POINTER_SIZE    120u
#define CHECKSUM_FILE   4u
#define CHECKSUM_RESULT 60u
#define CHECKSUM_START  64u
#define CHECKSUM_LENGTH 68u

#define ZONE_HIGH 1u /* anywhere; OVMF looks at the pointers' sizes instead */
#define ALIGN_MAX 4096u

static void put_name(uint8_t *field, const char *name)
{
	memcpy(field, name, MIN(strlen(name), (size_t)FILE_SIZE - 1));
}

void acpi_loader_allocate(struct buf *loader, const char *file, uint32_t align)
{
	uint8_t entry[ENTRY_SIZE] = { 0 };

	store_le(entry, 4, ALLOCATE);
	put_name(entry + ALLOCATE_FILE, file);
	store_le(entry + ALLOCATE_ALIGN, 4, align);
	entry[ALLOCATE_ZONE] = ZONE_HIGH;
	buf_put(loader, entry, sizeof(entry));
}

void acpi_loader_pointer(struct buf *loader, const char *file, size_t off, uint8_t size,
			 const char *pointee)
{
	uint8_t entry[ENTRY_SIZE] = { 0 };

	store_le(entry, 4, ADD_POINTER);
	put_name(entry + POINTER_FILE, file);
	put_name(entry + POINTER_POINTEE, pointee);
	store_le(entry + POINTER_OFFSET, 4, off);
	entry[POINTER_SIZE] = size;
	buf_put(loader, entry, sizeof(entry));
}

void acpi_loader_checksum(struct buf *loader, const char *file, size_t result, size_t start,
			  size_t len)
{
	uint8_t entry[ENTRY_SIZE] = { 0 };

	store_le(entry, 4, ADD_CHECKSUM);
	put_name(entry + CHECKSUM_FILE, file);
	store_le(entry + CHECKSUM_RESULT, 4, result);
	store_le(entry + CHECKSUM_START, 4, start);
	store_le(entry + CHECKSUM_LENGTH, 4, len);
	buf_put(loader, entry, sizeof(entry));
}

uint8_t acpi_checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return (uint8_t)-sum;
}

/* A blob that the script names, and where it was placed. */
struct placed {
	const char *file;
	const struct buf *blob;
	bool allocated;
	size_t off; /* in the image */
};

struct linker {
	uint64_t gpa;
	uint8_t *image;
	size_t len, size; /* used, allocated */
	struct placed files[2];
};

static struct placed *find_file(struct linker *l, const uint8_t *name)
{
	if (name[FILE_SIZE - 1] != '\0')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(l->files); i++) {
		if (!strcmp(l->files[i].file, (const char *)name))
			return &l->files[i];
	}
	return NULL;
}

static struct placed *find_allocated(struct linker *l, const uint8_t *name)
{
	struct placed *file = find_file(l, name);

	return file && file->allocated ? file : NULL;
}

static bool run_allocate(struct linker *l, const uint8_t *entry)
{
	struct placed *file = find_file(l, entry + ALLOCATE_FILE);
	uint64_t align = load_le(entry + ALLOCATE_ALIGN, 4);
	size_t off;

	if (!file || file->allocated || !is_pow2(align) || align > ALIGN_MAX)
		return false;
	off = (size_t)align_up(l->len, align);
	if (!range_fits(off, file->blob->len, l->size))
		return false;
	memcpy(l->image + off, file->blob->data, file->blob->len);
	file->off = off;
	file->allocated = true;
	l->len = off + file->blob->len;
	return true;
}

static bool run_pointer(struct linker *l, const uint8_t *entry)
{
	const struct placed *file = find_allocated(l, entry + POINTER_FILE);
	const struct placed *pointee = find_allocated(l, entry + POINTER_POINTEE);
	uint64_t off = load_le(entry + POINTER_OFFSET, 4);
	unsigned size = entry[POINTER_SIZE];
	uint8_t *field;
	uint64_t val;

	if (!file || !pointee || size > 8 || !is_pow2(size) ||
	    !range_fits(off, size, file->blob->len))
		return false;
	field = l->image + file->off + off;
	val = load_le(field, size);
	if (val >= pointee->blob->len)
		return false;
	val += l->gpa + pointee->off;
	if (val > ones(size))
		return false;
	store_le(field, size, val);
	return true;
}

static bool run_checksum(struct linker *l, const uint8_t *entry)
{
	const struct placed *file = find_allocated(l, entry + CHECKSUM_FILE);
	uint64_t result = load_le(entry + CHECKSUM_RESULT, 4);
	uint64_t start = load_le(entry + CHECKSUM_START, 4);
	uint64_t len = load_le(entry + CHECKSUM_LENGTH, 4);
	uint8_t *blob;

	if (!file || result >= file->blob->len || !range_fits(start, len, file->blob->len))
		return false;
	blob = l->image + file->off;
	blob[result] = acpi_checksum(blob + start, len);
	return true;
}

static bool run_entry(struct linker *l, const uint8_t *entry)
{
	switch ((enum command)load_le(entry, 4)) {
	case ALLOCATE:
		return run_allocate(l, entry);
	case ADD_POINTER:
		return run_pointer(l, entry);
	case ADD_CHECKSUM:
		return run_checksum(l, entry);
	default:
		return false;
	}
}

int acpi_link(const struct acpi_tables *t, uint64_t gpa, struct acpi_image *ret_image)
{
	struct linker l = {
		.gpa = gpa,
		.files = { { .file = ACPI_TABLES_FILE, .blob = &t->tables },
			   { .file = ACPI_RSDP_FILE, .blob = &t->rsdp } },
	};
	const struct placed *rsdp = &l.files[1];
	bool ok = t->loader.len % ENTRY_SIZE == 0 && gpa % ALIGN_MAX == 0;

	/* Room for each blob at the largest alignment: the script cannot ask for more. */
	l.size = t->tables.len + t->rsdp.len + ARRAY_SIZE(l.files) * ALIGN_MAX;
	ok = ok && range_fits(gpa, l.size, 4 * GiB);
	if (!ok)
		return err_set(ERR_INTERNAL, -EINVAL, "ACPI: tables do not fit at 0x%llx",
			       (unsigned long long)gpa);
	l.image = calloc(1, l.size);
	if (!l.image)
		return err_sys(ERR_INTERNAL, -ENOMEM, "ACPI tables");
	for (size_t off = 0; ok && off < t->loader.len; off += ENTRY_SIZE)
		ok = run_entry(&l, t->loader.data + off);
	if (!ok || !rsdp->allocated) {
		free(l.image);
		return err_set(ERR_INTERNAL, -EINVAL, "ACPI: malformed linker script");
	}
	ret_image->data = l.image;
	ret_image->len = l.len;
	ret_image->rsdp = gpa + rsdp->off;
	return 0;
}

void acpi_image_fini(struct acpi_image *image)
{
	if (!image)
		return;
	free(image->data);
	*image = (struct acpi_image){ 0 };
}
