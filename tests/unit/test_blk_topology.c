/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of what a host tells of a disk's blocks, hosts that tell nonsense among them. */
#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cmocka_all.h"
#include "core/sys.h"
#include "devices/blk/blk_topology.h"

#define FD   77
#define SIZE (64 * MiB)

static struct {
	bool block;
	uint32_t logical, physical, offset, io_min, io_opt; /* 0: the ioctl fails */
	uint32_t fs_block, blksize;
	uint32_t gpts; /* a bit for each block size at which there is one */
	bool dioalign; /* statx tells */
	uint32_t dio_offset, dio_memory;
	const char *sysfs, *sysfs_partition; /* logical_block_size, or NULL */
} host;

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstatvfs64(int fd, struct statvfs *fs);
int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_sys_pread_full(int fd, void *buf, size_t len, uint64_t off);
int __wrap_sys_read_text(const char *path, char *buf, size_t size);

int __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const uint32_t val = request == BLKSSZGET     ? host.logical
			     : request == BLKPBSZGET  ? host.physical
			     : request == BLKALIGNOFF ? host.offset
			     : request == BLKIOMIN    ? host.io_min
						      : host.io_opt;

	assert_int_equal(fd, FD);
	if (!host.block || !val)
		return -ENOTTY;
	*(uint32_t *)arg = val;
	return 0;
}

int __wrap_fstat64(int fd, struct stat *st)
{
	assert_int_equal(fd, FD);
	*st = (struct stat){ .st_mode = host.block ? S_IFBLK : S_IFREG,
			     .st_dev = 0x803,
			     .st_blksize = host.blksize };
	return 0;
}

int __wrap_fstatvfs64(int fd, struct statvfs *fs)
{
	assert_int_equal(fd, FD);
	*fs = (struct statvfs){ .f_frsize = host.fs_block };
	return 0;
}

int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	(void)path, (void)flags, (void)mask;
	assert_int_equal(fd, FD);
	*stx = (struct statx){ .stx_mask = host.dioalign ? STATX_DIOALIGN : 0,
			       .stx_dio_offset_align = host.dio_offset,
			       .stx_dio_mem_align = host.dio_memory };
	return 0;
}

int __wrap_sys_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	assert_int_equal(fd, FD);
	assert_int_equal(off, 0);
	assert_true(len >= 4104);
	memset(buf, 'E', len);
	for (uint32_t at = 512; at <= 4096; at *= 8) {
		if (host.gpts & at)
			memcpy((char *)buf + at, "EFI PART", 8);
	}
	return 0;
}

int __wrap_sys_read_text(const char *path, char *buf, size_t size)
{
	const char *text = strstr(path, "/../") ? host.sysfs_partition : host.sysfs;

	assert_memory_equal(path, "/sys/dev/block/8:3/", 19);
	if (!text)
		return -ENOENT;
	assert_true(strlen(text) < size);
	strcpy(buf, text);
	return (int)strlen(text);
}

static int setup(void **state)
{
	(void)state;
	memset(&host, 0, sizeof(host));
	host.fs_block = host.blksize = 4096;
	return 0;
}

static void assert_topology(bool cached, uint32_t logical, uint32_t physical, uint32_t offset,
			    uint32_t io_min, uint32_t io_opt)
{
	struct blk_topology t;
	struct stat st;

	assert_int_equal(fstat(FD, &st), 0);
	blk_topology_read(FD, &st, SIZE, cached, &t);
	assert_int_equal(t.logical, logical);
	assert_int_equal(t.physical, physical);
	assert_int_equal(t.offset, offset);
	assert_int_equal(t.io_min, io_min);
	assert_int_equal(t.io_opt, io_opt);
}

static void file_has_sectors_and_its_file_systems_blocks(void **state)
{
	(void)state;
	assert_topology(true, 512, 4096, 0, 4096, 0);
	host.fs_block = 16384;
	assert_topology(true, 512, 16384, 0, 16384, 0);
	host.fs_block = 1024;
	assert_topology(true, 512, 4096, 0, 4096, 0);
	assert_topology(false, 512, 1024, 0, 1024, 4096);
	host.fs_block = 4096;
	host.blksize = 1024 * 1024;
	assert_topology(true, 512, 4096, 0, 4096, 1024 * 1024);
	host.fs_block = 12345;
	host.blksize = 12345;
	assert_topology(true, 512, 4096, 0, 4096, 0);
}

