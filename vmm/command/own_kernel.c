/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the host's kernel and its modules; see own_kernel.h. Main thread. */
#include "command/own_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/err.h"

/* Where distributions put the kernel that runs: root and release. */
static const char *const places[] = {
	"%s/boot/vmlinuz-%s",
	"%s/lib/modules/%s/vmlinuz",
	"%s/usr/lib/modules/%s/vmlinuz",
	"%s/boot/vmlinuz",
};

/* What they need is found by depmod's lists. */
static const struct {
	const char *name;
	bool optional;
} wanted[] = {
	{ .name = "virtio_pci" },
	{ .name = "virtio_console" },
	{ .name = "virtiofs" },
	{ .name = "overlay" },
	/* With it no device of every guest is left for modprobe, which reads long lists. */
	{ .name = "virtio_rng", .optional = true },
};

#define NET_MODULE "virtio_net"

int own_kernel_find(const char *root, const char *release, char ret_path[PATH_MAX])
{
	char path[PATH_MAX];
	unsigned best = 0;
	int error = ENOENT;

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), places[i], root, release);
		if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0) {
			strcpy(ret_path, path);
			return 0;
		}
		if (errno != ENOENT && error == ENOENT) {
			error = errno;
			best = i;
		}
	}
	snprintf(path, sizeof(path), places[best], root, release);
	err_sys(ERR_FILE, -error, "the host's kernel '%s'", path);
	if (error == EACCES)
		err_hint("sudo chmod a+r '%s', or give a copy with --kernel", path);
	else
		err_hint("give one with --kernel");
	return -error;
}

int own_kernel_modules(const char *root, const char *release, bool network,
		       struct modules *ret_modules)
{
	char dir[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/lib/modules/%s", root, release);
	r = modules_init(ret_modules, dir);
	for (unsigned i = 0; i < ARRAY_SIZE(wanted) && r == 0; i++) {
		r = modules_add(ret_modules, wanted[i].name);
		if (r == -ENOENT && wanted[i].optional) {
			err_clear();
			r = 0;
		}
	}
	if (r == 0 && network)
		r = modules_add(ret_modules, NET_MODULE);
	return r;
}
