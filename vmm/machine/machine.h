/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: built from the options, run, reset, and torn down in the reverse order. It owns
 * everything that the guest can see, and is the only thing that knows all of it.
 *
 * Main thread only; what other threads do is in docs/ARCHITECTURE.md.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdio.h>

#include "boot/initrd.h"
#include "boot/kernel.h"
#include "command/session.h"
#include "core/arch.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/err.h"
#include "core/irq.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "devices/blk/blk_file.h"
#include "devices/pci/pci_root.h"
#include "firmware-loader/fw_image.h"
#include "firmware-loader/fw_vars.h"
#include "firmware-loader/mmio_window.h"
#include "machine/console.h"
#include "machine/machine_net.h"
#include "options/options.h"
#include "placement/placement.h"
#include "vfio/rom.h"

#define MACHINE_DEVICES_MAX 64
/* Each bank ends one, and so does each multiple of a slot's size. */
#define MACHINE_RAM_SLOTS_MAX (GUEST_MEM_BANKS_MAX + OPTIONS_MEMORY_MAX / VM_SLOT_SIZE_MAX)
#define MACHINE_STEPS_MAX   32

/* Threads of one disk, see machine_devices.c. */
#define MACHINE_DISK_THREADS_MAX 4

struct fw_cfg;
struct acpi_tables;
struct ich9_lpc;
struct smbios_tables;
struct file_daemon;
struct machine_listener;
struct storage_daemon;
struct vfio_host;
struct vfio_iommu;
struct vfio_pin;

/* How a run ended. */
enum machine_end {
	MACHINE_POWERED_OFF,   /* the guest did, or was asked to and did */
	MACHINE_CRASHED,       /* a vCPU could not go on; told already */
	MACHINE_QUIT,          /* ended from the console's escape key */
	MACHINE_COMMAND_ENDED, /* command->session.result says how */
	MACHINE_TIMED_OUT,     /* --timeout */
	MACHINE_KILLED,        /* a second signal */
	/* A passed-through device; told already. */
	MACHINE_DEVICE_WANTED, /* the host wants it back */
	MACHINE_DEVICE_ERROR,  /* it reported an uncorrectable error */
	MACHINE_DEVICE_DEAD,   /* it did not come back from a reset */
	MACHINE_FAILED,        /* the host could not go on; `failure` says why */
};

/* Of a machine that runs one command. */
struct machine_command {
	struct machine *machine;
	struct initrd initrd;
	char initrd_path[32], kernel_path[PATH_MAX], cmdline[PATH_MAX];
	struct file_daemon *root, *shares[OPTIONS_SHARES_MAX];
	char root_path[PATH_MAX]; /* real, as virtiofsd wants it */
	char share_paths[OPTIONS_SHARES_MAX][PATH_MAX];
	struct session session;
	struct loop_source timeout; /* a timer; fd 0: none */
	struct loop_source window;  /* a signalfd of SIGWINCH; fd 0: none */
	unsigned interrupts;        /* signals that were passed on */
};

struct machine {
	const struct options *options; /* borrowed */
	struct board board;            /* points at the next five */
	struct vm vm;
	struct guest_mem mem;
	struct irq irq;
	struct bus pio, mmio;
	struct vm_slot ram[MACHINE_RAM_SLOTS_MAX];
	uint64_t page_size; /* chosen for mem by machine_check_ram; 0: ordinary pages */

	struct loop loop;        /* main's */
	struct loop device_loop; /* devices without a thread of their own */
	struct loop_source signals;
	struct loop_event requests;

	struct console console;
	const struct console_tap *console_tap; /* borrowed; NULL: nobody else is at it */
	struct pci_root pci;
	struct ich9_lpc *lpc;
	struct fw_cfg *fw_cfg;
	enum vfio_iommu_kind iommu_kind;
	struct vfio_iommu *iommu; /* NULL: no passed-through device */
	struct vfio_pin *pin;     /* NULL: not begun */
	struct loop_source pinned;
	struct blk_file disk_files[OPTIONS_DISKS_MAX];          /* until its device takes it over */
	struct storage_daemon *disk_daemons[OPTIONS_DISKS_MAX]; /* NULL: served by us */
	struct vfio_rom_file roms[OPTIONS_GPUS_MAX];
	struct loop disk_loops[OPTIONS_DISKS_MAX][MACHINE_DISK_THREADS_MAX];
	unsigned disk_loop_counts[OPTIONS_DISKS_MAX];
	unsigned disk_count;
	struct machine_net nets[OPTIONS_NETS_MAX];
	struct pci_dev *gpus[OPTIONS_GPUS_MAX];
	unsigned gpu_count;
	struct pci_dev *gpu_of_option[OPTIONS_GPUS_MAX]; /* the same, in the order of the options */
	/*
	 * In the order of the options: what the last guest left there has not been cleared. Before
	 * machine_build as known from earlier runs, after machine_fini as it is now.
	 */
	bool gpu_dirty[OPTIONS_GPUS_MAX];
	struct fw_image firmware;
	struct fw_vars vars;
	FILE *firmware_log;   /* NULL: none, or standard error */
	struct kernel kernel; /* if the options name one: in place of firmware, or for it */
	bool kernel_loaded;   /* before, so that memory is not all zeroes any more */
	struct machine_command *command; /* NULL: the guest was not made for one */
	struct mmio_plan window; /* the 64-bit PCI window and the phys-bits that go with it */
	struct arch_cpu_config cpu_config;
	struct arch_cpu *cpu; /* what the vCPUs are */
	struct vcpus vcpus;

