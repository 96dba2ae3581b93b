/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's visit to a fake host; see doctor_visit.h. */
#include "doctor_visit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "fake_firmware.h"
#include "placement/guest_ram.h"
#include "temp_dir.h"

struct doctor_visit visit;
const struct fw_pair visit_no_pairs[] = { { NULL } };

static struct temp_dir dir;
static struct fw_pair pairs[2]; /* the last is empty */
static struct pci_addr devices[2];

static int query_kvm(struct arch_host *ret_host)
{
	if (visit.kvm_error)
		return err_set(ERR_HOST, -ENOENT, "%s", visit.kvm_error);
	*ret_host = visit.arch;
	return 0;
}

static int check_memory(uint64_t memory, enum hugepages_mode mode, bool pinned)
{
	assert_int_equal(mode, HUGEPAGES_AUTO);
	return guest_ram_check_free(visit.fs.root, memory, pinned);
}

static int allow_pinning(uint64_t bytes)
{
	int r;

	if (!visit.pin_error)
		return 0;
	r = err_set(ERR_LIMIT, -ENOMEM, "%s", visit.pin_error);
	err_hint("raise it");
	return r;
}

static int find_agent(void)
{
	return 0;
}

static int find_kernel(void)
{
	int r;

	if (!visit.command_lacks)
		return 0;
	r = err_set(ERR_FILE, -EACCES, "it is locked away");
	err_hint("unlock it");
	return r;
}

static const struct doctor_need command_needs[] = {
	{ find_agent, "the agent is there" },
	{ find_kernel, "the kernel can be read" },
	{ NULL, NULL },
};

int visit_setup(void **state)
{
	static uint8_t code[FAKE_CODE_SIZE], vars[FAKE_VARS_SIZE];
	static const char *const no_dirs[] = { NULL };

	fake_sysfs_init(&visit.fs);
	temp_dir_init(&dir);
	fake_code(code, sizeof(code));
	fake_vars(vars, sizeof(vars));
	pairs[0].code = temp_file(&dir, "CODE.fd", code, sizeof(code));
	pairs[0].vars = temp_file(&dir, "VARS.fd", vars, sizeof(vars));
	visit.arch = (struct arch_host){ .phys_bits = 46, .gib_pages = true };
	visit.kvm_error = visit.pin_error = NULL;
	visit.command_lacks = false;
	visit.config = (struct doctor_config){
		.root = visit.fs.root,
		.memory = 4 * GiB,
		.query_kvm = query_kvm,
		.check_memory = check_memory,
		.allow_pinning = allow_pinning,
		.command_needs = command_needs,
		.firmware = &visit.search,
		.privileged = true,
	};
	visit.search = (struct fw_search){ no_dirs, pairs };
	return 0;
}

int visit_teardown(void **state)
{
	free(visit.text);
	visit.text = NULL;
	assert_string_equal(fake_sysfs_writes(&visit.fs), "");
	temp_dir_fini(&dir);
	fake_sysfs_fini(&visit.fs);
	return 0;
}

void visit_run(void)
{
	size_t len;
	FILE *out;
	char *path;

	free(visit.text);
	out = open_memstream(&visit.text, &len);
	assert_non_null(out);
	assert_int_equal(doctor_run(&visit.config, out, &visit.status), 0);
	fclose(out);
	path = strstr(visit.text, dir.path);
	if (path)
		memmove(path, path + strlen(dir.path), strlen(path + strlen(dir.path)) + 1);
}

void visit_add_modules(const char *release)
{
	char path[128];

	snprintf(path, sizeof(path), "lib/modules/%s/modules.dep", release);
	fake_sysfs_file(&visit.fs, path, "%s",
			"kernel/drivers/vfio/pci/vfio-pci.ko.xz: x\n"
			"kernel/drivers/vfio/vfio_iommu_type1.ko.xz: x\n");
}

void visit_give(const char *a, const char *b)
{
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &devices[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &devices[n++]));
	visit.config.devices = devices;
	visit.config.device_count = n;
}

/* In the report for programs a row stays one line. */
void assert_row(const char *head, const char *mend)
{
	const char *line = strstr(visit.text, head);
	char expected[1024];

	if (!line)
		fail_msg("no '%s' in:\n%s", head, visit.text);
	line += strlen(head);
	if (!mend)
		return;
	snprintf(expected, sizeof(expected), "\n                              -> %s\n", mend);
	assert_memory_equal(line, expected, strlen(expected));
}

void assert_no_row(const char *head)
{
	if (strstr(visit.text, head))
		fail_msg("'%s' in:\n%s", head, visit.text);
}
