/* SPDX-License-Identifier: Apache-2.0 */
/* The variable store of a run; see fw_vars.h. Main thread, at start. */
#include "firmware-loader/fw_vars.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "firmware-loader/fw_volume.h"

void fw_vars_fini(struct fw_vars *vars)
{
	if (!vars)
		return;
	if (vars->data)
		munmap(vars->data, vars->size);
	close_fd(&vars->fd);
	*vars = (struct fw_vars){ .fd = -1 };
}

/* Gives a complete temporary file its final name, unless that exists by now. */
static int publish(const char *temporary, const char *path)
{
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	/* EINVAL: a file system without that flag. Two runs may then race; the lock decides. */
	if (errno == EINVAL && access(path, F_OK) < 0 && rename(temporary, path) == 0)
		return 0;
	return -errno;
}

/* Makes `path` from the template. Another run that was faster is as good. */
static int create_file(const struct fw_image *image, const char *path)
{
	char *temporary;
	int fd, r;

	if (!image->vars) {
		r = err_set(ERR_FILE, -ENOENT,
			    "variable store '%s' does not exist, and no template is known for '%s'",
			    path, image->code_path);
		err_hint("copy the VARS file that came with the firmware to '%s'", path);
		return r;
	}
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return err_sys(ERR_FILE, -ENOMEM, "variable store '%s'", path);
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		r = err_sys(ERR_FILE, -errno, "make variable store '%s'", path);
		if (r == -ENOENT)
			err_hint("make its folder first");
		free(temporary);
		return r;
	}
	r = sys_pwrite_full(fd, image->vars, image->vars_size, 0);
	if (!r && fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (!r)
		r = publish(temporary, path);
	if (r < 0)
		unlink(temporary);
	free(temporary);
	if (r < 0 && r != -EEXIST)
		return err_sys(ERR_FILE, r, "make variable store '%s'", path);
	return 0;
}

/* An open file description's lock: it goes with the last fd, and children do not inherit it. */
static int lock_file(int fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r;

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_sys(ERR_FILE, -errno, "lock variable store '%s'", path);
	r = err_set(ERR_FILE, -EBUSY, "variable store '%s' is in use by another machine", path);
	err_hint("give each machine a file of its own");
	return r;
}

/* Writing to the template would change the firmware of every later machine. */
static int refuse_template(int fd, const struct fw_image *image, const char *path)
{
	const char *template = image->vars_path ? image->vars_path : image->code_path;
	struct stat a, b;
	int r;

	if (stat(template, &a) < 0 || fstat(fd, &b) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
		return 0;
	r = err_set(ERR_FILE, -EINVAL, "'%s' is the firmware's own file, not a machine's", path);
	err_hint("name a file that does not exist yet: it is made from this one");
	return r;
}

static int load_file(struct fw_vars *vars, const struct fw_image *image, const char *path)
{
	const char *problem;
	int r = fw_image_load(vars->fd, &vars->data, &vars->size);

	if (r == -EFBIG || r == -ENODATA || (!r && image->vars && vars->size != image->vars_size)) {
		r = err_set(ERR_FILE, -EINVAL, "variable store '%s' has the wrong size", path);
		err_hint("it belongs to other firmware; with another file name a new one is made");
		return r;
	}
	if (r < 0)
		return err_sys(ERR_FILE, r, "variable store '%s'", path);
	if (vars->size > FW_FLASH_MAX - image->code_size)
		return err_set(ERR_FILE, -EFBIG, "variable store '%s' is too large", path);
	problem = fw_volume_vars_problem(vars->data, vars->size);
	if (!problem)
		return 0;
	r = err_set(ERR_FILE, -EINVAL, "variable store '%s': %s", path, problem);
	err_hint("with another file name a new one is made");
	return r;
}

static int open_file(const struct fw_image *image, const char *path, struct fw_vars *vars)
{
	int r;

	vars->fd = sys_open(path, O_RDWR, 0);
	if (vars->fd == -ENOENT) {
		r = create_file(image, path);
		if (r < 0)
			return r;
		log_info("made variable store '%s'", path);
		vars->fd = sys_open(path, O_RDWR, 0);
	}
	if (vars->fd < 0)
		return err_sys(ERR_FILE, vars->fd, "open variable store '%s'", path);
	r = refuse_template(vars->fd, image, path);
	if (!r)
		r = lock_file(vars->fd, path);
	return r ? r : load_file(vars, image, path);
}

static int copy_template(const struct fw_image *image, struct fw_vars *vars)
{
	void *data;
	int r;

	if (!image->vars) {
		r = err_set(ERR_FILE, -ENOENT, "no variable store is known for firmware '%s'",
			    image->code_path);
		err_hint("name a copy of the VARS file that came with it: vars=FILE");
		return r;
	}
	data = mmap(NULL, image->vars_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (data == MAP_FAILED)
		return err_sys(ERR_FILE, -errno, "variable store");
	memcpy(data, image->vars, image->vars_size);
	vars->data = data;
	vars->size = image->vars_size;
	return 0;
}

int fw_vars_open(const struct fw_image *image, const char *path, struct fw_vars *ret_vars)
{
	struct fw_vars vars = { .fd = -1 };
	int r = path ? open_file(image, path, &vars) : copy_template(image, &vars);

	if (r < 0) {
		fw_vars_fini(&vars);
		return r;
	}
	*ret_vars = vars;
	return 0;
}
