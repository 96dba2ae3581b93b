/* SPDX-License-Identifier: Apache-2.0 */
/* The choice among firmware descriptors, in directories made for it. */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <errno.h>

#include "core/err.h"
#include "core/log.h"
#include "firmware-loader/fw_descriptor.h"

/* Three directories, the highest priority first, and two files that exist. */
struct fixture {
	struct temp_dir dir;
	char user[128], etc[128], usr[128];
	char code[128], vars[128];
	const char *dirs[5];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	temp_dir_init(&f->dir);
	strcpy(f->user, temp_subdir(&f->dir, "user"));
	strcpy(f->etc, temp_subdir(&f->dir, "etc"));
	strcpy(f->usr, temp_subdir(&f->dir, "usr"));
	strcpy(f->code, temp_file(&f->dir, "CODE.fd", "x", 1));
	strcpy(f->vars, temp_file(&f->dir, "VARS.fd", "x", 1));
	f->dirs[0] = f->user;
	f->dirs[1] = "/nonexistent/tinyvmm"; /* a missing directory is nothing special */
	f->dirs[2] = f->etc;
	f->dirs[3] = f->usr;
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

/* A descriptor; what is NULL gets the value of a good one. */
struct entry {
	const char *interface, *device, *mode, *format, *arch, *machines, *features;
	const char *code, *vars; /* vars "": none */
};

static void put(const struct fixture *f, const char *dir, const char *name, struct entry e)
{
	char text[2048], vars[512] = "", path[256];
	int len;

	if (!e.vars || e.vars[0])
		snprintf(vars, sizeof(vars),
			 ", \"nvram-template\": { \"filename\": \"%s\", \"format\": \"raw\" }",
			 e.vars ? e.vars : f->vars);
	len = snprintf(text, sizeof(text),
		       "{ \"description\": \"a test\", \"interface-types\": [ \"%s\" ],\n"
		       "\"mapping\": { \"device\": \"%s\", %s\n"
		       "\"executable\": { \"filename\": \"%s\", \"format\": \"%s\" } %s },\n"
		       "\"targets\": [ { \"architecture\": \"%s\", \"machines\": [ %s ] } ],\n"
		       "\"features\": [ %s ], \"tags\": [ ] }\n",
		       e.interface ? e.interface : "uefi", e.device ? e.device : "flash",
		       e.mode ? e.mode : "", e.code ? e.code : f->code, e.format ? e.format : "raw",
		       vars, e.arch ? e.arch : "x86_64",
		       e.machines ? e.machines : "\"pc-i440fx-*\", \"pc-q35-*\"",
		       e.features ? e.features : "\"acpi-s3\", \"amd-sev\", \"verbose-dynamic\"");
	snprintf(path, sizeof(path), "%s/%s", strrchr(dir, '/') + 1, name);
	temp_file(&f->dir, path, text, (size_t)len);
}

static void put_text(const struct fixture *f, const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", strrchr(dir, '/') + 1, name);
	temp_file(&f->dir, path, text, strlen(text));
}

static void assert_finds(const struct fixture *f, const char *dir, const char *name)
{
	struct fw_descriptor d;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(fw_descriptor_find(f->dirs, &d), 0);
	assert_string_equal(d.source, path);
	assert_string_equal(d.code, f->code);
	fw_descriptor_fini(&d);
}

static void assert_finds_none(const struct fixture *f)
{
	struct fw_descriptor d;

	assert_int_equal(fw_descriptor_find(f->dirs, &d), -ENOENT);
	assert_string_equal(err_text(), "");
}

static void nothing_installed(void **state)
{
	assert_finds_none(*state);
}

static void names_are_the_order(void **state)
{
	const struct fixture *f = *state;

	put(f, f->usr, "60-b.json", (struct entry){ 0 });
	put(f, f->etc, "70-a.json", (struct entry){ 0 });
	assert_finds(f, f->usr, "60-b.json");
	put(f, f->usr, "50-c.json", (struct entry){ 0 });
	assert_finds(f, f->usr, "50-c.json");
}

static void higher_directories_override_by_name(void **state)
{
	const struct fixture *f = *state;

	put(f, f->usr, "50.json", (struct entry){ 0 });
	put(f, f->etc, "50.json", (struct entry){ .features = "\"secure-boot\"" });
	assert_finds_none(f);
	put(f, f->user, "50.json", (struct entry){ 0 });
	assert_finds(f, f->user, "50.json");
}

static void an_empty_file_masks(void **state)
{
	const struct fixture *f = *state;

	put(f, f->usr, "50.json", (struct entry){ 0 });
	put(f, f->usr, "60.json", (struct entry){ 0 });
	put_text(f, f->etc, "50.json", "");
	assert_finds(f, f->usr, "60.json");
	assert_int_equal(symlink("/dev/null", temp_path(&f->dir, "user/60.json")), 0);
	assert_finds_none(f);
}

static void unfit_entries_are_passed_over(void **state)
{
	static const struct entry unfit[] = {
		{ .interface = "bios" },
		{ .device = "memory" },
		{ .mode = "\"mode\": \"stateless\"," },
		{ .mode = "\"mode\": 3," },
		{ .format = "qcow2" },
		{ .arch = "aarch64" },
		{ .machines = "\"pc-i440fx-*\"" },
		{ .machines = "" },
		{ .features = "\"requires-smm\"" },
		{ .features = "\"acpi-s3\", \"secure-boot\"" },
		{ .features = "\"enrolled-keys\"" },
		{ .features = "\"host-uefi-vars\"" },
		{ .code = "/nonexistent/CODE.fd" },
		{ .vars = "/nonexistent/VARS.fd" },
		{ .vars = "" },
		{ .code = "/tmp" },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++) {
		put(f, f->usr, "10.json", unfit[i]);
		assert_finds_none(f);
		put(f, f->usr, "20.json", (struct entry){ 0 });
		assert_finds(f, f->usr, "20.json");
		assert_int_equal(unlink(temp_path(&f->dir, "usr/20.json")), 0);
	}
}

static void split_and_combined_files(void **state)
{
	const struct fixture *f = *state;
	struct fw_descriptor d;

	put(f, f->usr, "10.json", (struct entry){ .mode = "\"mode\": \"split\"," });
	assert_int_equal(fw_descriptor_find(f->dirs, &d), 0);
	assert_string_equal(d.vars, f->vars);
	fw_descriptor_fini(&d);

	put(f, f->usr, "10.json", (struct entry){ .mode = "\"mode\": \"combined\",", .vars = "" });
	assert_int_equal(fw_descriptor_find(f->dirs, &d), 0);
	assert_string_equal(d.code, f->code);
	assert_null(d.vars);
	fw_descriptor_fini(&d);
}

static void q35_among_several_targets(void **state)
{
	const struct fixture *f = *state;

	put(f, f->usr, "10.json",
	    (struct entry){ .machines = "\"microvm\" ] }, { \"architecture\": \"x86_64\", "
					"\"machines\": [ \"pc-q35-*\"" });
	assert_finds(f, f->usr, "10.json");
}

static void malformed_files_are_passed_over(void **state)
{
	static const char *const bad[] = {
		"{",
		"[]",
		"null",
		"\"uefi\"",
		"{}",
		"{ \"mapping\": [] }",
		"{ \"mapping\": { \"device\": \"flash\" } }",
		"{ \"mapping\": { \"device\": \"flash\", \"executable\": { \"filename\": 3 } } }",
		"{ \"mapping\": { \"device\": \"flash\", \"executable\": { \"filename\": "
		"\"/a\\u0000b\", \"format\": \"raw\" } } }",
	};
	const struct fixture *f = *state;

	put(f, f->usr, "20.json", (struct entry){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fw_descriptor d;

		put_text(f, f->usr, "10.json", bad[i]);
		assert_finds(f, f->usr, "20.json");
		assert_true(fw_descriptor_read(temp_path(&f->dir, "usr/10.json"), &d) < 0);
		assert_int_equal(err_kind(), ERR_FILE);
	}
}

static void other_files_in_the_directory(void **state)
{
	const struct fixture *f = *state;

	put(f, f->usr, "10.json.bak", (struct entry){ 0 });
	put(f, f->usr, ".10.json", (struct entry){ 0 });
	put(f, f->usr, "README", (struct entry){ 0 });
	assert_int_equal(mkdir(temp_path(&f->dir, "usr/10.json"), 0755), 0);
	assert_finds_none(f);
}

/* A user names the image; its descriptor is found whatever the name in it is. */
static void descriptor_of_an_image(void **state)
{
	const struct fixture *f = *state;
	const char *link = temp_path(&f->dir, "link.fd");
	struct fw_descriptor d;

	put(f, f->usr, "10.json", (struct entry){ .features = "\"requires-smm\"" });
	assert_int_equal(symlink(f->code, link), 0);
	assert_int_equal(fw_descriptor_of(f->dirs, link, &d), 0);
	assert_true(d.requires_smm);
	fw_descriptor_fini(&d);
	/* One with fewer demands counts more. */
	put(f, f->usr, "20.json", (struct entry){ 0 });
	assert_int_equal(fw_descriptor_of(f->dirs, link, &d), 0);
	assert_false(d.requires_smm);
	assert_string_equal(d.vars, f->vars);
	fw_descriptor_fini(&d);
	assert_int_equal(fw_descriptor_of(f->dirs, f->vars, &d), -ENOENT);
	assert_int_equal(fw_descriptor_of(f->dirs, "/nonexistent", &d), -ENOENT);
}

static void directories_follow_the_environment(void **state)
{
	struct fw_descriptor_dirs dirs;

	setenv("XDG_CONFIG_HOME", "/xdg", 1);
	fw_descriptor_dirs_init(&dirs);
	assert_string_equal(dirs.list[0], "/xdg/qemu/firmware");
	assert_string_equal(dirs.list[1], "/etc/qemu/firmware");
	assert_string_equal(dirs.list[2], "/usr/share/qemu/firmware");
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", "/home/user", 1);
	fw_descriptor_dirs_init(&dirs);
	assert_string_equal(dirs.list[0], "/home/user/.config/qemu/firmware");
	assert_null(dirs.list[5]);
	unsetenv("HOME");
	fw_descriptor_dirs_init(&dirs);
	assert_string_equal(dirs.list[0], "/etc/qemu/firmware");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_installed),
		TEST(names_are_the_order),
		TEST(higher_directories_override_by_name),
		TEST(an_empty_file_masks),
		TEST(unfit_entries_are_passed_over),
		TEST(split_and_combined_files),
		TEST(q35_among_several_targets),
		TEST(malformed_files_are_passed_over),
		TEST(other_files_in_the_directory),
		TEST(descriptor_of_an_image),
		cmocka_unit_test(directories_follow_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
