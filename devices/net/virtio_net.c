/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio network device at a stream; see virtio_net.h. Constructor on the main thread, all else
 * on its loop.
 */
#include "devices/net/virtio_net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/net/net_rx.h"
#include "devices/net/net_tx.h"

/* [virtio-1.2 5.1.2 Virtqueues] */
enum { QUEUE_RX, QUEUE_TX, QUEUES };

static const char net_class_name[] = "virtio-net";

struct virtio_net {
	struct virtio_pci vdev;
	struct virtio_net_config config;
	struct loop *loop; /* NULL: it does not watch the stream */
	struct loop_source stream;
	bool link; /* the stream is there */
	struct net_rx rx;
	struct net_tx tx;
	void (*lost)(void *opaque);
	void *opaque;
};

static struct virtio_net *net_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct virtio_net, vdev);
}

/* --- the link --- */

static void leave_loop(void *arg)
{
	struct virtio_net *net = arg;

	if (!net->link)
		return;
	net->link = false;
	loop_remove(net->loop, &net->stream);
	net_tx_leave(&net->tx);
}

static void link_lost(struct virtio_net *net, int code)
{
	const __virtio16 down = 0;

	leave_loop(net);
	log_debug("%s: the stream: %s", net->vdev.pci.device.name, strerror(-code));
	net->lost(net->opaque);
	net_tx_discard(&net->tx);
	virtio_pci_change_config(&net->vdev, offsetof(struct virtio_net_config, status), &down,
				 sizeof(down));
}

static void frames_came(struct loop_source *source)
{
	struct virtio_net *net = container_of(source, struct virtio_net, stream);
	int r = net_rx_read(&net->rx);

	if (r < 0)
		link_lost(net, r);
}

static void transmit(struct virtio_net *net)
{
	int r = net->link ? net_tx_run(&net->tx) : 0;

	if (!net->link)
		net_tx_discard(&net->tx);
	else if (r < 0)
		link_lost(net, r);
}

/* What is done outside of notify. */
static void go_on(struct virtio_net *net)
{
	transmit(net);
	virtio_pci_pushed(&net->vdev, QUEUE_TX);
}

static void room_came(struct loop_source *source)
{
	go_on(container_of(source, struct virtio_net, tx.room));
}

static void transmit_again(struct loop_work *work)
{
	go_on(container_of(work, struct virtio_net, tx.again));
}

/* --- the class --- */

static void net_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_net *net = net_of(vdev);

	if (queue == QUEUE_RX)
		net_rx_deliver(&net->rx);
	else
		transmit(net);
}

static void net_stop(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_net *net = net_of(vdev);

	if (queue == QUEUE_RX)
		net_rx_stop(&net->rx);
	else
		net_tx_stop(&net->tx);
}

static void net_destroy(struct device *dev)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, vdev.pci.device);

	if (net->loop)
		loop_call(net->loop, leave_loop, net);
	virtio_pci_fini(&net->vdev);
	if (net->rx.dropped)
		log_debug("%s: %llu frames were dropped, for lack of the driver's buffers",
			  net_class_name, (unsigned long long)net->rx.dropped);
	net_rx_fini(&net->rx);
	net_tx_fini(&net->tx);
	close_fd(&net->stream.fd);
	free(net);
}

static const struct device_ops net_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = net_destroy,
};

static const struct virtio_class net_class = {
	.name = net_class_name,
	.id = VIRTIO_ID_NET,
	.pci_class = PCI_CLASS_NETWORK_ETHERNET,
	.queue_size = NET_QUEUE_SIZE,
	.config_len = offsetof(struct virtio_net_config, speed),
	.device_ops = &net_device_ops,
	.notify = net_notify,
	.stop = net_stop,
};

static int net_init(struct virtio_net *net, const struct board *board,
		    const struct virtio_net_options *options)
{
	const struct virtio_setup setup = {
		.features = 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS |
			    1ull << VIRTIO_NET_F_MTU | 1ull << VIRTIO_NET_F_MRG_RXBUF |
			    1ull << VIRTIO_NET_F_CSUM,
		.config = &net->config,
		.queues = QUEUES,
		.loops = options->loop,
		.loop_count = 1,
	};
	int r;

	memcpy(net->config.mac, options->mac, sizeof(net->config.mac));
	net->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	net->config.mtu = htole16(options->mtu);
	net->lost = options->lost;
	net->opaque = options->opaque;
	net->tx.room.ready = room_came;
	net->tx.again.fn = transmit_again;
	r = net_rx_init(&net->rx, &net->vdev, QUEUE_RX, options->fd);
	if (r == 0)
		r = net_tx_init(&net->tx, &net->vdev, QUEUE_TX, options->fd);
	if (r == 0)
		r = virtio_pci_init(&net->vdev, board, &net_class, &setup);
	if (r == 0) {
		net->loop = options->loop;
		r = loop_add(net->loop, &net->stream);
	}
	return r < 0 ? err_wrap(r, "%s", net_class_name) : 0;
}

int virtio_net_create(const struct board *board, const struct virtio_net_options *options,
		      struct pci_dev **ret_dev)
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	int r;

	if (!net) {
		closep(&(int){ options->fd });
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", net_class_name);
	}
	net->stream = (struct loop_source){ .fd = options->fd, .ready = frames_came };
	net->link = true;
	r = net_init(net, board, options);
	if (r < 0) {
		net_destroy(&net->vdev.pci.device);
		return r;
	}
	*ret_dev = &net->vdev.pci;
	return 0;
}
