/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: argv to a struct, or an error. Pure: no file is looked at, nothing depends on
 * the host. docs/options.md is the user's side of it.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <limits.h>

#include "control/run_folder.h"
#include "core/arch.h"
#include "core/cpu_set.h"
#include "core/hugepages.h"
#include "core/log.h"
#include "core/timings_out.h"
#include "core/util.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/blk_format.h"
#include "options/options_net.h"
#include "placement/placement.h"
#include "vfio/clique.h"
#include "vfio/iommu_kind.h"
#include "vfio/mdev.h"
#include "vfio/p2p.h"
#include "vfio/pci_addr.h"

#define OPTIONS_GPUS_MAX        16
#define OPTIONS_DISKS_MAX       12
#define OPTIONS_DISK_QUEUES_MAX 64

/* What KVM allows unless its kernel was built for more; it says when it allows fewer. */
#define OPTIONS_CPUS_MAX     1024
#define OPTIONS_CPUS_DEFAULT 2

/* CPUs that --pin may name: one for each vCPU, and some for the other threads. */
#define OPTIONS_PIN_MAX 1024

/* The least with which UEFI firmware starts. */
#define OPTIONS_MEMORY_MIN     (64 * MiB)
#define OPTIONS_MEMORY_DEFAULT (4 * GiB)
/* Half of what 46 physical address bits reach; the PCI window has its place in the rest. */
#define OPTIONS_MEMORY_MAX (32 * TiB)
/* So that huge pages can back all of it. */
#define OPTIONS_MEMORY_ALIGN (2 * MiB)

/* What a virtio disk can tell of its serial number [virtio-1.2 5.2.6 Device Operation]. */
#define OPTIONS_SERIAL_MAX 20

/* What a CPU can tell of its hypervisor's name. */
#define OPTIONS_VENDOR_MAX ARCH_HYPERVISOR_VENDOR_MAX

/* Of --cpu: room for some hundred names. */
#define OPTIONS_FEATURES_MAX 1023

/* The longest --wait, in milliseconds: a week. */
#define OPTIONS_WAIT_MAX (7 * 24 * 3600 * 1000u)

/* Of a command. */
#define OPTIONS_ENV_MAX    256
#define OPTIONS_SHARES_MAX 6

/* A user's name [Linux: LOGIN_NAME_MAX]. */
#define OPTIONS_USER_MAX 255

/* Of a command that takes names of guests. */
#define OPTIONS_ARGUMENTS_MAX 64

/* The name of a page of run's help. */
#define OPTIONS_PAGE_MAX 15

enum options_command {
	OPTIONS_RUN,
	OPTIONS_LIST,
	OPTIONS_DOCTOR,
	OPTIONS_BIND,
	OPTIONS_RELEASE,
	OPTIONS_PS,
	OPTIONS_STOP,
	OPTIONS_CONSOLE,
	OPTIONS_LOGS,
	OPTIONS_CONTROL,
};

struct options_gpu {
	struct pci_addr addr;      /* if it is no mediated device */
	bool any;                  /* whichever is free, and `addr` is not known yet */
	char mdev[VFIO_UUID_SIZE]; /* the UUID of one; "": a PCI device */
	struct vfio_clique clique;
	char vf_token[VFIO_UUID_SIZE]; /* "": none */
	bool rom_off;                  /* the guest sees no expansion ROM */
	char rom[PATH_MAX];            /* file in place of the device's own ROM; "": none */
};

struct options_disk {
	char file[PATH_MAX];
	bool readonly;
	enum blk_cache cache;
	bool keep_space;                     /* discard=off */
	bool snapshot; /* what the guest writes is thrown away */
	enum blk_format format;
	unsigned queues;                     /* 0: as many as make sense */
	char serial[OPTIONS_SERIAL_MAX + 1]; /* "": none */
};

