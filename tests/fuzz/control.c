/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a run's control socket that sends anything, in pieces, and types on the console. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/control.h"
#include "temp_dir.h"

#define PIECES_MAX 64u

static struct temp_dir dir;
static struct loop loop;
static struct control *control;
static struct sockaddr_un place = { .sun_family = AF_UNIX };

static const char *const seeds[] = {
	"\x20{\"do\":\"status\",\"id\":1}\n\x20{\"do\":\"statistics\"}\n",
	"\x7f{\"id\":\"\\u0041\\ud83d\\ude00\\\"\",\"do\":\"pause\"}\n{\"do\":\"none\"}\n",
	"\x7f{\"do\":\"events\"}\n{\"do\":\"pause\"}\n",
	"\x7f{\"do\":\"console\",\"write\":true}\nkeys\n",
	"\x7f{\"do\":\"console\",\"id\":18446744073709551615,\"history\":true}\n",
};

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	if (nr < ARRAY_SIZE(seeds))
		return fuzz_put_text(seed, seeds[nr]);
	if (nr > ARRAY_SIZE(seeds))
		return 0;
	/* A line that is longer than any may be: no newline, and each piece of 'x' long. */
	memset(seed, 'x', CONTROL_LINE_MAX + 200);
	return CONTROL_LINE_MAX + 200;
}

static int act(void *opaque, const char *what)
{
	if (strcmp(what, "pause") != 0)
		return -ENOENT;
	control_tell(control, "paused", "by", "somebody");
	return 0;
}

static void put_numbers(void *opaque, struct json_out *json)
{
	json_out_number(json, "cpu_ms", 7);
}

static size_t type(void *opaque, const uint8_t *data, size_t len)
{
	return len;
}

static void join(void *arg)
{
	if (control_join(control, &loop) < 0)
		abort();
}

static void leave(void *arg)
{
	control_leave(control);
}

static void fini(void)
{
	loop_call(&loop, leave, NULL);
	loop_join_thread(&loop);
	control_destroy(control);
	loop_fini(&loop);
	temp_dir_fini(&dir);
}

static void init(void)
{
	static const struct control_ops ops = { act, put_numbers, put_numbers, type };

	temp_dir_init(&dir);
	snprintf(place.sun_path, sizeof(place.sun_path), "%s/control", dir.path);
	if (control_create(place.sun_path, &ops, NULL, &control) < 0 || loop_init(&loop) < 0 ||
	    loop_start_thread(&loop, "control") < 0)
		abort();
	loop_call(&loop, join, NULL);
	atexit(fini);
}

/* Pieces, each with its length; behind each the server has its turn, and the guest a word. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char sink[4096];
	int fd;

	if (!control)
		init();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&place, sizeof(place)) < 0)
		abort();
	for (unsigned i = 0; i < PIECES_MAX && in.left; i++) {
		const uint8_t *piece;
		const size_t len = fuzz_bytes(&in, fuzz_take(&in, 1), &piece);

		/* It may have hung up. */
		if (send(fd, piece, len, MSG_NOSIGNAL) < 0)
			break;
		control_console_output(control, piece, MIN(len, 8));
	}
	shutdown(fd, SHUT_WR);
	/* To the end: a server that keeps a client which has gone would be a finding, too. */
	while (recv(fd, sink, sizeof(sink), 0) > 0)
		;
	close(fd);
	return 0;
}
