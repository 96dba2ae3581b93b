/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server, see control.h; who has called it: control_caller.c. On a loop. */
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "control/control_caller.h"
#include "control/control_request.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/sys.h"

/* What a client that is slow to read gets of the last event. */
#define LAST_WORDS_MS 200

/* After everything that a client may have died of. */
void control_settle(struct control *control)
{
	if (control->busy || !control->loop)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_caller *client = control->clients[i];

		if (!client)
			continue;
		control_caller_watch(client);
		if (!client->dead)
			continue;
		control->clients[i] = NULL;
		control_caller_free(client);
	}
}

/* --- the console --- */

void control_console_output(struct control *control, const uint8_t *data, size_t len)
{
	if (control_console_put(&control->console, data, len))
		loop_post(control->loop, &control->console_changed);
}

static void console_has_changed(struct loop_event *event)
{
	struct control *control = container_of(event, struct control, console_changed);

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (control->clients[i])
			control_caller_show_console(control->clients[i]);
	}
	control_settle(control);
}

void control_console_room(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_caller *client = control->clients[i];

		if (client && client->writer && client->in_len)
			control_caller_work(client);
	}
	control_settle(control);
}

/* --- the server --- */

/* Of this user, or root. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static struct control_caller **free_place(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (!control->clients[i])
			return &control->clients[i];
	}
	return NULL;
}

/* False if not even that: who connects waits until the next one does. */
static bool turn_away(struct control *control)
{
	int fd;

	close_fd(&control->spare_fd);
	fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	closep(&fd);
	return fd >= 0;
}

static void welcome(struct control *control, int fd)
{
	struct control_caller **place = free_place(control);

	if (place && is_trusted(fd))
		*place = calloc(1, sizeof(**place));
	if (!place || !*place) {
		close(fd);
		return;
	}
	(*place)->control = control;
	(*place)->source = (struct loop_source){ .fd = fd, .ready = control_caller_ready };
}

/* Told of when one connects, not as long as one waits whom there is no file for. */
static void connection_ready(struct loop_source *source)
{
	struct control *control = container_of(source, struct control, listener);
	bool more = true;

	while (more) {
		const int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		more = fd >= 0 || ((errno == EMFILE || errno == ENFILE) && turn_away(control));
		if (fd >= 0)
			welcome(control, fd);
		if (control->spare_fd < 0)
			control->spare_fd = sys_open("/dev/null", O_RDONLY, 0);
	}
	control_settle(control);
}

int control_create(const char *path, const struct control_ops *ops, void *opaque,
		   struct control **ret_control)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct control *control;
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_sys(ERR_HOST, -ENAMETOOLONG, "the control socket");
	strcpy(addr.sun_path, path);
	control = calloc(1, sizeof(*control));
	if (!control)
		return err_sys(ERR_LIMIT, -ENOMEM, "the control socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, CONTROL_CLIENTS_MAX) < 0) {
		r = err_sys(ERR_HOST, -errno, "the control socket");
		closep(&fd);
		free(control);
		return r;
	}
	control->ops = ops;
	control->opaque = opaque;
	control->spare_fd = sys_open("/dev/null", O_RDONLY, 0);
	control->listener =
		(struct loop_source){ .fd = fd, .ready = connection_ready, .edge = true };
	control->console_changed.fn = console_has_changed;
	control_console_init(&control->console);
	*ret_control = control;
	return 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (control->clients[i])
			control_caller_free(control->clients[i]);
	}
	close(control->listener.fd);
	close_fd(&control->spare_fd);
	control_console_fini(&control->console);
	free(control);
}

int control_join(struct control *control, struct loop *loop)
{
	const int r = loop_add(loop, &control->listener);

	if (r < 0)
		return err_wrap(r, "the control socket");
	control->loop = loop;
	return 0;
}

void control_leave(struct control *control)
{
	if (!control->loop)
		return;
	/* The end of what the guest wrote. */
	console_has_changed(&control->console_changed);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (control->clients[i])
			control_caller_unwatch(control->clients[i]);
	}
	loop_remove(control->loop, &control->listener);
	control->loop = NULL;
}

/* --- events --- */

static void tell_all(struct control *control, struct control_line *line)
{
	const bool whole = control_line_end(line);

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX && whole; i++) {
		if (control->clients[i] && control->clients[i]->events &&
		    !control->clients[i]->console)
			control_caller_send(control->clients[i], line->text, line->len);
	}
	free(line->text);
	control_settle(control);
}

static int begin_event(struct control_line *line, const char *event)
{
	struct timespec now = { 0 };
	int r = control_line_begin(line);

	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	json_out_string(&line->json, "event", event);
	json_out_number(&line->json, "time_ms",
			(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS);
	return 0;
}

void control_tell(struct control *control, const char *event, const char *key, const char *value)
{
	struct control_line line;

	if (begin_event(&line, event) < 0)
		return;
	if (key)
		json_out_string(&line.json, key, value);
	tell_all(control, &line);
}

/* Everything that waits, to everybody who reads it in time. */
static void last_words(struct control *control)
{
	const uint64_t until = clock_ms() + LAST_WORDS_MS;

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_caller *client = control->clients[i];

		while (client && !client->dead && client->out_len) {
			const uint64_t now = clock_ms();
			struct pollfd p = { .fd = client->source.fd, .events = POLLOUT };

			if (now >= until || poll(&p, 1, (int)(until - now)) < 1)
				break;
			control_caller_flush(client);
			control_caller_show_console(client);
		}
	}
}

void control_tell_exit(struct control *control, int status)
{
	struct control_line line;

	if (begin_event(&line, "exited") == 0) {
		json_out_number(&line.json, "status", (uint64_t)status);
		tell_all(control, &line);
	}
	last_words(control);
}
