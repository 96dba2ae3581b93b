/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm run`: the whole procedure around a machine. Every step that changes the host is undone
 * here, in reverse, whatever happened in between. Main thread.
 */
#include "commands.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "core/err.h"
#include "core/log.h"
#include "machine.h"
#include "vfio/host.h"

/* As a shell reports a command that a signal ended. */
#define STATUS_SIGNAL 128

/*
 * Signals that end a run come through a signalfd from here on, so that none can end the process
 * between taking a device and giving it back. Writing to a reader that went away is an error, not
 * a signal.
 */
static int open_signals(int *ret_fd)
{
	sigset_t ending;
	int fd;

	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGQUIT);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "receive signals");
	*ret_fd = fd;
	return 0;
}

static int check_gpus(struct vfio_host *host, const struct options *options)
{
	struct pci_addr addrs[OPTIONS_GPUS_MAX];

	for (unsigned i = 0; i < options->gpu_count; i++)
		addrs[i] = options->gpus[i].addr;
	return options->gpu_count ? vfio_host_check(host, addrs, options->gpu_count) : 0;
}

/*
 * Devices that a killed run left behind go back to their drivers, whether they are ours now or not.
 * The leases of the check keep our own out of it: one that is wanted now stays where it is.
 */
static void recover_devices(void)
{
	unsigned count = 0;

	(void)vfio_host_recover("", &count);
	if (count)
		log_info("gave back %u device(s) that a killed run had left behind", count);
}

static int end_status(const struct machine *machine, enum machine_end end)
{
	switch (end) {
	case MACHINE_POWERED_OFF:
	case MACHINE_QUIT:
		return 0;
	case MACHINE_KILLED:
		return STATUS_SIGNAL + machine->end_signal;
	case MACHINE_DEVICE_LOST:
		return ERR_DEVICE;
	case MACHINE_CRASHED:
		break;
	}
	return ERR_GUEST;
}

static int run_machine(struct machine *machine, const struct options *options, int signal_fd)
{
	enum machine_end end;
	int status;
	int r = machine_init(machine, options, signal_fd);

	if (r < 0) {
		status = command_failed();
		/* Not a failure: somebody ended it. */
		return machine->end_signal ? STATUS_SIGNAL + machine->end_signal : status;
	}
	r = machine_run(machine, &end);
	status = r < 0 ? command_failed() : end_status(machine, end);
	machine_fini(machine);
	return status;
}

int cmd_run(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	struct machine *machine;
	struct vfio_host host;
	int status;

	if (open_signals(&signal_fd) < 0)
		return command_failed();
	machine = calloc(1, sizeof(*machine));
	if (!machine) {
		err_sys(ERR_LIMIT, -ENOMEM, "machine");
		return command_failed();
	}

	vfio_host_init(&host, "");
	status = check_gpus(&host, options) < 0 ? command_failed() : 0;
	recover_devices();
	if (status == 0 && vfio_host_take(&host) < 0)
		status = command_failed();
	if (status == 0)
		status = run_machine(machine, options, signal_fd);
	/* It said why; a run that leaves the host changed has not gone well. */
	if (vfio_host_give_back(&host) < 0 && status == 0)
		status = ERR_DEVICE;
	vfio_host_fini(&host);
	free(machine);
	return status;
}
