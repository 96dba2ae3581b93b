/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of a guest that runs one command: from an initial RAM disk to the host's root file
 * system, the command, and the end. See agent.h.
 */
#include "guest/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/job.h"
#include "guest/ports.h"

/* The host ends the guest when it has read all; this is for one that does not. */
#define HOST_GRACE_S 10

static void end(void)
{
	sleep(HOST_GRACE_S);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void fail(const char *fmt, ...)
{
	char text[GUEST_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "tinyvmm agent: %s\n", text);
	ports_say("failed %s", text);
	end();
	__builtin_unreachable();
}

void fail_errno(const char *fmt, ...)
{
	const char *why = strerror(errno);
	char text[GUEST_LINE_MAX / 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fail("%s: %s", text, why);
}

/* The command may take all memory that there is; not with it the one that tells the host. */
static void survive_lack_of_memory(void)
{
	const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) != 5)
		fail_errno("protect the agent");
	close(fd);
}

static void name_host(const struct job *job)
{
	if (job->host)
		(void)!sethostname(job->host, strlen(job->host));
}

int main(void)
{
	static struct job job;
	int control, status;

	if (getpid() != 1) {
		fprintf(stderr, "tinyvmm's agent runs as process 1 of its guests, nowhere else\n");
		return 1;
	}
	mounts_begin();
	modules_load();
	control = ports_open(GUEST_CONTROL);
	ports_set_control(control);
	survive_lack_of_memory();
	job_read(&job);
	name_host(&job);
	network_loopback();
	network_set_up(&job);
	mounts_root(&job);
	modules_for_devices();
	report_kernel();
	report_drivers();
	status = command_run(&job, control);
	/* Once more: the command may have loaded some. */
	report_drivers();
	report_memory();
	mounts_end(&job);
	if (WIFEXITED(status))
		ports_say("exited %d", WEXITSTATUS(status));
	else
		ports_say("killed %d", WTERMSIG(status));
	end();
}
