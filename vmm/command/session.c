/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between the command's ports and our streams, on the session's loop; see session.h.
 * What it says to the agent and hears from it: session_words.c.
 */
#include "command/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/session_words.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/pci/pci.h"
#include "devices/virtio/virtio_console.h"

/* --- output --- */

static bool has_event(int fd, short event)
{
	struct pollfd p = { .fd = fd, .events = event };

	return poll(&p, 1, 0) == 1;
}

/* What is not ours alone may block: it is never asked for more than it has room for. */
static ssize_t write_some(const struct session_output *out, const void *data, size_t len)
{
	if (out->regular || out->ours)
		return write(out->source.fd, data, len);
	if (!has_event(out->source.fd, POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(out->source.fd, data, MIN(len, (size_t)PIPE_BUF));
}

static void wait_for_room(struct session *session, struct session_output *out)
{
	if (!out->waiting && loop_add(&session->loop, &out->source) == 0)
		out->waiting = true;
}

/* The guest is told, as the writer of a pipe is, that nobody reads. */
static void break_output(struct session *session, struct session_output *out, int error)
{
	char text[GUEST_LINE_MAX];

	out->broken = true;
	if (error != EPIPE) {
		snprintf(text, sizeof(text), "%s: %s",
			 out == &session->outputs[GUEST_STDOUT] ? "standard output"
								: "standard error",
			 strerror(error));
		session_set_end(session, SESSION_OUTPUT_LOST, 0, text);
	}
	virtio_console_end_input(session->console, (unsigned)(out - session->outputs));
}

static size_t take_output(struct session *session, struct session_output *out, const char *data,
			  size_t len)
{
	size_t done = 0;

	while (done < len && !out->broken) {
		const ssize_t n = write_some(out, data + done, len - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			wait_for_room(session, out);
			return done;
		} else if (n == 0 || errno != EINTR) {
			break_output(session, out, n < 0 ? errno : EIO);
		}
	}
	return len;
}

static void output_has_room(struct loop_source *source)
{
	struct session_output *out = container_of(source, struct session_output, source);
	struct session *session = out->session;

	loop_remove(&session->loop, source);
	out->waiting = false;
	virtio_console_resume(session->console, (unsigned)(out - session->outputs));
}

/* --- input --- */

static void watch_input(struct session *session, bool watch)
{
	if (watch == session->input_watched || session->input_regular)
		return;
	if (!watch)
		loop_remove(&session->loop, &session->input);
	else if (loop_add(&session->loop, &session->input) < 0)
		watch = false;
	session->input_watched = watch;
}

static void end_input(struct session *session)
{
	watch_input(session, false);
	session->input_ended = true;
	virtio_console_end_input(session->console, GUEST_STDIN);
}

/* Gives the guest what is there; true if it took all. */
static bool give_input(struct session *session)
{
	session->buffer_start += virtio_console_input(session->console, GUEST_STDIN,
						      session->buffer + session->buffer_start,
						      session->buffer_end - session->buffer_start);
	return session->buffer_start == session->buffer_end;
}

/* As much as the guest takes, and one buffer more. */
static void move_input(struct session *session)
{
	while (give_input(session) && !session->input_ended) {
		ssize_t n;

		if (!session->input_regular && !has_event(session->input.fd, POLLIN)) {
			watch_input(session, true);
			return;
		}
		n = read(session->input.fd, session->buffer, sizeof(session->buffer));
		/* EAGAIN: somebody else who has it was quicker. */
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			end_input(session);
			return;
		}
		session->buffer_start = 0;
		session->buffer_end = (size_t)n;
	}
	watch_input(session, false);
}

static void input_ready(struct loop_source *source)
{
	move_input(container_of(source, struct session, input));
}

/* --- the device's calls --- */

static size_t port_output(void *opaque, unsigned port, const void *data, size_t len)
{
	struct session *session = opaque;

	if (port == GUEST_CONTROL) {
		session_words_hear(session, data, len);
		return len;
	}
	return port == GUEST_STDIN ? len : take_output(session, &session->outputs[port], data, len);
}

static void port_room(void *opaque, unsigned port)
{
	struct session *session = opaque;

	if (port == GUEST_CONTROL)
		session_words_send(session);
	else if (port == GUEST_STDIN)
		move_input(session);
}

static void port_opened(void *opaque, unsigned port, bool open)
{
	struct session *session = opaque;

	if (open) {
		port_room(session, port);
		return;
	}
	session->outputs[port].closed = true;
	session_check_end(session);
}

/* --- life --- */

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static const struct virtio_console_ops port_ops = {
	.output = port_output,
	.room = port_room,
	.opened = port_opened,
};

/*
 * A terminal or a pipe may be others' too, who do not expect that it does not block: opened once
 * more, it is a file of our own with flags of its own. -1 if that cannot be done.
 */
static int open_own(int fd, int flags)
{
	struct stat st;
	char path[32];

	if (fstat(fd, &st) < 0 || (!S_ISFIFO(st.st_mode) && !isatty(fd)))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void init_output(struct session *session, enum guest_port port, int fd)
{
	const int own = open_own(fd, O_WRONLY);

	session->outputs[port] = (struct session_output){
		.session = session,
		.source = { .fd = own < 0 ? fd : own, .ready = output_has_room, .for_room = true },
		.ours = own >= 0,
		.regular = is_regular(fd),
	};
}

static void init_input(struct session *session, int fd)
{
	const int own = open_own(fd, O_RDONLY);

	session->input = (struct loop_source){ .fd = own < 0 ? fd : own, .ready = input_ready };
	session->input_ours = own >= 0;
	session->input_regular = is_regular(fd);
}

bool session_has_terminal(const struct session_files *files)
{
	return isatty(files->input) && isatty(files->output) &&
	       tcgetpgrp(files->input) == getpgrp();
}

int session_init(struct session *session, const struct board *board,
		 const struct session_files *files, void (*ended)(void *opaque), void *opaque,
		 struct pci_dev **ret_dev)
{
	static const char *const names[] = GUEST_PORT_NAMES;
	const struct virtio_console_options options = { names, GUEST_PORTS, &port_ops, session };
	const bool terminal = session_has_terminal(files);
	int r;

	*session = (struct session){
		.terminal_fd = terminal ? files->input : -1,
		.ended = ended,
		.opaque = opaque,
	};
	init_input(session, files->input);
	init_output(session, GUEST_STDOUT, files->output);
	init_output(session, GUEST_STDERR, files->error);
	/* A terminal has one stream of output. */
	session->outputs[GUEST_STDERR].closed = terminal;
	r = loop_init(&session->loop);
	if (r == 0)
		r = virtio_console_create(board, &session->loop, &options, &session->console);
	if (r < 0)
		return err_wrap(r, "the command's streams");
	r = loop_start_thread(&session->loop, "command");
	if (r < 0) {
		struct device *dev = &virtio_console_pci(session->console)->device;

		dev->ops->destroy(dev);
		return r;
	}
	*ret_dev = virtio_console_pci(session->console);
	return 0;
}

static void start_on_loop(void *arg)
{
	move_input(arg);
}

void session_start(struct session *session)
{
	loop_call(&session->loop, start_on_loop, session);
}

void session_stop(struct session *session)
{
	loop_join_thread(&session->loop);
	if (session->raw) {
		log_set_raw_terminal(false);
		tcsetattr(session->terminal_fd, TCSADRAIN, &session->saved);
		session->raw = false;
	}
}

void session_fini(struct session *session)
{
	if (!session->opaque)
		return;
	session_stop(session);
	loop_fini(&session->loop);
	for (unsigned i = 0; i < GUEST_PORTS; i++) {
		if (session->outputs[i].ours)
			close(session->outputs[i].source.fd);
	}
	if (session->input_ours)
		close(session->input.fd);
	session->opaque = NULL;
}
