/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device served by the host's kernel; see vhost_net.h. On the device's loop, but for the
 * operations that a vCPU calls with the device's lock held: those wait for it.
 */
#include "devices/vhost/vhost_net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/net/virtio_net_control.h"
#include "devices/vhost/vhost_net_features.h"
#include "devices/vhost/vhost_net_ring.h"

/* Room for what arrives while the guest's CPUs do something else: with less, a burst is lost. */
#define VHOST_NET_QUEUE_SIZE 1024u

#define BIT(n) (1ull << (n))

/* Up to what Linux 4.9 knows: the rest is for features that are not offered. */
#define NET_CONFIG_LEN (offsetof(struct virtio_net_config, mtu) + sizeof(uint16_t))

static struct vhost_net *net_of(const struct virtio_pci *vdev)
{
	return container_of(vdev, struct vhost_net, vdev);
}

/* --- operations --- */

static void start_on_loop(void *arg)
{
	struct vhost_net *net = arg;
	struct virtio_pci *vdev = &net->vdev;
	uint64_t features = vhost_net_features_rings(vdev->driver_features);
	const bool several = vdev->driver_features & BIT(VIRTIO_NET_F_MQ);
	const unsigned pairs = several ? vhost_net_pairs(net) : 1;
	int r = 0;

	for (unsigned i = 0; i < pairs && r == 0; i++)
		r = sys_ioctl(net->files.vhost[i], VHOST_SET_FEATURES, &features);
	if (r == 0)
		r = net_tap_set_offloads(&net->files.tap,
					 vhost_net_features_tap(vdev->driver_features));
	for (unsigned i = 0; i < PAIR_QUEUES * pairs && r == 0; i++) {
		if (vdev->queues[i].enabled)
			r = vhost_net_set_ring(net, i);
	}
	/* More of them when the driver says so [virtio-1.2 5.1.6.5.6.1]. */
	if (r == 0)
		r = vhost_net_run_pairs(net, 1);
	if (r < 0)
		vhost_net_lose(net, r);
}

static void net_start(struct virtio_pci *vdev)
{
	loop_call(net_of(vdev)->loop, start_on_loop, net_of(vdev));
}

/* All rings stop together, before the first of them is given back. */
static void net_stop(struct virtio_pci *vdev, unsigned queue)
{
	struct vhost_net *net = net_of(vdev);

	vhost_net_halt_pairs(net, 0);
	if (queue >= PAIR_QUEUES * vhost_net_pairs(net))
		return;
	net->rings[queue].known = false;
	vhost_call_drain(&net->rings[queue].call);
	(void)sys_eventfd_drain(net->errors.fd);
}

static void retarget_on_loop(void *arg)
{
	struct vhost_net *net = arg;

	for (unsigned i = 0; i < PAIR_QUEUES * vhost_net_pairs(net); i++) {
		struct net_ring *ring = &net->rings[i];
		int r;

		if (!ring->known || !vhost_call_moved(&ring->call))
			continue;
		r = vhost_net_move_call(net, i);
		if (r < 0)
			vhost_net_lose(net, r);
	}
}

static void net_retarget(struct virtio_pci *vdev)
{
	loop_call(net_of(vdev)->loop, retarget_on_loop, net_of(vdev));
}

/* What vhost finds in a ring or a descriptor that it cannot follow is the guest's doing. */
static void errors_ready(struct loop_source *source)
{
	struct vhost_net *net = container_of(source, struct vhost_net, errors);

	if (!sys_eventfd_drain(source->fd))
		return; /* of a driver that has reset the device meanwhile */
	log_guest("%s: a ring makes no sense to the host's kernel", net->vdev.pci.device.name);
	virtio_pci_fail(&net->vdev);
}

/* --- the control queue --- */

static bool net_own(const struct virtio_pci *vdev, unsigned queue)
{
	return (int)queue == virtio_net_control_queue(vdev, vhost_net_pairs(net_of(vdev)));
}

static bool ready(const struct vhost_net *net, unsigned pairs)
{
	for (unsigned i = 0; i < PAIR_QUEUES * pairs; i++) {
		if (!net->rings[i].known)
			return false;
	}
	return true;
}

static bool set_pairs(struct vhost_net *net, const struct virtio_net_command *command)
{
	const uint64_t pairs = load_le(command->data, sizeof(uint16_t));
	int r;

	if (command->code != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || command->len != sizeof(uint16_t) ||
	    !(net->vdev.driver_features & BIT(VIRTIO_NET_F_MQ)) || pairs == 0 ||
	    pairs > vhost_net_pairs(net) || !ready(net, (unsigned)pairs))
		return false;
	r = vhost_net_run_pairs(net, (unsigned)pairs);
	if (r < 0)
		vhost_net_lose(net, r);
	return r == 0;
}

