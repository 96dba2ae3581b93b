/* SPDX-License-Identifier: Apache-2.0 */
/* The procedure around a machine; see run.h. The thread that runs the machine. */
#include "run.h"

#include <errno.h>

#include "core/exit_counts.h"
#include "core/sys.h"
#include "core/timings.h"
#include "guest_ram.h"
#include "recover.h"
#include "run_status.h"

/* By the error chain. The first reason is the one that counts. */
static void fail(struct run *run, int status)
{
	run->status = status;
	err_save(&run->failure);
	run->failed(run);
}

static int check_gpus(struct run *run)
{
	const struct options *options = run->options;
	struct pci_addr addrs[OPTIONS_GPUS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < options->gpu_count; i++) {
		const struct options_gpu *gpu = &options->gpus[i];
		int r = gpu->mdev[0] ? vfio_mdev_check("", gpu->mdev) : 0;

		if (r < 0)
			return r;
		if (!gpu->mdev[0])
			addrs[count++] = gpu->addr;
	}
	return count ? vfio_host_check(&run->host, addrs, count) : 0;
}

/* iommufd takes no VF token, and a mediated device is not among those that the host looks at. */
static enum vfio_iommu_kind iommu_wanted(const struct options *options)
{
	for (unsigned i = 0; i < options->gpu_count && options->iommu == VFIO_IOMMU_AUTO; i++) {
		if (options->gpus[i].vf_token[0] || options->gpus[i].mdev[0])
			return VFIO_IOMMU_TYPE1;
	}
	return options->iommu;
}

/* What a driver hangs on would only hang again. */
static bool is_any_stuck(const struct vfio_host *host)
{
	bool stuck = false;

	for (unsigned i = 0; i < host->count; i++)
		stuck |= host->devices[i].stuck;
	return stuck;
}

/* --- the start --- */

static void init_host(struct run *run)
{
	struct vfio_host *host = &run->host;

	vfio_host_init(host, "");
	host->iommu = iommu_wanted(run->options);
	host->p2p = run->options->p2p;
	host->wait_ms = run->options->wait_ms;
	host->signal_fd = run->signal_fd;
}

static int check_host(struct run *run)
{
	const struct options *options = run->options;
	int r = 0, sig;

	/* Before a wait for a device; without one, the machine's own check comes soon enough. */
	if (options->gpu_count)
		r = guest_ram_check(options->memory, options->hugepages, true);
	if (r == 0)
		r = check_gpus(run);
	if (r < 0) {
		fail(run, err_kind());
		/* Not a failure: somebody ended it. */
		sig = r == -EINTR ? sys_signal_read(run->signal_fd) : 0;
		if (sig)
			run->status = STATUS_SIGNAL + sig;
	}
	/*
	 * What a killed run left behind, whether it is ours now or not. The leases of the check
	 * keep our own out of it: one that is wanted now stays where it is.
	 */
	recover_devices();
	return r;
}

static void machine_failed(struct run *run)
{
	const int sig = run->machine.end_signal;

	fail(run, sig ? STATUS_SIGNAL + sig : (int)err_kind());
}

/* With the leases, and before any device is touched. */
static int open_machine(struct run *run)
{
	int r = machine_open(&run->machine, run->options, run->signal_fd);

	if (r < 0)
		machine_failed(run);
	return r;
}

static int take_devices(struct run *run)
{
	int r = vfio_host_take(&run->host);

	if (r < 0)
		fail(run, err_kind());
	return r;
}

/* Of the host's n-th device: mediated ones are not among those. */
static bool *dirty_of(struct run *run, unsigned n)
{
	unsigned i = 0;

	for (unsigned seen = 0;; i++) {
		if (!run->options->gpus[i].mdev[0] && seen++ == n)
			return &run->machine.gpu_dirty[i];
	}
}

static int begin_use(struct run *run)
{
	int r = vfio_host_begin_use(&run->host);

	if (r < 0) {
		fail(run, err_kind());
		return r;
	}
	run->in_use = true;
	for (unsigned i = 0; i < run->host.count; i++)
		*dirty_of(run, i) = run->host.devices[i].dirty;
	return 0;
}

static int start_machine(struct run *run)
{
	int r = machine_build(&run->machine, run->host.iommu);

	if (r < 0) {
		machine_failed(run);
		return r;
	}
	r = machine_start(&run->machine);
	if (r < 0)
		fail(run, err_kind());
	return r;
}

int run_start(struct run *run)
{
	int r;

	if (run->options->timings != TIMINGS_NONE)
		exit_counts_enable();
	init_host(run);
	timings_begin("host checks");
	r = check_host(run);
	timings_end();
	timings_begin("open files");
	if (r == 0)
		r = open_machine(run);
	timings_end();
	timings_begin("take devices");
	if (r == 0)
		r = take_devices(run);
	timings_end();
	if (r == 0)
		r = begin_use(run);
	return r < 0 ? r : start_machine(run);
}

