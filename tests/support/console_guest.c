/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a virtio console; see console_guest.h. */
#include "console_guest.h"

#include "cmocka_all.h"

#define RINGS       0x10000u
#define RING_STRIDE 0x1000u
#define DATA_STRIDE 0x1000u
#define BUFFER      256u

static uint64_t data_gpa(unsigned queue, unsigned nr)
{
	return CONSOLE_GUEST_DATA + queue * DATA_STRIDE + nr * BUFFER;
}

void console_guest_drive(struct console_guest *g)
{
	assert_true(virtio_guest_negotiate(&g->guest, 1ull << VIRTIO_CONSOLE_F_MULTIPORT));
	virtio_guest_enable_msix(&g->guest, CONSOLE_GUEST_QUEUES);
	for (unsigned q = 0; q < CONSOLE_GUEST_QUEUES; q++)
		virtio_guest_setup_queue(&g->guest, q, &g->drv[q], RINGS + q * RING_STRIDE,
					 CONSOLE_GUEST_QUEUE);
	virtio_guest_driver_ok(&g->guest);
}

static void nothing(void *arg)
{
}

/* A call is handled in its turn with the doorbells that were rung before it, one round each. */
void console_guest_settle(struct console_guest *g)
{
	for (unsigned i = 0; i < 4; i++)
		loop_call(g->loop, nothing, NULL);
}

static void give(struct console_guest *g, unsigned queue, struct vring_buf buf)
{
	vring_driver_add(&g->drv[queue], &buf, 1);
	if (vring_driver_expose(&g->drv[queue]))
		virtio_guest_ring(&g->guest, queue);
	console_guest_settle(g);
}

void console_guest_give_room(struct console_guest *g, unsigned queue, unsigned buffers,
			     uint32_t size)
{
	assert_in_range(size, 1, BUFFER);
	for (unsigned i = 0; i < buffers; i++)
		give(g, queue, (struct vring_buf){ data_gpa(queue, i), size, true });
}

char *console_guest_buffer(struct console_guest *g, unsigned queue, unsigned nr)
{
	return mem_ptr(&g->guest.mem, data_gpa(queue, nr), BUFFER);
}

void console_guest_say(struct console_guest *g, unsigned queue, const void *data, uint32_t len)
{
	memcpy(mem_ptr(&g->guest.mem, data_gpa(queue, 0), len), data, len);
	give(g, queue, (struct vring_buf){ data_gpa(queue, 0), len, false });
}

void console_guest_control(struct console_guest *g, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control msg = { id, event, value };
	uint32_t len;

	console_guest_say(g, CONTROL_OUT, &msg, sizeof(msg));
	while (console_guest_taken(g, CONTROL_OUT, &len))
		;
}

bool console_guest_taken(struct console_guest *g, unsigned queue, uint32_t *ret_len)
{
	uint16_t head;

	return vring_driver_take(&g->drv[queue], &head, ret_len);
}

void console_guest_heard(struct console_guest *g, uint32_t id, uint16_t event, uint16_t value,
			 const char *text)
{
	struct virtio_console_control msg;
	char got[BUFFER] = { 0 };
	const char *buffer;
	uint16_t head;
	uint32_t len;

	assert_true(vring_driver_take(&g->drv[CONTROL_IN], &head, &len));
	assert_in_range(len, sizeof(msg), BUFFER - 1);
	buffer = mem_ptr(&g->guest.mem, g->drv[CONTROL_IN].desc[head].addr, len);
	memcpy(&msg, buffer, sizeof(msg));
	memcpy(got, buffer + sizeof(msg), len - sizeof(msg));
	assert_int_equal(msg.id, id);
	assert_int_equal(msg.event, event);
	assert_int_equal(msg.value, value);
	assert_string_equal(got, text);
}

void console_guest_open(struct console_guest *g, unsigned ports)
{
	uint32_t len;

	console_guest_give_room(g, CONTROL_IN, CONSOLE_GUEST_QUEUE, 64);
	console_guest_control(g, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned id = 0; id < ports; id++) {
		console_guest_control(g, id, VIRTIO_CONSOLE_PORT_READY, 1);
		while (console_guest_taken(g, CONTROL_IN, &len))
			;
		console_guest_give_room(g, CONTROL_IN, 2, 64);
		console_guest_control(g, id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
}
