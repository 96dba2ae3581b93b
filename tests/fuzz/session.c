/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent of a hostile guest says to the host: lines, streams, and messages about its ports.
 * The driver is a good one (virtio_console.c has the other).
 */
#include "fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#include "command/session.h"
#include "console_guest.h"

#define SAID_MAX  255u
#define STEPS_MAX 64u

enum { LINE, STREAM, PORT, SIGNAL, STEPS };

static void put_line(uint8_t **p, const char *line)
{
	fuzz_put(p, 1, LINE);
	fuzz_put(p, 1, strlen(line));
	memcpy(*p, line, strlen(line));
	*p += strlen(line);
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const char *const ends[] = { "exited 7\n",   "killed 9\n",
					    "failed no\n",  "not-found no such file\n",
					    "exited 999\n", "not-executable no\n" };
	char long_text[SAID_MAX] = "";
	uint8_t *p = seed;

	memset(long_text, 'x', sizeof(long_text) - 1);
	if (nr == ARRAY_SIZE(ends)) {
		/* A line that has no end. */
		for (unsigned i = 0; i < 4; i++)
			put_line(&p, long_text);
		return (size_t)(p - seed);
	}
	if (nr > ARRAY_SIZE(ends))
		return 0;
	put_line(&p, "kernel 6.1.0-42-amd64\ndriver 0000:01:00.0 nvidia 570.1\n");
	put_line(&p, "started\n");
	fuzz_put(&p, 1, STREAM);
	fuzz_put(&p, 1, nr);
	fuzz_put(&p, 1, 8);
	fuzz_put(&p, 8, 0);
	put_line(&p, "peak 4096\noom-kills 1\n");
	for (unsigned port = GUEST_STDOUT; port <= GUEST_STDERR; port++) {
		fuzz_put(&p, 1, PORT);
		fuzz_put(&p, 4, port);
		fuzz_put(&p, 2, VIRTIO_CONSOLE_PORT_OPEN);
		fuzz_put(&p, 2, 0);
	}
	put_line(&p, ends[nr]);
	return (size_t)(p - seed);
}

static void see_end(void *opaque)
{
	++*(unsigned *)opaque;
}

/* As much as fits into one buffer of the driver's; then all buffers that are done are its again. */
static void say(struct console_guest *g, unsigned port, struct fuzz_input *in)
{
	const unsigned queue = console_out(port);
	const uint8_t *bytes;
	const size_t len = fuzz_bytes(in, fuzz_take(in, 1) % SAID_MAX, &bytes);
	uint32_t used;

	if (len && g->drv[queue].free_count)
		console_guest_say(g, queue, bytes, (uint32_t)len);
	while (console_guest_taken(g, queue, &used))
		;
}

static void step(struct console_guest *g, struct session *session, struct fuzz_input *in)
{
	uint32_t id, used;
	uint16_t event;

	switch (fuzz_below(in, STEPS)) {
	case LINE:
		say(g, GUEST_CONTROL, in);
		break;
	case STREAM:
		say(g, fuzz_below(in, GUEST_PORTS), in);
		break;
	case PORT:
		id = (uint32_t)fuzz_take(in, 4);
		event = (uint16_t)fuzz_take(in, 2);
		if (g->drv[CONTROL_OUT].free_count)
			console_guest_control(g, id, event, (uint16_t)fuzz_take(in, 2));
		while (console_guest_taken(g, CONTROL_IN, &used))
			;
		break;
	default:
		(void)session_signal(session, 1 + (int)fuzz_below(in, 31));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session session;
	static struct console_guest g;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct session_files files = { null, null, null };
	struct fuzz_input in = { data, size };
	struct pci_dev *dev;
	unsigned ended = 0;

	memset(&g, 0, sizeof(g));
	memset(&session, 0, sizeof(session));
	virtio_guest_init(&g.guest);
	if (session_init(&session, &g.guest.board, &files, see_end, &ended, &dev) < 0)
		abort();
	g.loop = &session.loop;
	virtio_guest_plug(&g.guest, dev);
	session_start(&session);
	console_guest_drive(&g);
	console_guest_open(&g, GUEST_PORTS);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(&g, &session, &in);
	session_stop(&session);
	/* It ends once, with what can be told of it. */
	assert(ended <= 1 && memchr(session.result.text, '\0', sizeof(session.result.text)));
	assert(session.report.driver_count <= SESSION_DRIVERS_MAX);
	virtio_guest_fini(&g.guest);
	session_fini(&session);
	close(null);
	return 0;
}
