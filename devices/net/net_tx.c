/* SPDX-License-Identifier: Apache-2.0 */
/* From the driver's buffers to a stream; see net_tx.h. [virtio-1.2 5.1.6.2 Packet Transmission] */
#include "devices/net/net_tx.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/virtio/iov.h"

int net_tx_init(struct net_tx *tx, struct virtio_pci *vdev, unsigned queue, int fd)
{
	tx->vdev = vdev;
	tx->queue = queue;
	tx->fd = fd;
	tx->room.for_room = true;
	tx->room.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	tx->tail = malloc(NET_LEN_BYTES + NET_FRAME_MAX);
	if (tx->room.fd < 0)
		return err_sys(ERR_LIMIT, -errno, "watch a network device's stream");
	return tx->tail ? 0 : err_sys(ERR_LIMIT, -ENOMEM, "a network device's buffer");
}

void net_tx_fini(struct net_tx *tx)
{
	if (tx->vdev)
		close_fd(&tx->room.fd);
	free(tx->tail);
	tx->tail = NULL;
}

static struct virtio_queue *queue_of(struct net_tx *tx)
{
	return &tx->vdev->queues[tx->queue];
}

/* --- a batch --- */

/* What is wrong with the frame of a chain, or NULL; its header is cut off from `iov`. */
static const char *check_frame(struct iovec *iov, unsigned *count, uint32_t *ret_len)
{
	struct iovec *frame = iov;
	struct virtio_net_hdr_v1 hdr;
	uint64_t len;

	if (iov_read(iov, *count, &hdr, sizeof(hdr)) < sizeof(hdr))
		return "shorter than its header";
	/* No kind of segmentation is offered. */
	if (hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return "to be cut into segments";
	iov_advance(&frame, count, sizeof(hdr));
	memmove(iov, frame, *count * sizeof(*iov));
	len = iov_length(iov, *count);
	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return "too short or too long";
	*ret_len = (uint32_t)len;
	return NULL;
}

/*
 * Puts the next frame behind those of the batch: true, and it belongs to the batch unless tx->next
 * is set. False if there is none.
 */
static bool add_frame(struct net_tx *tx)
{
	struct virtqueue *vq = &queue_of(tx)->vq;
	struct net_tx_frame *frame = &tx->frames[tx->frame_count];
	struct iovec *iov = tx->iov + tx->iov_count;
	struct virtqueue_chain chain;
	uint32_t len;

	while (virtqueue_pop(vq, iov + 1, &chain)) {
		const char *why = check_frame(iov + 1, &chain.readable, &len);

		if (why) {
			log_guest("%s: a frame is dropped that is %s", tx->vdev->pci.device.name,
				  why);
			virtqueue_push(vq, chain.head, 0);
			continue;
		}
		*frame = (struct net_tx_frame){ chain.head, NET_LEN_BYTES + len, htobe32(len) };
		iov[0] = (struct iovec){ &frame->be_len, NET_LEN_BYTES };
		tx->next = tx->frame_count && tx->len + frame->len > NET_TX_BATCH;
		tx->next_iov_count = 1 + chain.readable;
		return true;
	}
	return false;
}

static void take_frame(struct net_tx *tx)
{
	tx->len += tx->frames[tx->frame_count].len;
	tx->frame_count++;
	tx->iov_count += tx->next_iov_count;
	tx->next = false;
}

static void make_batch(struct net_tx *tx)
{
	assert(!tx->frame_count);
	if (tx->next)
		take_frame(tx);
	while (tx->frame_count < NET_TX_FRAMES && NET_TX_IOVS - tx->iov_count > NET_QUEUE_SIZE &&
	       tx->len < NET_TX_BATCH && add_frame(tx) && !tx->next)
		take_frame(tx);
	tx->rest = tx->iov;
	tx->rest_count = tx->iov_count;
}

/* The batch is sent. What did not fit is the first of the next. */
static void end_batch(struct net_tx *tx)
{
	struct virtqueue *vq = &queue_of(tx)->vq;

	for (unsigned i = 0; i < tx->frame_count; i++)
		virtqueue_push(vq, tx->frames[i].head, 0);
	if (tx->next) {
		tx->frames[0] = tx->frames[tx->frame_count];
		memmove(tx->iov, tx->iov + tx->iov_count, tx->next_iov_count * sizeof(*tx->iov));
		tx->iov[0].iov_base = &tx->frames[0].be_len;
	}
	tx->frame_count = tx->iov_count = 0;
	tx->len = 0;
}

/* --- the stream --- */

/* As much of the rest as the stream takes. */
static int send_rest(struct net_tx *tx)
{
	const struct msghdr msg = { .msg_iov = tx->rest, .msg_iovlen = tx->rest_count };
	ssize_t n = sendmsg(tx->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM
			       ? 0
			       : -errno;
	iov_advance(&tx->rest, &tx->rest_count, (size_t)n);
	return 0;
}

static int wait_for_room(struct net_tx *tx)
{
	if (tx->waiting)
		return 0;
	tx->waiting = true;
	queue_of(tx)->quiet = true;
	return loop_add(queue_of(tx)->loop, &tx->room);
}

static void end_wait(struct net_tx *tx)
{
	if (!tx->waiting)
		return;
	tx->waiting = false;
	queue_of(tx)->quiet = false;
	loop_remove(queue_of(tx)->loop, &tx->room);
}

void net_tx_leave(struct net_tx *tx)
{
	end_wait(tx);
	loop_cancel(queue_of(tx)->loop, &tx->again);
}

int net_tx_run(struct net_tx *tx)
{
	struct virtio_queue *q = queue_of(tx);

	for (unsigned i = 0; i < NET_TX_TURN; i++) {
		int r;

		if (!tx->rest_count && q->running)
			make_batch(tx);
		if (!tx->rest_count) {
			end_wait(tx);
			return 0;
		}
		r = send_rest(tx);
		if (r < 0)
			return r;
		if (tx->rest_count)
			return wait_for_room(tx);
		if (tx->frame_count)
			end_batch(tx);
	}
	end_wait(tx);
	/* The loop's other sources have their turn. */
	loop_defer(q->loop, &tx->again);
	return 0;
}

void net_tx_discard(struct net_tx *tx)
{
	struct virtio_queue *q = queue_of(tx);
	struct virtqueue_chain chain;

	if (!q->running)
		return;
	if (tx->next)
		take_frame(tx);
	end_batch(tx);
	tx->rest_count = 0;
	while (virtqueue_pop(&q->vq, tx->iov, &chain))
		virtqueue_push(&q->vq, chain.head, 0);
	virtio_pci_pushed(tx->vdev, tx->queue);
}

/* How much of a batch's frames is missing to the end of the one whose beginning is sent. */
static size_t missing(const struct net_tx *tx)
{
	const size_t sent = tx->len - (size_t)iov_length(tx->rest, tx->rest_count);
	size_t end = 0;

	for (unsigned i = 0; i < tx->frame_count && end < sent; i++)
		end += tx->frames[i].len;
	return end - sent;
}

/* Who reads the stream waits for the rest of a frame, which will not stay in guest memory. */
void net_tx_stop(struct net_tx *tx)
{
	if (tx->frame_count) {
		const size_t len = tx->rest_count ? missing(tx) : 0;

		(void)iov_read(tx->rest, tx->rest_count, tx->tail, len);
		tx->tail_iov = (struct iovec){ tx->tail, len };
		tx->rest = &tx->tail_iov;
		tx->rest_count = len ? 1 : 0;
	}
	tx->frame_count = tx->iov_count = 0;
	tx->len = 0;
	tx->next = false;
}
