/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware images; see fw_image.h. Main thread, at start. */
#include "firmware-loader/fw_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "firmware-loader/fw_descriptor.h"
#include "firmware-loader/fw_volume.h"

const struct fw_pair fw_image_known_pairs[] = {
	/* Debian, Ubuntu */
	{ "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
	/* Fedora, older Debian and Ubuntu, Alpine */
	{ "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
	{ "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
	/* Arch */
	{ "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
	{ "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd" },
	/* openSUSE */
	{ "/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin" },
	{ "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin" },
	/* Gentoo */
	{ "/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd" },
	/* NixOS */
	{ "/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd" },
	{ "/run/libvirt/nix-ovmf/edk2-x86_64-code.fd", "/run/libvirt/nix-ovmf/edk2-i386-vars.fd" },
	{ "/run/current-system/sw/share/qemu/edk2-x86_64-code.fd",
	  "/run/current-system/sw/share/qemu/edk2-i386-vars.fd" },
	/* QEMU itself */
	{ "/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd" },
	{ "/usr/local/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd" },
	{ NULL, NULL },
};

/* How the name of the template follows from that of the code; tried in this order. */
static const struct {
	const char *code, *vars;
} vars_names[] = {
	{ "CODE", "VARS" },
	{ "code", "vars" },
	{ "x86_64-code", "i386-vars" }, /* QEMU's own images share one store */
};

void fw_image_fini(struct fw_image *image)
{
	if (!image)
		return;
	if (image->code)
		munmap(image->code, image->code_size);
	if (image->vars)
		munmap(image->vars, image->vars_size);
	free(image->code_path);
	free(image->vars_path);
	*image = (struct fw_image){ 0 };
}

static uint8_t *map_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint8_t *copy_pages(const uint8_t *data, size_t size)
{
	uint8_t *p = map_pages(size);

	if (p)
		memcpy(p, data, size);
	return p;
}

int fw_image_load(int fd, uint8_t **ret_data, size_t *ret_size)
{
	struct stat st;
	uint8_t *data;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (st.st_size == 0)
		return -ENODATA;
	if ((uint64_t)st.st_size > FW_FLASH_MAX)
		return -EFBIG;
	data = map_pages((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	r = sys_pread_full(fd, data, (size_t)st.st_size, 0);
	if (r < 0) {
		munmap(data, (size_t)st.st_size);
		return r;
	}
	*ret_data = data;
	*ret_size = (size_t)st.st_size;
	return 0;
}

static int load_path(const char *path, uint8_t **ret_data, size_t *ret_size)
{
	/* Not to wait for a writer, should it be a FIFO. */
	CLEANUP(closep) int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);

	return fd < 0 ? fd : fw_image_load(fd, ret_data, ret_size);
}

/* Loads the code, and the template if it is in the same file. */
static int load_code(struct fw_image *image)
{
	uint8_t *data;
	size_t size, vars_size;
	enum fw_kind kind;
	int r = load_path(image->code_path, &data, &size);

	if (r == -EFBIG)
		return err_set(ERR_FILE, r, "firmware '%s' is larger than %llu MiB",
			       image->code_path, FW_FLASH_MAX / MiB);
	if (r == -ENODATA)
		return err_set(ERR_FILE, r, "firmware '%s' is empty", image->code_path);
	if (r < 0)
		return err_sys(ERR_FILE, r, "firmware '%s'", image->code_path);

	kind = fw_volume_kind(data, size, &vars_size);
	if (kind == FW_COMBINED) {
		image->vars = copy_pages(data, vars_size);
		image->vars_size = image->vars ? vars_size : 0;
	}
	if (kind == FW_CODE || kind == FW_COMBINED) {
		image->code = copy_pages(data + vars_size, size - vars_size);
		image->code_size = image->code ? size - vars_size : 0;
	}
	munmap(data, size);
	if (kind == FW_VARS) {
		r = err_set(ERR_FILE, -EINVAL, "'%s' is a variable store, not firmware code",
			    image->code_path);
		err_hint("the code is in the file whose name has CODE instead of VARS");
		return r;
	}
	if (kind == FW_UNKNOWN) {
		r = err_set(ERR_FILE, -EINVAL, "'%s' is not a raw image of UEFI firmware",
			    image->code_path);
		err_hint("a qcow2 image has to be converted: qemu-img convert -O raw");
		return r;
	}
	if (!image->code || (kind == FW_COMBINED && !image->vars))
		return err_sys(ERR_FILE, -ENOMEM, "firmware '%s'", image->code_path);
	return 0;
}

static int load_template(struct fw_image *image)
{
	const char *problem;
	int r = load_path(image->vars_path, &image->vars, &image->vars_size);

	if (r < 0)
		return err_sys(ERR_FILE, r, "firmware variable template '%s'", image->vars_path);
	problem = fw_volume_vars_problem(image->vars, image->vars_size);
	if (problem)
		return err_set(ERR_FILE, -EINVAL, "firmware variable template '%s': %s",
			       image->vars_path, problem);
	return 0;
}

/* Both paths are set, vars_path only if there is a file of its own. */
static int load_image(struct fw_image *image)
{
	int r = load_code(image);

	if (!r && image->vars) { /* both in one file */
		free(image->vars_path);
		image->vars_path = NULL;
	} else if (!r && image->vars_path) {
		r = load_template(image);
	}
	if (!r && image->code_size + image->vars_size > FW_FLASH_MAX)
		r = err_set(ERR_FILE, -EFBIG, "firmware '%s' is larger than %llu MiB",
			    image->code_path, FW_FLASH_MAX / MiB);
	return r;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* `path` with the last `from` of its file name replaced; NULL if there is none (or no memory). */
static char *replace_name(const char *path, const char *from, const char *to)
{
	const char *last = NULL;
	char *result;

	for (const char *p = strstr(file_name(path), from); p; p = strstr(p + 1, from))
		last = p;
	if (!last ||
	    asprintf(&result, "%.*s%s%s", (int)(last - path), path, to, last + strlen(from)) < 0)
		return NULL;
	return result;
}

static char *template_by_name(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(vars_names); i++) {
		char *vars = replace_name(code, vars_names[i].code, vars_names[i].vars);

		if (vars && access(vars, F_OK) == 0)
			return vars;
		free(vars);
	}
	return NULL;
}

static int refuse_smm(const char *path, const struct fw_descriptor *d)
{
	int r = err_set(ERR_FILE, -ENOTSUP, "firmware '%s' needs SMM, which this machine lacks",
			path);

	err_hint("use the image without Secure Boot (%s describes this one)", d->source);
	return r;
}

/* Finds the template of the image that the user named. */
static int resolve_given(struct fw_image *image, const struct fw_search *search)
{
	const char *path = image->code_path;
	struct fw_descriptor d;
	int r;

	/* Said here, in the user's words; a missing file matches no descriptor. */
	if (access(path, R_OK) < 0)
		return err_sys(ERR_FILE, -errno, "firmware '%s'", path);
	r = fw_descriptor_of(search->descriptor_dirs, path, &d);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!r) {
		if (d.requires_smm) {
			r = refuse_smm(path, &d);
		} else if (d.vars && d.raw) {
			image->vars_path = d.vars;
			d.vars = NULL;
		}
		fw_descriptor_fini(&d);
		if (r < 0 || image->vars_path)
			return r;
	} else if (strstr(file_name(path), "secboot") || strstr(file_name(path), "smm")) {
		log_warn("firmware '%s' may need SMM and then hangs without a message", path);
	}
	image->vars_path = template_by_name(path);
	return 0;
}

/* Sets both paths to the first firmware that is installed. */
static int resolve_installed(struct fw_image *image, const struct fw_search *search)
{
	const struct fw_pair *pair = search->pairs;
	struct fw_descriptor d;
	int r = fw_descriptor_find(search->descriptor_dirs, &d);

	if (!r) {
		image->code_path = d.code;
		image->vars_path = d.vars;
		d.code = d.vars = NULL;
		fw_descriptor_fini(&d);
		return 0;
	}
	if (r != -ENOENT)
		return r;
	while (pair->code && (access(pair->code, R_OK) < 0 || access(pair->vars, R_OK) < 0))
		pair++;
	if (!pair->code) {
		r = err_set(ERR_FILE, -ENOENT, "no UEFI firmware is installed");
		err_hint("install the package ovmf (Debian, Ubuntu), edk2-ovmf (Fedora, Arch) or "
			 "qemu-ovmf-x86_64 (openSUSE), or name an image with --firmware");
		return r;
	}
	image->code_path = strdup(pair->code);
	image->vars_path = strdup(pair->vars);
	if (!image->code_path || !image->vars_path)
		return err_sys(ERR_FILE, -ENOMEM, "firmware");
	return 0;
}

int fw_image_open(const char *path, const struct fw_search *search, struct fw_image *ret_image)
{
	struct fw_image image = { 0 };
	int r;

	if (path) {
		image.code_path = strdup(path);
		r = image.code_path ? resolve_given(&image, search)
				    : err_sys(ERR_FILE, -ENOMEM, "firmware");
	} else {
		r = resolve_installed(&image, search);
	}
	if (!r)
		r = load_image(&image);
	if (r < 0) {
		fw_image_fini(&image);
		return r;
	}
	*ret_image = image;
	return 0;
}
