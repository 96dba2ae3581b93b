/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm run`: the whole procedure around a machine. Every step that changes the host is undone
 * here, in reverse, whatever happened in between. Main thread.
 */
#include "cli/commands.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/timings_out.h"
#include "core/err.h"
#include "core/exit_counts.h"
#include "core/log.h"
#include "core/timings.h"
#include "guest_ram.h"
#include "machine.h"
#include "vfio/host.h"

static int check_gpus(struct vfio_host *host, const struct options *options)
{
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
	return count ? vfio_host_check(host, addrs, count) : 0;
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

/* As a shell would have it. */
static int command_status(const struct session_result *result)
{
	switch (result->end) {
	case SESSION_EXITED:
		return result->value;
	case SESSION_SIGNALED:
		return STATUS_SIGNAL + result->value;
	case SESSION_NO_MEMORY:
		log_error(
			"the guest had no memory left for the command; give it more with --memory");
		return STATUS_NO_MEMORY;
	case SESSION_NOT_FOUND:
		log_error("%s", result->text);
		return STATUS_NOT_FOUND;
	case SESSION_NOT_EXECUTABLE:
		log_error("%s", result->text);
		return STATUS_NOT_EXECUTABLE;
	case SESSION_OUTPUT_LOST:
		log_error("what the command said could not be written: %s", result->text);
		break;
	case SESSION_FAILED:
		log_error("the guest could not run the command: %s", result->text);
		break;
	case SESSION_NOT_STARTED:
	case SESSION_RUNNING:
		log_error("the guest powered off before the command ended");
		break;
	}
	return STATUS_NO_RUN;
}

static int end_status(const struct machine *machine, enum machine_end end)
{
	switch (end) {
	case MACHINE_POWERED_OFF:
		if (machine_has_command(machine))
			return command_status(&machine->command->session.result);
		return 0;
	case MACHINE_QUIT:
		return 0;
	case MACHINE_KILLED:
		return STATUS_SIGNAL + machine->end_signal;
	case MACHINE_DEVICE_WANTED:
		return ERR_WANTED;
	case MACHINE_DEVICE_ERROR:
		return ERR_AER;
	case MACHINE_DEVICE_DEAD:
		return ERR_RESET;
	case MACHINE_COMMAND_ENDED:
		return command_status(&machine->command->session.result);
	case MACHINE_TIMED_OUT:
		log_error("the command did not end within --timeout");
		return STATUS_TIMED_OUT;
	case MACHINE_FAILED:
		err_restore(&machine->failure);
		return command_failed();
	case MACHINE_CRASHED:
		break;
	}
	return ERR_GUEST;
}

static int machine_failed(const struct machine *machine)
{
	const int status = command_failed();

	/* Not a failure: somebody ended it. */
	return machine->end_signal ? STATUS_SIGNAL + machine->end_signal : status;
}

static int run_machine(struct machine *machine, enum vfio_iommu_kind iommu)
{
	enum machine_end end;

	if (machine_build(machine, iommu) < 0)
		return machine_failed(machine);
	return machine_run(machine, &end) < 0 ? command_failed() : end_status(machine, end);
}

/* Of the host's n-th device: mediated ones are not among those. */
static bool *dirty_of(struct machine *machine, unsigned n)
{
	unsigned i = 0;

	for (unsigned seen = 0;; i++) {
		if (!machine->options->gpus[i].mdev[0] && seen++ == n)
			return &machine->gpu_dirty[i];
	}
}

static bool ended_by_command(const struct machine *machine)
{
	return machine_has_command(machine) && machine->ended &&
	       (machine->end == MACHINE_COMMAND_ENDED || machine->end == MACHINE_POWERED_OFF);
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

/*
 * The guest's whole life. A device that is not clean afterwards has failed, whatever the guest did.
 * `ret_by_command`: the status is what the command's end says, and none of err_kind.
 */
static int use_devices(struct vfio_host *host, struct machine *machine, bool *ret_by_command)
{
	bool dirty = false;
	int status;

	for (unsigned i = 0; i < host->count; i++)
		*dirty_of(machine, i) = host->devices[i].dirty;
	status = run_machine(machine, host->iommu);
	*ret_by_command = ended_by_command(machine);
	if (console_tells(machine))
		console_print_kept(&machine->console, stderr, "guest: ");
	timings_begin("tear down");
	machine_fini(machine);
	timings_end();
	for (unsigned i = 0; i < host->count; i++)
		dirty |= host->devices[i].dirty = *dirty_of(machine, i);
	vfio_host_end_use(host);
	if (!dirty || status != 0)
		return status;
	*ret_by_command = false;
	return ERR_RESET;
}

int cmd_run(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	/* One a process, like the options: it is all zero, and mostly stays so. */
	static struct machine the_machine;
	struct machine *machine = &the_machine;
	struct vfio_host host;
	bool again, given_back, by_command = false;
	int status, r;

	/*
	 * Signals that end a run come through the fd from here on, so that none can end the process
	 * between taking a device and giving it back.
	 */
	if (command_open_signals(&signal_fd) < 0)
		return command_failed();
	if (options->timings != TIMINGS_NONE)
		exit_counts_enable();
	vfio_host_init(&host, "");
	host.iommu = iommu_wanted(options);
	host.p2p = options->p2p;
	host.wait_ms = options->wait_ms;
	host.signal_fd = signal_fd;
	timings_begin("host checks");
	/* Before a wait for a device; without one, the machine's own check comes soon enough. */
	r = options->gpu_count ? guest_ram_check(options->memory, options->hugepages, true) : 0;
	if (r == 0)
		r = check_gpus(&host, options);
	status = r < 0 ? command_ended(r, signal_fd) : 0;
	/*
	 * What a killed run left behind, whether it is ours now or not. The leases of the check
	 * keep our own out of it: one that is wanted now stays where it is.
	 */
	command_recover();
	timings_end();
	/* With the leases, and before any device is touched. */
	timings_begin("open files");
	if (status == 0 && machine_open(machine, options, signal_fd) < 0)
		status = machine_failed(machine);
	timings_end();
	timings_begin("take devices");
	if (status == 0 && vfio_host_take(&host) < 0)
		status = command_failed();
	timings_end();
	if (status == 0 && vfio_host_begin_use(&host) < 0)
		status = command_failed();
	else if (status == 0)
		status = use_devices(&host, machine, &by_command);
	machine_fini(machine);
	/* It said why; a run that leaves the host changed has not gone well. */
	timings_begin("give devices back");
	given_back = vfio_host_give_back(&host) == 0;
	timings_end();
	if (!given_back && status == 0) {
		status = ERR_DEVICE;
		by_command = false;
	}
	again = host.count > 0 && given_back && !is_any_stuck(&host);
	vfio_host_fini(&host);
	/* Our leases kept it from the rest of our groups, which a killed run may have had too. */
	if (again)
		command_recover();
	timings_out(stderr, options->timings);
	if (options->command_argc && !by_command)
		status = command_status_beside(status);
	return status;
}
