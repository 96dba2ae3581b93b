/* SPDX-License-Identifier: Apache-2.0 */
/* The archive, read as the kernel's unpacker does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "boot/initrd.h"
#include "core/err.h"
#include "temp_dir.h"

#define HEADER 110u

struct entry {
	unsigned mode, size, name_size, major, minor;
	char name[64];
	char data[64];
};

static unsigned field(const char *header, unsigned nr)
{
	char text[9] = { 0 };

	memcpy(text, header + 6 + 8 * nr, 8);
	return (unsigned)strtoul(text, NULL, 16);
}

/* The entry at *off, which moves on to the next. */
static struct entry next_entry(int fd, off_t *off)
{
	struct entry e = { 0 };
	char header[HEADER];

	assert_int_equal(*off % 4, 0);
	assert_int_equal(pread(fd, header, HEADER, *off), HEADER);
	assert_memory_equal(header, "070701", 6);
	e.mode = field(header, 1);
	e.size = field(header, 6);
	e.major = field(header, 9);
	e.minor = field(header, 10);
	e.name_size = field(header, 11);
	assert_in_range(e.name_size, 1, sizeof(e.name));
	assert_int_equal(pread(fd, e.name, e.name_size, *off + HEADER), e.name_size);
	assert_int_equal(strlen(e.name) + 1, e.name_size);
	*off = (*off + HEADER + e.name_size + 3) & ~3;
	assert_int_equal(pread(fd, e.data, MIN(e.size, sizeof(e.data) - 1), *off),
			 MIN(e.size, sizeof(e.data) - 1));
	*off = (*off + e.size + 3) & ~3;
	return e;
}

static void holds_what_was_added_in_order(void **state)
{
	struct initrd initrd;
	struct entry e;
	off_t off = 0;

	assert_int_equal(initrd_init(&initrd), 0);
	assert_int_equal(initrd_add_folder(&initrd, "dev"), 0);
	assert_int_equal(initrd_add_device(&initrd, "dev/console", 5, 1), 0);
	assert_int_equal(initrd_add_file(&initrd, "init", 0755, "hello", 5), 0);
	assert_int_equal(initrd_add_file(&initrd, "empty", 0644, NULL, 0), 0);
	assert_int_equal(initrd_end(&initrd), 0);

	e = next_entry(initrd.fd, &off);
	assert_string_equal(e.name, "dev");
	assert_int_equal(e.mode, S_IFDIR | 0755);
	e = next_entry(initrd.fd, &off);
	assert_string_equal(e.name, "dev/console");
	assert_int_equal(e.mode, S_IFCHR | 0600);
	assert_int_equal(e.major, 5);
	assert_int_equal(e.minor, 1);
	e = next_entry(initrd.fd, &off);
	assert_string_equal(e.name, "init");
	assert_int_equal(e.mode, S_IFREG | 0755);
	assert_int_equal(e.size, 5);
	assert_string_equal(e.data, "hello");
	e = next_entry(initrd.fd, &off);
	assert_string_equal(e.name, "empty");
	assert_int_equal(e.size, 0);
	e = next_entry(initrd.fd, &off);
	assert_string_equal(e.name, "TRAILER!!!");
	assert_int_equal(off, initrd.size);
	initrd_fini(&initrd);
}

static void takes_a_file_of_unknown_length(void **state)
{
	struct temp_dir dir;
	struct initrd initrd;
	struct entry e;
	off_t off = 0;
	char *data = test_calloc(1, MiB);
	int fd;

	temp_dir_init(&dir);
	memset(data, 'x', MiB);
	fd = open(temp_file(&dir, "big", data, MiB - 1), O_RDONLY | O_CLOEXEC);
	assert_int_equal(initrd_init(&initrd), 0);
	assert_int_equal(initrd_add_from(&initrd, "big", 0644, fd), 0);
	assert_int_equal(initrd_end(&initrd), 0);
	e = next_entry(initrd.fd, &off);
	assert_int_equal(e.size, MiB - 1);
	assert_string_equal(next_entry(initrd.fd, &off).name, "TRAILER!!!");
	initrd_fini(&initrd);
	close(fd);
	test_free(data);
	temp_dir_fini(&dir);
}

static void file_that_cannot_be_read_is_told(void **state)
{
	struct initrd initrd;
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	assert_int_equal(initrd_init(&initrd), 0);
	assert_int_equal(initrd_add_from(&initrd, "folder", 0644, fd), -EISDIR);
	initrd_fini(&initrd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_added_in_order),
		cmocka_unit_test(takes_a_file_of_unknown_length),
		cmocka_unit_test(file_that_cannot_be_read_is_told),
	};

	return cmocka_run_group_tests_name("initrd", tests, NULL, NULL);
}
