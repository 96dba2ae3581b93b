/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initial RAM disk of a machine that runs one command: the agent, the modules that reach the
 * root file system, and the job. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "boot/buf.h"
#include "command/agent.h"
#include "command/job.h"
#include "command/own_kernel.h"
#include "core/err.h"
#include "daemons/net_daemon.h"
#include "guest/job.h"
#include "machine/machine.h"

static int add_modules(struct initrd *initrd, const struct modules *modules)
{
	struct buf list;
	char path[32];
	int r = 0;

	buf_init(&list);
	for (unsigned i = 0; i < modules->count && r == 0; i++) {
		int fd;

		snprintf(path, sizeof(path), "module%u", i);
		r = modules_open(modules, i, &fd);
		if (r < 0)
			break;
		r = initrd_add_from(initrd, path, 0600, fd);
		close(fd);
		buf_put(&list, "/", 1);
		buf_put(&list, path, strlen(path));
		buf_put(&list, "\n", 1);
	}
	if (r == 0)
		r = initrd_add_file(initrd, "modules", 0600, list.data, list.len);
	buf_fini(&list);
	return r;
}

static int find_modules(struct initrd *initrd, const struct machine *machine, const char *release)
{
	struct modules modules;
	int r = own_kernel_modules("", release, machine->options->net_count, &modules);

	if (r == 0)
		r = add_modules(initrd, &modules);
	modules_fini(&modules);
	return r;
}

static int add_agent(struct initrd *initrd)
{
	int fd, r = agent_open(&fd);

	if (r < 0)
		return r;
	r = initrd_add_from(initrd, "init", 0755, fd);
	close(fd);
	return r;
}

/* What the guest is to have on its network devices: nobody there asks for it. */
static void find_links(const struct machine *machine, struct job_link *ret_links)
{
	for (unsigned i = 0; i < machine->options->net_count; i++) {
		const struct options_net *net = &machine->options->nets[i];
		struct job_link *link = &ret_links[i];

		*link = net->kind == OPTIONS_NET_USER
				? (struct job_link){ .address = NET_DAEMON_ADDRESS
						     "/" NET_DAEMON_PREFIX,
						     .gateway = NET_DAEMON_GATEWAY,
						     .dns = NET_DAEMON_DNS,
						     .sole = true }
				: (struct job_link){ .address = net->address,
						     .gateway = net->gateway,
						     .dns = net->dns };
		memcpy(link->mac, machine->nets[i].mac, sizeof(link->mac));
	}
}

static int add_job(struct initrd *initrd, const struct machine *machine)
{
	const struct session_files *files = &machine->files;
	struct job_link links[OPTIONS_NETS_MAX];
	const struct job_place place = {
		.shares = (const char(*)[PATH_MAX])machine->command->share_paths,
		.alone = geteuid() != 0,
		.terminal = session_has_terminal(files) ? files->input : -1,
		.links = links,
		.link_count = machine->options->net_count,
	};
	struct buf job;
	int r;

	find_links(machine, links);
	r = job_write(machine->options, &place, &job);
	if (r < 0)
		return r;
	r = initrd_add_file(initrd, JOB_FILE + 1, 0600, job.data, job.len);
	buf_fini(&job);
	return r;
}

/* The kernel's first console, before the agent has mounted anything. */
static int add_console(struct initrd *initrd)
{
	int r = initrd_add_folder(initrd, "dev");

	return r == 0 ? initrd_add_device(initrd, "dev/console", 5, 1) : r;
}

int machine_make_initrd(struct machine *machine, const char *release)
{
	struct initrd *initrd = &machine->command->initrd;
	int r = initrd_init(initrd);

	if (r == 0)
		r = add_console(initrd);
	if (r == 0)
		r = add_agent(initrd);
	if (r == 0)
		r = find_modules(initrd, machine, release);
	if (r == 0)
		r = add_job(initrd, machine);
	return r < 0 ? r : initrd_end(initrd);
}
