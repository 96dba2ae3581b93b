/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and opening firmware: installed, named by the user, with its variable template. */
#include "cmocka_all.h"
#include "fake_firmware.h"
#include "temp_dir.h"

#include <errno.h>

#include "core/err.h"
#include "core/log.h"
#include "firmware-loader/fw_image.h"

struct fixture {
	struct temp_dir dir;
	char descriptors[128];
	const char *dirs[2];
	char pair_code[128], pair_vars[128];
	struct fw_pair pairs[3];
	struct fw_search search;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	temp_dir_init(&f->dir);
	strcpy(f->descriptors, temp_subdir(&f->dir, "descriptors"));
	strcpy(f->pair_code, temp_path(&f->dir, "known-CODE.fd"));
	strcpy(f->pair_vars, temp_path(&f->dir, "known-VARS.fd"));
	f->dirs[0] = f->descriptors;
	f->pairs[0] = (struct fw_pair){ "/nonexistent/CODE.fd", "/nonexistent/VARS.fd" };
	f->pairs[1] = (struct fw_pair){ f->pair_code, f->pair_vars };
	f->search = (struct fw_search){ f->dirs, f->pairs };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	temp_dir_fini(&f->dir);
	free(f);
	return 0;
}

static const char *put_code(const struct fixture *f, const char *name)
{
	static uint8_t image[FAKE_CODE_SIZE];

	fake_code(image, sizeof(image));
	return temp_file(&f->dir, name, image, sizeof(image));
}

static const char *put_vars(const struct fixture *f, const char *name)
{
	static uint8_t image[FAKE_VARS_SIZE];

	fake_vars(image, sizeof(image));
	return temp_file(&f->dir, name, image, sizeof(image));
}

static void put_descriptor(const struct fixture *f, const char *code, const char *vars,
			   const char *features)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "{ \"interface-types\": [ \"uefi\" ], \"mapping\": { \"device\": "
			   "\"flash\","
			   "\"executable\": { \"filename\": \"%s\", \"format\": \"raw\" },"
			   "\"nvram-template\": { \"filename\": \"%s\", \"format\": \"raw\" } },"
			   "\"targets\": [ { \"architecture\": \"x86_64\","
			   "\"machines\": [ \"pc-q35-*\" ] } ], \"features\": [ %s ] }",
			   code, vars, features);

	temp_file(&f->dir, "descriptors/10.json", text, (size_t)len);
}

static void assert_opens(const struct fixture *f, const char *path, const char *code,
			 const char *vars)
{
	struct fw_image image;

	if (fw_image_open(path, &f->search, &image) < 0)
		fail_msg("%s", err_text());
	assert_string_equal(image.code_path, code);
	if (vars) {
		assert_string_equal(image.vars_path, vars);
		assert_int_equal(image.vars_size, FAKE_VARS_SIZE);
	} else {
		assert_null(image.vars_path);
	}
	assert_int_equal(image.code_size, FAKE_CODE_SIZE);
	assert_int_equal((uintptr_t)image.code % 4096, 0);
	assert_int_equal((uintptr_t)image.vars % 4096, 0);
	fw_image_fini(&image);
	fw_image_fini(&image);
	fw_image_fini(NULL);
}

static void assert_refused(const struct fixture *f, const char *path, const char *why)
{
	struct fw_image image;

	assert_true(fw_image_open(path, &f->search, &image) < 0);
	assert_int_equal(err_kind(), ERR_FILE);
	if (!strstr(err_text(), why))
		fail_msg("'%s' in '%s'", why, err_text());
}

static void nothing_installed_tells_what_to_install(void **state)
{
	assert_refused(*state, NULL, "no UEFI firmware is installed");
	assert_non_null(strstr(err_hint_text(), "ovmf"));
}

static void descriptors_come_before_known_paths(void **state)
{
	const struct fixture *f = *state;
	char code[256], vars[256];

	put_code(f, "known-CODE.fd");
	put_vars(f, "known-VARS.fd");
	assert_opens(f, NULL, f->pair_code, f->pair_vars);

	strcpy(code, put_code(f, "a.fd"));
	strcpy(vars, put_vars(f, "b.fd"));
	put_descriptor(f, code, vars, "");
	assert_opens(f, NULL, code, vars);
}

static void a_pair_needs_both_files(void **state)
{
	const struct fixture *f = *state;

	put_code(f, "known-CODE.fd");
	assert_refused(f, NULL, "no UEFI firmware is installed");
}

static void template_by_descriptor(void **state)
{
	const struct fixture *f = *state;
	char code[256], vars[256];

	strcpy(code, put_code(f, "OVMF_CODE.fd"));
	put_vars(f, "OVMF_VARS.fd");
	strcpy(vars, put_vars(f, "other.fd"));
	put_descriptor(f, code, vars, "");
	assert_opens(f, code, code, vars);
}

static void template_by_name(void **state)
{
	static const char *const names[][2] = {
		{ "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd" },
		{ "OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd" },
		{ "ovmf-x86_64-code.bin", "ovmf-x86_64-vars.bin" },
		{ "edk2-x86_64-code.fd", "edk2-i386-vars.fd" },
		{ "CODE-CODE", "CODE-VARS" },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char code[256], vars[256];

		strcpy(code, put_code(f, names[i][0]));
		strcpy(vars, put_vars(f, names[i][1]));
		assert_opens(f, code, code, vars);
	}
}

