/* SPDX-License-Identifier: Apache-2.0 */
/* A fake sysfs in a temporary directory; see fake_sysfs.h. */
#include "fake_sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmocka_all.h"

int __wrap_sys_write_text(const char *path, const char *text);
int __wrap_sys_open(const char *path, int flags, mode_t mode);
int __real_sys_open(const char *path, int flags, mode_t mode);

/* Of a path below the root, and of a whole one. */
#define PATH_SIZE 512
#define FULL_SIZE (PATH_SIZE + sizeof(((struct fake_sysfs *)0)->root))

static struct fake_sysfs *current;

static char *full_path(const char *path, char buf[FULL_SIZE])
{
	snprintf(buf, FULL_SIZE, "%s/%s", current->root, path);
	return buf;
}

static void make_parents(const char *path)
{
	char buf[FULL_SIZE], dir[FULL_SIZE];

	full_path(path, buf);
	for (char *p = buf + strlen(current->root) + 1; (p = strchr(p, '/')); p++) {
		memcpy(dir, buf, (size_t)(p - buf));
		dir[p - buf] = '\0';
		assert_true(mkdir(dir, 0755) == 0 || errno == EEXIST);
	}
}

static void write_bytes(const char *path, int flags, const void *data, size_t len)
{
	char buf[FULL_SIZE];
	int fd;

	make_parents(path);
	fd = open(full_path(path, buf), O_WRONLY | O_CREAT | flags, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

/* The text of a file without its last newline, "" if there is none. */
static void read_file(const char *path, char *buf, size_t size)
{
	char full[FULL_SIZE];
	int fd = open(full_path(path, full), O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	assert_true(n >= 0);
	buf[n] = '\0';
	if (n && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	if (fd >= 0)
		close(fd);
}

static void link_name(const char *path, char buf[NAME_MAX + 1])
{
	char full[FULL_SIZE], target[FULL_SIZE];
	ssize_t n = readlink(full_path(path, full), target, sizeof(target) - 1);
	const char *slash;

	buf[0] = '\0';
	if (n < 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(buf, NAME_MAX + 1, "%.255s", slash ? slash + 1 : target);
}

void fake_sysfs_init(struct fake_sysfs *fs)
{
	*fs = (struct fake_sysfs){ .root = "/tmp/fake_sysfs.XXXXXX" };
	assert_non_null(mkdtemp(fs->root));
	current = fs;
	fake_sysfs_file(fs, "sys/bus/pci/drivers_probe", "%s", "");
	make_parents("sys/bus/pci/devices/.");
	make_parents("sys/bus/pci/drivers/.");
	make_parents("sys/kernel/iommu_groups/.");
	make_parents("dev/vfio/.");
	make_parents("proc/.");
	make_parents("run/.");
	fake_sysfs_file(fs, "fake/log", "%s", "");
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_sysfs_fini(struct fake_sysfs *fs)
{
	assert_int_equal(nftw(fs->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	current = NULL;
}

void fake_sysfs_file(struct fake_sysfs *fs, const char *path, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	(void)fs;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_bytes(path, O_TRUNC, text, strlen(text));
}

void fake_sysfs_link(struct fake_sysfs *fs, const char *path, const char *target)
{
	char buf[FULL_SIZE];

	(void)fs;
	make_parents(path);
	assert_int_equal(symlink(target, full_path(path, buf)), 0);
}

void fake_sysfs_unlink(struct fake_sysfs *fs, const char *path)
{
	char buf[FULL_SIZE];

	(void)fs;
	assert_int_equal(remove(full_path(path, buf)), 0);
}

bool fake_sysfs_exists(struct fake_sysfs *fs, const char *path)
{
	char buf[FULL_SIZE];

	(void)fs;
	return access(full_path(path, buf), F_OK) == 0;
}

static bool has(const char *fmt, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), fmt, name);
	return fake_sysfs_exists(current, path);
}

void fake_sysfs_add_driver(struct fake_sysfs *fs, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/bind", name);
	fake_sysfs_file(fs, path, "%s", "");
}

void fake_sysfs_remove_driver(struct fake_sysfs *fs, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/bind", name);
	fake_sysfs_unlink(fs, path);
	*strrchr(path, '/') = '\0';
	fake_sysfs_unlink(fs, path);
}

/* The device's own file, where the kernel has such. */
static void update_cdev(const char *bdf, const char *group, bool there)
{
	char dir[PATH_SIZE - 4], path[PATH_SIZE], node[PATH_SIZE];

	snprintf(dir, sizeof(dir), "sys/bus/pci/devices/%s/vfio-dev/vfio%s", bdf, group);
	snprintf(path, sizeof(path), "%s/dev", dir);
	snprintf(node, sizeof(node), "dev/vfio/devices/vfio%s", group);
	if (there && has("%s", "fake/cdevs")) {
		fake_sysfs_file(current, path, "511:0\n");
		if (!has("%s", "fake/no-nodes"))
			fake_sysfs_file(current, node, "%s", "");
	} else if (!there && fake_sysfs_exists(current, path)) {
		fake_sysfs_unlink(current, path);
		fake_sysfs_unlink(current, dir);
		if (fake_sysfs_exists(current, node))
			fake_sysfs_unlink(current, node);
	}
}

/* /dev/vfio/GROUP is there while a device of the group is with vfio-pci. */
static void update_nodes(const char *bdf)
{
	const bool there = strcmp(fake_sysfs_driver(current, bdf), "vfio-pci") == 0;
	char path[PATH_SIZE], group[NAME_MAX + 1];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", bdf);
	link_name(path, group);
	if (!group[0])
		return;
	snprintf(path, sizeof(path), "dev/vfio/%s", group);
	if (there && !has("%s", "fake/no-groups"))
		fake_sysfs_file(current, path, "%s", "");
	else if (fake_sysfs_exists(current, path))
		fake_sysfs_unlink(current, path);
	update_cdev(bdf, group, there);
}

static void bind_driver(const char *bdf, const char *driver)
{
	char path[PATH_SIZE], target[PATH_SIZE];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", bdf);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	fake_sysfs_link(current, path, target);
	update_nodes(bdf);
}

void fake_sysfs_add_device(struct fake_sysfs *fs, const struct fake_pci_device *dev)
{
	uint8_t config[64] = { 0xde, 0x10, 0x30, 0x23, [0x0e] = dev->header_type };
	char path[PATH_SIZE], target[PATH_SIZE];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/class", dev->bdf);
	fake_sysfs_file(fs, path, "0x%06x\n", dev->class);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver_override", dev->bdf);
	fake_sysfs_file(fs, path, "(null)\n");
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/config", dev->bdf);
	write_bytes(path, O_TRUNC, config, sizeof(config));
	snprintf(path, sizeof(path), "fake/home/%s", dev->bdf);
	fake_sysfs_file(fs, path, "%s", dev->home ? dev->home : "");
	if (dev->group) {
		snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%u/devices/%s", dev->group,
			 dev->bdf);
		snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", dev->bdf);
		fake_sysfs_link(fs, path, target);
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", dev->bdf);
		snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%u", dev->group);
		fake_sysfs_link(fs, path, target);
	}
	if (dev->driver && !has("sys/bus/pci/drivers/%s", dev->driver))
		fake_sysfs_add_driver(fs, dev->driver);
	if (dev->driver)
		bind_driver(dev->bdf, dev->driver);
}

void fake_sysfs_manner(struct fake_sysfs *fs, const char *driver, const char *manner)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "fake/%s/%s", manner, driver);
	fake_sysfs_file(fs, path, "%s", "");
}

bool fake_sysfs_finish_binds(struct fake_sysfs *fs, const char *driver)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "fake/slow/%s", driver);
	fake_sysfs_unlink(fs, path);
	for (unsigned i = 0; i < 5000 && !has("fake/bound/%s", driver); i++)
		usleep(1000);
	return has("fake/bound/%s", driver);
}

void fake_sysfs_snatch(struct fake_sysfs *fs, const char *driver)
{
	fake_sysfs_add_driver(fs, driver);
	fake_sysfs_file(fs, "fake/snatch", "%s", driver);
}

void fake_sysfs_open_group(struct fake_sysfs *fs, unsigned group)
{
	fake_sysfs_file(fs, "fake/open", "%s/dev/vfio/%u", fs->root, group);
}

void fake_sysfs_add_iommufd(struct fake_sysfs *fs)
{
	fake_sysfs_file(fs, "dev/iommu", "%s", "");
	fake_sysfs_file(fs, "proc/devices", "Character devices:\n237 vfio\n511 vfio-dev\n");
	fake_sysfs_file(fs, "fake/cdevs", "%s", "");
}

void fake_sysfs_without(struct fake_sysfs *fs, const char *what)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "fake/no-%s", what);
	fake_sysfs_file(fs, path, "%s", "");
}

