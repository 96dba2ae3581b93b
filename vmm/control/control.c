/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server, see control.h. On a loop. */
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "control/control_console.h"
#include "control/control_request.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

/* What a client that is slow to read gets of the last event. */
#define LAST_WORDS_MS 200

struct client {
	struct control *control;
	struct loop_source source;
	bool watched;
	bool dead;    /* freed when nobody uses it any more */
	bool closing; /* once it has read what it was told */
	bool events, console, writer;
	uint64_t console_at;          /* of the console's output, not yet put into out */
	char in[CONTROL_LINE_MAX];    /* read, not yet done */
	char out[CONTROL_OUTPUT_MAX]; /* not yet sent */
	size_t in_len, out_len;
};

struct control {
	const struct control_ops *ops;
	void *opaque;
	struct loop *loop; /* NULL: none */
	struct loop_source listener;
	int spare_fd; /* given up for who connects when this process may open no more files */
	struct client *clients[CONTROL_CLIENTS_MAX]; /* NULL: free */
	unsigned busy; /* a client is at work: what it does may tell an event */

	struct loop_event console_changed;
	struct control_console console;
};

/* --- output --- */

static void client_ready(struct loop_source *source);

static void client_unwatch(struct client *client)
{
	if (client->watched)
		loop_remove(client->control->loop, &client->source);
	client->watched = false;
}

/* Waits for room while there is something to send, else for requests, or keys that fit. */
static void client_watch(struct client *client)
{
	const bool for_room = client->out_len > 0;
	const bool full = client->writer && client->in_len > 0;

	if (client->dead || !client->control->loop)
		return;
	if (client->watched && client->source.for_room == for_room && (for_room || !full))
		return;
	client_unwatch(client);
	client->source.for_room = for_room;
	if (!for_room && full)
		return;
	if (loop_add(client->control->loop, &client->source) < 0)
		client->dead = true;
	else
		client->watched = true;
}

static void client_flush(struct client *client)
{
	while (client->out_len && !client->dead) {
		const ssize_t n = send(client->source.fd, client->out, client->out_len,
				       MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			client->dead = true;
			return;
		}
		client->out_len -= (size_t)n;
		memmove(client->out, client->out + n, client->out_len);
	}
	if (client->closing)
		client->dead = true;
}

static void client_send(struct client *client, const char *data, size_t len)
{
	if (len > sizeof(client->out) - client->out_len) {
		log_limited(LOG_WARN, "a client of the control socket does not read: cut off");
		client->dead = true;
		return;
	}
	memcpy(client->out + client->out_len, data, len);
	client->out_len += len;
	client_flush(client);
}

/* --- the console --- */

void control_console_output(struct control *control, const uint8_t *data, size_t len)
{
	if (control_console_put(&control->console, data, len))
		loop_post(control->loop, &control->console_changed);
}

/* What a slow viewer has missed, it has missed: the guest does not wait. */
static void client_show_console(struct client *client)
{
	if (!client->console || client->dead || client->out_len)
		return;
	client->out_len = control_console_get(&client->control->console, &client->console_at,
					      client->out, sizeof(client->out));
	client_flush(client);
}

static void client_type(struct client *client)
{
	struct control *control = client->control;
	size_t n = client->in_len;

	if (client->writer)
		n = control->ops->type(control->opaque, (const uint8_t *)client->in, n);
	client->in_len -= n;
	memmove(client->in, client->in + n, client->in_len);
}

/* One whose keys wait for the guest is not watched, and may have gone meanwhile. */
static bool has_gone(const struct client *client)
{
	struct pollfd p = { .fd = client->source.fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static bool has_writer(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];

		if (!client || !client->writer || client->dead)
			continue;
		if (!has_gone(client))
			return true;
		client->dead = true;
	}
	return false;
}

/* --- requests --- */

static void client_refuse(struct client *client, const struct control_request *request,
			  const char *why, const char *hint)
{
	struct control_line line;

	if (control_line_begin(&line) < 0) {
		client->dead = true;
		return;
	}
	if (request)
		control_request_put_id(request, &line.json);
	json_out_string(&line.json, "error", why);
	if (hint[0])
		json_out_string(&line.json, "hint", hint);
	if (control_line_end(&line))
		client_send(client, line.text, line.len);
	free(line.text);
}

static void begin_console(struct client *client, const struct control_request *request,
			  struct json_out *json)
{
	client->writer = control_request_is_true(request, "write") && !has_writer(client->control);
	json_out_bool(json, "write", client->writer);
	client->console = true;
	control_console_enter(&client->control->console, &client->console_at);
}

