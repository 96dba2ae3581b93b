/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware descriptors; see fw_descriptor.h. Main thread, at start. */
#include "firmware-loader/fw_descriptor.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "firmware-loader/json.h"

#define DESCRIPTOR_MAX (64u * 1024u) /* bytes */
#define Q35_MACHINE    "pc-q35-9.0"  /* a name that the patterns of machine types are tried on */

/* A descriptor file; the list of them is sorted by name. */
struct entry {
	char *name; /* in its directory */
	char *path;
};

struct entries {
	struct entry *list;
	size_t count, allocated;
};

void fw_descriptor_dirs_init(struct fw_descriptor_dirs *dirs)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	const char **next = dirs->list;
	int len = -1;

	if (config && config[0] == '/')
		len = snprintf(dirs->user, sizeof(dirs->user), "%s/qemu/firmware", config);
	else if (home && home[0] == '/')
		len = snprintf(dirs->user, sizeof(dirs->user), "%s/.config/qemu/firmware", home);
	if (len > 0 && (size_t)len < sizeof(dirs->user))
		*next++ = dirs->user;
	*next++ = "/etc/qemu/firmware";
	*next++ = "/usr/share/qemu/firmware";
	*next++ = "/usr/local/share/qemu/firmware";
	*next++ = "/run/current-system/sw/share/qemu/firmware"; /* NixOS */
	*next = NULL;
}

void fw_descriptor_fini(struct fw_descriptor *d)
{
	if (!d)
		return;
	free(d->source);
	free(d->code);
	free(d->vars);
	*d = (struct fw_descriptor){ 0 };
}

static bool array_contains(const struct json *json, uint32_t array, const char *text)
{
	uint32_t i = JSON_NONE;

	while ((i = json_next(json, array, i)) != JSON_NONE) {
		if (json_equals(json, i, text))
			return true;
	}
	return false;
}

static void read_targets(const struct json *json, uint32_t targets, struct fw_descriptor *d)
{
	uint32_t i = JSON_NONE;

	while ((i = json_next(json, targets, i)) != JSON_NONE) {
		uint32_t machines = json_member(json, i, "machines");
		uint32_t machine = JSON_NONE;
		char pattern[128];

		if (!json_equals(json, json_member(json, i, "architecture"), "x86_64"))
			continue;
		d->x86_64 = true;
		while ((machine = json_next(json, machines, machine)) != JSON_NONE) {
			if (json_string(json, machine, pattern, sizeof(pattern)) == 0 &&
			    fnmatch(pattern, Q35_MACHINE, 0) == 0)
				d->q35 = true;
		}
	}
}

/* A "filename" and "format" pair; `*raw` is cleared unless the format is raw. */
static int read_file(const struct json *json, uint32_t file, char **ret_path, bool *raw)
{
	char path[PATH_MAX];

	if (json_string(json, json_member(json, file, "filename"), path, sizeof(path)) < 0)
		return err_set(ERR_FILE, -EINVAL, "no file name");
	if (!json_equals(json, json_member(json, file, "format"), "raw"))
		*raw = false;
	*ret_path = strdup(path);
	return *ret_path ? 0 : err_sys(ERR_FILE, -ENOMEM, "firmware descriptor");
}

static int read_mapping(const struct json *json, uint32_t mapping, struct fw_descriptor *d)
{
	uint32_t mode = json_member(json, mapping, "mode");
	bool combined = json_equals(json, mode, "combined");
	int r;

	if (!json_equals(json, json_member(json, mapping, "device"), "flash"))
		return err_set(ERR_FILE, -ENOTSUP, "not for flash memory");
	/* The third mode is "stateless": without a variable store. */
	d->flash = mode == JSON_NONE || combined || json_equals(json, mode, "split");
	d->raw = true;
	r = read_file(json, json_member(json, mapping, "executable"), &d->code, &d->raw);
	if (!r && d->flash && !combined) {
		r = read_file(json, json_member(json, mapping, "nvram-template"), &d->vars,
			      &d->raw);
	}
	return r;
}

static int read_document(const struct json *json, struct fw_descriptor *d)
{
	uint32_t features = json_member(json, 0, "features");

	if (!json_is(json, 0, JSON_OBJECT))
		return err_set(ERR_FILE, -EINVAL, "not an object");
	d->uefi = array_contains(json, json_member(json, 0, "interface-types"), "uefi");
	d->requires_smm = array_contains(json, features, "requires-smm");
	d->secure_boot = array_contains(json, features, "secure-boot") ||
			 array_contains(json, features, "enrolled-keys");
	d->needs_host_vars = array_contains(json, features, "host-uefi-vars");
	read_targets(json, json_member(json, 0, "targets"), d);
	return read_mapping(json, json_member(json, 0, "mapping"), d);
}