void fake_sysfs_modprobe(struct fake_sysfs *fs, const char *script)
{
	char path[FULL_SIZE];

	fake_sysfs_file(fs, "fake/modprobe", "#!/bin/sh\nroot=%s\n%s\n", fs->root, script);
	assert_int_equal(chmod(full_path("fake/modprobe", path), 0755), 0);
	fake_sysfs_file(fs, "proc/sys/kernel/modprobe", "%s\n", path);
}

const char *fake_sysfs_driver(struct fake_sysfs *fs, const char *bdf)
{
	static char name[NAME_MAX + 1];
	char path[PATH_SIZE];

	(void)fs;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", bdf);
	link_name(path, name);
	return name;
}

const char *fake_sysfs_override(struct fake_sysfs *fs, const char *bdf)
{
	static char text[NAME_MAX + 1];
	char path[PATH_SIZE];

	(void)fs;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver_override", bdf);
	read_file(path, text, sizeof(text));
	return text;
}

const char *fake_sysfs_writes(struct fake_sysfs *fs)
{
	read_file("fake/log", fs->log, sizeof(fs->log) - 1);
	if (fs->log[0])
		strcat(fs->log, "\n"); /* that of the last line */
	fake_sysfs_file(fs, "fake/log", "%s", "");
	return fs->log;
}