static void client_do(struct client *client, const struct control_request *request)
{
	struct control *control = client->control;
	const char *word = request->word;
	struct control_line line;
	int r = 0;

	if (strcmp(word, "status") != 0 && strcmp(word, "statistics") != 0 &&
	    strcmp(word, "events") != 0 && strcmp(word, "console") != 0)
		r = control->ops->act(control->opaque, word);
	if (r < 0) {
		client_refuse(client, request, r == -ENOENT ? "nothing is called that" : err_text(),
			      r == -ENOENT ? "" : err_hint_text());
		return;
	}
	if (control_line_begin(&line) < 0) {
		client->dead = true;
		return;
	}
	control_request_put_id(request, &line.json);
	json_out_bool(&line.json, "ok", true);
	if (strcmp(word, "status") == 0)
		control->ops->status(control->opaque, &line.json);
	else if (strcmp(word, "statistics") == 0)
		control->ops->statistics(control->opaque, &line.json);
	else if (strcmp(word, "events") == 0)
		client->events = true;
	else if (strcmp(word, "console") == 0)
		begin_console(client, request, &line.json);
	if (control_line_end(&line))
		client_send(client, line.text, line.len);
	free(line.text);
}

static void client_hear(struct client *client, const char *text, size_t len)
{
	struct control_request request = { 0 };
	const char *wrong = control_request_read(text, len, &request);

	if (wrong)
		client_refuse(client, &request, wrong, "");
	else
		client_do(client, &request);
	control_request_fini(&request);
}

/* Requests, one after the other, while the answers are read; or keys. */
static void client_work(struct client *client)
{
	while (!client->dead && !client->closing && client->in_len && !client->console &&
	       !client->out_len) {
		char line[CONTROL_LINE_MAX];
		const char *end = memchr(client->in, '\n', client->in_len);
		const size_t len = end ? (size_t)(end - client->in) : 0;

		if (!end && client->in_len < sizeof(client->in))
			return;
		if (!end) {
			client->closing = true;
			client_refuse(client, NULL, "a line is too long", "");
			return;
		}
		memcpy(line, client->in, len);
		client->in_len -= len + 1;
		memmove(client->in, end + 1, client->in_len);
		client_hear(client, line, len);
	}
	if (client->console && !client->dead)
		client_type(client);
}

static void client_free(struct client *client)
{
	client_unwatch(client);
	if (client->console)
		control_console_leave(&client->control->console);
	close(client->source.fd);
	free(client);
}

/* After everything that a client may have died of. */
static void control_settle(struct control *control)
{
	if (control->busy || !control->loop)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];

		if (!client)
			continue;
		client_watch(client);
		if (!client->dead)
			continue;
		control->clients[i] = NULL;
		client_free(client);
	}
}

static void client_read(struct client *client)
{
	const ssize_t n = recv(client->source.fd, client->in + client->in_len,
			       sizeof(client->in) - client->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		client->dead = true;
	else
		client->in_len += (size_t)n;
}

static void client_ready(struct loop_source *source)
{
	struct client *client = container_of(source, struct client, source);
	struct control *control = client->control;

	control->busy++;
	if (source->for_room) {
		client_flush(client);
		client_show_console(client);
	} else {
		client_read(client);
	}
	client_work(client);
	control->busy--;
	control_settle(control);
}

/* --- the server --- */

static void console_has_changed(struct loop_event *event)
{
	struct control *control = container_of(event, struct control, console_changed);

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (control->clients[i])
			client_show_console(control->clients[i]);
	}
	control_settle(control);
}

void control_console_room(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];

		if (client && client->writer && client->in_len)
			client_work(client);
	}
	control_settle(control);
}

/* Of this user, or root. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static struct client **free_place(struct control *control)
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
	struct client **place = free_place(control);

	if (place && is_trusted(fd))
		*place = calloc(1, sizeof(**place));
	if (!place || !*place) {
		close(fd);
		return;
	}
	(*place)->control = control;
	(*place)->source = (struct loop_source){ .fd = fd, .ready = client_ready };
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
			client_free(control->clients[i]);
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
			client_unwatch(control->clients[i]);
	}
	loop_remove(control->loop, &control->listener);
	control->loop = NULL;
}

static void tell_all(struct control *control, struct control_line *line)
{
	const bool whole = control_line_end(line);

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX && whole; i++) {
		if (control->clients[i] && control->clients[i]->events &&
		    !control->clients[i]->console)
			client_send(control->clients[i], line->text, line->len);
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
		struct client *client = control->clients[i];

		while (client && !client->dead && client->out_len) {
			const uint64_t now = clock_ms();
			struct pollfd p = { .fd = client->source.fd, .events = POLLOUT };

			if (now >= until || poll(&p, 1, (int)(until - now)) < 1)
				break;
			client_flush(client);
			client_show_console(client);
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