/* Some 130 KiB: best kept off a small stack. Strings are "" where an option was not given. */
struct options {
	enum options_command command;
	bool command_named;                   /* false: run, because nothing else was said */
	bool help, version;                   /* asked for instead */
	char help_page[OPTIONS_PAGE_MAX + 1]; /* of run's help; "": the first */
	struct options_gpu gpus[OPTIONS_GPUS_MAX];
	unsigned gpu_count; /* of bind and release too */
	unsigned wait_ms;   /* for a device that another tinyvmm has */
	enum vfio_p2p_mode p2p;
	enum vfio_iommu_kind iommu;
	struct options_disk disks[OPTIONS_DISKS_MAX];
	unsigned disk_count;
	const char *cloud_init, *ssh_key; /* files; NULL: none; borrowed from argv */
	struct options_net nets[OPTIONS_NETS_MAX];
	unsigned net_count;
	bool no_net; /* --net none */
	unsigned cpus; /* of the topology */
	struct arch_topology topology;
	char cpu_features[OPTIONS_FEATURES_MAX + 1]; /* "-name,+name"; "": none is named */
	bool hide_hypervisor, hyperv, dedicated;
	char hypervisor_vendor[OPTIONS_VENDOR_MAX + 1]; /* "": KVM's own */
	enum pin_mode pin;
	uint16_t pin_cpus[OPTIONS_PIN_MAX]; /* of a list, in its order */
	unsigned pin_count;
	enum numa_mode numa;
	struct cpu_set numa_nodes;                      /* of a list */
	uint64_t memory;                                /* bytes */
	enum hugepages_mode hugepages;
	char firmware_code[PATH_MAX]; /* "": search the host's */
	char firmware_vars[PATH_MAX]; /* "": a fresh store that is not kept */
	char firmware_log[PATH_MAX];  /* "-": standard error */
	char kernel[PATH_MAX];        /* "": firmware starts the guest */
	char initrd[PATH_MAX];        /* "": none */
	char cmdline[PATH_MAX];       /* the kernel's; "": it is chosen by the kernel's kind */
	/* The command behind "--", and what goes with it; borrowed from argv. */
	char *const *command_argv;
	unsigned command_argc; /* 0: none */
	const char *env[OPTIONS_ENV_MAX];
	unsigned env_count;
	const char *shares[OPTIONS_SHARES_MAX]; /* folders that the guest may write to */
	unsigned share_count;
	const char *root;    /* NULL: the host's */
	unsigned timeout_ms; /* 0: none; of stop too */
	const char *record, *junit; /* files for what is told of the run; NULL: none */
	char name[RUN_NAME_MAX + 1]; /* "": none is given */
	bool detach;
	const char *arguments[OPTIONS_ARGUMENTS_MAX]; /* guests, and what to do; of argv */
	unsigned argument_count;
	bool kill;   /* stop */
	bool follow; /* logs */
	enum log_level log_level;
	enum timings_format timings;
	bool all;                        /* list */
	bool json;                       /* list, doctor, ps */
	char user[OPTIONS_USER_MAX + 1]; /* bind: who may use the devices; "": as before */
};

/* Whether there is one disk more than --disk names: what cloud-init is told. */
static inline bool options_have_seed(const struct options *options)
{
	return options->cloud_init || options->ssh_key;
}

/* "0000:01:00.0", or the UUID, or "any". */
struct options_gpu_name {
	char s[VFIO_UUID_SIZE];
};
struct options_gpu_name options_gpu_name(const struct options_gpu *gpu);

/*
 * `options` is zeroed, and of no use after a failure: it is too large to be copied.
 * -EINVAL, kind ERR_USAGE, with the option's name and what it accepts in the error chain. --help
 * and --version end the parsing: what follows them is not looked at, but for the page that --help
 * may name.
 */
int MUST_CHECK options_parse(int argc, char *const argv[], struct options *options);

/* Whether a command line, a wrong one too, is of a run of one command: has a "--". */
bool options_have_command(int argc, char *const argv[]);

/*
 * What can be told of a run whose command line is wrong: the command, `record`, `junit`, and the
 * folders that earlier guests could write to. All else in `options`, which is zeroed, stays so.
 */
void options_salvage(int argc, char *const argv[], struct options *options);

/*
 * What --help prints: all that the named command takes, or the overview where none is named. Fits a
 * screen of 80 x 24.
 */
const char *options_help(const struct options *options);

#endif
