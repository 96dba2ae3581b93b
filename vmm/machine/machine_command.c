/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that runs one command: its kernel, the folders that it sees, its streams and its time.
 * Its initial RAM disk: machine_initrd.c. Main thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command/job.h"
#include "command/own_kernel.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "daemons/file_daemon.h"
#include "devices/vhost/vhost_user_fs.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

static int find_kernel(struct machine *machine, const char *release)
{
	struct machine_command *command = machine->command;

	if (!machine->options->kernel[0])
		return own_kernel_find("", release, command->kernel_path);
	snprintf(command->kernel_path, sizeof(command->kernel_path), "%s",
		 machine->options->kernel);
	return 0;
}

static int find_shares(struct machine *machine)
{
	const struct options *options = machine->options;

	for (unsigned i = 0; i < options->share_count; i++) {
		if (!realpath(options->shares[i], machine->command->share_paths[i]))
			return err_sys(ERR_FILE, -errno, "--rw: folder '%s'", options->shares[i]);
	}
	return 0;
}

/* The root file system can be read, and the shared folders written. */
static int start_daemons(struct machine *machine)
{
	const struct options *options = machine->options;
	struct machine_command *command = machine->command;
	int r;

	if (!realpath(options->root ? options->root : "/", command->root_path))
		return err_sys(ERR_FILE, -errno, "--root: folder '%s'", options->root);
	r = file_daemon_start(command->root_path, true, &command->root);

	for (unsigned i = 0; i < options->share_count && r == 0; i++)
		r = file_daemon_start(command->share_paths[i], false, &command->shares[i]);
	return r;
}

static void stop_daemons(struct machine_command *command)
{
	for (unsigned i = 0; i < OPTIONS_SHARES_MAX; i++) {
		file_daemon_stop(command->shares[i]);
		command->shares[i] = NULL;
	}
	file_daemon_stop(command->root);
	command->root = NULL;
}

/*
 * What the guest's kernel has to say is for those who look for a failure; one that panics shall end
 * the run at once. The host's kernel is this one and has tried its ciphers: that was half of what
 * its start takes. What the user adds comes last, and wins.
 */
#define CMDLINE "console=ttyS0 quiet panic=-1 oops=panic cryptomgr.notests"

int machine_prepare_command(struct machine *machine)
{
	struct machine_command *command;
	struct utsname host;
	int r;

	if (!machine_has_command(machine))
		return 0;
	command = machine->command = calloc(1, sizeof(*command));
	if (!command)
		return err_sys(ERR_LIMIT, -ENOMEM, "the command");
	command->machine = machine;
	uname(&host);
	r = find_kernel(machine, host.release);
	if (r == 0)
		r = find_shares(machine);
	if (r == 0)
		r = machine_make_initrd(machine, host.release);
	if (r == 0)
		r = start_daemons(machine);
	if (r < 0)
		return r;
	snprintf(command->initrd_path, sizeof(command->initrd_path), "/proc/self/fd/%d",
		 command->initrd.fd);
	snprintf(command->cmdline, sizeof(command->cmdline), CMDLINE "%s%.*s",
		 machine->options->cmdline[0] ? " " : "", PATH_MAX - (int)sizeof(CMDLINE) - 2,
		 machine->options->cmdline);
	log_debug("initial RAM disk: %llu KiB", (unsigned long long)(command->initrd.size / KiB));
	return 0;
}

void machine_forget_command(struct machine *machine)
{
	struct machine_command *command = machine->command;

	if (!command)
		return;
	stop_daemons(command);
	initrd_fini(&command->initrd);
	if (command->timeout.fd > 0)
		close(command->timeout.fd);
	if (command->window.fd > 0)
		close(command->window.fd);
	free(command);
	machine->command = NULL;
}

static void command_ended(void *opaque)
{
	struct machine *machine = opaque;

	vm_request(&machine->vm, VM_REQUEST_COMMAND_ENDED);
}

static void add_function(struct machine *machine, struct pci_dev *dev, unsigned fn)
{
	machine_add_device(machine, &dev->device);
	pci_bus_add(&machine->pci.bus, dev, PCI_DEVFN(SLOT_COMMAND, fn));
}

static int add_folder(struct machine *machine, struct file_daemon *daemon, const char *tag,
		      unsigned fn)
{
	struct pci_dev *dev;
	int r = vhost_user_fs_create(&machine->board, &machine->device_loop,
				     file_daemon_backend(daemon), tag, &dev);

	if (r == 0)
		add_function(machine, dev, fn);
	return r;
}

int machine_add_session(struct machine *machine)
{
	struct pci_dev *dev;
	int r;

	if (!machine_has_command(machine))
		return 0;
	r = session_init(&machine->command->session, &machine->board, &machine->files,
			 command_ended, machine, &dev);
	if (r < 0)
		return r;
	add_function(machine, dev, 0);
	r = add_folder(machine, machine->command->root, JOB_ROOT_TAG, 1);
	for (unsigned i = 0; i < machine->options->share_count && r == 0; i++)
		r = add_folder(machine, machine->command->shares[i], job_share_tag(i).s, 2 + i);
	return r;
}

void machine_fini_session(struct machine *machine)
{
	if (machine->command)
		session_fini(&machine->command->session);
}

static void time_is_up(struct loop_source *source)
{
	struct machine_command *command = container_of(source, struct machine_command, timeout);

	machine_end(command->machine, MACHINE_TIMED_OUT);
}

static int start_timer(struct machine *machine)
{
	const unsigned ms = machine->options->timeout_ms;
	const struct itimerspec limit = {
		.it_value = { ms / 1000, (long)(ms % 1000) * 1000000 },
	};
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "--timeout");
	machine->command->timeout = (struct loop_source){ .fd = fd, .ready = time_is_up };
	if (timerfd_settime(fd, 0, &limit, NULL) < 0)
		return err_sys(ERR_LIMIT, -errno, "--timeout");
	return loop_add(&machine->loop, &machine->command->timeout);
}

static void window_changed(struct loop_source *source)
{
	struct machine_command *command = container_of(source, struct machine_command, window);

	(void)sys_signal_read(source->fd);
	session_resize(&command->session);
}

/* The signal is blocked in all threads, as are those of signal_fd. */
static int watch_window(struct machine *machine)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "watch the terminal's size");
	machine->command->window = (struct loop_source){ .fd = fd, .ready = window_changed };
	return loop_add(&machine->loop, &machine->command->window);
}

int machine_start_command(struct machine *machine)
{
	int r = machine->options->timeout_ms ? start_timer(machine) : 0;

	if (r == 0 && machine->signal_fd >= 0)
		r = watch_window(machine);
	if (r == 0)
		session_start(&machine->command->session);
	return r;
}

/* Who asks so often does not want to wait for the command any more. */
#define INTERRUPTS_MAX 3u

bool machine_signal_command(struct machine *machine, int signal)
{
	if (++machine->command->interrupts >= INTERRUPTS_MAX)
		return false;
	return session_signal(&machine->command->session, signal);
}