static void device_is_as_on_the_host(void **state)
{
	(void)state;
	host.block = true;
	host.logical = 512;
	host.physical = 4096;
	host.offset = 3584;
	host.io_min = 4096;
	host.io_opt = 256 * 1024;
	assert_topology(true, 512, 4096, 3584, 4096, 256 * 1024);
	host.logical = 4096;
	host.offset = 0;
	assert_topology(false, 4096, 4096, 0, 4096, 256 * 1024);
	host.logical = host.physical = 512;
	host.io_min = 512;
	assert_topology(false, 512, 512, 0, 512, 256 * 1024);
	/* Through the page cache, a page is read to write less. */
	assert_topology(true, 512, 4096, 0, 4096, 256 * 1024);
}

static void partition_table_tells_the_logical_block(void **state)
{
	(void)state;
	host.gpts = 4096;
	assert_topology(true, 4096, 4096, 0, 4096, 0);
	host.gpts = 512;
	host.block = true;
	host.logical = host.physical = 4096;
	assert_topology(true, 512, 4096, 0, 4096, 0);
	host.gpts = 512 | 4096;
	assert_topology(true, 4096, 4096, 0, 4096, 0);
	host.logical = 512;
	assert_topology(true, 512, 4096, 0, 4096, 0);
}

static void device_that_tells_nothing_or_nonsense(void **state)
{
	static const uint32_t odd[] = { 0, 1, 3, 511, 513, 6000, 1u << 20, UINT32_MAX };

	(void)state;
	host.block = true;
	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		for (unsigned field = 0; field < 5; field++) {
			host.logical = host.physical = 512;
			host.offset = host.io_min = host.io_opt = 0;
			*(&host.logical + field) = odd[i];
			for (unsigned cached = 0; cached < 2; cached++) {
				struct blk_topology t;
				struct stat st;

				assert_int_equal(fstat(FD, &st), 0);
				blk_topology_read(FD, &st, SIZE, cached, &t);
				assert_true(is_pow2(t.logical) && t.logical >= 512);
				assert_true(t.logical <= 4096 && is_pow2(t.physical));
				assert_true(t.physical >= t.logical && t.offset < t.physical);
				assert_int_equal(t.offset % t.logical, 0);
				assert_true(t.io_min && t.io_min % t.physical == 0);
				assert_int_equal(t.io_opt % t.physical, 0);
			}
		}
	}
}

static void direct_io_as_statx_tells(void **state)
{
	struct blk_direct d;

	(void)state;
	host.dioalign = true;
	host.dio_offset = 4096;
	host.dio_memory = 4;
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 4096);
	assert_int_equal(d.memory, 4);
	host.dio_offset = 1;
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 512);
	/* Told to be impossible, as for an encrypted file; or nonsense. */
	host.dio_offset = host.dio_memory = 0;
	assert_int_equal(blk_topology_direct(FD, &d), -EINVAL);
	host.dio_offset = 1536;
	host.dio_memory = 4;
	assert_int_equal(blk_topology_direct(FD, &d), -EINVAL);
}

static void direct_io_of_kernels_that_do_not_tell(void **state)
{
	struct blk_direct d;

	(void)state;
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 4096);
	assert_int_equal(d.memory, 4096);
	host.sysfs_partition = "512";
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 512);
	assert_int_equal(d.memory, 4096);
	host.sysfs = "4096";
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 4096);
	host.block = true;
	host.logical = 512;
	assert_int_equal(blk_topology_direct(FD, &d), 0);
	assert_int_equal(d.offset, 512);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_has_sectors_and_its_file_systems_blocks),
		TEST(device_is_as_on_the_host),
		TEST(partition_table_tells_the_logical_block),
		TEST(device_that_tells_nothing_or_nonsense),
		TEST(direct_io_as_statx_tells),
		TEST(direct_io_of_kernels_that_do_not_tell),
	};

	return cmocka_run_group_tests_name("blk_topology", tests, NULL, NULL);
}
