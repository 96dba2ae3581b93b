/* SPDX-License-Identifier: Apache-2.0 */
/* One who has called the control socket: requests, answers, the console; see control_caller.h. */
#include "control/control_caller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "control/control_request.h"
#include "core/err.h"
#include "core/log.h"

/* --- output --- */

void control_caller_unwatch(struct control_caller *client)
{
	if (client->watched)
		loop_remove(client->control->loop, &client->source);
	client->watched = false;
}

void control_caller_watch(struct control_caller *client)
{
	const bool for_room = client->out_len > 0;
	const bool full = client->writer && client->in_len > 0;

	if (client->dead || !client->control->loop)
		return;
	if (client->watched && client->source.for_room == for_room && (for_room || !full))
		return;
	control_caller_unwatch(client);
	client->source.for_room = for_room;
	if (!for_room && full)
		return;
	if (loop_add(client->control->loop, &client->source) < 0)
		client->dead = true;
	else
		client->watched = true;
}

void control_caller_flush(struct control_caller *client)
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

void control_caller_send(struct control_caller *client, const char *data, size_t len)
{
	if (len > sizeof(client->out) - client->out_len) {
		log_limited(LOG_WARN, "a client of the control socket does not read: cut off");
		client->dead = true;
		return;
	}
	memcpy(client->out + client->out_len, data, len);
	client->out_len += len;
	control_caller_flush(client);
}

/* --- the console --- */

void control_caller_show_console(struct control_caller *client)
{
	if (!client->console || client->dead || client->out_len)
		return;
	client->out_len = control_console_get(&client->control->console, &client->console_at,
					      client->out, sizeof(client->out));
	control_caller_flush(client);
}

static void client_type(struct control_caller *client)
{
	struct control *control = client->control;
	size_t n = client->in_len;

	if (client->writer)
		n = control->ops->type(control->opaque, (const uint8_t *)client->in, n);
	client->in_len -= n;
	memmove(client->in, client->in + n, client->in_len);
}

/* One whose keys wait for the guest is not watched, and may have gone meanwhile. */
static bool has_gone(const struct control_caller *client)
{
	struct pollfd p = { .fd = client->source.fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static bool has_writer(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_caller *client = control->clients[i];

		if (!client || !client->writer || client->dead)
			continue;
		if (!has_gone(client))
			return true;
		client->dead = true;
	}
	return false;
}

/* --- requests --- */

static void client_refuse(struct control_caller *client, const struct control_request *request,
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
		control_caller_send(client, line.text, line.len);
	free(line.text);
}

static void begin_console(struct control_caller *client, const struct control_request *request,
			  struct json_out *json)
{
	client->writer = control_request_is_true(request, "write") && !has_writer(client->control);
	json_out_bool(json, "write", client->writer);
	client->console = true;
	control_console_enter(&client->control->console, &client->console_at);
}

static void client_do(struct control_caller *client, const struct control_request *request)
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
		control_caller_send(client, line.text, line.len);
	free(line.text);
}

static void client_hear(struct control_caller *client, const char *text, size_t len)
{
	struct control_request request = { 0 };
	const char *wrong = control_request_read(text, len, &request);

	if (wrong)
		client_refuse(client, &request, wrong, "");
	else
		client_do(client, &request);
	control_request_fini(&request);
}

void control_caller_work(struct control_caller *client)
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

/* --- life --- */

void control_caller_free(struct control_caller *client)
{
	control_caller_unwatch(client);
	if (client->console)
		control_console_leave(&client->control->console);
	close(client->source.fd);
	free(client);
}

static void client_read(struct control_caller *client)
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

void control_caller_ready(struct loop_source *source)
{
	struct control_caller *client = container_of(source, struct control_caller, source);
	struct control *control = client->control;

	control->busy++;
	if (source->for_room) {
		control_caller_flush(client);
		control_caller_show_console(client);
	} else {
		client_read(client);
	}
	control_caller_work(client);
	control->busy--;
	control_settle(control);
}
