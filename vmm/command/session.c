/* SPDX-License-Identifier: Apache-2.0 */
/* Moves bytes between the command's ports and our streams, on the session's loop; see session.h. */
#include "command/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "core/timings.h"
#include "devices/pci/pci.h"
#include "devices/virtio/virtio_console.h"

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
	bool heard;
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

static void say_if_running(void *arg)
{
	struct word *word = arg;

	word->heard = word->session->result.end == SESSION_RUNNING;
	if (word->heard)
		say_on_loop(word);
}

bool session_signal(struct session *session, int signal)
{
	struct word word = { .session = session };

	snprintf(word.text, sizeof(word.text), "signal %d\n", signal);
	loop_call(&session->loop, say_if_running, &word);
	return word.heard;
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

	/* An agent that failed may not have opened them. */
	const bool closed = session->result.end == SESSION_FAILED || (out->closed && err->closed);

	if (has_ended(session) && closed && session->ended) {
		void (*ended)(void *opaque) = session->ended;

		session->ended = NULL;
		ended(session->opaque);
	}
}

static void set_end(struct session *session, enum session_end end, int value, const char *text)
{
	if (has_ended(session))
		return; /* the first word is the one that counts */
	snprintf(session->result.text, sizeof(session->result.text), "%s", text);
	text_clean(session->result.text);
	session->result.value = value;
	session->result.end = end;
	timings_mark(TIMINGS_COMMAND_ENDED);
}

/*
 * From now on every key is the command's. Before, Ctrl-C is a signal as ever, for the guest may
 * never come so far.
 */
static void command_started(struct session *session)
{
	struct termios raw;

	session->result.end = SESSION_RUNNING;
	timings_mark(TIMINGS_COMMAND_STARTED);
	if (session->terminal_fd < 0 || tcgetattr(session->terminal_fd, &session->saved) < 0)
		return;
	raw = session->saved;
	cfmakeraw(&raw);
	if (tcsetattr(session->terminal_fd, TCSADRAIN, &raw) < 0)
		return;
	session->raw = true;
	log_set_raw_terminal(isatty(STDERR_FILENO));
}

/* "0000:01:00.0 nvidia 550.54.14": the version may be missing. A later word counts. */
static void hear_driver(struct session_report *report, const char *text)
{
	unsigned domain, bus, slot, fn, i = 0;
	struct session_driver driver = { "" };

	if (sscanf(text, "%4x:%2x:%2x.%1x %63s %63s", &domain, &bus, &slot, &fn, driver.name,
		   driver.version) < 5 ||
	    domain || slot > 31 || fn > 7)
		return;
	text_clean(driver.name);
	text_clean(driver.version);
	while (i < report->driver_count &&
	       (report->drivers[i].bus != bus || report->drivers[i].devfn != PCI_DEVFN(slot, fn)))
		i++;
	if (i == SESSION_DRIVERS_MAX)
		return;
	report->drivers[i].bus = bus;
	report->drivers[i].devfn = PCI_DEVFN(slot, fn);
	report->drivers[i].driver = driver;
	report->driver_count = MAX(report->driver_count, i + 1);
}

/* More processes than a guest can have had [Linux: PID_MAX_LIMIT is 2^22]. */
#define OOM_KILLS_MAX (1ull << 32)

/* What is good to know, before the end that it may explain. */
static void hear_report(struct session_report *report, const char *line)
{
	static const char kernel[] = "kernel ", driver[] = "driver ";
	unsigned long long number;

	if (strncmp(line, kernel, strlen(kernel)) == 0) {
		snprintf(report->kernel, sizeof(report->kernel), "%s", line + strlen(kernel));
		text_clean(report->kernel);
	} else if (strncmp(line, driver, strlen(driver)) == 0) {
		hear_driver(report, line + strlen(driver));
	} else if (sscanf(line, "peak %llu", &number) == 1 && number <= UINT64_MAX / KiB) {
		report->peak = number * KiB;
	} else if (sscanf(line, "oom-kills %llu", &number) == 1 && number <= OOM_KILLS_MAX) {
		report->oom_kills = number;
		report->oom_told = true;
	}
}

struct session_driver session_driver(const struct session *session, unsigned bus, unsigned devfn)
{
	const struct session_report *report = &session->report;

	for (unsigned i = 0; i < report->driver_count; i++) {
		if (report->drivers[i].bus == bus && report->drivers[i].devfn == devfn)
			return report->drivers[i].driver;
	}
	return (struct session_driver){ "" };
}

/*
 * A failure after lack of memory says nothing of the command itself, be it that a process of it was
 * killed and it only tells of that. Another signal than the kernel's comes from somebody who wanted
 * it to end.
 */
static void set_exit(struct session *session, enum session_end end, int value)
{
	char text[64] = "";

	if (!session->report.oom_kills || (end == SESSION_EXITED && value == 0) ||
	    (end == SESSION_SIGNALED && value != SIGKILL)) {
		set_end(session, end, value, "");
		return;
	}
	if (end == SESSION_EXITED)
		snprintf(text, sizeof(text), "the command ended with status %d", value);
	set_end(session, SESSION_NO_MEMORY, 0, text);
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

	if (strcmp(line, "started") == 0 && session->result.end == SESSION_NOT_STARTED)
		command_started(session);
	else if (sscanf(line, "exited %d", &value) == 1 && value >= 0 && value <= 255)
		set_exit(session, SESSION_EXITED, value);
	else if (sscanf(line, "killed %d", &value) == 1 && value > 0 && value < 128)
		set_exit(session, SESSION_SIGNALED, value);
	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		const size_t len = strlen(refusals[i].word);

		if (strncmp(line, refusals[i].word, len) == 0)
			set_end(session, refusals[i].end, 0, line + len);
	}
	if (!has_ended(session))
		hear_report(&session->report, line);
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
		set_end(session, SESSION_OUTPUT_LOST, 0, text);
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
