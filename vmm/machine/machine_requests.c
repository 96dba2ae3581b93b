/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is asked for while it runs, by its guest and its devices (vm_request) and by
 * signals: a reset, or its end. Main thread.
 */
#include <errno.h>
#include <signal.h>

#include "core/arch.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "machine/machine.h"
#include "machine/machine_control.h"

void machine_end(struct machine *machine, enum machine_end end)
{
	machine->end = end;
	machine->ending = true;
	loop_stop(&machine->loop);
}

/*
 * Reset: everything but the contents of RAM, disks and flash variables goes back to power-on.
 * Devices first, so that their transfers end before the firmware uses the memory again.
 */
static int reset(struct machine *machine)
{
	int r;

	for (unsigned i = machine->device_count; i > 0; i--) {
		struct device *dev = machine->devices[i - 1];

		if (dev->ops->reset)
			dev->ops->reset(dev);
	}
	pci_root_reset(&machine->pci);
	arch_irqs_reset(&machine->vm, machine->cpu);
	r = vcpus_reset(&machine->vcpus);
	if (r < 0)
		return r;
	log_limited(LOG_INFO, "the guest was reset");
	r = machine_add_kernel(machine);
	if (r == 0)
		machine_tell(machine, MACHINE_EVENT_RESET);
	return r;
}

static void requested(struct vm *vm)
{
	struct machine *machine = container_of(vm, struct machine, vm);

	loop_post(&machine->loop, &machine->requests);
}

static void do_request(struct loop_event *event)
{
	struct machine *machine = container_of(event, struct machine, requests);
	enum vm_request request;

	/* With all vCPUs stopped, what they asked for until now is complete. */
	vcpus_pause(&machine->vcpus);
	request = (enum vm_request)atomic_exchange(&machine->vm.request, VM_REQUEST_NONE);
	switch (request) {
	case VM_REQUEST_NONE:
		break;
	case VM_REQUEST_COMMAND_ENDED:
		machine_end(machine, MACHINE_COMMAND_ENDED);
		return;
	case VM_REQUEST_RESET:
		/* A kernel that panics is told to. */
		if (machine_has_command(machine)) {
			log_error("the guest's kernel panicked or restarted");
			machine_end(machine, MACHINE_CRASHED);
			return;
		}
		if (reset(machine) < 0) {
			err_save(&machine->failure);
			machine_end(machine, MACHINE_FAILED);
			return;
		}
		break;
	case VM_REQUEST_SERVER_LOST:
		(void)err_set(ERR_HOST, -EIO, "the guest cannot go on without its files");
		err_save(&machine->failure);
		machine_end(machine, MACHINE_FAILED);
		return;
	case VM_REQUEST_POWEROFF:
		machine_end(machine, MACHINE_POWERED_OFF);
		return;
	case VM_REQUEST_DEVICE_WANTED:
		machine_end(machine, MACHINE_DEVICE_WANTED);
		return;
	case VM_REQUEST_DEVICE_ERROR:
		machine_end(machine, MACHINE_DEVICE_ERROR);
		return;
	case VM_REQUEST_DEVICE_DEAD:
		machine_end(machine, MACHINE_DEVICE_DEAD);
		return;
	case VM_REQUEST_CRASH:
		machine_end(machine, MACHINE_CRASHED);
		return;
	}
	vcpus_resume(&machine->vcpus);
}

static void signal_ready(struct loop_source *source)
{
	struct machine *machine = container_of(source, struct machine, signals);
	const int sig = sys_signal_read(source->fd);

	if (!sig)
		return;
	if (machine->command) {
		machine_resume(machine); /* or its guest would not hear it */
		if (machine_signal_command(machine, sig))
			return;
	}
	/* Nobody is there any more to send a second one after the terminal hung up. */
	if (machine->asked_to_end || sig == SIGHUP || machine->command) {
		machine->end_signal = sig;
		machine_end(machine, MACHINE_KILLED);
		return;
	}
	machine->asked_to_end = true;
	machine_resume(machine);
	if (machine_press(machine)) {
		log_info("signal %d: asked the guest to power off; a second one ends it at once",
			 sig);
		return;
	}
	log_info("signal %d: the guest cannot hear its power button yet; "
		 "it is pressed when it can; send it again to end the run at once",
		 sig);
	machine_press_later(machine);
}

int machine_init_requests(struct machine *machine)
{
	machine->requests = (struct loop_event){ .fn = do_request };
	machine->vm.requested = requested;
	if (machine->signal_fd < 0)
		return 0;
	machine->signals = (struct loop_source){ machine->signal_fd, signal_ready };
	return loop_add(&machine->loop, &machine->signals);
}
