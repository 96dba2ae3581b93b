/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of --help but those of run, which are in options_help_run.c: at most 23 lines of 79
 * characters each, so that they fit a screen.
 */
#include "options/options_help.h"

#include <assert.h>

#include "options/options.h"

/* clang-format off */
static const char overview[] =
"Usage: tinyvmm [COMMAND] [OPTION]... [-- PROGRAM [ARGUMENT]...]\n"
"Run a virtual machine with real GPUs in it.\n"
"\n"
"Commands:\n"
"  run                 run a guest; meant where no command is named\n"
"  list                show the GPUs, and whether they can be passed through\n"
"  doctor              check all that a run needs, and say how to mend it\n"
"  bind, release       move devices to vfio-pci, to stay there; give them back\n"
"  ps, stop            list and end guests started with --name or --detach\n"
"  console, logs, control    be at one's console, read its log, steer it\n"
"\n"
"Most used options of run:\n"
"  --gpu BDF           pass this PCI device through (list shows addresses)\n"
"  --disk FILE         add a disk\n"
"  --cpus N            virtual CPUs (default 2)\n"
"  --memory SIZE       guest memory, as in 512M or 16G (default 4G)\n"
"  -h, --help          show this text; behind a command, all that it takes\n"
"\n"
"Examples:\n"
"  tinyvmm run --gpu any -- pytest tests/gpu\n"
"  tinyvmm --gpu 0000:01:00.0 --disk ubuntu.img --cpus 8 --memory 16G\n"
"\n"
"tinyvmm run --help lists all options; docs/ is in share/doc/tinyvmm.\n";

static const char list_help[] =
"Usage: tinyvmm list [OPTION]...\n"
"Show the host's GPUs, and whether each can be passed through now. Changes\n"
"nothing, but first gives back what a killed run left; needs no root.\n"
"\n"
"  -a, --all                       every PCI device but bridges, not only GPUs\n"
"  --json                          for programs: see docs/list-doctor.md\n"
"  -v, --verbose                   say more\n"
"  -q, --quiet                     only warnings and errors\n"
"  -h, --help                      show this text\n"
"  -V, --version                   show the version\n"
"\n"
"GROUP    the IOMMU group; in parentheses, who else is in it (.1: function 1)\n"
"BARS     the device's memory; 256M/32G: could be resized up to 32G\n"
"RESET    how the kernel can reset it\n"
"STATE    ready, or what is missing\n";

static const char doctor_help[] =
"Usage: tinyvmm doctor [OPTION]... [BDF]...\n"
"Check all that a run needs of the host and of its GPUs, or of these devices,\n"
"to be passed together; say how to mend what is missing. Changes nothing,\n"
"but first gives back what a killed run left.\n"
"\n"
"  --memory SIZE                   check for so much guest memory (default 4G)\n"
"  --hugepages auto|2M|1G|off      of reserved huge pages (default auto)\n"
"  --json                          for programs: see docs/list-doctor.md\n"
"  -v, --verbose                   say more\n"
"  -q, --quiet                     only warnings and failures\n"
"  -h, --help                      show this text\n"
"  -V, --version                   show the version\n"
"\n"
"pass     as it should be\n"
"info     neither good nor bad\n"
"warn     a guest runs, but not as well as it could, or at a price\n"
"fail     a run would fail; the exit status is that of the first failure\n";

static const char bind_help[] =
"Usage: tinyvmm bind BDF... [OPTION]...\n"
"Move devices from their drivers to vfio-pci, where they stay until they are\n"
"released. A run leaves them there, and needs no root for them.\n"
"\n"
"  --user NAME                     this user may run them, without root\n"
"  --wait TIME                     for what another tinyvmm has: 30s, 5m\n"
"  -v, --verbose                   say more\n"
"  -q, --quiet                     only warnings and errors\n"
"  -h, --help                      show this text\n"
"  -V, --version                   show the version\n"
"\n"
"Example:\n"
"  sudo tinyvmm bind 0000:01:00.0 0000:01:00.1 --user $USER\n";

#define COMMON                                                                 \
	"  -v, --verbose; -q, --quiet      say more; only warnings and errors\n" \
	"  -h, --help; -V, --version       show this text; show the version\n"

static const char ps_help[] =
"Usage: tinyvmm ps [OPTION]...\n"
"List your guests that run and were started with --name or --detach.\n"
"\n"
"  --json                          for programs: see docs/control.md\n"
COMMON
"\n"
"STATE    running, paused, stopping (asked to power off), or busy: it starts or\n"
"         ends, and answers nobody meanwhile\n"
"RUNS     the command, or else the disks, or else the kernel\n";

static const char stop_help[] =
"Usage: tinyvmm stop NAME... [OPTION]...\n"
"Press the power button of guests, and return when they and their processes are\n"
"gone and the devices are back. One that runs a command gets SIGTERM for that.\n"
"\n"
"  --timeout TIME                  end those that need longer (default 2m)\n"
"  --kill                          end them at once\n"
COMMON;

static const char console_help[] =
"Usage: tinyvmm console NAME [OPTION]...\n"
"Be at the serial console of a guest. Several may look on, one of them types.\n"
"\n"
COMMON
"\n"
"Keys after Ctrl-A: x leaves the console, and the guest goes on; p presses the\n"
"power button; a sends Ctrl-A; h lists these.\n";

static const char logs_help[] =
"Usage: tinyvmm logs NAME [OPTION]...\n"
"Show what a guest that was started with --detach and tinyvmm itself have said:\n"
"the last one or two MiB of it. The log goes when the run ends.\n"
"\n"
"  -f, --follow                    go on until the run ends; the exit status is\n"
"                                  that of the run\n"
COMMON;

static const char control_help[] =
"Usage: tinyvmm control NAME ACTION [OPTION]...\n"
"Ask a guest that runs to do something, or something about it.\n"
"\n"
"  pause, resume                   its virtual CPUs stop; they go on\n"
"  reset                           as the reset button\n"
"  power-button                    press it, once\n"
"  stop, kill                      as tinyvmm stop does, without waiting\n"
"  status, statistics              show them, as JSON\n"
"  events                          show what happens until the run ends, as JSON\n"
COMMON
"\n"
"The same and a console by a socket, for programs: see docs/control.md.\n";

static const char release_help[] =
"Usage: tinyvmm release BDF... [OPTION]...\n"
"Give devices back to the drivers that they had before tinyvmm bind. One that\n"
"something else has bound to vfio-pci goes to the driver that the kernel finds.\n"
"\n"
"  -v, --verbose                   say more\n"
"  -q, --quiet                     only warnings and errors\n"
"  -h, --help                      show this text\n"
"  -V, --version                   show the version\n";
/* clang-format on */

const char *options_help(const struct options *options)
{
	if (!options->command_named)
		return overview;
	switch (options->command) {
	case OPTIONS_RUN:
		return options_help_run(options->help_page);
	case OPTIONS_LIST:
		return list_help;
	case OPTIONS_DOCTOR:
		return doctor_help;
	case OPTIONS_BIND:
		return bind_help;
	case OPTIONS_RELEASE:
		return release_help;
	case OPTIONS_PS:
		return ps_help;
	case OPTIONS_STOP:
		return stop_help;
	case OPTIONS_CONSOLE:
		return console_help;
	case OPTIONS_LOGS:
		return logs_help;
	case OPTIONS_CONTROL:
		return control_help;
	}
	assert(!"a command without a help text");
	return overview;
}
