/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a run by its control socket; see control_client.h. */
#include "control/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/run_folder.h"
#include "core/clock.h"
#include "core/err.h"
#include "firmware-loader/json.h"

int control_client_open(const char *root, const char *name, struct control_client *ret_client)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = CONTROL_ANSWER_MS / 1000 };
	struct run_folder folder;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd, r = run_folder_open(root, name, &folder);

	if (r < 0)
		return r;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		 run_folder_path(&folder, RUN_FOLDER_SOCKET).s);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		r = err_sys(ERR_GUEST, -errno, "the control socket of the guest '%s'", name);
		closep(&fd);
	}
	run_folder_close(&folder);
	if (r < 0)
		return r;
	ret_client->fd = fd;
	ret_client->pid = peer.pid;
	ret_client->start = ret_client->len = 0;
	return 0;
}

void control_client_close(struct control_client *client)
{
	close_fd(&client->fd);
}

static bool take_line(struct control_client *client, char **ret_line)
{
	char *line = client->buf + client->start;
	char *end = memchr(line, '\n', client->len);

	if (!end)
		return false;
	*end = '\0';
	client->start += (size_t)(end - line) + 1;
	client->len -= (size_t)(end - line) + 1;
	*ret_line = line;
	return true;
}

int control_client_line(struct control_client *client, int timeout_ms, char **ret_line)
{
	const uint64_t until = clock_ms() + (uint64_t)MAX(timeout_ms, 0);

	while (!take_line(client, ret_line)) {
		struct pollfd p = { .fd = client->fd, .events = POLLIN };
		const uint64_t now = clock_ms();
		ssize_t n;

		memmove(client->buf, client->buf + client->start, client->len);
		client->start = 0;
		if (client->len == sizeof(client->buf))
			return 0; /* no line of ours is so long */
		if (timeout_ms >= 0 && now >= until)
			return -ETIMEDOUT;
		if (poll(&p, 1, timeout_ms < 0 ? -1 : (int)(until - now)) < 1)
			continue;
		n = read(client->fd, client->buf + client->len, sizeof(client->buf) - client->len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return 0;
		client->len += (size_t)n;
	}
	return 1;
}

/* True if the line is an answer; 0 or the error that it tells in *ret_r. */
static bool is_answer(const char *line, int *ret_r)
{
	struct json json = { 0 };
	char why[512], hint[512];
	bool answer;

	*ret_r = 0;
	if (json_parse(line, strlen(line), &json) < 0)
		return false;
	answer = json_member(&json, 0, "event") == JSON_NONE;
	if (json_string(&json, json_member(&json, 0, "error"), why, sizeof(why)) == 0) {
		*ret_r = err_set(ERR_GUEST, -EREMOTEIO, "%s", why);
		if (json_string(&json, json_member(&json, 0, "hint"), hint, sizeof(hint)) == 0)
			err_hint("%s", hint);
	}
	json_fini(&json);
	return answer;
}

static int no_answer(void)
{
	const int r = err_set(ERR_GUEST, -ETIMEDOUT, "the run does not answer");

	err_hint("it is starting, or ending");
	return r;
}

int control_client_ask(struct control_client *client, const char *request, unsigned timeout_ms,
		       char **ret_answer)
{
	const uint64_t until = clock_ms() + timeout_ms;
	char *line, text[CONTROL_LINE_MAX];
	int len, r;

	len = snprintf(text, sizeof(text), "{%s}\n", request);
	if (send(client->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		return no_answer();
	for (;;) {
		const uint64_t now = clock_ms();

		r = control_client_line(client, (int)(until - MIN(now, until)), &line);
		if (r <= 0)
			return no_answer();
		if (is_answer(line, &r))
			break;
	}
	if (r == 0 && ret_answer)
		*ret_answer = line;
	return r;
}

int control_client_exit_status(const char *line)
{
	struct json json = { 0 };
	int status = -1;

	if (json_parse(line, strlen(line), &json) < 0)
		return -1;
	if (json_equals(&json, json_member(&json, 0, "event"), "exited")) {
		const uint32_t token = json_member(&json, 0, "status");

		if (json_is(&json, token, JSON_NUMBER))
			status = atoi(line + json.tokens[token].start);
	}
	json_fini(&json);
	return status;
}
