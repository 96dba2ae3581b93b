/* SPDX-License-Identifier: Apache-2.0 */
/* Knows the folders of a guest by their file systems; see record_shares.h. Any thread. */
#include "run/record_shares.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/sys.h"

/* --- the kernel's list --- */

/* A blank is "\040" there. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned code;

		if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
			*to = (char)code;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /point rw,noatime ...", which is cut into pieces. */
static bool scan_mount(char *line, struct record_mount *ret_mount)
{
	char *rest = line, *fields[5];

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strsep(&rest, " ");
		if (!fields[i])
			return false;
	}
	ret_mount->id = strtoull(fields[0], NULL, 10);
	if (sscanf(fields[2], "%u:%u", &ret_mount->origin.major, &ret_mount->origin.minor) != 2)
		return false;
	unescape(ret_mount->origin.path = fields[3]);
	unescape(ret_mount->point = fields[4]);
	return true;
}

static void forget_mounts(struct record_shares *shares)
{
	while (shares->mount_count)
		free(shares->mounts[--shares->mount_count].line);
}

/* Takes the line over. */
static int add_mount(struct record_shares *shares, char *line)
{
	struct record_mount mount = { .line = line }, *more;

	if (!scan_mount(line, &mount)) {
		free(line);
		return 0;
	}
	more = reallocarray(shares->mounts, shares->mount_count + 1, sizeof(*more));
	if (!more) {
		free(line);
		return -ENOMEM;
	}
	shares->mounts = more;
	more[shares->mount_count++] = mount;
	return 0;
}

static int read_mounts(struct record_shares *shares)
{
	FILE *list = fopen("/proc/self/mountinfo", "re");
	int r = list ? 0 : -errno;

	forget_mounts(shares);
	while (r == 0) {
		char *line = NULL;
		size_t size = 0;

		if (getline(&line, &size, list) <= 0) {
			free(line);
			break;
		}
		r = add_mount(shares, line);
	}
	if (list)
		fclose(list);
	return r;
}

/* --- where a folder lies --- */

/* What is left of `path` behind `folder`, with its slash; NULL: it is not there nor below. */
static const char *rest_below(const char *path, const char *folder)
{
	const size_t len = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	if (strncmp(path, folder, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return strcmp(path + len, "/") == 0 ? "" : path + len;
}

static const struct record_mount *find_mount(const struct record_shares *shares, int dir)
{
	struct statx stx;

	if (statx(dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 || !(stx.stx_mask & STATX_MNT_ID))
		return NULL;
	for (unsigned i = 0; i < shares->mount_count; i++) {
		if (shares->mounts[i].id == stx.stx_mnt_id)
			return &shares->mounts[i];
	}
	return NULL;
}

/* False for what has no place in our tree of folders. */
static bool find_origin(const struct record_shares *shares, int dir, char path[PATH_MAX],
			char origin[2 * PATH_MAX], struct record_origin *ret_origin)
{
	const struct record_mount *mount = find_mount(shares, dir);
	const char *rest, *root;
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, path, PATH_MAX - 1);
	if (!mount || n < 0)
		return false;
	path[n] = '\0';
	rest = rest_below(path, mount->point);
	if (!rest)
		return false;
	root = mount->origin.path;
	snprintf(origin, 2 * PATH_MAX, "%s%s", strcmp(root, "/") == 0 && rest[0] ? "" : root, rest);
	*ret_origin = (struct record_origin){ mount->origin.major, mount->origin.minor, origin };
	return true;
}

static bool is_in_origin(const struct record_shares *shares, const struct record_origin *origin)
{
	for (unsigned i = 0; i < shares->origin_count; i++) {
		const struct record_origin *known = &shares->origins[i];

		if (known->major == origin->major && known->minor == origin->minor &&
		    rest_below(origin->path, known->path))
			return true;
	}
	return false;
}

static int add_origin(struct record_shares *shares, const struct record_origin *origin)
{
	struct record_origin *more;
	char *path;

	if (is_in_origin(shares, origin))
		return 0;
	more = reallocarray(shares->origins, shares->origin_count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	shares->origins = more;
	path = strdup(origin->path);
	if (!path)
		return -ENOMEM;
	more[shares->origin_count++] = (struct record_origin){ origin->major, origin->minor, path };
	return 0;
}

/* --- shares --- */

static int add_share(struct record_shares *shares, int dir)
{
	char path[PATH_MAX], text[2 * PATH_MAX];
	struct record_origin origin;
	struct record_share *share = &shares->shares[shares->count];
	struct stat st;
	int r = 0;

	if (fstat(dir, &st) < 0)
		return -errno;
	*share = (struct record_share){ .dev = st.st_dev, .ino = st.st_ino };
	if (find_origin(shares, dir, path, text, &origin)) {
		share->path = strdup(path);
		r = share->path ? add_origin(shares, &origin) : -ENOMEM;
	}
	shares->count++;
	return r;
}

int record_shares_init(struct record_shares *shares, const char *const *folders, unsigned count)
{
	int r;

	*shares = (struct record_shares){ 0 };
	if (!count)
		return 0;
	shares->shares = calloc(count, sizeof(*shares->shares));
	if (!shares->shares)
		return -ENOMEM;
	r = read_mounts(shares);
	for (unsigned i = 0; i < count && r == 0; i++) {
		const int dir = sys_open(folders[i], O_PATH | O_DIRECTORY, 0);

		if (dir < 0)
			continue;
		r = add_share(shares, dir);
		close(dir);
	}
	return r;
}

void record_shares_fini(struct record_shares *shares)
{
	while (shares->count)
		free(shares->shares[--shares->count].path);
	while (shares->origin_count)
		free(shares->origins[--shares->origin_count].path);
	free(shares->shares);
	free(shares->origins);
	forget_mounts(shares);
	free(shares->mounts);
	*shares = (struct record_shares){ 0 };
}

static bool is_below_share(const struct record_shares *shares, const char *point)
{
	for (unsigned i = 0; i < shares->count; i++) {
		if (shares->shares[i].path && rest_below(point, shares->shares[i].path))
			return true;
	}
	return false;
}

int record_shares_look(struct record_shares *shares)
{
	int r = shares->count ? read_mounts(shares) : 0;

	for (unsigned i = 0; i < shares->mount_count && r == 0; i++) {
		if (is_below_share(shares, shares->mounts[i].point))
			r = add_origin(shares, &shares->mounts[i].origin);
	}
	return r;
}

bool record_shares_has(const struct record_shares *shares, int dir)
{
	char path[PATH_MAX], text[2 * PATH_MAX];
	struct record_origin origin;
	struct stat st;

	if (!shares->count)
		return false;
	for (unsigned i = 0; fstat(dir, &st) == 0 && i < shares->count; i++) {
		if (shares->shares[i].dev == st.st_dev && shares->shares[i].ino == st.st_ino)
			return true;
	}
	return find_origin(shares, dir, path, text, &origin) && is_in_origin(shares, &origin);
}
