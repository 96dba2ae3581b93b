/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent is to do: a file in the initial RAM disk, written by vmm/command/job.c. Records
 * "KEY=VALUE", each ended by a NUL byte; KEY is one of the names below. A later record of a key
 * that can be there once wins.
 */
#ifndef GUEST_JOB_H
#define GUEST_JOB_H

#include <stdbool.h>
#include <sys/types.h>

#define JOB_FILE "/job"

#define JOB_ARGS_MAX   4096
#define JOB_ENV_MAX    4096
#define JOB_GROUPS_MAX 1024
#define JOB_SHARES_MAX 16
#define JOB_NETS_MAX   8
#define JOB_DNS_MAX    3 /* what a resolver takes [resolv.conf(5): MAXNS] */

/* A folder of the host. */
struct job_share {
	const char *tag;  /* of the virtio file system */
	const char *path; /* where it belongs, from the root */
};

/* A network device. */
struct job_net {
	const char *mac;     /* which it is: "52:54:00:12:34:56" */
	const char *address; /* "10.0.2.15/24"; NULL: none of IPv4 */
	const char *gateway; /* "10.0.2.2"; NULL: none */
	bool sole;           /* nobody else is there who could have its addresses */
};

struct job {
	char *args[JOB_ARGS_MAX + 1]; /* "arg", ended by NULL */
	unsigned arg_count;
	char *env[JOB_ENV_MAX + 1]; /* "env", ended by NULL */
	unsigned env_count;
	const char *cwd; /* "cwd" */
	uid_t uid;       /* "uid", "gid", "group" */
	gid_t gid;
	gid_t groups[JOB_GROUPS_MAX];
	unsigned group_count;
	bool alone;                              /* "alone": see vmm/command/job.h */
	bool tty;                                /* "tty": the command gets a terminal */
	const char *term_size;                   /* "size": "ROWS COLUMNS" of it */
	const char *root;                        /* "root": the tag of the root file system */
	const char *host;                        /* "host": the name that the guest gets */
	struct job_share shares[JOB_SHARES_MAX]; /* "share": "TAG PATH" */
	unsigned share_count;
	struct job_net nets[JOB_NETS_MAX]; /* "net": "MAC [ADDRESS/PREFIX [GATEWAY [sole]]]" */
	unsigned net_count;
	const char *dns[JOB_DNS_MAX]; /* "dns": the address of a server of names */
	unsigned dns_count;
};

/* Ends the agent if the file is not as it should be: it is the host's. */
void job_read(struct job *job);

#endif
