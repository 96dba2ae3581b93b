/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the job; see job.h. Main thread. */
#include "command/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/job_user.h"
#include "core/err.h"
#include "guest/job.h"
#include "options/options.h"

/* What a command has of its caller without being given it. */
static const char *const passed[] = {
	"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TERM", "TZ", "COLORTERM",
};

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct job_tag job_share_tag(unsigned nr)
{
	struct job_tag tag;

	snprintf(tag.s, sizeof(tag.s), "share%u", nr);
	return tag;
}

/* "KEY=text", ended by a NUL. */
static void record(struct buf *job, const char *key, const char *text)
{
	buf_put(job, key, strlen(key));
	buf_put(job, "=", 1);
	buf_put(job, text, strlen(text) + 1);
}

static void record_number(struct buf *job, const char *key, unsigned long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", number);
	record(job, key, text);
}

static void record_variable(struct buf *job, const char *name, const char *value)
{
	buf_put(job, "env=", 4);
	buf_put(job, name, strlen(name));
	buf_put(job, "=", 1);
	buf_put(job, value, strlen(value) + 1);
}

/* Where --env names one of ours, which has to be there. */
static int check_environment(const struct options *options)
{
	for (unsigned i = 0; i < options->env_count; i++) {
		if (!strchr(options->env[i], '=') && !getenv(options->env[i])) {
			err_set(ERR_USAGE, -EINVAL, "--env: there is no variable '%s'",
				options->env[i]);
			err_hint("give it a value: --env %s=VALUE", options->env[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static void write_environment(const struct options *options, const struct job_user *user,
			      struct buf *job)
{
	record_variable(job, "PATH", PATH_DEFAULT);
	record_variable(job, "HOME", user->home);
	record_variable(job, "USER", user->name);
	record_variable(job, "LOGNAME", user->name);
	record_variable(job, "SHELL", user->shell);
	for (unsigned i = 0; i < ARRAY_SIZE(passed); i++) {
		if (getenv(passed[i]))
			record_variable(job, passed[i], getenv(passed[i]));
	}
	for (unsigned i = 0; i < options->env_count; i++) {
		const char *text = options->env[i];

		if (strchr(text, '='))
			record(job, "env", text);
		else if (getenv(text))
			record_variable(job, text, getenv(text));
	}
}

static void write_user(const struct job_user *user, struct buf *job)
{
	record_number(job, "uid", user->uid);
	record_number(job, "gid", user->gid);
	for (unsigned i = 0; i < user->group_count; i++)
		record_number(job, "group", user->groups[i]);
}

static int check_folder(const char *option, const char *path)
{
	struct stat st;
	int r = stat(path, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;

	return r < 0 ? err_sys(ERR_FILE, r, "%s: folder '%s'", option, path) : 0;
}

/* At the guest's root, its own file systems would be below it, and out of reach. */
static int check_share(const char *path)
{
	char real[PATH_MAX];
	int r = check_folder("--rw", path);

	if (r < 0 || !realpath(path, real) || strcmp(real, "/") != 0)
		return r;
	err_set(ERR_USAGE, -EINVAL, "--rw: the root itself cannot be given");
	err_hint("give the folders that the command is to write to");
	return -EINVAL;
}

/* What the job itself depends on. */
static int check_words(const struct options *options, struct job_user *user)
{
	int r;

	if (options->command_argc > JOB_ARGS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "the command has more than %u words",
			       JOB_ARGS_MAX);
	r = job_user_find(options->user, user);
	return r < 0 ? r : check_environment(options);
}

int job_check(const struct options *options)
{
	struct job_user user;
	int r = check_words(options, &user);

	if (r == 0 && options->root)
		r = check_folder("--root", options->root);
	for (unsigned i = 0; i < options->share_count && r == 0; i++)
		r = check_share(options->shares[i]);
	return r;
}

static int write_folder(const struct options *options, struct buf *job)
{
	char cwd[PATH_MAX];

	/* Another root has other folders. */
	if (options->root) {
		record(job, "cwd", "/");
		return 0;
	}
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(ERR_FILE, -errno, "the current folder");
	record(job, "cwd", cwd);
	return 0;
}

static void write_terminal(int terminal, struct buf *job)
{
	struct winsize size;
	char text[32];

	if (terminal < 0)
		return;
	record(job, "tty", "1");
	if (ioctl(terminal, TIOCGWINSZ, &size) < 0)
		return;
	snprintf(text, sizeof(text), "%u %u", size.ws_row, size.ws_col);
	record(job, "size", text);
}

static void write_shares(const struct options *options, const struct job_place *place,
			 struct buf *job)
{
	char text[PATH_MAX + sizeof(struct job_tag)];

	record(job, "root", JOB_ROOT_TAG);
	for (unsigned i = 0; i < options->share_count; i++) {
		snprintf(text, sizeof(text), "%s %s", job_share_tag(i).s, place->shares[i]);
		record(job, "share", text);
	}
}

/* As guest/job.h has it: the gateway comes with an address only. */
static void write_link(const struct job_link *link, struct buf *job)
{
	const uint8_t *mac = link->mac;
	char text[128];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x%s%s%s%s%s", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5], link->address[0] ? " " : "", link->address,
		 link->gateway[0] ? " " : "", link->gateway, link->sole ? " sole" : "");
	record(job, "net", text);
}

/* Each once, and those of the first devices: a resolver asks no more of them. */
static void write_servers(const struct job_place *place, struct buf *job)
{
	const char *servers[JOB_DNS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < place->link_count && count < JOB_DNS_MAX; i++) {
		const char *server = place->links[i].dns;
		unsigned known = 0;

		while (known < count && strcmp(servers[known], server) != 0)
			known++;
		if (!server[0] || known < count)
			continue;
		servers[count++] = server;
		record(job, "dns", server);
	}
}

int job_write(const struct options *options, const struct job_place *place, struct buf *ret_job)
{
	struct job_user user;
	struct buf *job = ret_job;
	char host[256] = "";
	int r = check_words(options, &user);

	if (r < 0)
		return r;
	buf_init(job);
	for (unsigned i = 0; i < options->command_argc; i++)
		record(job, "arg", options->command_argv[i]);
	write_environment(options, &user, job);
	write_user(&user, job);
	r = write_folder(options, job);
	if (place->alone)
		record(job, "alone", "1");
	write_terminal(place->terminal, job);
	write_shares(options, place, job);
	for (unsigned i = 0; i < place->link_count; i++)
		write_link(&place->links[i], job);
	write_servers(place, job);
	if (gethostname(host, sizeof(host) - 1) == 0)
		record(job, "host", host);
	if (r == 0 && job->error)
		r = err_sys(ERR_LIMIT, -ENOMEM, "the command");
	if (r < 0)
		buf_fini(job);
	return r;
}