	struct device *devices[MACHINE_DEVICES_MAX]; /* in the order of creation */
	unsigned device_count;

	unsigned step_count;                      /* of machine.c's tables, done */
	unsigned step_devices[MACHINE_STEPS_MAX]; /* device_count before each */

	struct placement placement;
	struct cpu_set cpus_before; /* the calling thread's, if it `moved` */
	bool moved;
	int gpu_nodes[OPTIONS_GPUS_MAX]; /* of the host; -1: unknown */
	unsigned root_nodes[PCI_ROOT_EXTRA_MAX]; /* the guest's node of each further root bus */

	int signal_fd;              /* borrowed; -1: none */
	struct session_files files; /* the caller's, before machine_open */
	struct loop_timer button;   /* machine_power.c */
	unsigned button_presses;
	struct loop_timer watch; /* machine_watch.c */
	uint64_t watch_cpu_ns;   /* of the first vCPU, when looked at last */
	unsigned watch_periods;
	bool asked_to_end; /* a first signal came, or MACHINE_STOP */
	/* machine_control.c */
	struct machine_listener *listeners;
	uint64_t started_ns; /* 0: not yet */
	bool paused;
	uint64_t paused_at_ns, paused_ns; /* the last pause, all before it */
	unsigned resets;
	bool ending; /* machine_end was called */
	enum machine_end end;
	bool ended; /* by itself or by us, after the guest ran */
	int end_signal;
	struct err_chain failure; /* of MACHINE_FAILED */
};

/*
 * Opens and checks all that the options name, and makes the VM: whatever can fail before a device
 * is taken from its driver. Starts no thread and allocates no guest memory, so that the caller may
 * fork. The machine is zeroed but for `files` and listeners. `signal_fd` is a signalfd of the
 * signals that end a run; -1: none do. On failure, here and in machine_build, the machine is as
 * after machine_fini.
 */
int MUST_CHECK machine_open(struct machine *machine, const struct options *options, int signal_fd);

/*
 * Builds the rest, up to the first instruction. The devices are with vfio-pci, and `iommu` is what
 * vfio_host_take has settled on.
 */
int MUST_CHECK machine_build(struct machine *machine, enum vfio_iommu_kind iommu);

/* Lets the vCPUs go. */
int MUST_CHECK machine_start(struct machine *machine);

/* Runs the main loop until the guest's end, which is machine->end then. */
void machine_wait(struct machine *machine);

/* Stops and destroys everything, passed-through devices reset. Accepts a zeroed machine. */
void machine_fini(struct machine *machine);

/* For the files that build the machine's parts. */

/* Nothing runs before the kernel. */
static inline bool machine_is_direct(const struct machine *machine)
{
	return machine->options->command_argc ||
	       (machine->options->kernel[0] && !machine->options->firmware_code[0]);
}
static inline bool machine_has_command(const struct machine *machine)
{
	return machine->options->command_argc;
}
/* Takes over `dev`: reset with the machine, destroyed at its end. */
void machine_add_device(struct machine *machine, struct device *dev);

/* machine_requests.c: has the main loop hear what the guest, devices and signals ask of the VM. */
int MUST_CHECK machine_init_requests(struct machine *machine);
void machine_end(struct machine *machine, enum machine_end end); /* ends machine_wait */

