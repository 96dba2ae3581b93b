/* SPDX-License-Identifier: Apache-2.0 */
/* TAP interfaces; see net_tap.h. */
#include "devices/net/net_tap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/net/virtio_net_uapi.h"

#define TUN_DEVICE "/dev/net/tun"

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* In front of each frame, of a driver for version 1 [virtio-1.2 5.1.6 Device Operation]. */
#define HEADER_LEN ((int)sizeof(struct virtio_net_hdr_v1))

/* What goes together in the kernel, from the most to what all have. */
#define OFFLOADS_BASE (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
static const unsigned offload_sets[] = {
	OFFLOADS_BASE | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6,
	OFFLOADS_BASE | TUN_F_USO4 | TUN_F_USO6,
	OFFLOADS_BASE | TUN_F_UFO,
	OFFLOADS_BASE,
	TUN_F_CSUM,
};

static struct ifreq request(const char *name, short flags)
{
	struct ifreq req = { .ifr_flags = flags };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	return req;
}

static int add_queue(struct net_tap *tap, short flags)
{
	struct ifreq req = request(tap->name, flags);
	const int fd = sys_open(TUN_DEVICE, O_RDWR | O_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return fd;
	r = sys_ioctl(fd, TUNSETIFF, &req);
	if (r < 0) {
		close(fd);
		return r;
	}
	tap->fds[tap->queues++] = fd;
	return 0;
}

static int explain(const struct net_tap *tap, int error)
{
	const char *name = tap->name;

	switch (error) {
	case -EBUSY:
		err_set(ERR_HOST, error, "--net tap=%s: another program has it open", name);
		err_hint("a guest needs one of its own: as root, ip tuntap add NAME mode tap "
			 "multi_queue user NAME");
		break;
	case -EPERM:
		err_set(ERR_HOST, error, "--net tap=%s: it belongs to another user", name);
		err_hint("make it anew as root: ip tuntap add %s mode tap multi_queue user NAME",
			 name);
		break;
	case -EINVAL:
		err_set(ERR_HOST, error, "--net tap=%s: it is no TAP interface", name);
		err_hint("make one as root, and if %s is a bridge, put it there: ip tuntap add "
			 "tap0 "
			 "mode tap multi_queue user NAME && ip link set tap0 master %s up",
			 name, name);
		break;
	default:
		err_sys(ERR_HOST, error, "--net tap=%s", name);
	}
	return error;
}

/* Whether somebody has a queue of it: only then it has a carrier. What is down tells nothing. */
static bool in_use(const struct net_tap *tap, int sock)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq req = request(tap->name, 0);

	req.ifr_data = (void *)&link;
	return sys_ioctl(sock, SIOCETHTOOL, &req) == 0 && link.data;
}

static int check_there(struct net_tap *tap, int sock)
{
	struct ifreq req = request(tap->name, 0);
	int r = sys_ioctl(sock, SIOCGIFFLAGS, &req);

	if (r == -ENODEV) {
		err_set(ERR_HOST, r, "--net tap=%s: there is no such interface", tap->name);
		err_hint("make it as root: ip tuntap add %s mode tap multi_queue user NAME && "
			 "ip link set %s up",
			 tap->name, tap->name);
		return r;
	}
	if (r < 0)
		return err_sys(ERR_HOST, r, "--net tap=%s", tap->name);
	/* One of several queues could be had all the same, and with it a part of the packets. */
	if (in_use(tap, sock))
		return explain(tap, -EBUSY);
	if (!(req.ifr_flags & IFF_UP))
		log_warn("%s is down, so the guest reaches nothing: ip link set %s up", tap->name,
			 tap->name);
	if (sys_ioctl(sock, SIOCGIFMTU, &req) == 0 && req.ifr_mtu <= UINT16_MAX)
		tap->mtu = (uint16_t)req.ifr_mtu;
	return 0;
}

static int check_device(void)
{
	const int fd = sys_open(TUN_DEVICE, O_RDWR | O_NONBLOCK, 0);

	if (fd < 0) {
		err_sys(ERR_HOST, fd, "--net tap: open %s", TUN_DEVICE);
		if (fd == -EACCES)
			err_hint("let the user open it: as root, chmod 666 %s", TUN_DEVICE);
		else
			err_hint("load the driver: as root, modprobe tun");
		return fd;
	}
	close(fd);
	return 0;
}

