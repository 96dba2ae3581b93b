/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio entropy device; its queue runs on the loop it was given. Also the worked example of a
 * device class, see docs/devices.md. [virtio-1.2 5.4 Entropy Device]
 */
#include "devices/virtio/virtio_rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/err.h"
#include "devices/virtio/virtio_pci.h"

#define RNG_QUEUE_SIZE 8u

/*
 * The most that one request is given. A driver that wants more asks again, and the loop has other
 * things to do in between: this is some 10 us of work. Drivers ask for 64 bytes or less.
 */
#define RNG_REQUEST_MAX 4096u

struct virtio_rng {
	struct virtio_pci vdev;
};

/* Fills the buffers from the front; the number of bytes written. */
static uint32_t rng_fill(const struct iovec *iov, unsigned count)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < count && done < RNG_REQUEST_MAX; i++) {
		size_t len = MIN(iov[i].iov_len, RNG_REQUEST_MAX - done);
		/* Blocks only before the host's pool is seeded, early in its boot: never here. */
		ssize_t n = getrandom(iov[i].iov_base, len, 0);

		if (n < 0)
			break;
		done += (uint32_t)n;
		if ((size_t)n < len)
			break;
	}
	return done;
}

static void rng_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtqueue *vq = &vdev->queues[queue].vq;
	struct iovec iov[RNG_QUEUE_SIZE];
	struct virtqueue_chain chain;

	while (virtqueue_pop(vq, iov, &chain))
		virtqueue_push(vq, chain.head, rng_fill(iov + chain.readable, chain.writable));
}

static void rng_destroy(struct device *dev)
{
	struct virtio_rng *rng = container_of(dev, struct virtio_rng, vdev.pci.device);

	virtio_pci_fini(&rng->vdev);
	free(rng);
}

static const struct device_ops rng_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = rng_destroy,
};

static const struct virtio_class rng_class = {
	.name = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.pci_class = PCI_CLASS_UNASSIGNED,
	.queue_size = RNG_QUEUE_SIZE,
	.device_ops = &rng_device_ops,
	.notify = rng_notify,
};

int virtio_rng_create(const struct board *board, struct loop *loop, struct pci_dev **ret_dev)
{
	const struct virtio_setup setup = { .queues = 1, .loops = loop, .loop_count = 1 };
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int r;

	if (!rng)
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", rng_class.name);
	r = virtio_pci_init(&rng->vdev, board, &rng_class, &setup);
	if (r < 0) {
		rng_destroy(&rng->vdev.pci.device);
		return r;
	}
	*ret_dev = &rng->vdev.pci;
	return 0;
}
