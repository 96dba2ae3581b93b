/* SPDX-License-Identifier: Apache-2.0 */
/* In which order the agent puts its guest's root together: what must not reach the host's files. */
#include "guest/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "cmocka_all.h"
#include "core/util.h"
#include "guest/job.h"

/* What was done, a word each: where something is mounted, or "names". */
static char done[1024];

int __wrap_mount(const char *what, const char *where, const char *type, unsigned long flags,
		 const void *data);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_chdir(const char *path);
int __wrap_chroot(const char *path);

static void note(const char *word)
{
	const size_t len = strlen(done);

	snprintf(done + len, sizeof(done) - len, " %s", word);
}

int __wrap_mount(const char *what, const char *where, const char *type, unsigned long flags,
		 const void *data)
{
	note(where);
	return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	return 0;
}

int __wrap_chdir(const char *path)
{
	return 0;
}

int __wrap_chroot(const char *path)
{
	note("chroot");
	return 0;
}

void network_resolver(const struct job *job)
{
	note("names");
}

void fail_errno(const char *fmt, ...)
{
	fprintf(stderr, "%s\n", fmt);
	abort();
}

/* It is /etc/resolv.conf that is replaced: where the host's own /etc is shared, not the host's. */
static void names_are_in_memory_whatever_is_shared(void **state)
{
	static struct job job = {
		.root = "root",
		.shares = { { "share0", "/etc" }, { "share1", "/srv/out" } },
		.share_count = 2,
	};
	const char *names, *layers, *share;

	done[0] = '\0';
	mounts_root(&job);
	layers = strstr(done, " /root ");
	names = strstr(done, " names ");
	share = strstr(done, " /etc ");
	assert_true(layers && names && share);
	assert_true(layers < names && names < share);
	assert_non_null(strstr(share, " /srv/out"));
}

/* Its /run or /tmp may be a link that begins with a slash: one to a place in that root. */
static void links_of_the_root_are_followed_within_it(void **state)
{
	static struct job job = {
		.root = "root",
		.shares = { { "share0", "/tmp/out" } },
		.share_count = 1,
	};
	const char *inside;

	done[0] = '\0';
	mounts_root(&job);
	inside = strstr(done, " chroot ");
	assert_non_null(inside);
	assert_true(strstr(done, " /run") > inside);
	assert_true(strstr(done, " /dev/shm") > inside);
	assert_true(strstr(done, " /tmp/out") > inside);
	assert_true(strstr(done, " names") > inside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_in_memory_whatever_is_shared),
		cmocka_unit_test(links_of_the_root_are_followed_within_it),
	};

	return cmocka_run_group_tests_name("guest_mounts", tests, NULL, NULL);
}