static bool set_offloads(struct vhost_net *net, const struct virtio_net_command *command)
{
	const uint64_t features = load_le(command->data, sizeof(uint64_t));
	int r;

	if (command->code != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    command->len != sizeof(uint64_t) ||
	    !(net->vdev.driver_features & BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) ||
	    features & ~net->vdev.driver_features)
		return false;
	r = net_tap_set_offloads(&net->files.tap, vhost_net_features_tap(features));
	if (r < 0)
		vhost_net_lose(net, r);
	return r == 0;
}

static bool command(struct virtio_pci *vdev, const struct virtio_net_command *command)
{
	switch (command->class) {
	case VIRTIO_NET_CTRL_MQ:
		return set_pairs(net_of(vdev), command);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return set_offloads(net_of(vdev), command);
	default:
		return false;
	}
}

static void net_notify(struct virtio_pci *vdev, unsigned queue)
{
	virtio_net_control_serve(vdev, queue, command);
}

/* --- life --- */

static void leave_loop(void *arg)
{
	struct vhost_net *net = arg;

	if (net->errors.fd >= 0)
		loop_remove(net->loop, &net->errors);
	for (unsigned i = 0; i < ARRAY_SIZE(net->rings); i++)
		vhost_call_leave(&net->rings[i].call, net->loop);
}

static void net_destroy(struct device *device)
{
	struct vhost_net *net = container_of(device, struct vhost_net, vdev.pci.device);

	virtio_pci_fini(&net->vdev);
	loop_call(net->loop, leave_loop, net);
	vhost_net_files_close(&net->files);
	for (unsigned i = 0; i < ARRAY_SIZE(net->rings); i++)
		vhost_call_fini(&net->rings[i].call);
	close_fd(&net->errors.fd);
	free(net);
}

static const struct device_ops net_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = net_destroy,
};

static const struct virtio_class net_class = {
	.name = "vhost-net",
	.id = VIRTIO_ID_NET,
	.pci_class = PCI_CLASS_NETWORK_ETHERNET,
	.queue_size = VHOST_NET_QUEUE_SIZE,
	.config_len = NET_CONFIG_LEN,
	.device_ops = &net_device_ops,
	.start = net_start,
	.retarget = net_retarget,
	.own = net_own,
	.notify = net_notify,
	.stop = net_stop,
};

static int net_init(struct vhost_net *net, const struct board *board, const uint8_t *mac)
{
	const unsigned pairs = vhost_net_pairs(net);
	const struct virtio_setup setup = {
		.features = vhost_net_features(&net->files),
		.config = &net->config,
		.queues = PAIR_QUEUES * pairs + 1,
		.loops = net->loop,
		.loop_count = 1,
	};
	int r;

	memcpy(net->config.mac, mac, sizeof(net->config.mac));
	net->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	net->config.max_virtqueue_pairs = htole16((uint16_t)pairs);
	net->config.mtu = htole16(net->files.tap.mtu);
	r = virtio_pci_init(&net->vdev, board, &net_class, &setup);
	if (r < 0)
		return r;
	r = net->errors.fd = sys_eventfd();
	r = r < 0 ? err_sys(ERR_LIMIT, r, "make an eventfd") : loop_add(net->loop, &net->errors);
	if (r < 0)
		close_fd(&net->errors.fd); /* not the loop's: there is nothing to leave */
	for (unsigned i = 0; i < PAIR_QUEUES * pairs && r == 0; i++)
		r = vhost_call_open(&net->rings[i].call, net->loop);
	return r < 0 ? r : vhost_net_files_own(&net->files, board->mem);
}

int vhost_net_create(const struct board *board, struct loop *loop, struct vhost_net_files *files,
		     const uint8_t mac[ETH_ALEN], struct pci_dev **ret_dev)
{
	struct vhost_net *net = calloc(1, sizeof(*net));
	int r;

	if (!net) {
		vhost_net_files_close(files);
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", net_class.name);
	}
	net->loop = loop;
	net->files = *files;
	*files = (struct vhost_net_files){ 0 };
	net->errors = (struct loop_source){ .fd = -1, .ready = errors_ready };
	for (unsigned i = 0; i < ARRAY_SIZE(net->rings); i++)
		vhost_call_init(&net->rings[i].call, &net->vdev, i);
	r = net_init(net, board, mac);
	if (r < 0) {
		net_destroy(&net->vdev.pci.device);
		return r;
	}
	*ret_dev = &net->vdev.pci;
	return 0;
}
