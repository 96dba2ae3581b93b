/* SPDX-License-Identifier: Apache-2.0 */
/* Which format an image is taken for, and when its content is a reason to refuse it. */
#include "temp_dir.h"

#include <errno.h>

#include "core/err.h"
#include "core/sys.h"
#include "devices/blk/blk_format.h"

#define SIZE 65536u

static struct temp_dir dir;

static int setup(void **state)
{
	temp_dir_init(&dir);
	return 0;
}

static int teardown(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

/* A file that begins (or goes on, at `at`) with `magic`. */
static const char *image(const char *name, size_t at, const char *magic, size_t len)
{
	static char data[SIZE];

	memset(data, 0, sizeof(data));
	memcpy(data + at, magic, len);
	return temp_file(&dir, name, data, sizeof(data));
}

static void assert_refused(const char *path, enum blk_format said, const char *why)
{
	assert_int_equal(blk_format_check(path, said), -EINVAL);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_non_null(strstr(err_text(), why));
	err_clear();
}

static void format_follows_from_the_ending(void **state)
{
	assert_int_equal(blk_format_of_file("/a/b.qcow2"), BLK_FORMAT_QCOW2);
	assert_int_equal(blk_format_of_file("b.QCOW2"), BLK_FORMAT_QCOW2);
	assert_int_equal(blk_format_of_file("b.vmdk"), BLK_FORMAT_VMDK);
	assert_int_equal(blk_format_of_file("b.vdi"), BLK_FORMAT_VDI);
	assert_int_equal(blk_format_of_file("b.vhdx"), BLK_FORMAT_VHDX);
	assert_int_equal(blk_format_of_file("b.vhd"), BLK_FORMAT_VPC);
	assert_int_equal(blk_format_of_file("b.img"), BLK_FORMAT_RAW);
	assert_int_equal(blk_format_of_file("b.raw"), BLK_FORMAT_RAW);
	assert_int_equal(blk_format_of_file("/dev/sda"), BLK_FORMAT_RAW);
	assert_int_equal(blk_format_of_file("qcow2"), BLK_FORMAT_RAW);
	assert_int_equal(blk_format_of_file("a.qcow2/disk"), BLK_FORMAT_RAW);
}

static void names_of_formats(void **state)
{
	assert_int_equal(blk_format_of("raw"), BLK_FORMAT_RAW);
	assert_int_equal(blk_format_of("vpc"), BLK_FORMAT_VPC);
	assert_int_equal(blk_format_of(""), BLK_FORMAT_BY_NAME);
	assert_int_equal(blk_format_of("luks"), BLK_FORMAT_BY_NAME);
	assert_string_equal(blk_format_name(BLK_FORMAT_QCOW2), "qcow2");
}

/* What a hostile guest can do to its raw disk. */
static void header_in_a_raw_disk_is_never_believed(void **state)
{
	assert_refused(image("a.img", 0, "QFI\xfb", 4), BLK_FORMAT_BY_NAME,
		       "is a qcow2 image, and not named like one");
	assert_refused(image("b.img", 0, "KDMV", 4), BLK_FORMAT_BY_NAME, "is a vmdk image");
	assert_refused(image("c", 0, "vhdxfile", 8), BLK_FORMAT_BY_NAME, "is a vhdx image");
	assert_refused(image("d", 0, "conectix", 8), BLK_FORMAT_BY_NAME, "is a vpc image");
	assert_refused(image("e", 64, "\x7f\x10\xda\xbe", 4), BLK_FORMAT_BY_NAME, "is a vdi image");
	assert_int_equal(blk_format_check(image("a.img", 0, "QFI\xfb", 4), BLK_FORMAT_RAW), 0);
	assert_int_equal(blk_format_check(image("f.img", 0, "\xeb\x63", 2), BLK_FORMAT_BY_NAME), 0);
}

static void other_content_than_said_is_refused(void **state)
{
	assert_refused(image("a.qcow2", 0, "", 0), BLK_FORMAT_BY_NAME, "is not a qcow2 image");
	assert_int_equal(blk_format_check(image("a.qcow2", 0, "KDMV", 4), BLK_FORMAT_BY_NAME),
			 -EINVAL);
	assert_non_null(strstr(err_hint_text(), "format=vmdk"));
	assert_refused(image("a.img", 0, "KDMV", 4), BLK_FORMAT_QCOW2, "is not a qcow2 image");
	assert_refused(image("a.vmdk", 0, "QFI\xfb", 4), BLK_FORMAT_BY_NAME, "is not a vmdk image");
	/* Those that begin with a description, or end with a footer. */
	assert_int_equal(blk_format_check(image("b.vmdk", 0, "# Disk", 6), BLK_FORMAT_BY_NAME), 0);
	assert_int_equal(blk_format_check(image("b.vhd", 0, "", 0), BLK_FORMAT_BY_NAME), 0);
}

static void what_cannot_be_read_is_left_to_others(void **state)
{
	assert_int_equal(blk_format_check(temp_path(&dir, "absent"), BLK_FORMAT_BY_NAME), 0);
	assert_int_equal(blk_format_check(dir.path, BLK_FORMAT_BY_NAME), 0);
	assert_int_equal(blk_format_check(temp_file(&dir, "short", "QF", 2), BLK_FORMAT_BY_NAME),
			 0);
	assert_int_equal(blk_format_check(temp_file(&dir, "none", "", 0), BLK_FORMAT_BY_NAME), 0);
}

/* A header of version 3 with a backing file and, at `ext`, an extension. */
static const char *backed(const char *ext, size_t len)
{
	static char data[SIZE] = { 'Q', 'F', 'I', (char)0xfb, 0, 0, 0, 3 };

	data[8 + 6] = 4; /* the backing file's name at 1024 */
	data[100 + 3] = 104;
	memset(data + 104, 0, 256);
	memcpy(data + 104, ext, len);
	return temp_file(&dir, "backed.qcow2", data, sizeof(data));
}

static void backing_file_needs_a_format(void **state)
{
	static const char format[] = "\xe2\x79\x2a\xca\0\0\0\3raw\0\0\0\0";
	static const char after_another[] =
		"\x68\x03\xf8\x57\0\0\0\5abcde\0\0\0\xe2\x79\x2a\xca\0\0\0\5qcow2";
	static const char endless[] = "\x68\x03\xf8\x57\xff\xff\xff\xff";

	assert_int_equal(blk_format_check(backed(format, sizeof(format)), BLK_FORMAT_BY_NAME), 0);
	assert_int_equal(blk_format_check(backed(after_another, sizeof(after_another)),
					  BLK_FORMAT_BY_NAME),
			 0);
	assert_refused(backed("", 0), BLK_FORMAT_BY_NAME, "does not say of which format");
	assert_refused(backed(endless, sizeof(endless)), BLK_FORMAT_BY_NAME,
		       "does not say of which format");
}

/* name1 on name2 on ..., the last one on a raw disk; `blind` does not say of which format. */
static void each_image_of_a_chain_is_looked_at(void **state)
{
	static const char qcow2[] = "\xe2\x79\x2a\xca\0\0\0\5qcow2\0\0\0";
	static const char raw[] = "\xe2\x79\x2a\xca\0\0\0\3raw\0\0\0\0\0";
	static const struct {
		const char *name, *backing, *ext;
	} chain[] = {
		{ "top.qcow2", "mid.qcow2", qcow2 },    { "mid.qcow2", "low.qcow2", qcow2 },
		{ "low.qcow2", "base.img", raw },       { "loop.qcow2", "loop.qcow2", qcow2 },
		{ "far.qcow2", "nbd://host/x", qcow2 },
	};
	char data[2048];

	for (unsigned i = 0; i < ARRAY_SIZE(chain); i++) {
		memset(data, 0, sizeof(data));
		memcpy(data, "QFI\xfb\0\0\0\3", 8);
		data[8 + 6] = 4;
		data[16 + 3] = (char)strlen(chain[i].backing);
		data[100 + 3] = 104;
		memcpy(data + 104, chain[i].ext, 16);
		memcpy(data + 1024, chain[i].backing, strlen(chain[i].backing));
		temp_file(&dir, chain[i].name, data, sizeof(data));
	}
	assert_int_equal(blk_format_check(temp_path(&dir, "top.qcow2"), BLK_FORMAT_BY_NAME), 0);
	assert_int_equal(blk_format_check(temp_path(&dir, "far.qcow2"), BLK_FORMAT_BY_NAME), 0);
	assert_refused(temp_path(&dir, "loop.qcow2"), BLK_FORMAT_BY_NAME,
		       "has more than 64 backing files");
	/* The lowest says nothing any more. */
	memset(data + 104, 0, 16);
	memcpy(data + 1024, "base.img", 8);
	data[16 + 3] = 8;
	temp_file(&dir, "low.qcow2", data, sizeof(data));
	assert_refused(temp_path(&dir, "top.qcow2"), BLK_FORMAT_BY_NAME,
		       "low.qcow2' has a backing file, but does not say of which format");
}

static void size_of_the_disk(void **state)
{
	static char qcow2[SIZE] = { 'Q', 'F', 'I', (char)0xfb };
	uint64_t size = 0;

	assert_int_equal(blk_format_size(temp_file(&dir, "odd", qcow2, 1000), BLK_FORMAT_RAW,
					 &size),
			 0);
	assert_int_equal(size, 1024);
	qcow2[24 + 3] = 1;
	assert_int_equal(blk_format_size(temp_file(&dir, "a.qcow2", qcow2, sizeof(qcow2)),
					 BLK_FORMAT_QCOW2, &size),
			 0);
	assert_int_equal(size, 1ull << 32);
	qcow2[24] = (char)0x80;
	assert_int_equal(blk_format_size(temp_file(&dir, "a.qcow2", qcow2, sizeof(qcow2)),
					 BLK_FORMAT_QCOW2, &size),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "has 9223372041149743104 bytes"));
	assert_int_equal(blk_format_size(temp_file(&dir, "empty", qcow2, 0), BLK_FORMAT_RAW, &size),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "is empty"));
	assert_int_equal(blk_format_size(temp_path(&dir, "absent"), BLK_FORMAT_RAW, &size),
			 -ENOENT);
}

