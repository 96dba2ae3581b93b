/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm console`: this terminal at the console of a guest in the background. The guest goes on
 * when it is left. Main thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <termios.h>

#include "cli/commands.h"
#include "control/control_client.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "options/options.h"
#include "run/run_status.h"

#define KEY_ESCAPE 0x01 /* Ctrl-A */

/* So much may be typed, or pasted, beyond what the socket takes. */
#define KEYS_MAX 65536u

struct view {
	struct control_client client;
	const char *name;
	bool raw, escape, left;
	bool ended; /* its input: at a terminal that is ours, a stream leaves us looking */
	struct termios saved;
	char keys[KEYS_MAX]; /* not yet sent: the guest reads as fast as it can */
	size_t key_count;
};

static void press_button(const struct view *view)
{
	static struct control_client client;

	client.fd = -1;
	if (control_client_open("", view->name, &client) < 0 ||
	    control_client_ask(&client, "\"do\":\"power-button\"", CONTROL_ANSWER_MS, NULL) < 0)
		(void)command_failed();
	control_client_close(&client);
}

/* The keys after the escape are ours; what is left in `keys` is the guest's. */
static size_t filter(struct view *view, char *keys, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len && !view->left; i++) {
		const bool escaped = view->escape;

		view->escape = false;
		if (!escaped && keys[i] == KEY_ESCAPE) {
			view->escape = true;
		} else if (!escaped) {
			keys[out++] = keys[i];
		} else if (keys[i] == 'x' || keys[i] == 'X') {
			view->left = true;
		} else if (keys[i] == 'p' || keys[i] == 'P') {
			press_button(view);
		} else if (keys[i] == 'a' || keys[i] == KEY_ESCAPE) {
			keys[out++] = KEY_ESCAPE;
		} else {
			log_info("keys after Ctrl-A: x leaves the console, p presses the power "
				 "button, a sends Ctrl-A, h is this list");
		}
	}
	return out;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		const ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* False where there are no more. What there is no room for is lost, as at any terminal. */
static bool read_keys(struct view *view)
{
	char typed[1024];
	const ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));
	size_t len;

	if (n <= 0)
		return false;
	len = view->raw ? filter(view, typed, (size_t)n) : (size_t)n;
	len = MIN(len, sizeof(view->keys) - view->key_count);
	memcpy(view->keys + view->key_count, typed, len);
	view->key_count += len;
	return true;
}

/* A stream waits for the guest; a terminal does not, because the escape has to be heard. */
static bool wants_keys(const struct view *view)
{
	return !view->ended && (view->raw || !view->key_count);
}

/* A run that does not take them any more is at its end, and says so where it is read. */
static void send_keys(struct view *view)
{
	const ssize_t n =
		send(view->client.fd, view->keys, view->key_count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		view->key_count = 0;
		return;
	}
	view->key_count -= (size_t)n;
	memmove(view->keys, view->keys + n, view->key_count);
}

/* False: the guest has ended, or nobody reads what it says. */
static bool move_output(struct view *view)
{
	char data[4096];
	const ssize_t n = read(view->client.fd, data, sizeof(data));

	return n > 0 && write_all(STDOUT_FILENO, data, (size_t)n) == 0;
}

/* The signal that ended it, or 0. */
static int look(struct view *view, int signal_fd)
{
	while (!view->left) {
		struct pollfd fds[] = {
			{ .fd = view->client.fd,
			  .events = (short)(view->key_count ? POLLIN | POLLOUT : POLLIN) },
			{ .fd = wants_keys(view) ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
		};
		int sig;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		sig = fds[2].revents ? sys_signal_read(signal_fd) : 0;
		if (sig)
			return sig;
		if (fds[0].revents & ~POLLOUT && !move_output(view))
			return 0;
		if (fds[1].revents && !read_keys(view)) {
			view->ended = true;
			view->left = view->raw;
		}
		if (view->key_count)
			send_keys(view);
	}
	return 0;
}

static int enter(struct view *view)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return 0;
	if (tcgetattr(STDIN_FILENO, &view->saved) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	raw = view->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	view->raw = true;
	log_set_raw_terminal(isatty(STDERR_FILENO));
	return 0;
}

static void leave(struct view *view)
{
	if (!view->raw)
		return;
	log_set_raw_terminal(false);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &view->saved);
	view->raw = false;
	fputc('\n', stderr);
}

/* What is in the client's buffer behind the answer is the console's already. */
static int begin(struct view *view)
{
	char *answer;
	int r = control_client_ask(&view->client, "\"do\":\"console\",\"write\":true",
				   CONTROL_ANSWER_MS, &answer);

	if (r < 0)
		return r;
	if (!strstr(answer, "\"write\": true"))
		log_info("somebody else types at the console of '%s': you only see it", view->name);
	else if (isatty(STDIN_FILENO))
		log_info("at the console of '%s'; Ctrl-A x leaves it", view->name);
	return write_all(STDOUT_FILENO, view->client.buf + view->client.start, view->client.len);
}

int cmd_console(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	static struct view view;
	int sig, r;

	view.name = options->arguments[0];
	r = command_open_signals(&signal_fd);
	if (r == 0)
		r = control_client_open("", view.name, &view.client);
	if (r < 0)
		return command_failed();
	r = begin(&view);
	if (r == 0)
		r = enter(&view);
	if (r < 0) {
		control_client_close(&view.client);
		return command_failed();
	}
	sig = look(&view, signal_fd);
	leave(&view);
	control_client_close(&view.client);
	return sig ? STATUS_SIGNAL + sig : 0;
}
