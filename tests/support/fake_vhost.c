/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/vhost-net and TAP interfaces without a kernel; see fake_vhost.h. */
#include "fake_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "core/sys.h"
#include "devices/net/virtio_net_uapi.h"
#include "virtio_guest.h"

struct fake_vhost fake_vhost = { .lock = PTHREAD_MUTEX_INITIALIZER };

#define fake fake_vhost

static struct fake_vhost_file *file_of(int fd)
{
	for (unsigned i = 0; i < fake.file_count; i++) {
		if (fake.files[i].fd == fd)
			return &fake.files[i];
	}
	return NULL;
}

static struct fake_tap_queue *queue_of(int fd)
{
	for (unsigned i = 0; i < fake.queue_count; i++) {
		if (fake.queues[i].fd == fd)
			return &fake.queues[i];
	}
	return NULL;
}

/* A file that is real, so that it can be closed, and is never used. Its number may be that of one
 * that was closed. */
static int blank(void)
{
	const int fd = sys_eventfd();

	if (file_of(fd))
		file_of(fd)->fd = -1;
	if (queue_of(fd))
		*queue_of(fd) = (struct fake_tap_queue){ .fd = -1 };
	return fd;
}

static bool is_open(int fd)
{
	return fd >= 0 && fcntl(fd, F_GETFD) >= 0;
}

int __wrap_sys_open(const char *path, int flags, mode_t mode)
{
	int fd;

	if (strcmp(path, "/dev/vhost-net") == 0) {
		if (fake.no_vhost)
			return fake.no_vhost;
		fd = blank();
		fake.files[fake.file_count++] = (struct fake_vhost_file){
			.fd = fd,
			.rings = { { .backend = -1 }, { .backend = -1 } },
		};
		return fd;
	}
	if (strcmp(path, "/dev/net/tun") == 0) {
		if (fake.no_tun)
			return fake.no_tun;
		fd = blank();
		fake.queues[fake.queue_count++] = (struct fake_tap_queue){ .fd = fd };
		return fd;
	}
	return __real_sys_open(path, flags, mode);
}

static int set_interface(struct fake_tap_queue *queue, const struct ifreq *req)
{
	const bool multi_queue = req->ifr_flags & IFF_MULTI_QUEUE;

	if (!fake.tap || strcmp(req->ifr_name, fake.tap) != 0)
		return -EPERM; /* to make one is root's */
	if (!(req->ifr_flags & IFF_VNET_HDR) || !(req->ifr_flags & IFF_NO_PI) || fake.other_kind ||
	    multi_queue != fake.multi_queue)
		return -EINVAL;
	if (fake.foreign)
		return -EPERM;
	if (!multi_queue && (fake.busy || fake_vhost_attached()))
		return -EBUSY;
	queue->attached = true;
	return 0;
}

static int switch_queue(struct fake_tap_queue *queue, short flags)
{
	const bool attach = flags & IFF_ATTACH_QUEUE;

	if (!fake.multi_queue || (attach ? !queue->detached : !queue->attached))
		return -EINVAL;
	queue->attached = attach;
	queue->detached = !attach;
	return 0;
}

static int set_offloads(unsigned offloads)
{
	const unsigned segments = TUN_F_USO4 | TUN_F_USO6;

	if (offloads & ~fake.offloads_known || (offloads && !(offloads & TUN_F_CSUM)) ||
	    (offloads & segments && (offloads & segments) != segments) ||
	    (offloads & TUN_F_TSO_ECN && !(offloads & (TUN_F_TSO4 | TUN_F_TSO6))))
		return -EINVAL;
	fake.offloads = offloads;
	return 0;
}

