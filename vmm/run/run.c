/* SPDX-License-Identifier: Apache-2.0 */
/* The procedure around a machine; see run.h. The thread that runs the machine. */
#include "run/run.h"

#include <errno.h>
#include <signal.h>

#include "command/job.h"
#include "core/exit_counts.h"
#include "core/sys.h"
#include "core/timings.h"
#include "placement/guest_ram.h"
#include "run/gpu_any.h"
#include "run/recover.h"
#include "run/run_status.h"

static bool has_command(const struct run *run)
{
	return run->options->command_argc > 0;
}

/* `status`: where the process ends with another one than a command has. */
static void set_verdict(struct run *run, struct verdict verdict, int status)
{
	run->verdict = verdict;
	if (!has_command(run))
		run->verdict.status = status;
}

/* By the error chain. The first reason is the one that counts. */
static void fail(struct run *run)
{
	err_save(&run->failure);
	err_log();
	set_verdict(run, verdict_of_failure(&run->failure, run->machine.ended), err_kind());
}

void run_refuse(struct run *run)
{
	fail(run);
}

/* Not a failure: somebody ended it. */
static void end_by_signal(struct run *run, int signal)
{
	set_verdict(run, verdict_of_signal(signal), STATUS_SIGNAL + signal);
}

/* What ended the start; 0: nothing. */
static int ending_signal(const struct run *run)
{
	if (atomic_load(&run->stop))
		return SIGTERM;
	return run->signal_fd < 0 ? 0 : sys_signal_read(run->signal_fd);
}

/* Between two steps of the start. */
static int check_stop(struct run *run)
{
	int r;

	if (!atomic_load(&run->stop))
		return 0;
	r = err_set(ERR_INTERNAL, -EINTR, "ended before the guest started");
	fail(run);
	end_by_signal(run, SIGTERM);
	return r;
}

static int check_gpus(struct run *run)
{
	const struct options *options = run->options;
	struct pci_addr addrs[OPTIONS_GPUS_MAX];
	unsigned count = 0;
	const bool any = gpu_any_wanted(options);

	for (unsigned i = 0; i < options->gpu_count; i++) {
		const struct options_gpu *gpu = &options->gpus[i];
		int r = gpu->mdev[0] ? vfio_mdev_check("", gpu->mdev) : 0;

		if (r < 0)
			return r;
		if (!gpu->mdev[0])
			addrs[count++] = gpu->addr;
	}
	if (any)
		return gpu_any_check(&run->host, run->options);
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
	host->stop = &run->stop;
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
		fail(run);
		sig = r == -EINTR ? ending_signal(run) : 0;
		if (sig)
			end_by_signal(run, sig);
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
	fail(run);
	if (run->machine.end_signal)
		end_by_signal(run, run->machine.end_signal);
}

/* With the leases, and before any device is touched. */
static int open_machine(struct run *run)
{
	int r = check_stop(run);

	if (r < 0)
		return r;
	run->machine.files = run->files;
	r = machine_open(&run->machine, run->options, run->signal_fd);

	if (r < 0)
		machine_failed(run);
	return r;
}

static int take_devices(struct run *run)
{
	int r = check_stop(run);

	if (r < 0)
		return r;
	r = vfio_host_take(&run->host);
	if (r < 0)
		fail(run);
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
		fail(run);
		return r;
	}
	run->in_use = true;
	for (unsigned i = 0; i < run->host.count; i++)
		*dirty_of(run, i) = run->host.devices[i].dirty;
	return 0;
}

static int start_machine(struct run *run)
{
	int r = check_stop(run);

	if (r < 0)
		return r;
	r = machine_build(&run->machine, run->host.iommu);
	if (r < 0) {
		machine_failed(run);
		return r;
	}
	r = check_stop(run);
	if (r < 0)
		return r;
	r = machine_start(&run->machine);
	if (r < 0)
		fail(run);
	return r;
}

int run_start(struct run *run)
{
	int r;

	exit_counts_enable(run->options->timings != TIMINGS_NONE);
	init_host(run);
	/* What is misspelt, before a wait for a device. */
	r = has_command(run) ? job_check(run->options) : 0;
	if (r == 0)
		r = run_control_init(&run->control, &run->machine, run->options);
	if (r < 0) {
		fail(run);
		return r;
	}
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

static void end_command(struct run *run)
{
	const struct machine *machine = &run->machine;
	const struct verdict verdict =
		verdict_of_end(machine->end, &machine->command->session.result,
			       machine->end_signal);

	/* A sentence that nobody has printed yet. */
	if (!verdict.told) {
		err_set(ERR_GUEST, -EIO, "%s", verdict.reason);
		fail(run);
	}
	set_verdict(run, verdict, 0);
}

static void end_guest(struct run *run)
{
	static const int statuses[] = {
		[MACHINE_DEVICE_WANTED] = ERR_WANTED, [MACHINE_DEVICE_ERROR] = ERR_AER,
		[MACHINE_DEVICE_DEAD] = ERR_RESET,    [MACHINE_CRASHED] = ERR_GUEST,
		[MACHINE_FAILED] = ERR_INTERNAL, /* not here */
	};
	const struct machine *machine = &run->machine;

	if (machine->end == MACHINE_KILLED)
		end_by_signal(run, machine->end_signal);
	else
		set_verdict(run, verdict_of_guest(machine->end), statuses[machine->end]);
}

void run_wait(struct run *run)
{
	machine_wait(&run->machine);
	if (run->machine.end == MACHINE_FAILED) {
		err_restore(&run->machine.failure);
		fail(run);
	} else if (has_command(run)) {
		end_command(run);
	} else {
		end_guest(run);
	}
}

/* What the guest's kernel said last tells why, where nothing else does. */
static bool console_tells(const struct machine *machine)
{
	if (!machine->ended || !machine_has_command(machine))
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

/* It said why; a run that leaves the host changed has not gone well. */
static void spoil(struct run *run, enum err_kind kind, enum verdict_kind verdict)
{
	if (run->verdict.status != 0)
		return;
	verdict_spoil(&run->verdict, verdict);
	if (!has_command(run))
		run->verdict.status = kind;
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
	if (dirty)
		spoil(run, ERR_RESET, VERDICT_GPU_NOT_RESET);
}

void run_end(struct run *run)
{
	bool again, given_back;

	if (run->in_use)
		end_use(run);
	machine_fini(&run->machine);
	timings_begin("give devices back");
	given_back = vfio_host_give_back(&run->host) == 0;
	timings_end();
	if (!given_back)
		spoil(run, ERR_DEVICE, VERDICT_GPU_NOT_RETURNED);
	again = run->host.count > 0 && given_back && !is_any_stuck(&run->host);
	vfio_host_fini(&run->host);
	/* Our leases kept it from the rest of our groups, which a killed run may have had too. */
	if (again)
		recover_devices();
}
