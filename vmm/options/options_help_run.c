/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of run's --help: pages of at most 23 lines of 79 characters, to fit a screen. */
#include "options/options_help.h"

#include <assert.h>

/* clang-format off */
static const char run_page[] =
"Usage: tinyvmm [run] [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
"Run a guest until it powers off, or until the command in it has ended.\n"
"\n"
"  --gpu BDF[,PROPERTY]...         pass this PCI device through (up to 16)\n"
"  --disk FILE[,PROPERTY]...       add a disk (up to 12)\n"
"  --net KIND[,PROPERTY]...        the network: user, tap=NAME or none\n"
"  --cpus N                        virtual CPUs (default 2)\n"
"  --memory SIZE                   guest memory, as in 512M or 16G (default 4G)\n"
"  --kernel FILE [--initrd FILE]   start this kernel, at once or by --firmware\n"
"  --cmdline TEXT                  its arguments (default console=ttyS0)\n"
"  --wait TIME                     for devices in use by another tinyvmm: 5m, 2h\n"
"  --timings[=json]                show in the end when each part happened\n"
"  -v, --verbose; -q, --quiet      say more; only warnings and errors\n"
"  -h, --help [PAGE]; -V, --version show this text or a page below; the version\n"
"\n"
"Pages: tinyvmm run --help PAGE\n"
"  gpu   how devices are reached    cpus     what the virtual CPUs say they are\n"
"  disk  properties of --disk       memory   what guest memory is made of\n"
"  net   the guest's network        command  one command in a throw-away guest\n"
"  boot  firmware and kernels       detach   guests in the background\n"
"\n"
"BDF: see tinyvmm list. A comma in a file name is written ',,'.\n";

static const char gpu_page[] =
"--gpu BDF[,PROPERTY]...           pass this PCI device through (up to 16)\n"
"    rom=FILE                      its option ROM in place of its own\n"
"    rom=off                       the guest sees no option ROM\n"
"    clique=N, clique=off          NVIDIA: GPUs of a clique reach each other\n"
"    vf-token=UUID                 the secret of a virtual function (SR-IOV)\n"
"--gpu any[,PROPERTY]...           ... or one that is free; --wait waits for it\n"
"--p2p on|off|auto                 devices reach each other's memory\n"
"--iommu KIND                      auto (default), iommufd or type1\n"
"--wait TIME                       for devices in use by another tinyvmm: 5m, 2h\n"
"\n"
"BDF: an address as tinyvmm list shows it (01:00.0), or the UUID or the path in\n"
"/sys of a mediated device.\n"
"\n"
"Examples:\n"
"  tinyvmm --gpu 01:00.0 --disk ubuntu.img\n"
"  tinyvmm --gpu 01:00.0,rom=card.rom --gpu 01:00.1 --disk a.img --wait 10m\n";

static const char disk_page[] =
"--disk FILE[,PROPERTY]...         a disk: image or block device (up to 12)\n"
"    ro                            the guest can only read it\n"
"    snapshot                      what the guest writes is thrown away\n"
"    format=FORMAT                 raw, qcow2, vmdk, vdi, vhdx or vpc (default:\n"
"                                  as the name ends, else raw)\n"
"    serial=TEXT                   what it tells as its serial number\n"
"    cache=writeback|direct|unsafe through the host's memory (default), past it,\n"
"                                  or through it and flushes do nothing\n"
"    discard=on|off                whether discarded blocks become holes (on)\n"
"    queues=N                      1 to 64 (default: a vCPU one, up to 16)\n"
"--ssh-key FILE                    for a cloud image: public keys that log in\n"
"--cloud-init FILE                 ... and what else cloud-init is to do there\n"
"\n"
"The guest sees them in this order. A comma in a file name is written ',,'.\n";

static const char net_page[] =
"--net user[,PROPERTY]...          a network that needs no setup: passt(1). The\n"
"                                  default where there is a --disk\n"
"    forward=[ADDRESS:]HOSTPORT:GUESTPORT[/udp]\n"
"                                  a port of the host, at 127.0.0.1 or this\n"
"                                  address, is the guest's; may be repeated\n"
"    host-loopback                 the guest reaches what listens at the host's\n"
"                                  127.0.0.1, by the gateway's address\n"
"--net tap=NAME[,PROPERTY]...      an interface of the host, already there\n"
"    queues=N                      1 to 16 pairs (default: a vCPU one)\n"
"    address=192.168.7.2/24        what the guest of a command has there,\n"
"    gateway=ADDRESS, dns=ADDRESS  its way out, and its server of names\n"
"--net none                        no network; the default without a --disk\n"
"\n"
"Of each device:\n"
"    mac=52:54:00:12:34:56         its address (default: by host and disk)\n"
"\n"
"Up to four devices. Example:\n"
"  tinyvmm --disk ubuntu.img --net user,forward=2222:22\n"
"  ssh -p 2222 127.0.0.1\n";

