/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the command line, which options.c follows: commands, and options with the function
 * that takes each one's value. A new option is a line in options_defs.c, its parser, a field in
 * options.h and a line in options_help.c.
 */
#ifndef OPTIONS_DEFS_H
#define OPTIONS_DEFS_H

#include "options/options.h"

struct command_def {
	const char *name;
	enum options_command command;
	/* Takes an argument that is no option; NULL: there is none. */
	int (*argument)(struct options *options, const char *value);
	bool may_be_bare; /* means something without any argument or option */
};

/* Bits of option_def.commands. */
#define FOR(command) (1u << (command))
#define FOR_ALL      (~0u)

struct option_def {
	const char *name;
	char letter;       /* its short form, or 0 */
	unsigned commands; /* that take it */
	/* As the help shows it; NULL: takes none; "[=...]": may have one, behind a "=" only. */
	const char *value;
	bool repeatable;   /* flags may be repeated, too: nothing can contradict */
	/*
	 * Adds to `options` what `value` says, which is not empty and shorter than PATH_MAX, or is
	 * NULL where none is given. -EINVAL, kind ERR_USAGE, with the option's name and what it accepts in
	 * the error chain.
	 */
	int (*parse)(struct options *options, const char *value);
};

extern const struct command_def options_commands[];
extern const unsigned options_command_count;
extern const struct option_def options_defs[];
extern const unsigned options_def_count;

/* options_device.c */
int MUST_CHECK options_parse_gpu(struct options *options, const char *value);
int MUST_CHECK options_parse_p2p(struct options *options, const char *value);
int MUST_CHECK options_parse_iommu(struct options *options, const char *value);
int MUST_CHECK options_argument_device(struct options *options, const char *value);
int MUST_CHECK options_parse_wait(struct options *options, const char *value);
int MUST_CHECK options_parse_user(struct options *options, const char *value);
int MUST_CHECK options_parse_disk(struct options *options, const char *value);
/* After all options: are there devices for those that go with some? */
int MUST_CHECK options_check_devices(const struct options *options);

/* options_net.c */
int MUST_CHECK options_parse_net(struct options *options, const char *value);
/* After all options: what a guest has that was given none. */
void options_default_net(struct options *options);

/* options_placement.c */
int MUST_CHECK options_parse_pin(struct options *options, const char *value);
int MUST_CHECK options_parse_numa(struct options *options, const char *value);

/* options_cpus.c */
int MUST_CHECK options_parse_cpus(struct options *options, const char *value);
int MUST_CHECK options_parse_cpu(struct options *options, const char *value);
int MUST_CHECK options_parse_dedicated(struct options *options, const char *value);
int MUST_CHECK options_parse_hyperv(struct options *options, const char *value);
int MUST_CHECK options_parse_hide_hypervisor(struct options *options, const char *value);
int MUST_CHECK options_parse_hypervisor_vendor(struct options *options, const char *value);

/* options_command.c */
int MUST_CHECK options_parse_env(struct options *options, const char *value);
int MUST_CHECK options_parse_rw(struct options *options, const char *value);
int MUST_CHECK options_parse_root(struct options *options, const char *value);
int MUST_CHECK options_parse_timeout(struct options *options, const char *value);
int MUST_CHECK options_parse_record(struct options *options, const char *value);
int MUST_CHECK options_parse_junit(struct options *options, const char *value);
int MUST_CHECK options_take_command(struct options *options, char *const argv[], unsigned count);
/* After all options: do those of a command have one? */
int MUST_CHECK options_check_command(const struct options *options);

/* options_seed.c */
int MUST_CHECK options_parse_cloud_init(struct options *options, const char *value);
int MUST_CHECK options_parse_ssh_key(struct options *options, const char *value);
/* After all options: is there a guest for them? */
int MUST_CHECK options_check_seed(const struct options *options);

/* options_control.c */
int MUST_CHECK options_parse_name(struct options *options, const char *value);
int MUST_CHECK options_parse_detach(struct options *options, const char *value);
int MUST_CHECK options_parse_kill(struct options *options, const char *value);
int MUST_CHECK options_parse_follow(struct options *options, const char *value);
int MUST_CHECK options_argument_guest(struct options *options, const char *value);
/* After all options: are there as many arguments as the command takes? */
int MUST_CHECK options_check_control(const struct options *options);

/* options_machine.c */
int MUST_CHECK options_parse_hugepages(struct options *options, const char *value);
int MUST_CHECK options_parse_memory(struct options *options, const char *value);
int MUST_CHECK options_parse_firmware(struct options *options, const char *value);
/* After all options: do those of a kernel go together? Gives the command line its default. */
int MUST_CHECK options_check_kernel(struct options *options);

#endif
