/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent in the guest is told, and what it says: lines of the first port; see
 * guest/protocol.h. On the session's loop, or calls it.
 */
#include "command/session_words.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/log.h"
#include "core/text.h"
#include "core/timings.h"
#include "devices/pci/pci.h"
#include "devices/virtio/virtio_console.h"

/* --- words for the agent --- */

void session_words_send(struct session *session)
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
	session_words_send(session);
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
void session_check_end(struct session *session)
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

void session_set_end(struct session *session, enum session_end end, int value, const char *text)
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
	} else if (sscanf(line, "signaled %llu", &number) == 1 && number <= OOM_KILLS_MAX) {
		report->oom_kills_before = number;
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
 * it to end; and so does the end that follows one of ours, unless memory was short even then.
 */
static void set_exit(struct session *session, enum session_end end, int value)
{
	char text[64] = "";

	if (session->report.oom_kills <= session->report.oom_kills_before ||
	    (end == SESSION_EXITED && value == 0) ||
	    (end == SESSION_SIGNALED && value != SIGKILL)) {
		session_set_end(session, end, value, "");
		return;
	}
	if (end == SESSION_EXITED)
		snprintf(text, sizeof(text), "the command ended with status %d", value);
	session_set_end(session, SESSION_NO_MEMORY, 0, text);
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
			session_set_end(session, refusals[i].end, 0, line + len);
	}
	if (!has_ended(session))
		hear_report(&session->report, line);
	session_check_end(session);
}

void session_words_hear(struct session *session, const char *data, size_t len)
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