static void overlay_is_nameless_and_empty(void **state)
{
	uint8_t head[8], count[8];
	struct stat st;
	int fd = -1;

	/* 5 TiB: an L1 table of two clusters. */
	assert_int_equal(blk_format_make_overlay(dir.path, 5 * TiB, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_size, 5 * 65536);
	assert_int_equal(sys_pread_full(fd, head, sizeof(head), 0), 0);
	assert_memory_equal(head, "QFI\xfb\0\0\0\3", 8);
	/* The refcounts of five clusters, and of no sixth. */
	assert_int_equal(sys_pread_full(fd, count, sizeof(count), 2 * 65536 + 6), 0);
	assert_memory_equal(count, "\0\1\0\1\0\0\0\0", 8);
	close(fd);
	assert_int_equal(blk_format_make_overlay(dir.path, 1ull << 60, &fd), -EFBIG);
	assert_int_equal(blk_format_make_overlay(temp_path(&dir, "absent"), MiB, &fd), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_follows_from_the_ending),
		cmocka_unit_test(names_of_formats),
		cmocka_unit_test(header_in_a_raw_disk_is_never_believed),
		cmocka_unit_test(other_content_than_said_is_refused),
		cmocka_unit_test(what_cannot_be_read_is_left_to_others),
		cmocka_unit_test(backing_file_needs_a_format),
		cmocka_unit_test(each_image_of_a_chain_is_looked_at),
		cmocka_unit_test(size_of_the_disk),
		cmocka_unit_test(overlay_is_nameless_and_empty),
	};

	return cmocka_run_group_tests_name("blk_format", tests, setup, teardown);
}