static const char cpus_page[] =
"--cpus N                          virtual CPUs, up to 1024 (default 2): cores\n"
"                                  of one socket\n"
"--cpus [N,]sockets=N,cores=N,threads=N\n"
"                                  ... or grouped like this: cores of each\n"
"                                  socket, threads of each core\n"
"--cpu -FEATURE,+FEATURE,...       leave out a feature; insist on one. Names are\n"
"                                  those of /proc/cpuinfo\n"
"--pin CPUS|auto                   the host's CPU of each, as in 0-7 or 2,4,6;\n"
"                                  auto: CPUs near the device\n"
"--numa auto|off|NODES             NUMA nodes: as many as it takes, none in the\n"
"                                  guest, or these of the host\n"
"--dedicated                       each has a CPU of the host for itself\n"
"--hyperv                          look like Hyper-V: for Windows guests\n"
"--hide-hypervisor                 the CPU does not say that it is a virtual one\n"
"--hypervisor-vendor TEXT          ... or says this in place of KVM\n";

static const char memory_page[] =
"--memory SIZE                     guest memory, as in 512M or 16G (default 4G)\n"
"--hugepages auto|2M|1G|off        the pages that it is made of (default auto:\n"
"                                  reserved huge pages where there are enough)\n";

static const char boot_page[] =
"--kernel FILE                     a kernel to start without firmware: bzImage\n"
"                                  or a vmlinux with a PVH entry\n"
"--initrd FILE                     its initial RAM disk\n"
"--cmdline TEXT                    its arguments (default console=ttyS0)\n"
"--firmware CODE[,vars=FILE]       UEFI firmware, and where it keeps variables\n"
"--firmware-log FILE|-             what a debug build of the firmware says\n"
"\n"
"Without --kernel and --firmware, the firmware that the host has installed\n"
"(OVMF) starts the guest from its disks. With both, firmware starts the kernel,\n"
"which is then a bzImage or a unified kernel image: with EFI, some 2 s later.\n";
static const char command_page[] =
"tinyvmm run [OPTION]... -- COMMAND [ARGUMENT]...\n"
"\n"
"Runs the command in a throw-away guest that has the host's root file system,\n"
"its kernel and the current folder. Its standard streams and its exit status are\n"
"those of tinyvmm; what it writes is gone afterwards.\n"
"\n"
"--rw DIR                          what is written in this folder stays\n"
"--env NAME[=VALUE]                give it this variable, ours or another\n"
"--user NAME[:GROUP]               run it as this user\n"
"--root DIR                        another root file system\n"
"--timeout TIME                    end it after 30s, 10m, 2h\n"
"--json FILE, --junit FILE         write what came of it, as JSON and as XML\n"
"--kernel FILE, --cmdline TEXT     another kernel; more words for the kernel\n"
"\n"
"Exit status, if it is not the command's: 120 to 127; see docs/exit-status.md.\n"
"\n"
"Example:\n"
"  tinyvmm run --gpu any --wait 1h --rw out --timeout 10m -- pytest tests/gpu\n";

static const char detach_page[] =
"-d, --detach                      return once the guest runs, which goes on in\n"
"                                  the background, and print its name\n"
"--name NAME                       its name; without --detach, too (default with\n"
"                                  --detach: a number)\n"
"\n"
"tinyvmm ps lists such guests, and tinyvmm stop NAME ends one; console, logs\n"
"and control NAME are for what is between. What the guest writes to its console,\n"
"what its command writes and what tinyvmm says of it are in its log, as long as\n"
"it runs.\n"
"\n"
"Example:\n"
"  tinyvmm run --detach --name build --disk build.img && tinyvmm console build\n";
/* clang-format on */

const char *const options_help_pages[] = { "",       "gpu",  "disk",    "net",    "cpus",
					   "memory", "boot", "command", "detach", NULL };

static const char *const texts[] = {
	run_page,    gpu_page,  disk_page,    net_page,    cpus_page,
	memory_page, boot_page, command_page, detach_page,
};

static const char *find_page(const char *name)
{
	_Static_assert(ARRAY_SIZE(texts) + 1 == ARRAY_SIZE(options_help_pages),
		       "a page has a name and a text");

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(name, options_help_pages[i]) == 0)
			return texts[i];
	}
	return NULL;
}

bool options_help_is_page(const char *name)
{
	return find_page(name) != NULL;
}

const char *options_help_run(const char *page)
{
	const char *text = find_page(page);

	assert(text);
	return text;
}
