/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console device's ports and their control messages; runs on the loop that it was given.
 * [virtio-1.2 5.3 Console Device]
 */
#include "devices/virtio/virtio_console.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/virtio_pci.h"

#define CONSOLE_QUEUE_SIZE 64u

/* [virtio-1.2 5.3.2]: two queues for port 0, two for control messages, two for each other port. */
#define QUEUE_CONTROL_IN  2u
#define QUEUE_CONTROL_OUT 3u
#define QUEUES            (2 * (VIRTIO_CONSOLE_PORTS_MAX + 1))

#define PCI_CLASS_COMMUNICATION 0x078000u /* a simple communication controller, of no known kind \
					   */

/*
 * What the driver is still to be told of a port, a message each, in this order: a program finds the
 * port by its name, and takes one that is not open yet for one that is closed.
 */
#define TELL_ADD  0x1u
#define TELL_OPEN 0x2u
#define TELL_NAME 0x4u

/* The longest control message: the header and a name. */
#define NAME_MAX_LEN 63u
#define CONTROL_MAX  (sizeof(struct virtio_console_control) + NAME_MAX_LEN)

struct console_port {
	const char *name;
	unsigned tell;
	bool open;        /* on our side: there is more input to come */
	bool guest_ready; /* a driver has found the port */
	bool guest_open;
	bool closing; /* the guest has closed it, and output is left */
	/* Output that was not taken yet: a chain of the guest's. */
	bool held;
	uint16_t head;
	struct iovec iov[CONSOLE_QUEUE_SIZE], *rest;
	unsigned rest_count;
};

struct virtio_console {
	struct virtio_pci vdev;
	struct virtio_console_config config;
	const struct virtio_console_ops *ops;
	void *opaque;
	unsigned count;
	struct console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
};

static struct virtio_console *console_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct virtio_console, vdev);
}