int fw_descriptor_read(const char *path, struct fw_descriptor *ret_descriptor)
{
	struct fw_descriptor d = { 0 };
	struct json json = { 0 };
	void *text = NULL;
	size_t len;
	int r = sys_read_file(path, DESCRIPTOR_MAX, &text, &len);

	if (r < 0)
		return err_sys(ERR_FILE, r, "read '%s'", path);
	r = json_parse(text, len, &json);
	if (!r)
		r = read_document(&json, &d);
	json_fini(&json);
	free(text);
	if (!r) {
		d.source = strdup(path);
		if (!d.source)
			r = err_sys(ERR_FILE, -ENOMEM, "firmware descriptor");
	}
	if (r < 0) {
		fw_descriptor_fini(&d);
		return err_wrap(r, "firmware descriptor '%s'", path);
	}
	*ret_descriptor = d;
	return 0;
}

static void entries_fini(struct entries *e)
{
	for (size_t i = 0; i < e->count; i++) {
		free(e->list[i].name);
		free(e->list[i].path);
	}
	free(e->list);
}

static bool entries_contain(const struct entries *e, const char *name)
{
	for (size_t i = 0; i < e->count; i++) {
		if (!strcmp(e->list[i].name, name))
			return true;
	}
	return false;
}

static int entries_add(struct entries *e, const char *dir, const char *name)
{
	struct entry entry = { 0 };

	if (e->count == e->allocated) {
		size_t allocated = e->allocated ? 2 * e->allocated : 16;
		struct entry *list = realloc(e->list, allocated * sizeof(*list));

		if (!list)
			return -ENOMEM;
		e->list = list;
		e->allocated = allocated;
	}
	entry.name = strdup(name);
	if (!entry.name || asprintf(&entry.path, "%s/%s", dir, name) < 0) {
		free(entry.name);
		return -ENOMEM;
	}
	e->list[e->count++] = entry;
	return 0;
}

/* A directory that cannot be read has no entries. */
static int entries_add_dir(struct entries *e, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *file;
	int r = 0;

	if (!dir)
		return 0;
	while (!r && (file = readdir(dir)) != NULL) {
		if (file->d_name[0] != '.' && fnmatch("*.json", file->d_name, 0) == 0 &&
		    !entries_contain(e, file->d_name))
			r = entries_add(e, path, file->d_name);
	}
	closedir(dir);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int entries_init(struct entries *e, const char *const *dirs)
{
	*e = (struct entries){ 0 };
	for (; *dirs; dirs++) {
		int r = entries_add_dir(e, *dirs);

		if (r < 0) {
			entries_fini(e);
			return err_sys(ERR_FILE, r, "firmware descriptors");
		}
	}
	if (e->count)
		qsort(e->list, e->count, sizeof(*e->list), by_name);
	return 0;
}

static bool is_regular_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool can_run(const struct fw_descriptor *d)
{
	return d->uefi && d->x86_64 && d->q35 && d->flash && d->raw && !d->requires_smm &&
	       !d->secure_boot && !d->needs_host_vars && is_regular_file(d->code) &&
	       (!d->vars || is_regular_file(d->vars));
}

/* True if `path` hides the files of the same name in later directories, and says nothing itself. */
static bool is_mask(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0;
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

int fw_descriptor_find(const char *const *dirs, struct fw_descriptor *ret_descriptor)
{
	struct entries entries;
	bool found = false;
	int r = entries_init(&entries, dirs);

	if (r < 0)
		return r;
	for (size_t i = 0; i < entries.count && !found; i++) {
		struct fw_descriptor d;

		if (is_mask(entries.list[i].path))
			continue;
		r = fw_descriptor_read(entries.list[i].path, &d);
		if (r < 0) {
			if (r != -ENOTSUP)
				log_warn("%s", err_text());
			continue;
		}
		found = can_run(&d);
		if (found)
			*ret_descriptor = d;
		else
			fw_descriptor_fini(&d);
	}
	entries_fini(&entries);
	err_clear();
	return found ? 0 : -ENOENT;
}

/* How far an entry is from what this machine can run: among several for one file, less is better.
 */
static unsigned demands(const struct fw_descriptor *d)
{
	return 2 * d->requires_smm + d->secure_boot;
}

int fw_descriptor_of(const char *const *dirs, const char *code,
		     struct fw_descriptor *ret_descriptor)
{
	struct fw_descriptor best = { 0 };
	struct entries entries;
	int r = entries_init(&entries, dirs);

	if (r < 0)
		return r;
	for (size_t i = 0; i < entries.count; i++) {
		struct fw_descriptor d;

		if (is_mask(entries.list[i].path) ||
		    fw_descriptor_read(entries.list[i].path, &d) < 0)
			continue;
		if (same_file(d.code, code) && (!best.code || demands(&d) < demands(&best))) {
			fw_descriptor_fini(&best);
			best = d;
		} else {
			fw_descriptor_fini(&d);
		}
	}
	entries_fini(&entries);
	err_clear();
	if (!best.code)
		return -ENOENT;
	*ret_descriptor = best;
	return 0;
}
