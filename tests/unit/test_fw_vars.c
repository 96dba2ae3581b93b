/* SPDX-License-Identifier: Apache-2.0 */
/* The variable store of a machine: made, reopened, shared, damaged. */
#include "cmocka_all.h"
#include "fake_firmware.h"
#include "temp_dir.h"

#include <dirent.h>
#include <errno.h>

#include "core/err.h"
#include "core/log.h"
#include "firmware-loader/fw_vars.h"

struct fixture {
	struct temp_dir dir;
	char path[128]; /* of the store, which does not exist yet */
	struct fw_image image;
};

static int setup(void **state)
{
	static const char *const none[] = { NULL };
	static uint8_t data[FAKE_CODE_SIZE];
	const struct fw_search search = { none, NULL };
	struct fixture *f = calloc(1, sizeof(*f));
	const char *code;

	log_set_level(LOG_ERROR);
	temp_dir_init(&f->dir);
	strcpy(f->path, temp_path(&f->dir, "machine.vars"));
	fake_vars(data, FAKE_VARS_SIZE);
	temp_file(&f->dir, "VARS.fd", data, FAKE_VARS_SIZE);
	fake_code(data, FAKE_CODE_SIZE);
	code = temp_file(&f->dir, "CODE.fd", data, FAKE_CODE_SIZE);
	assert_int_equal(fw_image_open(code, &search, &f->image), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fw_image_fini(&f->image);
	temp_dir_fini(&f->dir);
	free(f);
	return 0;
}

static void assert_refused(const struct fixture *f, int error, const char *why)
{
	struct fw_vars vars;

	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), error);
	assert_int_equal(err_kind(), ERR_FILE);
	if (!strstr(err_text(), why))
		fail_msg("'%s' in '%s'", why, err_text());
}

static unsigned files_in(const struct temp_dir *dir)
{
	DIR *d = opendir(dir->path);
	unsigned count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count - 2; /* . and .. */
}

static void throw_away_copy(void **state)
{
	const struct fixture *f = *state;
	struct fw_vars vars;

	assert_int_equal(fw_vars_open(&f->image, NULL, &vars), 0);
	assert_int_equal(vars.fd, -1);
	assert_int_equal(vars.size, FAKE_VARS_SIZE);
	assert_memory_equal(vars.data, f->image.vars, FAKE_VARS_SIZE);
	vars.data[100] ^= 1; /* a copy: the template keeps its contents */
	assert_memory_not_equal(vars.data, f->image.vars, FAKE_VARS_SIZE);
	fw_vars_fini(&vars);
	fw_vars_fini(&vars);
	fw_vars_fini(NULL);
}

static void file_is_made_from_the_template(void **state)
{
	const struct fixture *f = *state;
	struct fw_vars vars;
	struct stat st;

	umask(0);
	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), 0);
	assert_true(vars.fd >= 0);
	assert_int_equal(vars.size, FAKE_VARS_SIZE);
	assert_memory_equal(vars.data, f->image.vars, FAKE_VARS_SIZE);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, FAKE_VARS_SIZE);
	assert_int_equal(fcntl(vars.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fw_vars_fini(&vars);
	assert_int_equal(files_in(&f->dir), 3); /* no temporary file is left */
}

static void contents_outlive_the_run(void **state)
{
	const struct fixture *f = *state;
	struct fw_vars vars;

	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), 0);
	assert_int_equal(pwrite(vars.fd, "kept", 4, 0x200), 4);
	fw_vars_fini(&vars);
	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), 0);
	assert_memory_equal(vars.data + 0x200, "kept", 4);
	fw_vars_fini(&vars);
}

static void two_machines_cannot_share_it(void **state)
{
	const struct fixture *f = *state;
	struct fw_vars vars;

	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), 0);
	assert_refused(f, -EBUSY, "in use");
	fw_vars_fini(&vars);
	assert_int_equal(fw_vars_open(&f->image, f->path, &vars), 0);
	fw_vars_fini(&vars);
}

static void wrong_sizes_are_refused(void **state)
{
	static const off_t sizes[] = { 0, 1, FAKE_VARS_SIZE - 4096, FAKE_VARS_SIZE + 1, 1 << 30 };
	const struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		temp_file(&f->dir, "machine.vars", f->image.vars, FAKE_VARS_SIZE);
		assert_int_equal(truncate(f->path, sizes[i]), 0);
		assert_refused(f, -EINVAL, "wrong size");
	}
}

static void damaged_store_is_refused_and_kept(void **state)
{
	const struct fixture *f = *state;
	static uint8_t data[FAKE_VARS_SIZE], after[FAKE_VARS_SIZE];
	int fd;

	memcpy(data, f->image.vars, sizeof(data));
	data[33] ^= 1;
	temp_file(&f->dir, "machine.vars", data, sizeof(data));
	assert_refused(f, -EINVAL, "checksum");
	assert_refused(f, -EINVAL, "checksum"); /* not locked by the first try */
	fd = open(f->path, O_RDONLY);
	assert_int_equal(read(fd, after, sizeof(after)), sizeof(after));
	close(fd);
	assert_memory_equal(data, after, sizeof(data));

	fake_code(data, sizeof(data));
	temp_file(&f->dir, "machine.vars", data, sizeof(data));
	assert_refused(f, -EINVAL, "firmware code, not a variable store");
}

static void the_template_itself_is_refused(void **state)
{
	struct fixture *f = *state;

	strcpy(f->path, f->image.vars_path);
	assert_refused(f, -EINVAL, "the firmware's own file");
	strcpy(f->path, temp_path(&f->dir, "link"));
	assert_int_equal(symlink(f->image.vars_path, f->path), 0);
	assert_refused(f, -EINVAL, "the firmware's own file");
}

static void places_that_cannot_be_written(void **state)
{
	struct fixture *f = *state;

	strcpy(f->path, "/nonexistent/tinyvmm/vars");
	assert_refused(f, -ENOENT, "make variable store '/nonexistent/tinyvmm/vars'");
	assert_string_equal(err_hint_text(), "make its folder first");
	strcpy(f->path, f->dir.path);
	assert_refused(f, -EISDIR, "open variable store");
	strcpy(f->path, "/dev/null");
	assert_refused(f, -EINVAL, "/dev/null");
}

static void dangling_link_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink("/nonexistent/target", f->path), 0);
	assert_refused(f, -ENOENT, "open variable store");
}

/* Firmware whose template is not known runs with a file that the user brings. */
static void without_a_template(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[FAKE_VARS_SIZE];
	struct fw_image image = f->image;
	struct fw_vars vars;

	image.vars = NULL;
	image.vars_size = 0;
	image.vars_path = NULL;
	assert_int_equal(fw_vars_open(&image, NULL, &vars), -ENOENT);
	assert_int_equal(fw_vars_open(&image, f->path, &vars), -ENOENT);
	assert_int_equal(access(f->path, F_OK), -1);
	fake_vars(data, sizeof(data));
	temp_file(&f->dir, "machine.vars", data, sizeof(data));
	assert_int_equal(fw_vars_open(&image, f->path, &vars), 0);
	fw_vars_fini(&vars);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(throw_away_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_made_from_the_template, setup, teardown),
		cmocka_unit_test_setup_teardown(contents_outlive_the_run, setup, teardown),
		cmocka_unit_test_setup_teardown(two_machines_cannot_share_it, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_sizes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_store_is_refused_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(the_template_itself_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(places_that_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(dangling_link_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_template, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