static unsigned queue_in(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

static unsigned queue_out(unsigned port)
{
	return queue_in(port) + 1;
}

static unsigned queue_port(unsigned queue)
{
	return queue < QUEUE_CONTROL_IN ? 0 : queue / 2 - 1;
}

/* A queue that can be used now, or NULL. */
static struct virtqueue *live_queue(struct virtio_console *console, unsigned queue)
{
	struct virtio_queue *q = &console->vdev.queues[queue];

	return q->running && !q->vq.broken ? &q->vq : NULL;
}

/*
 * For what was pushed, and nothing else: the queue is served for it, which comes here again while
 * the driver has buffers there that nobody needs yet.
 */
static void pushed(struct virtio_console *console, unsigned queue)
{
	const struct virtqueue *vq = &console->vdev.queues[queue].vq;

	if (vq->used_next != vq->used_published || vq->broken)
		virtio_pci_pushed(&console->vdev, queue);
}

/* --- control messages to the driver --- */

static size_t build_message(struct console_port *port, unsigned id, uint8_t buf[CONTROL_MAX])
{
	struct virtio_console_control msg = { .id = htole32(id), .value = htole16(1) };
	size_t len = sizeof(msg);

	if (port->tell & TELL_ADD) {
		msg.event = htole16(VIRTIO_CONSOLE_PORT_ADD);
		port->tell &= ~TELL_ADD;
	} else if (port->tell & TELL_OPEN) {
		msg.event = htole16(VIRTIO_CONSOLE_PORT_OPEN);
		msg.value = htole16(port->open);
		port->tell &= ~TELL_OPEN;
	} else {
		const size_t name = strnlen(port->name, NAME_MAX_LEN);

		msg.event = htole16(VIRTIO_CONSOLE_PORT_NAME);
		memcpy(buf + len, port->name, name);
		len += name;
		port->tell &= ~TELL_NAME;
	}
	memcpy(buf, &msg, sizeof(msg));
	return len;
}

/* One message; false if the driver has no buffer for it. */
static bool tell_one(struct virtio_console *console, struct virtqueue *vq, unsigned id)
{
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct virtqueue_chain chain;
	uint8_t buf[CONTROL_MAX];
	size_t len;

	if (!virtqueue_pop(vq, iov, &chain))
		return false;
	len = build_message(&console->ports[id], id, buf);
	len = iov_write(iov + chain.readable, chain.writable, buf, len);
	virtqueue_push(vq, chain.head, (uint32_t)len);
	return true;
}

/* Tells the driver as much as it has buffers for; it rings when there are more. */
static void tell(struct virtio_console *console)
{
	struct virtqueue *vq = live_queue(console, QUEUE_CONTROL_IN);
	bool room = true;

	if (!vq)
		return;
	(void)virtqueue_fetch(vq);
	for (unsigned id = 0; id < console->count && room; id++) {
		while (console->ports[id].tell && room)
			room = tell_one(console, vq, id);
	}
	pushed(console, QUEUE_CONTROL_IN);
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

static void run_output(struct virtio_console *console, unsigned id)
{
	struct console_port *port = &console->ports[id];
	struct virtqueue *vq = live_queue(console, queue_out(id));
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
		pushed(console, queue_out(id));
	}
	if (taken && port->closing) {
		port->closing = false;
		console->ops->opened(console->opaque, id, false);
	}
}

void virtio_console_resume(struct virtio_console *console, unsigned port)
{
	run_output(console, port);
}

/* --- control messages of the driver --- */

static void guest_opened(struct virtio_console *console, unsigned id, bool open)
{
	struct console_port *port = &console->ports[id];
	struct virtqueue *vq;

	if (open == port->guest_open)
		return;
	port->guest_open = open;
	if (open) {
		console->ops->opened(console->opaque, id, true);
		return;
	}
	/* What it wrote before it closed the port lies in the ring, rung for or not. */
	port->closing = true;
	vq = live_queue(console, queue_out(id));
	if (vq)
		(void)virtqueue_fetch(vq);
	run_output(console, id);
}

static void control(struct virtio_console *console, const struct virtio_console_control *msg)
{
	const uint32_t id = le32toh(msg->id);
	const uint16_t event = le16toh(msg->event), value = le16toh(msg->value);

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		for (unsigned i = 0; i < console->count && value; i++)
			console->ports[i].tell |= TELL_ADD;
		return;
	}
	if (id >= console->count) {
		log_guest("%s: a control message for port %u, which is not there",
			  console->vdev.pci.device.name, id);
		return;
	}
	switch (event) {
	case VIRTIO_CONSOLE_PORT_READY:
		if (!value)
			break;
		console->ports[id].guest_ready = true;
		console->ports[id].tell |= TELL_NAME | TELL_OPEN;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		guest_opened(console, id, value);
		break;
	default:
		log_guest("%s: control message %u is not known", console->vdev.pci.device.name,
			  event);
	}
}

static void run_control(struct virtio_console *console)
{
	struct virtqueue *vq = &console->vdev.queues[QUEUE_CONTROL_OUT].vq;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct virtqueue_chain chain;

	while (virtqueue_pop(vq, iov, &chain)) {
		struct virtio_console_control msg;
		const size_t len = iov_read(iov, chain.readable, &msg, sizeof(msg));

		virtqueue_push(vq, chain.head, 0);
		if (len == sizeof(msg))
			control(console, &msg);
		else
			log_guest("%s: a control message of %zu bytes",
				  console->vdev.pci.device.name, len);
	}
	tell(console);
}

/* --- input --- */

size_t virtio_console_input(struct virtio_console *console, unsigned port, const void *data,
			    size_t len)
{
	struct virtqueue *vq = live_queue(console, queue_in(port));
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
	pushed(console, queue_in(port));
	return done;
}

void virtio_console_end_input(struct virtio_console *console, unsigned port)
{
	console->ports[port].open = false;
	if (console->ports[port].guest_ready)
		console->ports[port].tell |= TELL_OPEN;
	tell(console);
}

/* --- the class --- */

static void console_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_console *console = console_of(vdev);
	const unsigned port = queue_port(queue);

	if (queue == QUEUE_CONTROL_OUT)
		run_control(console);
	else if (queue == QUEUE_CONTROL_IN)
		tell(console);
	else if (port >= console->count)
		return; /* a port that is not there */
	else if (queue == queue_out(port))
		run_output(console, port);
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
	.pci_class = PCI_CLASS_COMMUNICATION,
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
