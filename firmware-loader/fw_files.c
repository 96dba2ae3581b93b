/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of fw_cfg for firmware; see fw_files.h. Main thread. */
#include "firmware-loader/fw_files.h"

#include <assert.h>
#include <errno.h>
#include <linux/qemu_fw_cfg.h>
#include <stdio.h>
#include <stdlib.h>

#include "boot/acpi.h"
#include "boot/smbios.h"
#include "core/err.h"
#include "firmware-loader/mmio_window.h"

#define E820_FILE       "etc/e820"
#define E820_ENTRY_SIZE 20u
#define EXTRA_ROOTS_FILE "etc/extra-pci-roots"
#define BOOT_ORDER_FILE "bootorder"
#define PCI_SLOTS       32u
#define PCI_FUNCTIONS   8u

void fw_files_fini(struct fw_files *files)
{
	if (!files)
		return;
	for (unsigned i = 0; i < files->count; i++)
		free(files->files[i].data);
	files->count = 0;
}

const struct fw_file *fw_files_find(const struct fw_files *files, const char *name)
{
	for (unsigned i = 0; i < files->count; i++) {
		if (!strcmp(files->files[i].name, name))
			return &files->files[i];
	}
	return NULL;
}

/* `name` "": an item by its key. */
static int add(struct fw_files *files, const char *name, uint16_t key, const void *data, size_t len)
{
	struct fw_file *file = &files->files[files->count];

	assert(files->count < FW_FILES_MAX && strlen(name) < FW_FILE_NAME_MAX);
	*file = (struct fw_file){ .key = key, .len = len };
	file->data = malloc(len ? len : 1);
	if (!file->data)
		return err_sys(ERR_INTERNAL, -ENOMEM, "fw_cfg");
	memcpy(file->data, data, len);
	memcpy(file->name, name, strlen(name));
	files->count++;
	return 0;
}

static int add_u16(struct fw_files *files, uint16_t key, uint16_t val)
{
	uint8_t bytes[2];

	store_le(bytes, sizeof(bytes), val);
	return add(files, "", key, bytes, sizeof(bytes));
}

static int add_buf(struct fw_files *files, const char *name, const struct buf *b)
{
	return add(files, name, 0, b->data, b->len);
}

static int add_e820(struct fw_files *files, const struct fw_machine *m)
{
	struct buf b;
	int r;

	buf_init(&b);
	for (size_t i = 0; i < m->e820_count; i++) {
		buf_le(&b, 8, m->e820[i].base);
		buf_le(&b, 8, m->e820[i].len);
		buf_le(&b, 4, m->e820[i].type);
	}
	assert(b.error || b.len == m->e820_count * E820_ENTRY_SIZE);
	r = b.error ? err_sys(ERR_INTERNAL, b.error, "fw_cfg") : add_buf(files, E820_FILE, &b);
	buf_fini(&b);
	return r;
}

/* OpenFirmware's name of a device, of which OVMF looks at the numbers and at few of the words. */
static int boot_path(const struct fw_boot_device *dev, struct buf *b)
{
	char root[24] = "/pci@i0cf8", place[8], path[64];
	int len;

	if (dev->slot >= PCI_SLOTS || dev->port >= PCI_SLOTS || dev->function >= PCI_FUNCTIONS)
		return err_set(ERR_INTERNAL, -EINVAL, "boot device at %u.%u", dev->slot,
			       dev->function);
	snprintf(place, sizeof(place), dev->function ? "%x,%x" : "%x", dev->slot, dev->function);
	if (dev->root)
		snprintf(root, sizeof(root), "/pci@i0cf8,%x", dev->root);
	if (dev->behind_port)
		len = snprintf(path, sizeof(path), "%s/pci-bridge@%x/storage@%s", root, dev->port,
			       place);
	else
		len = snprintf(path, sizeof(path), "%s/scsi@%s/disk@0,0", root, place);
	buf_put(b, path, (size_t)len);
	return 0;
}

/* A line each; the last byte has to be a NUL. */
static int add_boot_order(struct fw_files *files, const struct fw_machine *m)
{
	struct buf b;
	int r = 0;

	assert(m->boot_count <= FW_BOOT_DEVICES_MAX);
	buf_init(&b);
	for (unsigned i = 0; i < m->boot_count && r == 0; i++) {
		if (i)
			buf_put(&b, "\n", 1);
		r = boot_path(&m->boot[i], &b);
	}
	buf_zero(&b, 1);
	if (r == 0)
		r = b.error ? err_sys(ERR_LIMIT, b.error, "fw_cfg")
			    : add_buf(files, BOOT_ORDER_FILE, &b);
	buf_fini(&b);
	return r;
}

static int add_knob(struct fw_files *files, uint32_t mib)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", mib);

	return add(files, MMIO_WINDOW_KNOB_FILE, 0, text, (size_t)len);
}

static int add_extra_roots(struct fw_files *files, unsigned count)
{
	uint8_t bytes[8];

	store_le(bytes, sizeof(bytes), count);
	return add(files, EXTRA_ROOTS_FILE, 0, bytes, sizeof(bytes));
}

static int add_tables(struct fw_files *files, const struct fw_machine *m)
{
	int r = 0;

	if (m->acpi) {
		r = add_buf(files, ACPI_LOADER_FILE, &m->acpi->loader);
		if (!r)
			r = add_buf(files, ACPI_TABLES_FILE, &m->acpi->tables);
		if (!r)
			r = add_buf(files, ACPI_RSDP_FILE, &m->acpi->rsdp);
	}
	if (!r && m->smbios) {
		r = add_buf(files, SMBIOS_ANCHOR_FILE, &m->smbios->anchor);
		if (!r)
			r = add_buf(files, SMBIOS_TABLES_FILE, &m->smbios->tables);
	}
	return r;
}

int fw_files_init(const struct fw_machine *m, struct fw_files *ret_files)
{
	struct fw_files files = { 0 };
	int r = add_u16(&files, FW_CFG_NB_CPUS, m->vcpus);

	if (!r)
		r = add_u16(&files, FW_CFG_BOOT_MENU, 0);
	/* The first in the directory, which firmware searches from its start each time. */
	if (!r)
		r = add_e820(&files, m);
	if (!r && m->boot_count)
		r = add_boot_order(&files, m);
	if (!r && m->mmio64_mib)
		r = add_knob(&files, m->mmio64_mib);
	if (!r && m->extra_roots)
		r = add_extra_roots(&files, m->extra_roots);
	if (!r)
		r = add_tables(&files, m);
	if (r < 0) {
		fw_files_fini(&files);
		return r;
	}
	*ret_files = files;
	return 0;
}
