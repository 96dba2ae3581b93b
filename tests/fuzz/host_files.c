/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text files of the host that may be damaged: lists of kernel modules, and the journal that a
 * killed run left of a device.
 */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "boot/modules.h"
#include "core/err.h"
#include "temp_dir.h"
#include "vfio/host_journal.h"

enum { MODULES_DEP, MODULES_BUILTIN, JOURNAL, MARK, KINDS };

static const struct {
	unsigned kind;
	const char *text;
} seeds[] = {
	{ MODULES_DEP, "kernel/a.ko: kernel/b.ko kernel/c.ko.xz\nkernel/b.ko:\nkernel/c.ko.xz:\n" },
	{ MODULES_DEP, "kernel/a.ko: kernel/a.ko\nkernel/v-w.ko.gz: /x.ko\n" },
	{ MODULES_BUILTIN, "kernel/a.ko\nkernel/v_w.ko\n" },
	{ JOURNAL, "driver=nvidia\noverride=vfio-pci\nnode=1000:1000\n" },
	{ JOURNAL, "driver=\noverride=\n" },
	{ MARK, "boot=01234567-89ab-cdef-0123-456789abcdef\n" },
};

static struct temp_dir dir;

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	if (nr == ARRAY_SIZE(seeds))
		return 0;
	seed[0] = (uint8_t)seeds[nr].kind;
	return 1 + fuzz_put_text(seed + 1, seeds[nr].text);
}

static void remove_folder(void)
{
	temp_dir_fini(&dir);
}

static void init(void)
{
	temp_dir_init(&dir);
	atexit(remove_folder);
	temp_subdir(&dir, "journal");
	temp_subdir(&dir, "dirty");
}

static void read_modules(void)
{
	static const char *const names[] = { "a", "v_w", "virtio_pci" };
	struct modules modules;
	int fd = -1;

	if (modules_init(&modules, dir.path) < 0)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		(void)!modules_add(&modules, names[i]);
	assert(modules.count <= MODULES_MAX);
	/* Not those that are compressed: for them a program would be run. */
	for (unsigned i = 0; i < modules.count; i++) {
		const size_t len = strlen(modules.files[i]);

		if (len > 3 && strcmp(modules.files[i] + len - 3, ".ko") == 0 &&
		    modules_open(&modules, i, &fd) == 0)
			close(fd);
	}
	modules_fini(&modules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pci_addr gpu = { .bus = 1 };
	struct fuzz_input in = { data, size };
	struct vfio_host_before before;

	if (!dir.path[0])
		init();
	err_clear();
	temp_file(&dir, "modules.dep", "kernel/a.ko:\n", 13);
	temp_file(&dir, "modules.builtin", "", 0);
	switch (fuzz_below(&in, KINDS)) {
	case MODULES_DEP:
		temp_file(&dir, "modules.dep", in.p, in.left);
		read_modules();
		break;
	case MODULES_BUILTIN:
		temp_file(&dir, "modules.builtin", in.p, in.left);
		read_modules();
		break;
	case JOURNAL:
		temp_file(&dir, "journal/0000:01:00.0", in.p, in.left);
		if (host_journal_read(dir.path, HOST_JOURNAL_TAKEN, gpu, &before) == 0)
			/* They become parts of paths. */
			assert(!strchr(before.driver, '/') && !strchr(before.override, '/'));
		break;
	default:
		temp_file(&dir, "dirty/0000:01:00.0", in.p, in.left);
		(void)host_journal_is_marked(dir.path, "", gpu);
	}
	return 0;
}