/* What the kernel does. */

static int kernel_override(const char *bdf, const char *text)
{
	char path[PATH_SIZE];
	const int len = (int)strcspn(text, "\n");

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver_override", bdf);
	fake_sysfs_file(current, path, "%.*s\n", len ? len : 6, len ? text : "(null)");
	return 0;
}

static int kernel_unbind(const char *bdf)
{
	char path[PATH_SIZE], driver[NAME_MAX + 1];

	strcpy(driver, fake_sysfs_driver(current, bdf));
	if (!driver[0])
		return -ENODEV;
	/* The link goes first, before the driver is asked to let go. */
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", bdf);
	fake_sysfs_unlink(current, path);
	while (has("fake/hang/%s", driver))
		pause();
	update_nodes(bdf);
	return has("fake/slip/%s", driver) ? -ENODEV : 0;
}

/* The link comes first, before the driver looks at the device. */
static void finish_bind(const char *driver)
{
	if (!has("fake/slow/%s", driver))
		return;
	while (has("fake/slow/%s", driver))
		usleep(1000);
	/* A child that was given up outlives a test that fails. */
	if (access(current->root, F_OK) < 0)
		_exit(0);
	fake_sysfs_manner(current, driver, "bound");
}

static int kernel_probe(const char *bdf)
{
	char path[PATH_SIZE], driver[NAME_MAX + 1];

	if (fake_sysfs_driver(current, bdf)[0])
		return 0;
	snprintf(driver, sizeof(driver), "%s", fake_sysfs_override(current, bdf));
	if (has("%s", "fake/snatch")) {
		read_file("fake/snatch", driver, sizeof(driver));
	} else if (strcmp(driver, "(null)") == 0) {
		snprintf(path, sizeof(path), "fake/home/%s", bdf);
		read_file(path, driver, sizeof(driver));
	}
	if (driver[0] && has("sys/bus/pci/drivers/%s", driver) && !has("fake/refuse/%s", driver)) {
		bind_driver(bdf, driver);
		finish_bind(driver);
	}
	return 0;
}

int __wrap_sys_write_text(const char *path, const char *text)
{
	char prefix[FULL_SIZE], line[FULL_SIZE], bdf[32], what[64];
	const char *below;

	full_path("sys/bus/pci/", prefix);
	assert_int_equal(strncmp(path, prefix, strlen(prefix)), 0);
	below = path + strlen(prefix);
	snprintf(line, sizeof(line), "%s %s%s", below, strcmp(text, "\n") == 0 ? "\\n" : text,
		 "\n");
	write_bytes("fake/log", O_APPEND, line, strlen(line));
	if (strcmp(below, "drivers_probe") == 0)
		return kernel_probe(text);
	if (sscanf(below, "devices/%31[^/]/%63s", bdf, what) == 2) {
		if (!has("sys/bus/pci/devices/%s", bdf))
			return -ENOENT;
		if (strcmp(what, "driver_override") == 0)
			return kernel_override(bdf, text);
		if (strcmp(what, "driver/unbind") == 0)
			return strcmp(text, bdf) == 0 ? kernel_unbind(bdf) : -ENODEV;
	}
	return -ENOENT;
}

int __wrap_sys_open(const char *path, int flags, mode_t mode)
{
	char open_path[FULL_SIZE];

	read_file("fake/open", open_path, sizeof(open_path));
	/* VFIO lets one program in at a time. */
	return strcmp(path, open_path) == 0 ? -EBUSY : __real_sys_open(path, flags, mode);
}