/* machine_preflight.c: what the options name, one function a kind of file. */
int MUST_CHECK machine_open_disks(struct machine *machine);
void machine_close_disks(struct machine *machine);
int MUST_CHECK machine_open_roms(struct machine *machine);
void machine_close_roms(struct machine *machine);
int MUST_CHECK machine_check_cliques(struct machine *machine); /* which devices can be of one */
int MUST_CHECK machine_check_pinning(struct machine *machine); /* the limit of locked memory */
int MUST_CHECK machine_open_kernel(struct machine *machine);
void machine_close_kernel(struct machine *machine);
int MUST_CHECK machine_open_firmware(struct machine *machine);
void machine_close_firmware(struct machine *machine);
int MUST_CHECK machine_open_firmware_log(struct machine *machine);
void machine_close_firmware_log(struct machine *machine);

/* machine_cpus.c: what the vCPUs are, and whether this host has it; then the vCPUs. */
int MUST_CHECK machine_describe_cpus(struct machine *machine);
int MUST_CHECK machine_init_cpus(struct machine *machine);
void machine_fini_cpus(struct machine *machine);
/*
 * machine_place.c: decides where the machine lies; then, before other threads exist, moves the
 * calling one, whose place they inherit; and says where vCPUs run that were made.
 */
int MUST_CHECK machine_place(struct machine *machine);
void machine_move_threads(struct machine *machine);
void machine_move_back(struct machine *machine); /* at the end */
void machine_place_vcpus(struct machine *machine);

/*
 * machine_command.c: the command of a guest that runs one, if there is one: its kernel and initial
 * RAM disk, before a device is touched,
 */
int MUST_CHECK machine_prepare_command(struct machine *machine);
void machine_forget_command(struct machine *machine);
/* its streams, */
int MUST_CHECK machine_add_session(struct machine *machine);
void machine_fini_session(struct machine *machine);
/* and its time. A signal for it: false if it is not there to get it, or had enough: the run ends. */
int MUST_CHECK machine_start_command(struct machine *machine);
bool machine_signal_command(struct machine *machine, int signal);

/* machine_initrd.c: the initial RAM disk for it, with modules of the kernel of this `release`. */
int MUST_CHECK machine_make_initrd(struct machine *machine, const char *release);

/* machine_ram.c: whether the host has so much, and in which pages; then the memory itself. */
int MUST_CHECK machine_check_ram(struct machine *machine);
int MUST_CHECK machine_init_ram(struct machine *machine);
void machine_fini_ram(struct machine *machine);

/* machine_devices.c: the chipset, then the devices of the options. */
int MUST_CHECK machine_add_chipset(struct machine *machine);
int MUST_CHECK machine_add_gpus(struct machine *machine);
int MUST_CHECK machine_add_disks(struct machine *machine);
unsigned machine_disk_queues(const struct machine *machine, const struct options_disk *disk);
void machine_remove_disks(struct machine *machine); /* their loops, after the devices */

/* machine_net.c: what is behind the network devices, before a device is touched; the devices; */
int MUST_CHECK machine_open_nets(struct machine *machine);
void machine_close_nets(struct machine *machine);
int MUST_CHECK machine_add_nets(struct machine *machine);
void machine_remove_nets(struct machine *machine); /* and their loops, after the devices */

/*
 * machine_dma.c: guest RAM becomes reachable for the passed-through devices. What can be wrong is
 * found before the guest starts, the work is done while it runs.
 */
int MUST_CHECK machine_init_dma(struct machine *machine);
int MUST_CHECK machine_start_dma(struct machine *machine);
void machine_fini_dma(struct machine *machine); /* ends the work, before the devices go */

/* machine_power.c: the console's power button, now, */
void machine_power_button(void *opaque);
/* and one that nobody hears yet; once is enough. */
void machine_press_later(struct machine *machine);
void machine_power_fini(struct machine *machine);

/* machine_firmware.c: the address width that the BARs and the firmware need, */
int MUST_CHECK machine_plan_window(struct machine *machine);
/* and the flash, and all that firmware asks of fw_cfg. */
int MUST_CHECK machine_add_firmware(struct machine *machine);

/* machine_tables.c: what describes the machine as it is now. */
int MUST_CHECK machine_build_acpi(struct machine *machine, struct acpi_tables *ret_tables);
int MUST_CHECK machine_build_smbios(const struct machine *machine,
				    struct smbios_tables *ret_tables);

/*
 * machine_kernel.c: does what firmware does between power-on and the kernel's first instruction.
 * All vCPUs are paused or not started yet, and in their power-on state.
 * Nothing where firmware runs.
 */
int MUST_CHECK machine_add_kernel(struct machine *machine);

/* machine_watch.c: ends a run whose kernel ended with its first steps. The vCPUs are started. */
void machine_watch_start(struct machine *machine);
void machine_watch_fini(struct machine *machine);

#endif
