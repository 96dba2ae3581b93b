/* SPDX-License-Identifier: Apache-2.0 */
/* An interface and its files of vhost; see vhost_net_files.h. */
#include "devices/vhost/vhost_net_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/sys.h"

#define VHOST_DEVICE "/dev/vhost-net"

static int open_pair(struct vhost_net_files *files, unsigned pair)
{
	const int fd = sys_open(VHOST_DEVICE, O_RDWR, 0);

	if (fd < 0) {
		err_sys(ERR_HOST, fd, "--net tap=%s: open %s", files->tap.name, VHOST_DEVICE);
		if (fd == -EACCES)
			err_hint("let the user open it: as root, chgrp kvm %s && chmod 660 %s",
				 VHOST_DEVICE, VHOST_DEVICE);
		else
			err_hint("load the driver: as root, modprobe vhost_net");
		return fd;
	}
	files->vhost[pair] = fd;
	return 0;
}

static int check_vhost(struct vhost_net_files *files)
{
	int r = sys_ioctl(files->vhost[0], VHOST_GET_FEATURES, &files->features);

	if (r < 0)
		return err_sys(ERR_HOST, r, "%s", VHOST_DEVICE);
	if (!(files->features & 1ull << VIRTIO_F_VERSION_1))
		return err_set(ERR_HOST, -ENOTSUP, "%s knows no devices of virtio 1", VHOST_DEVICE);
	return 0;
}

int vhost_net_files_open(struct vhost_net_files *files, const char *tap, unsigned pairs, bool fewer)
{
	int r;

	*files = (struct vhost_net_files){ 0 };
	for (unsigned i = 0; i < NET_TAP_QUEUES_MAX; i++)
		files->vhost[i] = -1;
	r = net_tap_open(&files->tap, tap, pairs, fewer);
	for (unsigned i = 0; i < files->tap.queues && r == 0; i++)
		r = open_pair(files, i);
	if (r == 0)
		r = check_vhost(files);
	if (r < 0)
		vhost_net_files_close(files);
	return r;
}

static int set_mem(int vhost, const struct guest_mem *mem)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region regions[GUEST_MEM_BANKS_MAX];
	} table = { .head.nregions = mem->count };

	for (unsigned i = 0; i < mem->count; i++) {
		const struct mem_bank *bank = &mem->banks[i];

		table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = bank->gpa,
			.memory_size = bank->size,
			.userspace_addr = (uintptr_t)bank->hva,
		};
	}
	return sys_ioctl(vhost, VHOST_SET_MEM_TABLE, &table);
}

int vhost_net_files_own(struct vhost_net_files *files, const struct guest_mem *mem)
{
	int r = 0;

	for (unsigned i = 0; i < files->tap.queues && r == 0; i++) {
		r = sys_ioctl(files->vhost[i], VHOST_SET_OWNER, NULL);
		if (r == 0)
			r = set_mem(files->vhost[i], mem);
	}
	return r < 0 ? err_sys(ERR_HOST, r, "%s", VHOST_DEVICE) : 0;
}

void vhost_net_files_close(struct vhost_net_files *files)
{
	/* vhost first: it holds the interface. */
	for (unsigned i = 0; i < files->tap.queues; i++)
		close_fd(&files->vhost[i]);
	net_tap_close(&files->tap);
}
