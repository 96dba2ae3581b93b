/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device that carries a command's streams, under a hostile driver; its other end takes
 * as much as it likes, and has input to give.
 */
#include "hostile_driver.h"

#include <stdlib.h>

#include "console_guest.h"
#include "devices/virtio/virtio_console.h"

#define PORTS 4u

static struct virtio_guest guest;
static struct virtio_console *console;
static size_t room; /* the loop's, or while it is idle */

static size_t take_output(void *opaque, unsigned port, const void *data, size_t len)
{
	len = MIN(len, room);
	room -= len;
	return len;
}

static void see_room(void *opaque, unsigned port)
{
}

static void see_opened(void *opaque, unsigned port, bool open)
{
}

struct host_word {
	unsigned port, what;
	const uint8_t *bytes;
	size_t len;
};

static void speak(void *arg)
{
	const struct host_word *word = arg;

	room = word->len;
	switch (word->what) {
	case 0:
		(void)virtio_console_input(console, word->port, word->bytes, word->len);
		break;
	case 1:
		virtio_console_resume(console, word->port);
		break;
	default:
		virtio_console_end_input(console, word->port);
	}
}

static void host(void *opaque, struct fuzz_input *in)
{
	struct host_word word = { .port = fuzz_below(in, PORTS), .what = fuzz_below(in, 3) };

	word.len = fuzz_bytes(in, fuzz_below(in, 256), &word.bytes);
	loop_call(&guest.loop, speak, &word);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const struct hostile_buf in_buf[] = { { 64, true } }, out_buf[] = { { 8, false } };
	static const uint16_t events[] = { VIRTIO_CONSOLE_DEVICE_READY, VIRTIO_CONSOLE_PORT_READY,
					   VIRTIO_CONSOLE_PORT_OPEN };
	uint8_t *p = seed;

	if (nr == PORTS)
		return 0;
	hostile_seed_begin(&p, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
	for (unsigned i = 0; i < 6; i++)
		hostile_seed_request(&p, CONTROL_IN, "", 0, in_buf, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		const struct virtio_console_control msg = { nr, events[i], 1 };

		hostile_seed_request(&p, CONTROL_OUT, &msg, sizeof(msg), out_buf, 1);
	}
	hostile_seed_request(&p, console_in(nr), "", 0, in_buf, 1);
	hostile_seed_request(&p, console_out(nr), "12345678", 8, out_buf, 1);
	for (unsigned what = 0; what < 3; what++) {
		hostile_seed_host(&p);
		fuzz_put(&p, 1, nr);
		fuzz_put(&p, 1, what);
		fuzz_put(&p, 1, 8);
		fuzz_put(&p, 8, 0);
	}
	return (size_t)(p - seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[PORTS] = { "a", "b", "c", "d" };
	static const struct virtio_console_ops ops = { take_output, see_room, see_opened };
	const struct virtio_console_options options = { names, PORTS, &ops, NULL };
	struct fuzz_input in = { data, size };
	struct hostile_driver driver = { .guest = &guest,
					 .queues = CONSOLE_GUEST_QUEUES,
					 .loops = &guest.loop,
					 .loop_count = 1,
					 .host = host };

	room = 0;
	virtio_guest_init(&guest);
	if (virtio_console_create(&guest.board, &guest.loop, &options, &console) < 0)
		abort();
	virtio_guest_plug(&guest, virtio_console_pci(console));
	hostile_driver_run(&driver, &in);
	virtio_guest_fini(&guest);
	return 0;
}
