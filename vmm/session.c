/* SPDX-License-Identifier: Apache-2.0 */
/* Moves bytes between the command's ports and our streams, on the session's loop; see session.h. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "devices/virtio_console.h"

/* --- words for the agent --- */

static void send_words(struct session *session)
{
	const size_t n = virtio_console_input(session->console, GUEST_CONTROL, session->words,
					      session->words_len);

	session->words_len -= n;
	memmove(session->words, session->words + n, session->words_len);
}

struct word {
	struct session *session;
	char text[64];
};

/* An agent that takes nothing is told no more. */
static void say_on_loop(void *arg)
{
	const struct word *word = arg;
	struct session *session = word->session;
	const size_t len = strlen(word->text);

	if (len > sizeof(session->words) - session->words_len)
		return;
	memcpy(session->words + session->words_len, word->text, len);
	session->words_len += len;
	send_words(session);
}

void session_signal(struct session *session, int signal)
{
	struct word word = { .session = session };

	snprintf(word.text, sizeof(word.text), "signal %d\n", signal);
	loop_call(&session->loop, say_on_loop, &word);
}

void session_resize(struct session *session)
{
	struct word word = { .session = session };
	struct winsize size;

	if (session->terminal_fd < 0 || ioctl(session->terminal_fd, TIOCGWINSZ, &size) < 0)
		return;
	snprintf(word.text, sizeof(word.text), "size %u %u\n", size.ws_row, size.ws_col);
	loop_call(&session->loop, say_on_loop, &word);
}

/* --- words of the agent --- */

static bool has_ended(const struct session *session)
{
	return session->result.end > SESSION_RUNNING;
}

/* The streams are closed before the agent tells the end; a command without any is not waited for.
 */
static void check_end(struct session *session)
{
	const struct session_output *out = &session->outputs[GUEST_STDOUT];
	const struct session_output *err = &session->outputs[GUEST_STDERR];

	if (has_ended(session) && out->closed && err->closed && session->ended) {
		void (*ended)(void *opaque) = session->ended;

		session->ended = NULL;
		ended(session->opaque);
	}
}

static void set_end(struct session *session, enum session_end end, int value, const char *text)
{
	if (has_ended(session))
		return; /* the first word is the one that counts */
	session->result.end = end;
	session->result.value = value;
	snprintf(session->result.text, sizeof(session->result.text), "%s", text);
	text_clean(session->result.text);
}

static void hear(struct session *session, const char *line)
{
	static const struct {
		const char *word;
		enum session_end end;
	} refusals[] = {
		{ "not-found ", SESSION_NOT_FOUND },
		{ "not-executable ", SESSION_NOT_EXECUTABLE },
		{ "failed ", SESSION_FAILED },
	};
	int value;

	if (strcmp(line, "started") == 0 && !has_ended(session))
		session->result.end = SESSION_RUNNING;
	else if (strcmp(line, "out-of-memory") == 0)
		set_end(session, SESSION_NO_MEMORY, 0, "");
	else if (sscanf(line, "exited %d", &value) == 1 && value >= 0 && value <= 255)
		set_end(session, SESSION_EXITED, value, "");
	else if (sscanf(line, "killed %d", &value) == 1 && value > 0 && value < 128)
		set_end(session, SESSION_SIGNALED, value, "");
	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		const size_t len = strlen(refusals[i].word);

		if (strncmp(line, refusals[i].word, len) == 0)
			set_end(session, refusals[i].end, 0, line + len);
	}
	check_end(session);
}

static void hear_bytes(struct session *session, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char c = data[i];

		if (c == '\n') {
			session->line[session->line_len] = '\0';
			session->line_len = 0;
			hear(session, session->line);
		} else if (session->line_len < sizeof(session->line) - 1) {
			session->line[session->line_len++] = c;
		}
	}
}

/* --- output --- */

static bool has_event(int fd, short event)
{
	struct pollfd p = { .fd = fd, .events = event };

	return poll(&p, 1, 0) == 1;
}

/* Our streams may be others' too: they are not made non-blocking, but never asked for too much. */
static ssize_t write_some(const struct session_output *out, const void *data, size_t len)
{
	if (out->regular)
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
			/* As with a pipe: the command goes on, and is told by no signal of ours. */
			out->broken = true;
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
		hear_bytes(session, data, len);
		return len;
	}
	return port == GUEST_STDIN ? len : take_output(session, &session->outputs[port], data, len);
}

static void port_room(void *opaque, unsigned port)
{
	struct session *session = opaque;

	if (port == GUEST_CONTROL)
		send_words(session);
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
	/* Whoever reads us is told that no more comes, while others may still write. */
	check_end(session);
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

static void init_output(struct session *session, enum guest_port port, int fd)
{
	session->outputs[port] = (struct session_output){
		.session = session,
		.source = { .fd = fd, .ready = output_has_room, .for_room = true },
		.regular = is_regular(fd),
	};
}

int session_init(struct session *session, const struct board *board,
		 const struct session_files *files, void (*ended)(void *opaque), void *opaque,
		 struct pci_dev **ret_dev)
{
	static const char *const names[] = GUEST_PORT_NAMES;
	const struct virtio_console_options options = { names, GUEST_PORTS, &port_ops, session };
	const bool terminal = isatty(files->input) && isatty(files->output);
	int r;

	*session = (struct session){
		.terminal_fd = terminal ? files->input : -1,
		.ended = ended,
		.opaque = opaque,
		.input = { .fd = files->input, .ready = input_ready },
		.input_regular = is_regular(files->input),
	};
	init_output(session, GUEST_STDOUT, files->output);
	init_output(session, GUEST_STDERR, files->error);
	/* A terminal has one stream of output. */
	session->outputs[GUEST_STDERR].closed = terminal;
	r = loop_init(&session->loop);
	if (r == 0)
		r = virtio_console_create(board, &session->loop, &options, &session->console);
	if (r < 0)
		return err_wrap(r, "the command's streams");
	*ret_dev = virtio_console_pci(session->console);
	return loop_start_thread(&session->loop, "command");
}

static int enter_raw(struct session *session)
{
	struct termios raw;

	if (tcgetattr(session->terminal_fd, &session->saved) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	raw = session->saved;
	cfmakeraw(&raw);
	if (tcsetattr(session->terminal_fd, TCSADRAIN, &raw) < 0)
		return err_sys(ERR_INTERNAL, -errno, "terminal settings");
	session->raw = true;
	log_set_raw_terminal(isatty(STDERR_FILENO));
	return 0;
}

static void start_on_loop(void *arg)
{
	move_input(arg);
}

int session_start(struct session *session)
{
	int r = session->terminal_fd >= 0 ? enter_raw(session) : 0;

	if (r == 0)
		loop_call(&session->loop, start_on_loop, session);
	return r;
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
	session->opaque = NULL;
}
