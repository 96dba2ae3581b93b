/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control messages of a virtio console, by which ports come, get a name, are opened and closed;
 * on the device's loop. [virtio-1.2 5.3.6.2 Multiport Device Operation]
 */
#include "devices/virtio/virtio_console_control.h"

#include "core/log.h"
#include "devices/virtio/iov.h"

/* The longest control message: the header and a name. */
#define NAME_MAX_LEN 63u
#define CONTROL_MAX  (sizeof(struct virtio_console_control) + NAME_MAX_LEN)

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
void virtio_console_control_tell(struct virtio_console *console)
{
	struct virtqueue *vq = virtio_console_live_queue(console, QUEUE_CONTROL_IN);
	bool room = true;

	if (!vq)
		return;
	(void)virtqueue_fetch(vq);
	for (unsigned id = 0; id < console->count && room; id++) {
		while (console->ports[id].tell && room)
			room = tell_one(console, vq, id);
	}
	virtio_console_pushed(console, QUEUE_CONTROL_IN);
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
	vq = virtio_console_live_queue(console, virtio_console_queue_out(id));
	if (vq)
		(void)virtqueue_fetch(vq);
	virtio_console_run_output(console, id);
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

void virtio_console_control_serve(struct virtio_console *console)
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
	virtio_console_control_tell(console);
}
