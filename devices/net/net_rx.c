/* SPDX-License-Identifier: Apache-2.0 */
/* From a stream to the driver's buffers; see net_rx.h. [virtio-1.2 5.1.6.4 Processing of Incoming
 * Packets] */
#include "devices/net/net_rx.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/virtio/iov.h"

int net_rx_init(struct net_rx *rx, struct virtio_pci *vdev, unsigned queue, int fd)
{
	_Static_assert(NET_RX_SIZE >= NET_RX_HOLD + 2 * NET_RX_READ + NET_LEN_BYTES + NET_FRAME_MAX,
		       "room for a read behind all that can be held");

	*rx = (struct net_rx){ .vdev = vdev, .queue = queue, .fd = fd };
	rx->buf = malloc(NET_RX_SIZE);
	return rx->buf ? 0 : err_sys(ERR_LIMIT, -ENOMEM, "a network device's buffer");
}

void net_rx_fini(struct net_rx *rx)
{
	free(rx->buf);
	rx->buf = NULL;
}

static uint32_t frame_len(const struct net_rx *rx, size_t pos)
{
	uint32_t len;

	memcpy(&len, rx->buf + pos, sizeof(len));
	return be32toh(len);
}

/* --- into the guest --- */

static void give_back(struct net_rx *rx, struct virtqueue *vq)
{
	for (unsigned i = 0; i < rx->count; i++)
		virtqueue_push(vq, rx->heads[i], rx->lens[i]);
	rx->count = 0;
	rx->done = 0;
}

/* The frame at the front is dealt with, one way or the other. */
static void next_frame(struct net_rx *rx)
{
	rx->begin += NET_LEN_BYTES + frame_len(rx, rx->begin);
}

/* Of one that does not fit the driver learns by buffers with nothing in them. */
static void drop_frame(struct net_rx *rx, struct virtqueue *vq)
{
	log_guest("%s: the driver's buffers are too small for a frame of %u bytes",
		  rx->vdev->pci.device.name, frame_len(rx, rx->begin));
	memset(rx->lens, 0, sizeof(rx->lens));
	give_back(rx, vq);
	next_frame(rx);
	rx->dropped++;
}

static void finish_frame(struct net_rx *rx, struct virtqueue *vq)
{
	const struct virtio_net_hdr_v1 hdr = { .num_buffers = htole16((uint16_t)rx->count) };

	(void)iov_write(rx->first, rx->first_count, &hdr, sizeof(hdr));
	give_back(rx, vq);
	next_frame(rx);
}

/* Takes one more chain for the frame at the front; false if there is none now. */
static bool fill_chain(struct net_rx *rx, struct virtqueue *vq, size_t len)
{
	struct iovec iov[NET_QUEUE_SIZE], *to = iov;
	struct virtqueue_chain chain;
	uint64_t room;
	size_t n;

	if (!virtqueue_pop(vq, iov, &chain))
		return false;
	to += chain.readable;
	room = iov_length(to, chain.writable);
	rx->heads[rx->count] = chain.head;
	rx->lens[rx->count] = 0;
	if (rx->count++ == 0) {
		rx->first_count = chain.writable;
		memcpy(rx->first, to, chain.writable * sizeof(*to));
		n = MIN(room, sizeof(struct virtio_net_hdr_v1));
		iov_advance(&to, &chain.writable, n);
		rx->lens[0] = (uint32_t)n;
		room -= n;
	}
	n = MIN(room, len - rx->done);
	(void)iov_write(to, chain.writable, rx->buf + rx->begin + NET_LEN_BYTES + rx->done, n);
	rx->lens[rx->count - 1] += (uint32_t)n;
	rx->done += n;
	return true;
}

/* True if the frame at the front was given, or given up; false if the driver has no buffers. */
static bool give_frame(struct net_rx *rx, struct virtqueue *vq)
{
	const bool merge = rx->vdev->driver_features & 1ull << VIRTIO_NET_F_MRG_RXBUF;
	const unsigned most = merge ? vq->size : 1;
	const size_t len = frame_len(rx, rx->begin);

	while (rx->done < len) {
		if (rx->count == most ||
		    (rx->count && rx->lens[0] < sizeof(struct virtio_net_hdr_v1))) {
			drop_frame(rx, vq);
			return true;
		}
		if (!fill_chain(rx, vq, len))
			return false;
	}
	finish_frame(rx, vq);
	return true;
}

static struct virtio_queue *live_queue(struct net_rx *rx)
{
	struct virtio_queue *q = &rx->vdev->queues[rx->queue];

	return q->running && !q->vq.broken ? q : NULL;
}

void net_rx_deliver(struct net_rx *rx)
{
	struct virtio_queue *q = live_queue(rx);

	if (!q)
		return;
	(void)virtqueue_fetch(&q->vq);
	while (rx->begin != rx->scan && give_frame(rx, &q->vq))
		;
	/* A driver that adds buffers need not say so before we have no more of them. */
	q->quiet = rx->begin == rx->scan;
}

/* --- from the stream --- */

static void make_room(struct net_rx *rx)
{
	const size_t used = rx->end - rx->begin;

	if (used && NET_RX_SIZE - rx->end >= NET_RX_READ)
		return;
	memmove(rx->buf, rx->buf + rx->begin, used);
	rx->scan -= rx->begin;
	rx->begin = 0;
	rx->end = used;
}

/* Finds whole frames in what has come, and drops them where nobody takes them. */
static int scan_frames(struct net_rx *rx)
{
	const bool drop = !live_queue(rx) || rx->scan - rx->begin > NET_RX_HOLD;
	size_t pos = rx->scan;

	while (rx->end - pos >= NET_LEN_BYTES) {
		const uint32_t len = frame_len(rx, pos);

		if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
			return -EPROTO;
		if (rx->end - pos - NET_LEN_BYTES < len)
			break;
		pos += NET_LEN_BYTES + len;
		rx->dropped += drop;
	}
	if (drop) {
		memmove(rx->buf + rx->scan, rx->buf + pos, rx->end - pos);
		rx->end -= pos - rx->scan;
	} else {
		rx->scan = pos;
	}
	return 0;
}

int net_rx_read(struct net_rx *rx)
{
	ssize_t n;
	int r;

	make_room(rx);
	n = recv(rx->fd, rx->buf + rx->end, NET_RX_READ, MSG_DONTWAIT);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	rx->end += (size_t)n;
	r = scan_frames(rx);
	if (r < 0 || rx->begin == rx->scan)
		return r;
	net_rx_deliver(rx);
	virtio_pci_pushed(rx->vdev, rx->queue);
	return 0;
}

void net_rx_stop(struct net_rx *rx)
{
	rx->begin = rx->scan;
	rx->count = 0;
	rx->done = 0;
}