/* Only the file's name is changed, never a directory's. */
static void directories_are_not_renamed(void **state)
{
	const struct fixture *f = *state;
	struct fw_image image;
	char code[256];

	temp_subdir(&f->dir, "CODE");
	temp_subdir(&f->dir, "VARS");
	strcpy(code, put_code(f, "CODE/firmware.fd"));
	put_vars(f, "VARS/firmware.fd");
	assert_int_equal(fw_image_open(code, &f->search, &image), 0);
	assert_null(image.vars_path);
	assert_null(image.vars);
	fw_image_fini(&image);
}

static void combined_image_is_taken_apart(void **state)
{
	const struct fixture *f = *state;
	static uint8_t data[FAKE_VARS_SIZE + FAKE_CODE_SIZE];
	struct fw_image image;
	const char *path;

	fake_vars(data, FAKE_VARS_SIZE);
	fake_code(data + FAKE_VARS_SIZE, FAKE_CODE_SIZE);
	path = temp_file(&f->dir, "OVMF.fd", data, sizeof(data));
	assert_opens(f, path, path, NULL);
	assert_int_equal(fw_image_open(path, &f->search, &image), 0);
	assert_int_equal(image.vars_size, FAKE_VARS_SIZE);
	assert_memory_equal(image.vars, data, FAKE_VARS_SIZE);
	assert_memory_equal(image.code, data + FAKE_VARS_SIZE, FAKE_CODE_SIZE);
	fw_image_fini(&image);
}

static void what_is_no_code_is_refused(void **state)
{
	const struct fixture *f = *state;
	static uint8_t data[FAKE_CODE_SIZE];

	assert_refused(f, "/nonexistent/OVMF.fd", "No such file");
	assert_refused(f, f->dir.path, "directory");
	assert_refused(f, put_vars(f, "VARS.fd"), "is a variable store, not firmware code");
	assert_refused(f, temp_file(&f->dir, "empty", "", 0), "is empty");
	assert_int_equal(mkfifo(temp_path(&f->dir, "fifo"), 0600), 0);
	assert_refused(f, temp_path(&f->dir, "fifo"), "Invalid argument");
	assert_refused(f, temp_file(&f->dir, "text", "hello", 5), "not a raw image");
	memcpy(data, "QFI\xfb", 4);
	assert_refused(f, temp_file(&f->dir, "CODE.qcow2", data, sizeof(data)), "not a raw image");
	assert_non_null(strstr(err_hint_text(), "qemu-img convert"));
	fake_code(data, sizeof(data));
	assert_refused(f, temp_file(&f->dir, "odd", data, sizeof(data) - 1), "not a raw image");
}

static void too_large_files_are_refused(void **state)
{
	const struct fixture *f = *state;
	const char *path = put_code(f, "big");

	assert_int_equal(truncate(path, FW_FLASH_MAX + 4096), 0);
	assert_refused(f, path, "larger than 16 MiB");
}

static void bad_template_is_refused(void **state)
{
	const struct fixture *f = *state;
	char code[256];

	strcpy(code, put_code(f, "CODE.fd"));
	put_code(f, "VARS.fd");
	assert_refused(f, code, "it is firmware code, not a variable store");
}

static void smm_by_descriptor_is_refused(void **state)
{
	const struct fixture *f = *state;
	char code[256], vars[256], link[256];

	strcpy(code, put_code(f, "CODE.secboot.fd"));
	strcpy(vars, put_vars(f, "VARS.fd"));
	put_descriptor(f, code, vars, "\"requires-smm\"");
	assert_refused(f, code, "needs SMM");
	strcpy(link, temp_path(&f->dir, "CODE.ms.fd"));
	assert_int_equal(symlink(code, link), 0);
	assert_refused(f, link, "needs SMM");
}

/* What this machine has installed, if anything: the real thing. */
static void installed_firmware_opens(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const system[] = { "/usr/share/qemu/firmware", NULL };
	struct fw_search search = { system, fw_image_known_pairs };
	struct fw_image by_descriptor, by_path;

	if (access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK)) {
		print_message("OVMF is not installed\n");
		skip();
	}
	assert_int_equal(fw_image_open(NULL, &search, &by_descriptor), 0);
	search.descriptor_dirs = none;
	assert_int_equal(fw_image_open(NULL, &search, &by_path), 0);
	assert_string_equal(by_descriptor.code_path, by_path.code_path);
	assert_string_equal(by_descriptor.vars_path, by_path.vars_path);
	assert_int_equal(by_path.code_size, 0x37c000);
	assert_int_equal(by_path.vars_size, 0x84000);
	fw_image_fini(&by_descriptor);
	fw_image_fini(&by_path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_installed_tells_what_to_install),
		TEST(descriptors_come_before_known_paths),
		TEST(a_pair_needs_both_files),
		TEST(template_by_descriptor),
		TEST(template_by_name),
		TEST(directories_are_not_renamed),
		TEST(combined_image_is_taken_apart),
		TEST(what_is_no_code_is_refused),
		TEST(too_large_files_are_refused),
		TEST(bad_template_is_refused),
		TEST(smm_by_descriptor_is_refused),
		cmocka_unit_test(installed_firmware_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
