/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm doctor`: every precondition of a run, and what to do where it is not met. Changes
 * nothing, but for what a killed run left behind, which is given back first. Main thread.
 */
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/table.h"
#include "command/agent.h"
#include "command/own_kernel.h"
#include "core/vm.h"
#include "daemons/file_daemon.h"
#include "firmware-loader/fw_descriptor.h"
#include "firmware-loader/fw_image.h"
#include "options/options.h"
#include "placement/guest_ram.h"
#include "vfio/iommu.h"

/* A virtual machine without anything in it says what there is. */
static int query_kvm(struct arch_host *ret_host)
{
	struct vm vm;
	int r = vm_init(&vm);

	if (r == 0)
		r = arch_host_query(&vm, ret_host);
	vm_fini(&vm);
	return r;
}

/* [no-color.org]; and a terminal that cannot do anything says so. */
static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}

/* As type1 counts. With iommufd, what the user's other programs have pinned is added. */
static int allow_pinning(uint64_t bytes)
{
	return vfio_iommu_allow_pinning(bytes, false);
}

static int find_agent(void)
{
	int fd, r = agent_open(&fd);

	if (r == 0)
		close(fd);
	return r;
}

static int find_kernel(void)
{
	char path[PATH_MAX];
	struct utsname host;

	uname(&host);
	return own_kernel_find("", host.release, path);
}

static int find_modules(void)
{
	struct modules modules;
	struct utsname host;
	int r;

	uname(&host);
	r = own_kernel_modules("", host.release, true, &modules);
	for (unsigned i = 0; i < modules.count && r == 0; i++) {
		int fd;

		r = modules_open(&modules, i, &fd);
		if (r == 0)
			close(fd);
	}
	modules_fini(&modules);
	return r;
}

static const struct doctor_need command_needs[] = {
	{ find_agent, "the agent for guests of run -- COMMAND is installed" },
	{ find_kernel, "the image of the host's kernel can be read by this user" },
	{ find_modules, "its modules for such guests can be read" },
	{ file_daemon_allowed, "this user may start virtiofsd" },
	{ NULL, NULL },
};

int cmd_doctor(const struct options *options)
{
	struct pci_addr devices[OPTIONS_GPUS_MAX];
	const unsigned width = table_terminal_width(stdout);
	struct fw_descriptor_dirs dirs;
	const struct fw_search search = {
		.descriptor_dirs = dirs.list,
		.pairs = fw_image_known_pairs,
	};
	const struct doctor_config config = {
		.root = "",
		.devices = devices,
		.device_count = options->gpu_count,
		.memory = options->memory,
		.hugepages = options->hugepages,
		.json = options->json,
		.quiet = options->log_level < LOG_INFO,
		.color = width && wants_color(),
		.width = width,
		.query_kvm = query_kvm,
		.check_memory = guest_ram_check,
		.allow_pinning = allow_pinning,
		.command_needs = command_needs,
		.firmware = &search,
		.privileged = geteuid() == 0,
	};
	int status;

	command_recover();
	for (unsigned i = 0; i < options->gpu_count; i++)
		devices[i] = options->gpus[i].addr;
	fw_descriptor_dirs_init(&dirs);
	if (doctor_run(&config, stdout, &status) < 0 || table_flush(stdout) < 0)
		return command_failed();
	return status;
}
