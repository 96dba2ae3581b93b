/* SPDX-License-Identifier: Apache-2.0 */
/* Opening disks: what is refused, what is said about it, and who may share one. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/blk/blk_file.h"

struct fixture {
	char dir[64];
	char path[128];
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_blk_file.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/disk.img", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->path);
	rmdir(f->dir);
	test_free(f);
	return 0;
}

static void make_image(const struct fixture *f, off_t size, const char *start, mode_t mode)
{
	int fd = open(f->path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	if (start)
		assert_int_equal(write(fd, start, strlen(start)), strlen(start));
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void assert_refused(const struct fixture *f, bool read_only, const char *why)
{
	struct blk_file file = { 0 };

	err_clear();
	assert_true(blk_file_open(&file, f->path, read_only, BLK_CACHE_WRITEBACK) < 0);
	assert_int_equal(file.size, 0);
	if (!strstr(err_text(), why) || !strstr(err_text(), f->path))
		fail_msg("'%s' does not say '%s' or the path", err_text(), why);
	assert_int_equal(err_kind(), ERR_FILE);
	blk_file_close(&file);
}

static void opens_a_raw_image(void **state)
{
	struct fixture *f = *state;
	struct blk_file file = { 0 }, again = { 0 };

	make_image(f, 3 * MiB + 512, NULL, 0600);
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
	assert_int_equal(file.size, 3 * MiB + 512);
	assert_false(file.read_only);
	assert_true(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	blk_file_close(&file);
	assert_int_equal(file.fd, -1);
	blk_file_close(&file);

	assert_int_equal(blk_file_open(&again, f->path, true, BLK_CACHE_WRITEBACK), 0);
	assert_int_equal(fcntl(again.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(again.path_hash == file.path_hash);
	blk_file_close(&again);
}

/* A file system without direct I/O refuses the flag. */
static bool refuse_direct;

int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_SETFL && refuse_direct && (uintptr_t)arg & O_DIRECT) {
		errno = EINVAL;
		return -1;
	}
	return __real_fcntl64(fd, cmd, arg);
}

static void cache_decides_how_the_file_is_used(void **state)
{
	struct fixture *f = *state;
	struct blk_file file = { 0 };

	make_image(f, MiB, NULL, 0600);
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
	assert_false(fcntl(file.fd, F_GETFL) & O_DIRECT);
	assert_int_equal(file.direct.offset, 1);
	assert_int_equal(file.direct.memory, 1);
	assert_true(blk_file_flushes(&file));
	assert_false(blk_file_shares_blocks(&file));
	blk_file_close(&file);

	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_UNSAFE), 0);
	assert_false(fcntl(file.fd, F_GETFL) & O_DIRECT);
	assert_false(blk_file_flushes(&file));
	blk_file_close(&file);

	if (blk_file_open(&file, f->path, false, BLK_CACHE_DIRECT) < 0)
		skip(); /* /tmp takes no direct I/O here */
	assert_true(fcntl(file.fd, F_GETFL) & O_DIRECT);
	assert_true(file.direct.offset >= BLK_SECTOR);
	assert_true(blk_file_flushes(&file));
	blk_file_close(&file);
}

static void reopened_file_is_the_same_one(void **state)
{
	struct fixture *f = *state;
	struct blk_file file = { 0 };
	struct stat a, b;
	int fd;

	make_image(f, MiB, NULL, 0600);
	for (unsigned read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(blk_file_open(&file, f->path, read_only, BLK_CACHE_WRITEBACK), 0);
		assert_int_equal(unlink(f->path), 0);
		fd = blk_file_reopen(&file);
		assert_true(fd >= 0);
		assert_int_equal(fstat(file.fd, &a), 0);
		assert_int_equal(fstat(fd, &b), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, read_only ? O_RDONLY : O_RDWR);
		close(fd);
		make_image(f, MiB, NULL, 0600);
		blk_file_close(&file);
	}
}

static void direct_io_that_cannot_be_is_refused(void **state)
{
	struct fixture *f = *state;
	struct blk_file file = { 0 };

	make_image(f, MiB, NULL, 0600);
	refuse_direct = true;
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_DIRECT), -EINVAL);
	refuse_direct = false;
	assert_non_null(strstr(err_text(), "takes no direct I/O"));
	assert_non_null(strstr(err_hint_text(), "leave cache=direct away"));
	assert_int_equal(err_kind(), ERR_FILE);
	/* And the image is free again. */
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
	blk_file_close(&file);
}

