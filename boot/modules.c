/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules by modules.dep and modules.builtin; see modules.h. Main thread. */
#include "boot/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/sys.h"

int modules_init(struct modules *modules, const char *dir)
{
	char path[PATH_MAX + 32];
	int r;

	*modules = (struct modules){ 0 };
	snprintf(modules->dir, sizeof(modules->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/modules.dep", dir);
	if (access(path, R_OK) == 0)
		return 0;
	r = err_sys(ERR_FILE, -errno, "kernel modules: '%s'", path);
	err_hint("are the modules of this kernel installed? depmod makes the list");
	return r;
}

void modules_fini(struct modules *modules)
{
	while (modules->count)
		free(modules->files[--modules->count]);
}

/* "kernel/fs/fuse/virtiofs.ko.zst" is "virtiofs"; "-" and "_" mean the same. */
static bool is_module(const char *file, size_t len, const char *name)
{
	const char *base = memrchr(file, '/', len);
	size_t i;

	base = base ? base + 1 : file;
	len -= (size_t)(base - file);
	for (i = 0; name[i]; i++) {
		const char c = i < len ? base[i] : '\0';

		if (c != name[i] && !(c == '-' && name[i] == '_') && !(c == '_' && name[i] == '-'))
			return false;
	}
	return len >= i + 3 && memcmp(base + i, ".ko", 3) == 0;
}

/* The line of a list that begins with the file of this module; NULL if there is none. */
static char *find_line(const struct modules *modules, const char *list, const char *name)
{
	char path[PATH_MAX + 32], *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", modules->dir, list);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	while (!found && getline(&line, &size, f) > 0)
		found = is_module(line, strcspn(line, ":\n"), name);
	fclose(f);
	if (found)
		return line;
	free(line);
	return NULL;
}

static int add_file(struct modules *modules, const char *file, size_t len)
{
	for (unsigned i = 0; i < modules->count; i++) {
		if (strlen(modules->files[i]) == len && memcmp(modules->files[i], file, len) == 0)
			return 0;
	}
	if (modules->count == MODULES_MAX)
		return err_set(ERR_LIMIT, -E2BIG, "more than %u kernel modules are needed",
			       MODULES_MAX);
	modules->files[modules->count] = strndup(file, len);
	if (!modules->files[modules->count])
		return err_sys(ERR_LIMIT, -ENOMEM, "kernel modules");
	modules->count++;
	return 0;
}

/* The files behind the colon, from the last to the first, then the one before it. */
static int add_line(struct modules *modules, char *line)
{
	const size_t file = strcspn(line, ":");
	char *end = line + strcspn(line, "\n"), *start;
	int r = 0;

	while (r == 0 && end > line + file + 1) {
		start = end;
		while (start[-1] != ' ' && start[-1] != ':')
			start--;
		if (start < end)
			r = add_file(modules, start, (size_t)(end - start));
		end = start - 1;
	}
	return r == 0 ? add_file(modules, line, file) : r;
}

int modules_add(struct modules *modules, const char *name)
{
	char *line = find_line(modules, "modules.builtin", name);
	int r;

	if (line) {
		free(line);
		return 0;
	}
	line = find_line(modules, "modules.dep", name);
	if (!line) {
		r = err_set(ERR_FILE, -ENOENT, "this kernel has no module %s: looked in %s", name,
			    modules->dir);
		err_hint("another kernel is named by --kernel");
		return r;
	}
	r = add_line(modules, line);
	free(line);
	return r;
}

static const char *unpacker(const char *file)
{
	static const struct {
		const char *suffix, *program;
	} kinds[] = { { ".xz", "xz" }, { ".zst", "zstd" }, { ".gz", "gzip" } };
	const size_t len = strlen(file);

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const size_t suffix = strlen(kinds[i].suffix);

		if (len > suffix && strcmp(file + len - suffix, kinds[i].suffix) == 0)
			return kinds[i].program;
	}
	return NULL;
}

/* Runs `program -dc` from `fd` into `out`; 0 if it ended well. */
static int run_unpacker(const char *program, int fd, int out)
{
	char *const argv[] = { (char *)program, (char *)"-dc", NULL };
	posix_spawn_file_actions_t actions;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	r = -posix_spawnp(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return status == 0 ? 0 : -EIO;
}

int modules_open(const struct modules *modules, unsigned nr, int *ret_fd)
{
	const char *file = modules->files[nr];
	const char *program = unpacker(file);
	char path[2 * PATH_MAX];
	int fd, out, r;

	/* Names in the list may be absolute. */
	snprintf(path, sizeof(path), "%s%s%s", file[0] == '/' ? "" : modules->dir,
		 file[0] == '/' ? "" : "/", file);
	fd = sys_open(path, O_RDONLY, 0);
	if (fd < 0)
		return err_sys(ERR_FILE, fd, "kernel module '%s'", path);
	if (!program) {
		*ret_fd = fd;
		return 0;
	}
	out = memfd_create("module", MFD_CLOEXEC);
	r = out < 0 ? -errno : run_unpacker(program, fd, out);
	close(fd);
	if (r == 0 && lseek(out, 0, SEEK_SET) == 0) {
		*ret_fd = out;
		return 0;
	}
	if (out >= 0)
		close(out);
	err_sys(ERR_FILE, r, "unpack the kernel module '%s'", path);
	err_hint("is the program %s installed?", program);
	return r;
}
