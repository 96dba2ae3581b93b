/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the job; see job.h. */
#include "guest/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent.h"

static void full(const char *key)
{
	fail("too many records '%s' in the job", key);
}

static void add_share(struct job *job, char *value)
{
	char *path = strchr(value, ' ');

	if (!path)
		fail("the job names a share without a path: %s", value);
	if (job->share_count == JOB_SHARES_MAX)
		full("share");
	*path++ = '\0';
	job->shares[job->share_count++] = (struct job_share){ value, path };
}

static void add_net(struct job *job, char *value)
{
	struct job_net *net = &job->nets[job->net_count];

	if (job->net_count++ == JOB_NETS_MAX)
		full("net");
	net->mac = strsep(&value, " ");
	net->address = strsep(&value, " ");
	net->gateway = strsep(&value, " ");
	net->sole = value && strcmp(value, "sole") == 0;
}

/* A variable that is there already gets the new value. */
static void add_variable(struct job *job, char *text)
{
	const size_t name = strcspn(text, "=") + 1;
	unsigned i = 0;

	while (i < job->env_count && strncmp(job->env[i], text, name) != 0)
		i++;
	if (i == JOB_ENV_MAX)
		full("env");
	job->env[i] = text;
	if (i == job->env_count)
		job->env_count++;
}

static void add(struct job *job, const char *key, char *value)
{
	if (strcmp(key, "arg") == 0) {
		if (job->arg_count == JOB_ARGS_MAX)
			full(key);
		job->args[job->arg_count++] = value;
	} else if (strcmp(key, "env") == 0) {
		add_variable(job, value);
	} else if (strcmp(key, "group") == 0) {
		if (job->group_count == JOB_GROUPS_MAX)
			full(key);
		job->groups[job->group_count++] = (gid_t)strtoul(value, NULL, 10);
	} else if (strcmp(key, "cwd") == 0) {
		job->cwd = value;
	} else if (strcmp(key, "uid") == 0) {
		job->uid = (uid_t)strtoul(value, NULL, 10);
	} else if (strcmp(key, "gid") == 0) {
		job->gid = (gid_t)strtoul(value, NULL, 10);
	} else if (strcmp(key, "alone") == 0) {
		job->alone = true;
	} else if (strcmp(key, "tty") == 0) {
		job->tty = true;
	} else if (strcmp(key, "size") == 0) {
		job->term_size = value;
	} else if (strcmp(key, "root") == 0) {
		job->root = value;
	} else if (strcmp(key, "host") == 0) {
		job->host = value;
	} else if (strcmp(key, "share") == 0) {
		add_share(job, value);
	} else if (strcmp(key, "net") == 0) {
		add_net(job, value);
	} else if (strcmp(key, "dns") == 0) {
		if (job->dns_count == JOB_DNS_MAX)
			full(key);
		job->dns[job->dns_count++] = value;
	} else {
		fail("the job has an unknown record '%s'", key);
	}
}

/* The file stays in memory: the job points into it. */
void job_read(struct job *job)
{
	const int fd = open(JOB_FILE, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *data, *end;

	*job = (struct job){ .cwd = "/" };
	if (fd < 0 || fstat(fd, &st) < 0)
		fail_errno("read the job");
	data = malloc((size_t)st.st_size + 1);
	if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
		fail_errno("read the job");
	close(fd);
	end = data + st.st_size;
	*end = '\0';
	for (char *record = data, *next; record < end; record = next) {
		char *value = strchr(record, '=');

		next = record + strlen(record) + 1;
		if (!value)
			fail("the job has a record without a value: %s", record);
		*value++ = '\0';
		add(job, record, value);
	}
	if (!job->arg_count || !job->root)
		fail("the job names no command or no root");
}