static void usable_part_is_whole_blocks(void **state)
{
	struct blk_file file = { .topology = { .logical = 512 }, .direct = { 1, 1 } };

	(void)state;
	assert_int_equal(blk_file_usable(&file, 10 * 4096 + 1100), 10 * 4096 + 1024);
	file.direct.offset = 4096;
	assert_true(blk_file_shares_blocks(&file));
	assert_int_equal(blk_file_usable(&file, 10 * 4096 + 1100), 10 * 4096);
	assert_int_equal(blk_file_usable(&file, 100), 0);
	file = (struct blk_file){ .topology = { .logical = 4096 }, .direct = { 1, 1 } };
	assert_int_equal(blk_file_usable(&file, 10 * 4096 + 1100), 10 * 4096);
}

static void missing(void **state)
{
	assert_refused(*state, false, "No such file");
}

static void directory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_refused(f, true, "is a directory");
}

static void pipe_does_not_block(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_refused(f, true, "neither a regular file nor a block device");
}

static void empty(void **state)
{
	make_image(*state, 0, NULL, 0600);
	assert_refused(*state, false, "is empty");
	assert_non_null(strstr(err_hint_text(), "truncate -s"));
}

static void not_whole_sectors(void **state)
{
	make_image(*state, 1000, NULL, 0600);
	assert_refused(*state, false, "has 1000 bytes, not a multiple of 512");
}

static void no_permission(void **state)
{
	pid_t child;
	int status;

	/* As a user that no file belongs to, if this one may do everything. */
	make_image(*state, MiB, NULL, 0444);
	assert_int_equal(chmod(((struct fixture *)*state)->dir, 0755), 0);
	child = fork();
	if (child == 0) {
		struct fixture *f = *state;
		struct blk_file file = { 0 };

		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(1);
		if (blk_file_open(&file, f->path, true, BLK_CACHE_WRITEBACK) < 0)
			_exit(2);
		blk_file_close(&file);
		if (blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK) != -EACCES)
			_exit(3);
		if (!strstr(err_text(), "Permission denied"))
			_exit(4);
		_exit(strstr(err_hint_text(), "read-only") ? 0 : 5);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void writable_disk_is_not_shared(void **state)
{
	struct fixture *f = *state;
	struct blk_file file = { 0 };

	make_image(f, MiB, NULL, 0600);
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
	assert_refused(f, false, "is in use by another process");
	assert_refused(f, true, "is in use by another process");
	blk_file_close(&file);
	assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
	blk_file_close(&file);
}

static void file_is_the_same_by_any_of_its_names(void **state)
{
	struct fixture *f = *state;
	char symbolic[sizeof(f->path) + 8], hard[sizeof(f->path) + 8];

	make_image(f, MiB, NULL, 0600);
	snprintf(symbolic, sizeof(symbolic), "%s.symbol", f->path);
	snprintf(hard, sizeof(hard), "%s.hard", f->path);
	assert_int_equal(symlink(f->path, symbolic), 0);
	assert_int_equal(link(f->path, hard), 0);
	assert_true(blk_file_is_same(f->path, symbolic));
	assert_true(blk_file_is_same(hard, f->path));
	assert_false(blk_file_is_same(f->path, "/dev/null"));
	assert_false(blk_file_is_same("/nonexistent", "/nonexistent"));
	assert_int_equal(unlink(symbolic), 0);
	assert_int_equal(unlink(hard), 0);
}

static void read_only_disk_is_shared_by_readers(void **state)
{
	struct fixture *f = *state;
	struct blk_file a = { 0 }, b = { 0 };

	make_image(f, MiB, NULL, 0600);
	assert_int_equal(blk_file_open(&a, f->path, true, BLK_CACHE_WRITEBACK), 0);
	assert_int_equal(blk_file_open(&b, f->path, true, BLK_CACHE_WRITEBACK), 0);
	assert_refused(f, false, "is in use by another process");
	blk_file_close(&a);
	assert_refused(f, false, "is in use by another process");
	blk_file_close(&b);
}

static void process_that_holds_a_traditional_lock_is_named(void **state)
{
	struct fixture *f = *state;
	int ready[2], go[2], status;
	char text[64], byte = 0;
	pid_t child;

	make_image(f, MiB, NULL, 0600);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(f->path, O_RDWR);

		if (fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(go[0], &byte, 1) != 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(text, sizeof(text), "is in use by process %d", (int)child);
	assert_refused(f, false, text);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (unsigned i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_a_raw_image),
		TEST(cache_decides_how_the_file_is_used),
		TEST(reopened_file_is_the_same_one),
		TEST(direct_io_that_cannot_be_is_refused),
		TEST(usable_part_is_whole_blocks),
		TEST(missing),
		TEST(directory),
		TEST(pipe_does_not_block),
		TEST(empty),
		TEST(not_whole_sectors),
		TEST(no_permission),
		TEST(writable_disk_is_not_shared),
		TEST(file_is_the_same_by_any_of_its_names),
		TEST(read_only_disk_is_shared_by_readers),
		TEST(process_that_holds_a_traditional_lock_is_named),
	};

	return cmocka_run_group_tests_name("blk_file", tests, NULL, NULL);
}
