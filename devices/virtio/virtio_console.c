/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console device: its ports' streams, and what it is; runs on the loop that it was
 * given. [virtio-1.2 5.3 Console Device]
 */
#include "devices/virtio/virtio_console.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "core/err.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/virtio_console_control.h"

static struct virtio_console *console_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct virtio_console, vdev);
}

/* A queue that can be used now, or NULL. */
struct virtqueue *virtio_console_live_queue(struct virtio_console *console, unsigned queue)
{
	struct virtio_queue *q = &console->vdev.queues[queue];

	return q->running && !q->vq.broken ? &q->vq : NULL;
}

/*
 * For what was pushed, and nothing else: the queue is served for it, which comes here again while
 * the driver has buffers there that nobody needs yet.
 */
void virtio_console_pushed(struct virtio_console *console, unsigned queue)
{
	const struct virtqueue *vq = &console->vdev.queues[queue].vq;

	if (vq->used_next != vq->used_published || vq->broken)
		virtio_pci_pushed(&console->vdev, queue);
}

/* --- output --- */

/* What is left of the held chain; true when all of it was taken. */
static bool give_held(struct virtio_console *console, unsigned id, struct virtqueue *vq)
{
	struct console_port *port = &console->ports[id];

	while (port->rest_count) {
		const struct iovec *iov = port->rest;
		const size_t n =
			console->ops->output(console->opaque, id, iov->iov_base, iov->iov_len);
		const bool all = n == iov->iov_len;

		iov_advance(&port->rest, &port->rest_count, n);
		if (!all)
			return false;
	}
	port->held = false;
	virtqueue_push(vq, port->head, 0);
	return true;
}

void virtio_console_run_output(struct virtio_console *console, unsigned id)
{
	struct console_port *port = &console->ports[id];
	struct virtqueue *vq = virtio_console_live_queue(console, virtio_console_queue_out(id));
	bool taken = true;

	if (vq) {
		struct virtqueue_chain chain;

		if (port->held)
			taken = give_held(console, id, vq);
		while (taken && virtqueue_pop(vq, port->iov, &chain)) {
			port->held = true;
			port->head = chain.head;
			port->rest = port->iov;
			port->rest_count = chain.readable;
			taken = give_held(console, id, vq);
		}
		virtio_console_pushed(console, virtio_console_queue_out(id));
	}
	if (taken && port->closing) {
		port->closing = false;
		console->ops->opened(console->opaque, id, false);
	}
}

void virtio_console_resume(struct virtio_console *console, unsigned port)
{
	virtio_console_run_output(console, port);
}

/* --- input --- */

size_t virtio_console_input(struct virtio_console *console, unsigned port, const void *data,
			    size_t len)
{
	struct virtqueue *vq = virtio_console_live_queue(console, virtio_console_queue_in(port));
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct virtqueue_chain chain;
	size_t done = 0;

	/* A driver throws away what comes while no program has the port open. */
	if (!vq || !console->ports[port].guest_open)
		return 0;
	(void)virtqueue_fetch(vq);
	while (done < len && virtqueue_pop(vq, iov, &chain)) {
		const size_t n = iov_write(iov + chain.readable, chain.writable,
					   (const uint8_t *)data + done, len - done);

		virtqueue_push(vq, chain.head, (uint32_t)n);
		done += n;
	}
	virtio_console_pushed(console, virtio_console_queue_in(port));
	return done;
}

void virtio_console_end_input(struct virtio_console *console, unsigned port)
{
	console->ports[port].open = false;
	if (console->ports[port].guest_ready)
		console->ports[port].tell |= TELL_OPEN;
	virtio_console_control_tell(console);
}

/* --- the class --- */

static void console_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_console *console = console_of(vdev);
	const unsigned port = virtio_console_queue_port(queue);

	if (queue == QUEUE_CONTROL_OUT)
		virtio_console_control_serve(console);
	else if (queue == QUEUE_CONTROL_IN)
		virtio_console_control_tell(console);
	else if (port >= console->count)
		return; /* a port that is not there */
	else if (queue == virtio_console_queue_out(port))
		virtio_console_run_output(console, port);
	else
		console->ops->room(console->opaque, port);
}

/* All that a port is, control messages have made it. */
static void console_stop(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_console *console = console_of(vdev);

	for (unsigned id = 0; id < console->count && queue == QUEUE_CONTROL_OUT; id++) {
		struct console_port *port = &console->ports[id];

		port->tell = 0;
		port->held = false;
		port->guest_ready = false;
		if (port->guest_open || port->closing)
			console->ops->opened(console->opaque, id, false);
		port->guest_open = port->closing = false;
	}
}

static void console_destroy(struct device *dev)
{
	struct virtio_console *console = container_of(dev, struct virtio_console, vdev.pci.device);

	virtio_pci_fini(&console->vdev);
	free(console);
}

static const struct device_ops console_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = console_destroy,
};

static const struct virtio_class console_class = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = PCI_CLASS_COMMUNICATION_OTHER,
	.queue_size = CONSOLE_QUEUE_SIZE,
	.config_len = offsetof(struct virtio_console_config, emerg_wr),
	.device_ops = &console_device_ops,
	.notify = console_notify,
	.stop = console_stop,
};

int virtio_console_create(const struct board *board, struct loop *loop,
			  const struct virtio_console_options *options,
			  struct virtio_console **ret_console)
{
	struct virtio_console *console = calloc(1, sizeof(*console));
	struct virtio_setup setup = {
		.features = 1ull << VIRTIO_CONSOLE_F_MULTIPORT,
		.queues = QUEUES,
		.loops = loop,
		.loop_count = 1,
	};
	int r;

	if (!console)
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", console_class.name);
	assert(options->count >= 1 && options->count <= VIRTIO_CONSOLE_PORTS_MAX);
	console->ops = options->ops;
	console->opaque = options->opaque;
	console->count = options->count;
	setup.config = &console->config;
	console->config.max_nr_ports = htole32(VIRTIO_CONSOLE_PORTS_MAX);
	for (unsigned i = 0; i < options->count; i++) {
		console->ports[i].name = options->names[i];
		console->ports[i].open = true;
	}
	r = virtio_pci_init(&console->vdev, board, &console_class, &setup);
	if (r < 0) {
		console_destroy(&console->vdev.pci.device);
		return r;
	}
	*ret_console = console;
	return 0;
}

struct pci_dev *virtio_console_pci(struct virtio_console *console)
{
	return &console->vdev.pci;
}
