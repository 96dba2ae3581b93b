/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the machine: built, run, torn down in reverse. Main thread.
 */
#include "machine/machine.h"

#include <assert.h>
#include <errno.h>

#include "core/arch.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/timings.h"
#include "devices/chipset/serial.h"
#include "machine/machine_control.h"
#include "vfio/iommu.h"
#include "x86_64/layout.h"

void machine_add_device(struct machine *machine, struct device *dev)
{
	assert(machine->device_count < MACHINE_DEVICES_MAX);
	machine->devices[machine->device_count++] = dev;
}

static void machine_quit(void *opaque)
{
	machine_end(opaque, MACHINE_QUIT);
}

static const struct console_ops console_ops = {
	.power_button = machine_power_button,
	.quit = machine_quit,
};

static int init_main_loop(struct machine *machine)
{
	return loop_init(&machine->loop);
}

static void fini_main_loop(struct machine *machine)
{
	machine_watch_fini(machine);
	machine_power_fini(machine);
	loop_fini(&machine->loop);
}

/* A driver of one of its devices, if there comes one, has it started. */
static int init_device_loop(struct machine *machine)
{
	loop_init_lazy(&machine->device_loop, "devices");
	return 0;
}

static void fini_device_loop(struct machine *machine)
{
	loop_join_thread(&machine->device_loop);
	loop_fini(&machine->device_loop);
}

static int init_vm(struct machine *machine)
{
	int r;

	machine->board = (struct board){ &machine->vm, &machine->mem, &machine->irq, &machine->pio,
					 &machine->mmio };
	bus_init(&machine->pio);
	bus_init(&machine->mmio);
	r = vm_init(&machine->vm);
	if (r == 0)
		r = machine_init_requests(machine);
	return r < 0 ? r : machine_describe_cpus(machine);
}

static void fini_vm(struct machine *machine)
{
	arch_cpu_destroy(machine->cpu);
	machine->cpu = NULL;
	vm_fini(&machine->vm);
	bus_fini(&machine->mmio);
	bus_fini(&machine->pio);
}

/*
 * After the RAM: the chips' registers go on KVM's own buses, and since Linux 6.18 a memory slot
 * that is made soon after that waits some milliseconds until the old buses are free.
 */
static int init_chips(struct machine *machine)
{
	int r = arch_vm_init(&machine->vm, machine->cpu);

	return r < 0 ? r : arch_irqs_init(&machine->board, machine->cpu);
}

static void fini_chips(struct machine *machine)
{
	arch_irqs_fini(&machine->board, machine->cpu);
}

static int init_console(struct machine *machine)
{
	int r = console_init(&machine->console, &machine->loop, &machine->board, PORT_COM1,
			     GSI_COM1, &console_ops, machine);

	if (r < 0)
		return r;
	console_set_files(&machine->console, machine->files.input, machine->files.output);
	machine_add_device(machine, serial_device(machine->console.serial));
	console_set_tap(&machine->console, machine->console_tap);
	if (machine_has_command(machine))
		console_keep(&machine->console);
	return 0;
}

static void fini_console(struct machine *machine)
{
	console_fini(&machine->console);
}

static void fini_pci(struct machine *machine)
{
	pci_root_fini(&machine->pci);
}

static void fini_gpus(struct machine *machine)
{
	vfio_iommu_destroy(machine->iommu);
	machine->iommu = NULL;
}

struct step {
	const char *name; /* for --verbose */
	int (*init)(struct machine *machine);
	void (*fini)(struct machine *machine);
};

/*
 * The machine's life, in two parts: done from the first line to the last, undone from the last to
 * the first. Before the `fini` of a step the devices that it added are destroyed. A `fini` is
 * called for the step that failed too.
 *
 * The first part comes before the devices are taken from the host's drivers. All that a user can
 * get wrong belongs there.
 */
static const struct step preflight[] = {
	{ "main loop", init_main_loop, fini_main_loop },
	{ "size of memory", machine_check_ram, NULL },
	{ "placement", machine_place, NULL },
	{ "virtual machine", init_vm, fini_vm },
	{ "cliques", machine_check_cliques, NULL },
	{ "limit of locked memory", machine_check_pinning, NULL },
	{ "disk images", machine_open_disks, machine_close_disks },
	{ "option ROMs", machine_open_roms, machine_close_roms },
	{ "firmware image", machine_open_firmware, machine_close_firmware },
	{ "firmware log", machine_open_firmware_log, machine_close_firmware_log },
	/* After what can be wrong with the words: it takes its time, and may have to warn. */
	{ "network", machine_open_nets, machine_close_nets },
	{ "command", machine_prepare_command, machine_forget_command },
	{ "kernel image", machine_open_kernel, machine_close_kernel },
};

