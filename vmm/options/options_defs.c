/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the command line; see options_defs.h. Main thread. */
#include "options/options_defs.h"

#include <errno.h>

#include "core/err.h"

static int parse_firmware_log(struct options *options, const char *value)
{
	strcpy(options->firmware_log, value);
	return 0;
}

static int parse_kernel(struct options *options, const char *value)
{
	strcpy(options->kernel, value);
	return 0;
}

static int parse_initrd(struct options *options, const char *value)
{
	strcpy(options->initrd, value);
	return 0;
}

static int parse_cmdline(struct options *options, const char *value)
{
	strcpy(options->cmdline, value);
	return 0;
}

static int set_log_level(struct options *options, enum log_level level)
{
	if (options->log_level != LOG_INFO && options->log_level != level)
		return err_set(ERR_USAGE, -EINVAL, "--verbose and --quiet exclude each other");
	options->log_level = level;
	return 0;
}

static int parse_verbose(struct options *options, const char *value)
{
	return set_log_level(options, LOG_DEBUG);
}

static int parse_quiet(struct options *options, const char *value)
{
	return set_log_level(options, LOG_WARN);
}

static int parse_help(struct options *options, const char *value)
{
	options->help = true;
	return 0;
}

static int parse_version(struct options *options, const char *value)
{
	options->version = true;
	return 0;
}

static int parse_all(struct options *options, const char *value)
{
	options->all = true;
	return 0;
}

static int parse_timings(struct options *options, const char *value)
{
	if (value && strcmp(value, "json") != 0)
		return err_set(ERR_USAGE, -EINVAL, "--timings: '%s' is not json", value);
	options->timings = value ? TIMINGS_JSON : TIMINGS_TABLE;
	return 0;
}

static int parse_json(struct options *options, const char *value)
{
	options->json = true;
	return 0;
}

/* The first is meant where none is named. */
const struct command_def options_commands[] = {
	{ "run", OPTIONS_RUN, NULL, false },
	{ "list", OPTIONS_LIST, NULL, true },
	{ "doctor", OPTIONS_DOCTOR, options_argument_device, true },
	{ "bind", OPTIONS_BIND, options_argument_device, false },
	{ "release", OPTIONS_RELEASE, options_argument_device, false },
	{ "ps", OPTIONS_PS, NULL, true },
	{ "stop", OPTIONS_STOP, options_argument_guest, false },
	{ "console", OPTIONS_CONSOLE, options_argument_guest, false },
	{ "logs", OPTIONS_LOGS, options_argument_guest, false },
	{ "control", OPTIONS_CONTROL, options_argument_guest, false },
};

const unsigned options_command_count = ARRAY_SIZE(options_commands);

#define RUN    FOR(OPTIONS_RUN)
#define BIND   FOR(OPTIONS_BIND)
#define LIST   FOR(OPTIONS_LIST)
#define DOCTOR FOR(OPTIONS_DOCTOR)
#define PS     FOR(OPTIONS_PS)
#define STOP   FOR(OPTIONS_STOP)
#define LOGS   FOR(OPTIONS_LOGS)

const struct option_def options_defs[] = {
	{ "gpu", 0, RUN, "BDF[,PROPERTY=VALUE]...", true, options_parse_gpu },
	{ "p2p", 0, RUN, "on|off|auto", false, options_parse_p2p },
	{ "iommu", 0, RUN, "KIND", false, options_parse_iommu },
	{ "wait", 0, RUN | BIND, "TIME", false, options_parse_wait },
	{ "env", 0, RUN, "NAME[=VALUE]", true, options_parse_env },
	{ "rw", 0, RUN, "DIR", true, options_parse_rw },
	{ "root", 0, RUN, "DIR", false, options_parse_root },
	{ "timeout", 0, RUN | STOP, "TIME", false, options_parse_timeout },
	{ "user", 0, BIND | RUN, "NAME", false, options_parse_user },
	{ "name", 0, RUN, "NAME", false, options_parse_name },
	{ "detach", 'd', RUN, NULL, true, options_parse_detach },
	{ "kill", 0, STOP, NULL, true, options_parse_kill },
	{ "follow", 'f', LOGS, NULL, true, options_parse_follow },
	{ "disk", 0, RUN, "FILE[,PROPERTY]...", true, options_parse_disk },
	{ "cloud-init", 0, RUN, "FILE", false, options_parse_cloud_init },
	{ "ssh-key", 0, RUN, "FILE", false, options_parse_ssh_key },
	{ "net", 0, RUN, "KIND[,PROPERTY]...", true, options_parse_net },
	{ "cpus", 0, RUN, "[N,][sockets=N,][cores=N,][threads=N]", false, options_parse_cpus },
	{ "cpu", 0, RUN, "[-FEATURE,+FEATURE...]", false, options_parse_cpu },
	{ "pin", 0, RUN, "CPUS|auto", false, options_parse_pin },
	{ "numa", 0, RUN, "auto|off|NODES", false, options_parse_numa },
	{ "dedicated", 0, RUN, NULL, true, options_parse_dedicated },
	{ "hyperv", 0, RUN, NULL, true, options_parse_hyperv },
	{ "hide-hypervisor", 0, RUN, NULL, true, options_parse_hide_hypervisor },
	{ "hypervisor-vendor", 0, RUN, "TEXT", false, options_parse_hypervisor_vendor },
	{ "memory", 0, RUN | DOCTOR, "SIZE", false, options_parse_memory },
	{ "hugepages", 0, RUN | DOCTOR, "auto|2M|1G|off", false, options_parse_hugepages },
	{ "firmware", 0, RUN, "CODE[,vars=FILE]", false, options_parse_firmware },
	{ "firmware-log", 0, RUN, "FILE|-", false, parse_firmware_log },
	{ "kernel", 0, RUN, "FILE", false, parse_kernel },
	{ "initrd", 0, RUN, "FILE", false, parse_initrd },
	{ "cmdline", 0, RUN, "TEXT", false, parse_cmdline },
	{ "timings", 0, RUN, "[=json]", true, parse_timings },
	{ "all", 'a', LIST, NULL, true, parse_all },
	{ "json", 0, LIST | DOCTOR | PS, NULL, true, parse_json },
	{ "json", 0, RUN, "FILE", false, options_parse_record },
	{ "junit", 0, RUN, "FILE", false, options_parse_junit },
	{ "verbose", 'v', FOR_ALL, NULL, true, parse_verbose },
	{ "quiet", 'q', FOR_ALL, NULL, true, parse_quiet },
	{ "help", 'h', FOR_ALL, NULL, true, parse_help },
	{ "version", 'V', FOR_ALL, NULL, true, parse_version },
};

const unsigned options_def_count = ARRAY_SIZE(options_defs);