/* --- the end --- */

/* As a shell would have it. */
static void end_by_command(struct run *run)
{
	const struct session_result *result = &run->machine.command->session.result;
	int status = STATUS_NO_RUN;

	run->by_command = true;
	switch (result->end) {
	case SESSION_EXITED:
		run->status = result->value;
		return;
	case SESSION_SIGNALED:
		run->status = STATUS_SIGNAL + result->value;
		return;
	case SESSION_NO_MEMORY:
		status = STATUS_NO_MEMORY;
		err_set(ERR_GUEST, -ENOMEM, "the guest had no memory left for the command");
		err_hint("give it more with --memory");
		break;
	case SESSION_NOT_FOUND:
		status = STATUS_NOT_FOUND;
		err_set(ERR_GUEST, -ENOENT, "%s", result->text);
		break;
	case SESSION_NOT_EXECUTABLE:
		status = STATUS_NOT_EXECUTABLE;
		err_set(ERR_GUEST, -EACCES, "%s", result->text);
		break;
	case SESSION_OUTPUT_LOST:
		err_set(ERR_FILE, -EIO, "what the command said could not be written: %s",
			result->text);
		break;
	case SESSION_FAILED:
		err_set(ERR_GUEST, -EIO, "the guest could not run the command: %s", result->text);
		break;
	case SESSION_NOT_STARTED:
	case SESSION_RUNNING:
		err_set(ERR_GUEST, -EIO, "the guest powered off before the command ended");
		break;
	}
	fail(run, status);
}

void run_wait(struct run *run)
{
	struct machine *machine = &run->machine;

	machine_wait(machine);
	switch (machine->end) {
	case MACHINE_POWERED_OFF:
	case MACHINE_COMMAND_ENDED:
		if (machine_has_command(machine))
			end_by_command(run);
		break;
	case MACHINE_QUIT:
		break;
	case MACHINE_KILLED:
		run->status = STATUS_SIGNAL + machine->end_signal;
		break;
	case MACHINE_DEVICE_WANTED:
		run->status = ERR_WANTED;
		break;
	case MACHINE_DEVICE_ERROR:
		run->status = ERR_AER;
		break;
	case MACHINE_DEVICE_DEAD:
		run->status = ERR_RESET;
		break;
	case MACHINE_TIMED_OUT:
		err_set(ERR_GUEST, -ETIMEDOUT, "the command did not end within --timeout");
		fail(run, STATUS_TIMED_OUT);
		break;
	case MACHINE_FAILED:
		err_restore(&machine->failure);
		fail(run, err_kind());
		break;
	case MACHINE_CRASHED:
		run->status = ERR_GUEST;
		break;
	}
}

/* What the guest's kernel said last tells why, where nothing else does. */
static bool console_tells(const struct machine *machine)
{
	if (!machine_has_command(machine) || !machine->ended)
		return false;
	switch (machine->end) {
	case MACHINE_CRASHED:
	case MACHINE_TIMED_OUT:
	case MACHINE_FAILED:
		return true;
	default:
		return machine->command->session.result.end == SESSION_NOT_STARTED;
	}
}

const struct console *run_console(const struct run *run)
{
	return console_tells(&run->machine) ? &run->machine.console : NULL;
}

/* A device that is not clean afterwards has failed, whatever the guest did. */
static void end_use(struct run *run)
{
	struct vfio_host *host = &run->host;
	bool dirty = false;

	timings_begin("tear down");
	machine_fini(&run->machine);
	timings_end();
	for (unsigned i = 0; i < host->count; i++)
		dirty |= host->devices[i].dirty = *dirty_of(run, i);
	vfio_host_end_use(host);
	if (!dirty || run->status != 0)
		return;
	run->by_command = false;
	run->status = ERR_RESET;
}

void run_end(struct run *run)
{
	bool again, given_back;

	if (run->in_use)
		end_use(run);
	machine_fini(&run->machine);
	/* It said why; a run that leaves the host changed has not gone well. */
	timings_begin("give devices back");
	given_back = vfio_host_give_back(&run->host) == 0;
	timings_end();
	if (!given_back && run->status == 0) {
		run->status = ERR_DEVICE;
		run->by_command = false;
	}
	again = run->host.count > 0 && given_back && !is_any_stuck(&run->host);
	vfio_host_fini(&run->host);
	/* Our leases kept it from the rest of our groups, which a killed run may have had too. */
	if (again)
		recover_devices();
	if (run->options->command_argc && !run->by_command)
		run->status = run_status_beside(run->status);
}
