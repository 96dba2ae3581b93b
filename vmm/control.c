/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server, see control.h. On a loop. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "firmware-loader/json.h"

#define ID_MAX   64u /* bytes of a request's id, if it is a string */
#define WORD_MAX 32u

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
	pthread_mutex_t lock; /* guards the next three */
	unsigned viewers;
	uint64_t console_bytes; /* ever, while there were viewers */
	uint8_t console[CONTROL_CONSOLE];
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

/* A line that is being written. */
struct line {
	char *text;
	size_t len;
	FILE *file;
	struct json_out json;
};

static int line_begin(struct line *line)
{
	*line = (struct line){ 0 };
	line->file = open_memstream(&line->text, &line->len);
	if (!line->file)
		return -ENOMEM;
	json_out_init_line(&line->json, line->file);
	json_out_object(&line->json, NULL);
	return 0;
}

/* False if there was no memory for it. */
static bool line_end(struct line *line)
{
	json_out_end(&line->json);
	json_out_fini(&line->json);
	return fclose(line->file) == 0 && line->text;
}

/* --- the console --- */

static void set_viewer(struct client *client, bool views)
{
	struct control *control = client->control;

	pthread_mutex_lock(&control->lock);
	if (views)
		client->console_at = control->console_bytes;
	control->viewers += views ? 1 : -1u;
	pthread_mutex_unlock(&control->lock);
	client->console = views;
}

void control_console_output(struct control *control, const uint8_t *data, size_t len)
{
	bool seen;

	pthread_mutex_lock(&control->lock);
	seen = control->viewers > 0;
	for (size_t i = 0; i < len && seen; i++)
		control->console[control->console_bytes++ % CONTROL_CONSOLE] = data[i];
	pthread_mutex_unlock(&control->lock);
	if (seen)
		loop_post(control->loop, &control->console_changed);
}

/* What a slow viewer has missed, it has missed: the guest does not wait. */
static void fill_from_console(struct client *client)
{
	struct control *control = client->control;

	pthread_mutex_lock(&control->lock);
	if (control->console_bytes - client->console_at > CONTROL_CONSOLE)
		client->console_at = control->console_bytes - CONTROL_CONSOLE;
	while (client->console_at != control->console_bytes &&
	       client->out_len < sizeof(client->out))
		client->out[client->out_len++] =
			(char)control->console[client->console_at++ % CONTROL_CONSOLE];
	pthread_mutex_unlock(&control->lock);
}