/* An interface that was made with several queues is opened as such, and no other is. */
static int add_queues(struct net_tap *tap, unsigned queues, bool fewer)
{
	int r = add_queue(tap, (short)(TAP_FLAGS | IFF_MULTI_QUEUE));

	if (r == -EINVAL) {
		r = add_queue(tap, TAP_FLAGS);
		if (r == 0 && queues > 1 && !fewer) {
			err_set(ERR_HOST, -EINVAL, "--net tap=%s: it has one queue, not %u",
				tap->name, queues);
			err_hint("make it anew as root: ip tuntap add %s mode tap multi_queue "
				 "user NAME",
				 tap->name);
			return -EINVAL;
		}
		return r < 0 ? explain(tap, r) : 0;
	}
	while (r == 0 && tap->queues < queues)
		r = add_queue(tap, (short)(TAP_FLAGS | IFF_MULTI_QUEUE));
	return r < 0 ? explain(tap, r) : 0;
}

/* What another program may have left in an interface that stays. */
static int set_up(struct net_tap *tap)
{
	int header = HEADER_LEN, sndbuf = INT_MAX, r;
	const unsigned queues = tap->queues;

	tap->left = ~0u; /* not known */
	r = sys_ioctl(tap->fds[0], TUNSETVNETHDRSZ, &header);
	if (r == 0)
		r = sys_ioctl(tap->fds[0], TUNSETSNDBUF, &sndbuf);
	for (unsigned i = 0; i < ARRAY_SIZE(offload_sets) && !tap->offloads && r == 0; i++) {
		tap->offloads = offload_sets[i];
		if (net_tap_set_offloads(tap, offload_sets[i]) < 0)
			tap->offloads = 0;
	}
	if (r == 0)
		r = net_tap_set_offloads(tap, 0);
	tap->attached = queues;
	if (r == 0)
		r = net_tap_attach(tap, 1);
	return r < 0 ? err_sys(ERR_HOST, r, "--net tap=%s: set it up", tap->name) : 0;
}

int net_tap_open(struct net_tap *tap, const char *name, unsigned queues, bool fewer)
{
	const int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	assert(queues && queues <= NET_TAP_QUEUES_MAX);
	*tap = (struct net_tap){ 0 };
	snprintf(tap->name, sizeof(tap->name), "%s", name);
	if (sock < 0)
		return err_sys(ERR_LIMIT, -errno, "--net tap=%s", name);
	r = check_device();
	if (r == 0)
		r = check_there(tap, sock);
	close(sock);
	if (r == 0)
		r = add_queues(tap, queues, fewer);
	if (r == 0)
		r = set_up(tap);
	if (r < 0)
		net_tap_close(tap);
	return r;
}

void net_tap_close(struct net_tap *tap)
{
	while (tap->queues)
		close(tap->fds[--tap->queues]);
}

/* The kernel refuses what is nothing by itself, which a driver may ask for all the same. */
static unsigned whole(unsigned offloads)
{
	const unsigned udp = TUN_F_USO4 | TUN_F_USO6;

	if (!(offloads & TUN_F_CSUM))
		return 0;
	if (!(offloads & (TUN_F_TSO4 | TUN_F_TSO6)))
		offloads &= ~(unsigned)TUN_F_TSO_ECN;
	return (offloads & udp) == udp ? offloads : offloads & ~udp;
}

int net_tap_set_offloads(struct net_tap *tap, unsigned offloads)
{
	const unsigned left = whole(offloads & tap->offloads);
	int r;

	if (left == tap->left)
		return 0;
	r = sys_ioctl(tap->fds[0], TUNSETOFFLOAD, (void *)(uintptr_t)left);
	if (r == 0)
		tap->left = left;
	return r;
}

static int switch_queue(struct net_tap *tap, unsigned queue, short flags)
{
	struct ifreq req = { .ifr_flags = flags };

	return sys_ioctl(tap->fds[queue], TUNSETQUEUE, &req);
}

int net_tap_attach(struct net_tap *tap, unsigned count)
{
	int r = 0;

	assert(count && count <= tap->queues);
	while (tap->attached < count && r == 0) {
		r = switch_queue(tap, tap->attached, IFF_ATTACH_QUEUE);
		if (r == 0)
			tap->attached++;
	}
	while (tap->attached > count && r == 0) {
		r = switch_queue(tap, tap->attached - 1, IFF_DETACH_QUEUE);
		if (r == 0)
			tap->attached--;
	}
	return r;
}
