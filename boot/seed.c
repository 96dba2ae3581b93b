/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed's files, checked as far as cloud-init would only complain about them in a log of the
 * guest; see seed.h. [cloud-init: NoCloud datasource; User-data formats]
 */
#include "boot/seed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>

#include "boot/iso9660.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/text.h"

/* The disk is found by it. */
#define LABEL "CIDATA"

/* Nothing sane is longer; the guest holds several copies. */
#define USER_DATA_MAX (4 * MiB)
#define KEYS_MAX      (256 * KiB)

/* cloud-init looks for MIME's header in so much of the file. */
#define MIME_HEAD 4096u

/* What each kind of user-data begins with, in any case and after any white space. */
static const char *const beginnings[] = {
	"#cloud-config", "#!",           "#include",           "#cloud-boothook",
	"#part-handler", "#upstart-job", "## template: jinja",
};

struct text {
	char *data; /* NUL-terminated; NULL: none */
	size_t len;
};

static void text_free(struct text *text)
{
	free(text->data);
}

static int read_text(const char *option, const char *path, size_t max, struct text *ret_text)
{
	void *data;
	size_t len;
	int r = sys_read_file(path, max, &data, &len);

	if (r == -EFBIG)
		return err_set(ERR_FILE, r, "%s '%s' is larger than %s", option, path,
			       text_size(max).s);
	if (r == -EINVAL)
		return err_set(ERR_FILE, r, "%s '%s' is no regular file", option, path);
	if (r < 0)
		return err_sys(ERR_FILE, r, "%s '%s'", option, path);
	*ret_text = (struct text){ data, len };
	return 0;
}

/* --- what the user wrote for cloud-init --- */

static bool is_mime(const struct text *text)
{
	static const char header[] = "mime-version:";
	const size_t len = sizeof(header) - 1, end = MIN(text->len, MIME_HEAD);

	for (size_t i = 0; i + len <= end; i++) {
		if (strncasecmp(text->data + i, header, len) == 0)
			return true;
	}
	return false;
}

static bool is_user_data(const struct text *text)
{
	const char *begin = text->data;

	if (text->len > 2 && memcmp(text->data, "\x1f\x8b", 2) == 0)
		return true; /* gzip of one of the others */
	while (isspace((unsigned char)*begin))
		begin++;
	for (unsigned i = 0; i < ARRAY_SIZE(beginnings); i++) {
		if (strncasecmp(begin, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	}
	return is_mime(text);
}

static int read_user_data(const char *path, struct text *ret_text)
{
	CLEANUP(text_free) struct text text = { 0 };
	int r = read_text("--cloud-init", path, USER_DATA_MAX, &text);

	if (r < 0)
		return r;
	if (!is_user_data(&text)) {
		r = err_set(ERR_FILE, -EINVAL, "--cloud-init '%s' is nothing that cloud-init knows",
			    path);
		err_hint("a configuration begins with the line #cloud-config, a script with #!");
		return r;
	}
	*ret_text = text;
	text.data = NULL;
	return 0;
}

/* --- the keys --- */

static bool is_key_type(const char *word)
{
	return strncmp(word, "ssh-", 4) == 0 || strncmp(word, "ecdsa-sha2-", 11) == 0 ||
	       strncmp(word, "sk-", 3) == 0;
}

/*
 * A line of authorized_keys: options, type, key, comment. The key begins with the length of its
 * type, which base64 has as "AAAA". [sshd(8): AUTHORIZED_KEYS FILE FORMAT]
 */
static bool is_key(const char *line)
{
	bool quoted = false, word = true, key = false;
	size_t len;

	for (const char *p = line; *p; p += len) {
		const int32_t c = text_decode(p, &len);

		if (c < ' ' && c != '\t')
			return false;
		if (c == '\\' && p[1] == '"')
			len = 2;
		else if (c == '"')
			quoted = !quoted;
		if (word && is_key_type(p)) {
			const char *next = p + strcspn(p, " \t");

			key |= strncmp(next + strspn(next, " \t"), "AAAA", 4) == 0;
		}
		word = !quoted && (c == ' ' || c == '\t');
	}
	return key;
}

/* In a string; other ends of a line than \n would be folded. [YAML 1.1 5.1 Character Set] */
static bool is_yaml(int32_t c)
{
	return (c >= ' ' && c < 0x7f) || (c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff &&
					  c != 0xfffe && c != 0xffff);
}

/* A string of YAML, where a backslash and the quote itself have one before them. */
static void put_string(struct buf *b, const char *text)
{
	size_t len;

	buf_put(b, "\"", 1);
	for (; *text; text += len) {
		const int32_t c = text_decode(text, &len);
		char escaped[16];

		if (c == '"' || c == '\\')
			buf_put(b, "\\", 1);
		if (c == '\t') {
			buf_put(b, " ", 1);
		} else if (is_yaml(c)) {
			buf_put(b, text, len);
		} else {
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)c);
			buf_put(b, escaped, strlen(escaped));
		}
	}
	buf_put(b, "\"", 1);
}