static void client_show_console(struct client *client)
{
	if (!client->console || client->dead || client->out_len)
		return;
	fill_from_console(client);
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

struct request {
	struct json json;
	char word[WORD_MAX];
	char id[ID_MAX];
	bool has_id, id_is_number;
	uint64_t number;
};

static bool read_id(struct request *request)
{
	const uint32_t id = json_member(&request->json, 0, "id");
	const struct json_token *token;
	char *end;

	if (id == JSON_NONE)
		return true;
	request->has_id = true;
	if (json_is(&request->json, id, JSON_STRING))
		return json_string(&request->json, id, request->id, sizeof(request->id)) == 0;
	if (!json_is(&request->json, id, JSON_NUMBER))
		return false;
	token = &request->json.tokens[id];
	if (token->end - token->start >= sizeof(request->id))
		return false;
	memcpy(request->id, request->json.text + token->start, token->end - token->start);
	errno = 0;
	request->number = strtoull(request->id, &end, 10);
	request->id_is_number = true;
	return errno == 0 && !*end && request->id[0] != '-';
}

static const char *read_request(const char *text, size_t len, struct request *ret_request)
{
	struct request *request = ret_request;

	if (json_parse(text, len, &request->json) < 0)
		return "this is not JSON";
	if (!json_is(&request->json, 0, JSON_OBJECT))
		return "a request is an object";
	if (!read_id(request)) {
		request->has_id = false;
		return "an id is a short string or a whole number";
	}
	if (json_member(&request->json, 0, "do") == JSON_NONE)
		return "a request says what to do";
	if (json_string(&request->json, json_member(&request->json, 0, "do"), request->word,
			sizeof(request->word)) < 0)
		return "nothing is called that";
	return NULL;
}

static void put_id(const struct request *request, struct json_out *json)
{
	if (request->has_id && request->id_is_number)
		json_out_number(json, "id", request->number);
	else if (request->has_id)
		json_out_string(json, "id", request->id);
}

static void client_refuse(struct client *client, const struct request *request, const char *why,
			  const char *hint)
{
	struct line line;

	if (line_begin(&line) < 0) {
		client->dead = true;
		return;
	}
	if (request)
		put_id(request, &line.json);
	json_out_string(&line.json, "error", why);
	if (hint[0])
		json_out_string(&line.json, "hint", hint);
	if (line_end(&line))
		client_send(client, line.text, line.len);
	free(line.text);
}

static void begin_console(struct client *client, const struct request *request,
			  struct json_out *json)
{
	const bool wants =
		json_is(&request->json, json_member(&request->json, 0, "write"), JSON_TRUE);

	client->writer = wants && !has_writer(client->control);
	json_out_bool(json, "write", client->writer);
	set_viewer(client, true);
}

static void client_do(struct client *client, const struct request *request)
{
	struct control *control = client->control;
	const char *word = request->word;
	struct line line;
	int r = 0;

	if (strcmp(word, "status") != 0 && strcmp(word, "statistics") != 0 &&
	    strcmp(word, "events") != 0 && strcmp(word, "console") != 0)
		r = control->ops->act(control->opaque, word);
	if (r < 0) {
		client_refuse(client, request, r == -ENOENT ? "nothing is called that" : err_text(),
			      r == -ENOENT ? "" : err_hint_text());
		return;
	}
	if (line_begin(&line) < 0) {
		client->dead = true;
		return;
	}
	put_id(request, &line.json);
	json_out_bool(&line.json, "ok", true);
	if (strcmp(word, "status") == 0)
		control->ops->status(control->opaque, &line.json);
	else if (strcmp(word, "statistics") == 0)
		control->ops->statistics(control->opaque, &line.json);
	else if (strcmp(word, "events") == 0)
		client->events = true;
	else if (strcmp(word, "console") == 0)
		begin_console(client, request, &line.json);
	if (line_end(&line))
		client_send(client, line.text, line.len);
	free(line.text);
}

static void client_hear(struct client *client, const char *text, size_t len)
{
	struct request request = { 0 };
	const char *wrong = read_request(text, len, &request);

	if (wrong)
		client_refuse(client, &request, wrong, "");
	else
		client_do(client, &request);
	json_fini(&request.json);
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
		set_viewer(client, false);
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

/* It would be told of for ever. */
static void turn_away(struct control *control)
{
	int fd;

	close_fd(&control->spare_fd);
	fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	closep(&fd);
	control->spare_fd = sys_open("/dev/null", O_RDONLY, 0);
}

static void connection_ready(struct loop_source *source)
{
	struct control *control = container_of(source, struct control, listener);
	const int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client **place = free_place(control);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			turn_away(control);
		return;
	}
	if (place && is_trusted(fd))
		*place = calloc(1, sizeof(**place));
	if (!place || !*place) {
		close(fd);
		return;
	}
	(*place)->control = control;
	(*place)->source = (struct loop_source){ .fd = fd, .ready = client_ready };
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
	control->listener = (struct loop_source){ .fd = fd, .ready = connection_ready };
	control->console_changed.fn = console_has_changed;
	pthread_mutex_init(&control->lock, NULL);
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
	pthread_mutex_destroy(&control->lock);
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

static void tell_all(struct control *control, struct line *line)
{
	const bool whole = line_end(line);

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX && whole; i++) {
		if (control->clients[i] && control->clients[i]->events &&
		    !control->clients[i]->console)
			client_send(control->clients[i], line->text, line->len);
	}
	free(line->text);
	control_settle(control);
}

static int begin_event(struct line *line, const char *event)
{
	struct timespec now = { 0 };
	int r = line_begin(line);

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
	struct line line;

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
	struct line line;

	if (begin_event(&line, "exited") == 0) {
		json_out_number(&line.json, "status", (uint64_t)status);
		tell_all(control, &line);
	}
	last_words(control);
}