static const struct step building[] = {
	{ "device loop", init_device_loop, fini_device_loop },
	{ "memory", machine_init_ram, machine_fini_ram },
	{ "interrupt controllers", init_chips, fini_chips },
	{ "chipset", machine_add_chipset, fini_pci },
	{ "console", init_console, fini_console },
	{ "passed-through devices", machine_add_gpus, fini_gpus },
	{ "disks", machine_add_disks, machine_remove_disks },
	{ "network devices", machine_add_nets, machine_remove_nets },
	{ "command's streams", machine_add_session, machine_fini_session },
	{ "address space", machine_plan_window, NULL },
	{ "vCPUs", machine_init_cpus, machine_fini_cpus },
	{ "firmware", machine_add_firmware, NULL },
	{ "memory for DMA", machine_init_dma, machine_fini_dma },
	{ "kernel", machine_add_kernel, NULL }, /* last: it touches the devices */
};

#define SLOW_STEP_MS 5

/* A signal that came while the machine was being built ends it between two steps. */
static int machine_check_signals(struct machine *machine)
{
	machine->end_signal = machine->signal_fd < 0 ? 0 : sys_signal_read(machine->signal_fd);
	if (!machine->end_signal)
		return 0;
	return err_set(ERR_INTERNAL, -EINTR, "ended by signal %d before the guest started",
		       machine->end_signal);
}

static double now_ms(void)
{
	return (double)clock_ns() / (double)NS_PER_MS;
}

static void machine_undo(struct machine *machine)
{
	const unsigned nr = --machine->step_count;
	const struct step *step =
		nr < ARRAY_SIZE(preflight) ? &preflight[nr] : &building[nr - ARRAY_SIZE(preflight)];

	timings_begin("%s", step->name);
	while (machine->device_count > machine->step_devices[nr]) {
		struct device *dev = machine->devices[--machine->device_count];

		dev->ops->destroy(dev);
	}
	if (step->fini)
		step->fini(machine);
	timings_end();
}

static int machine_do(struct machine *machine, const struct step *steps, unsigned count)
{
	_Static_assert(ARRAY_SIZE(preflight) + ARRAY_SIZE(building) <= MACHINE_STEPS_MAX,
		       "step_devices is too small");
	const bool takes_devices = steps == preflight && machine->options->gpu_count > 0;
	struct err_chain why;
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++) {
		const double start = now_ms();
		double took;

		machine->step_devices[machine->step_count++] = machine->device_count;
		timings_begin("%s", steps[i].name);
		r = steps[i].init(machine);
		timings_end();
		took = now_ms() - start;
		/* After short ones the next that is slow, or the main loop, is soon enough. */
		if (r == 0 && (took > SLOW_STEP_MS || (i + 1 == count && takes_devices)))
			r = machine_check_signals(machine);
		if (r == 0)
			log_debug("%s: ready in %.1f ms", steps[i].name, took);
	}
	if (r < 0) {
		err_save(&why);
		machine_fini(machine);
		err_restore(&why);
	}
	return r;
}

int machine_open(struct machine *machine, const struct options *options, int signal_fd)
{
	machine->options = options;
	machine->signal_fd = signal_fd;
	return machine_do(machine, preflight, ARRAY_SIZE(preflight));
}

int machine_build(struct machine *machine, enum vfio_iommu_kind iommu)
{
	int r;

	machine->iommu_kind = iommu;
	machine_move_threads(machine);
	timings_begin("build the machine");
	r = machine_do(machine, building, ARRAY_SIZE(building));
	timings_end();
	return r;
}

static void machine_stop(struct machine *machine)
{
	vcpus_stop(&machine->vcpus);
	machine->ended = true;
	if (machine->command)
		session_stop(&machine->command->session);
	timings_end();
	machine_tell(machine, MACHINE_EVENT_ENDED);
}

int machine_start(struct machine *machine)
{
	int r = machine_has_command(machine) ? machine_start_command(machine)
					     : console_start(&machine->console);

	if (r == 0)
		r = vcpus_start(&machine->vcpus);
	if (r < 0)
		return r;
	timings_begin("guest");
	machine_tell(machine, MACHINE_EVENT_STARTED);
	machine_watch_start(machine);
	r = machine_start_dma(machine);
	if (r < 0) {
		machine->end = MACHINE_FAILED;
		machine_stop(machine);
	}
	return r;
}

void machine_wait(struct machine *machine)
{
	loop_run(&machine->loop);
	machine_stop(machine);
}

void machine_fini(struct machine *machine)
{
	vm_end(&machine->vm);
	irq_end(&machine->irq);
	while (machine->step_count)
		machine_undo(machine);
	machine_move_back(machine);
}
