/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's vhost-net is told of a network's rings: where they are, when it carries their
 * packets and when no more. On the device's loop. [Linux: include/uapi/linux/vhost.h]
 */
#include "devices/vhost/vhost_net_ring.h"

#include <linux/vhost.h>

#include "core/log.h"
#include "core/sys.h"

static int tell(const struct vhost_net *net, unsigned queue, unsigned long request, void *arg)
{
	return sys_ioctl(net->files.vhost[queue / PAIR_QUEUES], request, arg);
}

static int tell_file(const struct vhost_net *net, unsigned queue, unsigned long request, int fd)
{
	struct vhost_vring_file file = { queue % PAIR_QUEUES, fd };

	return tell(net, queue, request, &file);
}

static int tell_state(const struct vhost_net *net, unsigned queue, unsigned long request,
		      unsigned num)
{
	struct vhost_vring_state state = { queue % PAIR_QUEUES, num };

	return tell(net, queue, request, &state);
}

/* The rings lie in RAM: the transport has enabled no others. */
int vhost_net_set_ring(struct vhost_net *net, unsigned queue)
{
	const struct virtio_queue *q = &net->vdev.queues[queue];
	struct vhost_vring_addr addr = {
		.index = queue % PAIR_QUEUES,
		.desc_user_addr = (uintptr_t)q->vq.desc,
		.avail_user_addr = (uintptr_t)q->vq.avail,
		.used_user_addr = (uintptr_t)q->vq.used,
	};
	int r = tell_state(net, queue, VHOST_SET_VRING_NUM, q->size);

	if (r == 0)
		r = tell_state(net, queue, VHOST_SET_VRING_BASE, 0);
	if (r == 0)
		r = tell(net, queue, VHOST_SET_VRING_ADDR, &addr);
	if (r == 0)
		r = tell_file(net, queue, VHOST_SET_VRING_KICK, q->doorbell.fd);
	if (r == 0)
		r = tell_file(net, queue, VHOST_SET_VRING_CALL,
			      vhost_call_take(&net->rings[queue].call));
	if (r == 0)
		r = tell_file(net, queue, VHOST_SET_VRING_ERR, net->errors.fd);
	net->rings[queue].known = r == 0;
	return r;
}

int vhost_net_move_call(struct vhost_net *net, unsigned queue)
{
	return tell_file(net, queue, VHOST_SET_VRING_CALL,
			 vhost_call_take(&net->rings[queue].call));
}

/* Its packets go to the interface; what was added before the kernel listened counts, too. */
static int run_ring(struct vhost_net *net, unsigned queue)
{
	const int tap = net->files.tap.fds[queue / PAIR_QUEUES];
	int r = 0;

	if (net->rings[queue].known)
		r = tell_file(net, queue, VHOST_NET_SET_BACKEND, tap);
	if (r == 0)
		sys_eventfd_signal(net->vdev.queues[queue].doorbell.fd);
	return r;
}

/*
 * When it returns the kernel has nothing of the ring in its hands. It should refuse no ring that it
 * knows; if it does, closing its file makes sure.
 */
static void halt_ring(struct vhost_net *net, unsigned queue)
{
	int r;

	if (!net->rings[queue].known || net->files.vhost[queue / PAIR_QUEUES] < 0)
		return;
	r = tell_file(net, queue, VHOST_NET_SET_BACKEND, VHOST_FILE_UNBIND);
	if (r == 0)
		return;
	close_fd(&net->files.vhost[queue / PAIR_QUEUES]);
	log_error("vhost-net with %s: %s; the guest's device is gone for this run",
		  net->files.tap.name, strerror(-r));
	atomic_store(&net->vdev.gone, true);
	virtio_pci_fail(&net->vdev);
}

/* --- pairs --- */

void vhost_net_halt_pairs(struct vhost_net *net, unsigned left)
{
	while (net->pairs_running > left) {
		const unsigned pair = --net->pairs_running;

		halt_ring(net, PAIR_QUEUES * pair + QUEUE_TX);
		halt_ring(net, PAIR_QUEUES * pair + QUEUE_RX);
	}
}

/* Packets come for pairs that run only: one that is not attached gets none, and vhost cannot wait
 * for it. */
int vhost_net_run_pairs(struct vhost_net *net, unsigned count)
{
	int r;

	vhost_net_halt_pairs(net, count);
	r = net_tap_attach(&net->files.tap, count);
	while (net->pairs_running < count && r == 0) {
		const unsigned first = PAIR_QUEUES * net->pairs_running++;

		r = run_ring(net, first + QUEUE_RX);
		if (r == 0)
			r = run_ring(net, first + QUEUE_TX);
	}
	return r;
}

void vhost_net_lose(struct vhost_net *net, int error)
{
	if (atomic_load(&net->vdev.needs_reset))
		return;
	log_limited(LOG_ERROR,
		    "vhost-net with %s: %s; the guest's network works again after a reset",
		    net->files.tap.name, strerror(-error));
	virtio_pci_fail(&net->vdev);
}
