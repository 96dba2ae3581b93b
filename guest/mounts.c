/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems: the host's root is the lower layer of an overlay whose upper one is memory, so
 * that the command may write everywhere and nothing of it stays; folders that it shares with the
 * host lie on top.
 */
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"

#define LOWER  "/lower"
#define MODEST "/modest"
#define LAYER  "/layer"
#define ROOT   "/root"

static void make(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail_errno("make the folder %s", path);
}

/* With all folders above it. */
static void make_all(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		make(part);
		*p = '/';
	}
	make(part);
}

static void put(const char *what, const char *where, const char *type, unsigned long flags,
		const char *data)
{
	if (mount(what, where, type, flags, data) < 0)
		fail_errno("mount %s (%s) on %s", what, type, where);
}

void mounts_begin(void)
{
	make("/dev");
	make("/proc");
	make("/sys");
	put("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	put("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	put("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static void move(const char *from, const char *to)
{
	make_all(to);
	put(from, to, "moved", MS_MOVE, NULL);
}

static void put_memory(const char *where, const char *mode)
{
	make_all(where);
	put("memory", where, "tmpfs", MS_NOSUID | MS_NODEV, mode);
}

/* Whether what this process does from here on may pass for a file's owner. */
static void count_as_owner(bool yes)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, caps) < 0)
		fail_errno("ask for capabilities");
	if (yes)
		caps[CAP_TO_INDEX(CAP_FOWNER)].effective |= CAP_TO_MASK(CAP_FOWNER);
	else
		caps[CAP_TO_INDEX(CAP_FOWNER)].effective &= ~CAP_TO_MASK(CAP_FOWNER);
	if (syscall(SYS_capset, &header, caps) < 0)
		fail_errno("change capabilities");
}

/*
 * An overlay opens the files below it with O_NOATIME where whoever mounted it may do so, and
 * virtiofs hands that on, to a virtiofsd that may not where it is not root. So one that may not
 * either lies between the two: it is only read, so it needs the capability for nothing else.
 */
static const char *put_modest(const struct job *job)
{
	if (!job->alone)
		return LOWER;
	make(LAYER "/empty");
	make(MODEST);
	count_as_owner(false);
	put("modest", MODEST, "overlay", MS_RDONLY, "lowerdir=" LAYER "/empty:" LOWER);
	count_as_owner(true);
	return MODEST;
}

void mounts_root(const struct job *job)
{
	char layers[128];

	make(LOWER);
	make(LAYER);
	make(ROOT);
	put(job->root, LOWER, "virtiofs", MS_RDONLY, NULL);
	put("layer", LAYER, "tmpfs", 0, "mode=0755");
	make(LAYER "/upper");
	make(LAYER "/work");
	snprintf(layers, sizeof(layers),
		 "lowerdir=%s,upperdir=" LAYER "/upper,workdir=" LAYER "/work", put_modest(job));
	put("root", ROOT, "overlay", 0, layers);
	move("/dev", ROOT "/dev");
	move("/proc", ROOT "/proc");
	move("/sys", ROOT "/sys");
	if (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		fail_errno("go to the root file system");
	/* From within: on the way there may be links that begin with a slash. */
	put_memory("/run", "mode=0755");
	put_memory("/dev/shm", "mode=1777");
	make("/dev/pts");
	put("pts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
	/* What is replaced here is in memory: in a shared folder it would be the host's own. */
	network_resolver(job);
	/* Last, so that one of these does not cover them. */
	for (unsigned i = 0; i < job->share_count; i++) {
		make_all(job->shares[i].path);
		put(job->shares[i].tag, job->shares[i].path, "virtiofs", MS_NOSUID | MS_NODEV,
		    NULL);
	}
}

void mounts_end(const struct job *job)
{
	for (unsigned i = job->share_count; i-- > 0;)
		umount2(job->shares[i].path, MNT_DETACH);
	sync();
}
