/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of frames from a network device's driver to a stream, each behind its length as in
 * net_rx.h, straight from the guest's memory: one system call for a batch of them.
 *
 * Debian 12's passt loses the beginning of a frame if what it reads ends within the length or just
 * behind it, or in three parts of one frame. So a batch is no longer than what a UNIX socket takes
 * as one piece, or it is a single frame, which then is two pieces at most.
 *
 * On the queue's loop. Bounds: a call makes NET_TX_TURN system calls at most.
 */
#ifndef DEVICES_NET_TX_H
#define DEVICES_NET_TX_H

#include "devices/net/net_rx.h"

#define NET_TX_TURN 8u
/* [Linux: unix_stream_sendmsg]: a piece has so much in pages, and some more in its head. */
#define NET_TX_BATCH  (32 * KiB)
#define NET_TX_FRAMES 64u
/* A frame may be as many parts as the queue has descriptors, behind its length. */
#define NET_TX_IOVS (NET_TX_FRAMES + 3 * NET_QUEUE_SIZE)

struct net_tx_frame {
	uint16_t head;
	uint32_t len;    /* of all, with its length in front */
	uint32_t be_len; /* as it is sent */
};

struct net_tx {
	struct virtio_pci *vdev;
	unsigned queue;
	int fd;                  /* borrowed */
	struct loop_source room; /* an fd of ours, as the loop watches an fd for one thing */
	bool waiting;
	struct loop_work again;
	/*
	 * A batch: its frames are the first `frame_count`, and behind them in `iov` there may be
	 * one that comes with the next.
	 */
	struct net_tx_frame frames[NET_TX_FRAMES];
	struct iovec iov[NET_TX_IOVS];
	unsigned frame_count, iov_count;
	size_t len;
	bool next;
	unsigned next_iov_count;
	/* What of the batch is not sent yet; none left: it is sent, or not begun. */
	struct iovec *rest;
	unsigned rest_count;
	/* The end of a frame whose beginning is sent, when its driver has reset the device. */
	uint8_t *tail;
	struct iovec tail_iov;
};

/* tx->room.ready and tx->again.fn are the device's, and set before. */
int MUST_CHECK net_tx_init(struct net_tx *tx, struct virtio_pci *vdev, unsigned queue, int fd);
void net_tx_fini(struct net_tx *tx); /* accepts a zeroed one; no longer watched */

/*
 * Sends what the driver has put into its queue, as much as the stream takes. For the rest, tx->room
 * or tx->again call back. A negative errno if the stream is lost.
 */
int MUST_CHECK net_tx_run(struct net_tx *tx);

/* The stream is lost: takes what there is from the driver, and sends nothing. */
void net_tx_discard(struct net_tx *tx);

/* The driver resets the device. */
void net_tx_stop(struct net_tx *tx);

/* The stream is lost, or the device destroyed: nothing calls back any more. */
void net_tx_leave(struct net_tx *tx);

#endif
