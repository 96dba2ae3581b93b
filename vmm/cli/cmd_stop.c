/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm stop` and `tinyvmm control`: ask guests that run to do something. Stop waits until the
 * runs have ended, and with that the devices are back. Main thread.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "control/control_client.h"
#include "control/run_folder.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "options/options.h"

/* A guest has so long to power off, unless --timeout says otherwise. */
#define STOP_MS 120000u

/* How long a run's end may go unseen, where its process goes on: a program with a guest inside. */
#define LOOK_MS 50u

/* Not longer: there is a signal for one that cannot answer. */
#define ANSWER_MS 2000u

/* Both watched by files, so that its name and number can be somebody else's later. */
struct stopped {
	struct run_folder folder;
	int pid_fd; /* -1: the process is gone */
};

static void init(struct stopped *stopped)
{
	stopped->folder.fd = stopped->pid_fd = -1;
}

static void fini(struct stopped *stopped)
{
	run_folder_close(&stopped->folder);
	close_fd(&stopped->pid_fd);
}

/*
 * Whether a signal asks it to end. A program with a guest inside that does nothing about signals
 * would die of it, and leave its devices as they are. [proc_pid_status(5)]
 */
static bool hears_signal(pid_t pid, int signal)
{
	static const char *const masks[] = { "\nSigBlk:", "\nSigCgt:" };
	char path[64], text[4096];
	uint64_t heard = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sys_read_text(path, text, sizeof(text)) < 0)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
		const char *at = strstr(text, masks[i]);

		heard |= at ? strtoull(at + strlen(masks[i]), NULL, 16) : 0;
	}
	return heard >> (signal - 1) & 1;
}

/* It answers nobody: it is starting, and ended by a signal; or ending already. */
static int ask_by_signal(const struct stopped *stopped, pid_t pid)
{
	int r;

	/* While it has the folder, nobody else has its number. */
	if (stopped->pid_fd < 0 || !run_folder_is_alive(&stopped->folder))
		return 0;
	if (hears_signal(pid, SIGTERM)) {
		(void)pidfd_send_signal(stopped->pid_fd, SIGTERM, NULL, 0);
		return 0;
	}
	r = err_set(ERR_GUEST, -EAGAIN, "the guest '%s' is starting or ending, inside a program",
		    stopped->folder.name);
	err_hint("try again, or ask the program (pid %d) to end it", (int)pid);
	return r;
}

static int ask(struct stopped *stopped, const char *request)
{
	static struct control_client client;
	int r = control_client_open("", stopped->folder.name, &client);

	if (r < 0)
		return r;
	stopped->pid_fd = pidfd_open(client.pid, 0);
	if (stopped->pid_fd < 0 && errno != ESRCH)
		r = err_sys(ERR_HOST, -errno, "watch the guest '%s'", stopped->folder.name);
	else if (control_client_ask(&client, request, ANSWER_MS, NULL) < 0)
		r = ask_by_signal(stopped, client.pid);
	control_client_close(&client);
	return r;
}

static int stop(struct stopped *stopped, const char *name, const char *request)
{
	int r = run_folder_open("", name, &stopped->folder);

	if (r == 0)
		r = ask(stopped, request);
	if (r < 0)
		run_folder_close(&stopped->folder); /* it is not waited for */
	return r;
}

/* False: not in time. `until` 0: there is no limit. */
static bool wait_for(const struct stopped *stopped, uint64_t until)
{
	struct pollfd p = { .fd = stopped->pid_fd, .events = POLLIN };

	while (run_folder_is_alive(&stopped->folder)) {
		if (until && clock_ms() >= until)
			return false;
		if (poll(&p, 1, LOOK_MS) > 0)
			p.fd = -1; /* the last of it goes any moment */
	}
	return true;
}

static int kill_late(struct stopped *stopped)
{
	struct stopped again;
	int r;

	log_warn("the guest '%s' did not power off in time: it is ended", stopped->folder.name);
	init(&again);
	r = stop(&again, stopped->folder.name, "\"do\":\"kill\"");
	fini(&again);
	/* It has ended meanwhile. */
	return r == -ENOENT ? 0 : r;
}

int cmd_stop(const struct options *options)
{
	const unsigned limit = options->timeout_ms ? options->timeout_ms : STOP_MS;
	const uint64_t until = clock_ms() + limit;
	struct stopped stopped[OPTIONS_ARGUMENTS_MAX];
	int status = 0;

	for (unsigned i = 0; i < options->argument_count; i++) {
		init(&stopped[i]);
		if (stop(&stopped[i], options->arguments[i],
			 options->kill ? "\"do\":\"kill\"" : "\"do\":\"stop\"") < 0)
			status = command_failed();
	}
	for (unsigned i = 0; i < options->argument_count; i++) {
		if (stopped[i].folder.fd >= 0 &&
		    !wait_for(&stopped[i], options->kill ? 0 : until)) {
			if (kill_late(&stopped[i]) < 0)
				status = command_failed();
			else
				(void)wait_for(&stopped[i], 0);
		}
		fini(&stopped[i]);
	}
	return status;
}

/* --- control --- */

static int show_events(struct control_client *client)
{
	char *line;

	while (control_client_line(client, -1, &line) > 0) {
		puts(line);
		if (table_flush(stdout) < 0)
			return command_failed();
	}
	return 0;
}

int cmd_control(const struct options *options)
{
	const char *what = options->arguments[1];
	static struct control_client client;
	char request[64], *answer;
	int status = 0;

	if (control_client_open("", options->arguments[0], &client) < 0)
		return command_failed();
	snprintf(request, sizeof(request), "\"do\":\"%s\"", what);
	if (control_client_ask(&client, request, CONTROL_ANSWER_MS, &answer) < 0) {
		status = command_failed();
	} else if (strcmp(what, "events") == 0) {
		status = show_events(&client);
	} else if (strcmp(what, "status") == 0 || strcmp(what, "statistics") == 0) {
		puts(answer);
		status = table_flush(stdout) < 0 ? command_failed() : 0;
	}
	control_client_close(&client);
	return status;
}