static int refuse_private(const char *path)
{
	int r = err_set(ERR_FILE, -EINVAL, "--ssh-key '%s' is a private key", path);

	err_hint("it stays here; give the public one that belongs to it, mostly '%s.pub'", path);
	return r;
}

static int refuse_keys(const char *path, bool standard_form)
{
	int r = err_set(ERR_FILE, -EINVAL, "--ssh-key '%s' is no public key of OpenSSH", path);

	if (standard_form)
		err_hint("ssh-keygen -i -f '%s' converts it", path);
	else
		err_hint("one is a line that begins with ssh-ed25519 or the like; "
			 "ssh-keygen makes one");
	return r;
}

/* The keys of a file, each as an item of a list of YAML. */
static int put_keys(struct buf *b, const char *path)
{
	CLEANUP(text_free) struct text text = { 0 };
	bool standard_form, any = false;
	char *line, *rest;
	int r = read_text("--ssh-key", path, KEYS_MAX, &text);

	if (r < 0)
		return r;
	if (strstr(text.data, "PRIVATE KEY-----") || strstr(text.data, "PuTTY-User-Key-File"))
		return refuse_private(path);
	standard_form = strstr(text.data, "BEGIN SSH2 PUBLIC KEY"); /* [RFC 4716] */
	if (strlen(text.data) != text.len)
		return refuse_keys(path, standard_form);
	for (line = strtok_r(text.data, "\r\n", &rest); line;
	     line = strtok_r(NULL, "\r\n", &rest)) {
		if (line[0] == '#' || !line[strspn(line, " \t")])
			continue;
		if (!is_key(line))
			return refuse_keys(path, standard_form);
		buf_put(b, "  - ", 4);
		put_string(b, line);
		buf_put(b, "\n", 1);
		any = true;
	}
	return any ? 0 : refuse_keys(path, standard_form);
}

/* --- the disk --- */

/* FNV-1a */
static void hash(uint64_t *hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ bytes[i]) * 0x100000001b3;
}

/*
 * cloud-init does what it does at a first start once for each instance: other contents are another
 * instance. The keys are with the metadata and not in the user-data, so that these can be of any
 * kind, and stay as they are.
 */
static void make_meta_data(struct buf *b, const struct buf *keys, const struct text *user_data)
{
	uint64_t id = 0xcbf29ce484222325;
	char head[64];
	int len;

	hash(&id, keys->data, keys->len);
	hash(&id, "", 1);
	hash(&id, user_data->data, user_data->len);
	len = snprintf(head, sizeof(head), "instance-id: tinyvmm-%016llx\n",
		       (unsigned long long)id);
	buf_put(b, head, (size_t)len);
	if (keys->len)
		buf_text(b, "public-keys:\n", 13, 0);
	buf_put(b, keys->data, keys->len);
	if (keys->error)
		buf_fail(b, keys->error);
	log_debug("cloud-init: %.*s", len - 1, head);
}

/* Nothing can change it, so no guest and no other program finds it half changed. */
static int put_file(const struct buf *image, int *ret_fd)
{
	CLEANUP(closep) int fd = memfd_create("seed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = fd < 0 ? -errno : sys_pwrite_full(fd, image->data, image->len, 0);

	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int make_image(const struct text *user_data, const struct buf *keys, int *ret_fd)
{
	struct buf meta_data, image;
	int r;

	buf_init(&meta_data);
	buf_init(&image);
	make_meta_data(&meta_data, keys, user_data);
	if (meta_data.error) {
		r = meta_data.error;
	} else {
		const struct iso9660_file files[] = {
			{ "meta-data", meta_data.data, (uint32_t)meta_data.len },
			/* Both have to be there. */
			{ "user-data", user_data->data, (uint32_t)user_data->len },
		};

		iso9660_write(&image, LABEL, files, ARRAY_SIZE(files));
		r = image.error ? image.error : put_file(&image, ret_fd);
	}
	buf_fini(&image);
	buf_fini(&meta_data);
	return r < 0 ? err_sys(ERR_LIMIT, r, "make the disk for cloud-init") : 0;
}

int seed_make(const char *user_data, const char *ssh_key, int *ret_fd)
{
	CLEANUP(text_free) struct text text = { 0 };
	CLEANUP(buf_fini) struct buf keys;
	int r = 0;

	buf_init(&keys);
	if (user_data)
		r = read_user_data(user_data, &text);
	if (r == 0 && ssh_key)
		r = put_keys(&keys, ssh_key);
	return r < 0 ? r : make_image(&text, &keys, ret_fd);
}