static int tap_ioctl(struct fake_tap_queue *queue, unsigned long request, void *arg)
{
	switch (request) {
	case TUNSETIFF:
		return set_interface(queue, arg);
	case TUNSETQUEUE:
		fake.tap_changes++;
		return switch_queue(queue, ((const struct ifreq *)arg)->ifr_flags);
	}
	/* The interface is asked: a queue that is not attached has none. */
	if (!queue->attached)
		return -EBADFD;
	switch (request) {
	case TUNSETOFFLOAD:
		fake.tap_changes++;
		return set_offloads((unsigned)(uintptr_t)arg);
	case TUNSETVNETHDRSZ:
		fake.header = *(const int *)arg;
		return 0;
	case TUNSETSNDBUF:
		fake.sndbuf = *(const int *)arg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int set_backend(struct fake_vring *ring, int fd)
{
	const struct fake_tap_queue *queue = queue_of(fd);

	if (!ring->has_addr)
		return -EFAULT;
	if (fd >= 0 && (!queue || !queue->attached))
		return -EINVAL;
	ring->backend = fd;
	ring->backends += fd >= 0;
	return 0;
}

static int ring_ioctl(struct fake_vring *ring, unsigned long request, void *arg)
{
	const struct vhost_vring_state *state = arg;
	const struct vhost_vring_file *file = arg;

	switch (request) {
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_BASE:
	case VHOST_SET_VRING_ADDR:
		if (ring->backend >= 0)
			fake.ring_changed_while_running = true;
	}
	switch (request) {
	case VHOST_SET_VRING_NUM:
		ring->size = state->num;
		return ring->backend < 0 ? 0 : -EBUSY;
	case VHOST_SET_VRING_BASE:
		ring->base = state->num;
		return ring->backend < 0 ? 0 : -EBUSY;
	case VHOST_SET_VRING_ADDR:
		ring->addr = *(const struct vhost_vring_addr *)arg;
		ring->has_addr = true;
		return 0;
	case VHOST_SET_VRING_KICK:
		ring->kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		ring->call = file->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		ring->err = file->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		return set_backend(ring, file->fd);
	default:
		return -ENOTTY;
	}
}

static int set_mem(struct fake_vhost_file *file, const struct vhost_memory *memory)
{
	file->regions = memory->nregions;
	file->region = memory->regions[0];
	return 0;
}

static int vhost_ioctl(struct fake_vhost_file *file, unsigned long request, void *arg)
{
	unsigned index;

	if (request == VHOST_GET_FEATURES) {
		*(uint64_t *)arg = fake.features;
		return 0;
	}
	if (request == VHOST_SET_OWNER) {
		file->owned = true;
		return 0;
	}
	if (!file->owned)
		return -EPERM;
	switch (request) {
	case VHOST_SET_MEM_TABLE:
		return set_mem(file, arg);
	case VHOST_SET_FEATURES:
		file->features = *(const uint64_t *)arg;
		return file->features & ~fake.features ? -EOPNOTSUPP : 0;
	}
	memcpy(&index, arg, sizeof(index));
	return index < 2 ? ring_ioctl(&file->rings[index], request, arg) : -ENOBUFS;
}

static int other_ioctl(int fd, unsigned long request, void *arg)
{
	struct ifreq *req = arg;
	int r;

	pthread_mutex_lock(&fake.lock);
	if (request == fake.refuse)
		r = -EIO;
	else if (request == SIOCGIFFLAGS || request == SIOCGIFMTU || request == SIOCETHTOOL)
		r = fake.tap && strcmp(req->ifr_name, fake.tap) == 0 ? 0 : -ENODEV;
	else if (file_of(fd))
		r = vhost_ioctl(file_of(fd), request, arg);
	else if (queue_of(fd))
		r = tap_ioctl(queue_of(fd), request, arg);
	else
		r = -EBADF;
	if (r == 0 && request == SIOCGIFFLAGS)
		req->ifr_flags = fake.down ? 0 : IFF_UP;
	/* It has a carrier while somebody has it open. This is a socket, whatever it was before. */
	if (r == 0 && request == SIOCETHTOOL) {
		struct ethtool_value *link = (void *)req->ifr_data;

		if (queue_of(fd))
			queue_of(fd)->fd = -1;
		link->data = !fake.down && (fake.busy || fake_vhost_attached());
	}
	if (r == 0 && request == SIOCGIFMTU)
		req->ifr_mtu = fake.mtu;
	pthread_mutex_unlock(&fake.lock);
	return r;
}

void fake_vhost_init(void)
{
	fake = (struct fake_vhost){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.tap = "tap0",
		.multi_queue = true,
		.mtu = 1500,
		.offloads_known = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF |
			    1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX |
			    1ull << VHOST_F_LOG_ALL | 1ull << VIRTIO_F_ACCESS_PLATFORM,
	};
	virtio_guest_other_ioctl = other_ioctl;
}

void fake_vhost_fini(void)
{
	virtio_guest_other_ioctl = __real_sys_ioctl;
}

unsigned fake_vhost_attached(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake.queue_count; i++)
		count += fake.queues[i].attached && is_open(fake.queues[i].fd);
	return count;
}

struct fake_vring fake_vhost_ring(unsigned queue)
{
	struct fake_vring ring;

	pthread_mutex_lock(&fake.lock);
	ring = fake.files[queue / 2].rings[queue % 2];
	pthread_mutex_unlock(&fake.lock);
	return ring;
}

unsigned fake_vhost_open_files(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake.file_count; i++)
		count += is_open(fake.files[i].fd);
	for (unsigned i = 0; i < fake.queue_count; i++)
		count += is_open(fake.queues[i].fd);
	return count;
}
