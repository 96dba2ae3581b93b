/* SPDX-License-Identifier: Apache-2.0 */
/* What cloud-init finds on the disk, and what is refused before it could. */
#include <errno.h>
#include <fcntl.h>

#include "boot/seed.h"
#include "core/err.h"
#include "temp_dir.h"

#define BLOCK   2048
#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here"
#define RSA     "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ"
#define FIRST   20 /* block of the root folder */

static struct temp_dir dir;

static int set_up(void **state)
{
	temp_dir_init(&dir);
	return 0;
}

static int tear_down(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

static const char *file(const char *name, const char *text)
{
	return temp_file(&dir, name, text, strlen(text));
}

/* The n-th file of the disk as a string; the records are tested in test_iso9660. */
static void content(int fd, unsigned nr, char ret_text[1024])
{
	uint8_t root[BLOCK];
	size_t at = 0, len;

	assert_int_equal(pread(fd, root, BLOCK, (off_t)FIRST * BLOCK), BLOCK);
	for (unsigned i = 0; i < nr + 2; i++)
		at += root[at];
	len = (size_t)load_le(root + at + 10, 4);
	assert_true(len < 1024);
	assert_int_equal(pread(fd, ret_text, len, (off_t)load_le(root + at + 2, 4) * BLOCK), len);
	ret_text[len] = '\0';
}

static void make(const char *user_data, const char *keys, char ret_meta[1024], char ret_user[1024])
{
	int fd;

	assert_int_equal(seed_make(user_data, keys, &fd), 0);
	content(fd, 0, ret_meta);
	content(fd, 1, ret_user);
	close(fd);
}

static const char *without_id(const char *meta)
{
	assert_memory_equal(meta, "instance-id: tinyvmm-", 21);
	assert_int_equal(strspn(meta + 21, "0123456789abcdef"), 16);
	assert_int_equal(meta[37], '\n');
	return meta + 38;
}

static void key_is_in_the_metadata_and_user_data_is_as_it_was(void **state)
{
	static const char config[] = "#cloud-config\npackages: [git]\n";
	char meta[1024], user[1024];

	make(file("config", config), file("key.pub", ED25519 "\n"), meta, user);
	assert_string_equal(without_id(meta), "public-keys:\n  - \"" ED25519 "\"\n");
	assert_string_equal(user, config);
}

static void either_may_be_missing(void **state)
{
	char meta[1024], user[1024];

	make(NULL, file("key.pub", ED25519), meta, user);
	assert_string_equal(without_id(meta), "public-keys:\n  - \"" ED25519 "\"\n");
	assert_string_equal(user, "");
	make(file("script", "#!/bin/sh\n"), NULL, meta, user);
	assert_string_equal(without_id(meta), "");
	assert_string_equal(user, "#!/bin/sh\n");
}

static void keys_of_a_file_are_a_list(void **state)
{
	char meta[1024], user[1024];

	make(NULL,
	     file("keys", "# mine\r\n\n" ED25519 "\r\n"
			  "command=\"echo ssh-rsa \\\"x\\\"\",no-pty\t" RSA " a\\b\n"),
	     meta, user);
	assert_string_equal(without_id(meta),
			    "public-keys:\n  - \"" ED25519 "\"\n"
			    "  - \"command=\\\"echo ssh-rsa \\\\\\\"x\\\\\\\"\\\",no-pty " RSA
			    " a\\\\b\"\n");
}

/* PyYAML refuses a document with some of them, and folds others as ends of a line. */
static void what_yaml_does_not_take_as_it_is_is_escaped(void **state)
{
	char meta[1024], user[1024];

	make(NULL,
	     file("odd", ED25519 " J\xc3\xbcrgen \xf0\x9f\x90\xa7\n" ED25519
				 " \x7f\xc2\x80\xc2\x85\xe2\x80\xa8--- \xef\xbb\xbf\xef\xbf\xbf\n"),
	     meta, user);
	assert_string_equal(without_id(meta),
			    "public-keys:\n  - \"" ED25519 " J\xc3\xbcrgen \xf0\x9f\x90\xa7\"\n"
			    "  - \"" ED25519 " \\u007f\\u0080\\u0085\\u2028--- \\ufeff\\uffff\"\n");
}

static void other_contents_are_another_instance(void **state)
{
	const char *a = file("a", "#!a"), *b = file("b", "#!b"), *key = file("key", ED25519);
	const char *const cases[][2] = { { a, NULL }, { b, NULL }, { NULL, key }, { a, key } };
	char meta[ARRAY_SIZE(cases)][1024], again[1024], user[1024];

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		make(cases[i][0], cases[i][1], meta[i], user);
		make(cases[i][0], cases[i][1], again, user);
		assert_string_equal(meta[i], again);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(meta[i], meta[k], 37);
	}
}

static void disk_cannot_be_changed(void **state)
{
	int fd;

	assert_int_equal(seed_make(file("a", "#!a"), NULL, &fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(lseek(fd, 0, SEEK_END) % BLOCK, 0);
	close(fd);
}

static void all_kinds_of_user_data_are_known(void **state)
{
	static const char *const kinds[] = {
		"#cloud-config\n",
		"#cloud-config-archive\n",
		"\n #Cloud-Config",
		"#include\nhttps://example.org",
		"#cloud-boothook\n",
		"#part-handler\n",
		"## template: jinja\n#cloud-config\n",
		"From nobody\nContent-Type: multipart/mixed\nMIME-Version: 1.0\n",
		"\x1f\x8b\x08",
	};
	int fd;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (seed_make(file("user-data", kinds[i]), NULL, &fd) < 0)
			fail_msg("'%s' is refused", kinds[i]);
		close(fd);
	}
}

static void refused(bool key, const char *path, int error, const char *expected)
{
	char message[512];
	int fd = -5;

	assert_int_equal(seed_make(key ? NULL : path, key ? path : NULL, &fd), error);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_int_equal(fd, -5);
	snprintf(message, sizeof(message), "%s; %s", err_text(), err_hint_text());
	if (!strstr(message, expected))
		fail_msg("'%s' does not say '%s'", message, expected);
	assert_null(strstr(message, "secret"));
}

static void what_cloud_init_does_not_know_is_refused(void **state)
{
	static const char *const texts[] = {
		"",      "packages: [git]\n", "\xef\xbb\xbf#cloud-config\n", "{\"ignition\": {}}",
		ED25519,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		refused(false, file("text", texts[i]), -EINVAL, "is nothing that cloud-init knows");
	refused(false, "/nonexistent", -ENOENT, "--cloud-init '/nonexistent'");
	refused(false, "/dev/null", -EINVAL, "is no regular file");
	refused(false, "/", -EISDIR, "--cloud-init '/'");
}

static void private_key_is_refused_and_not_shown(void **state)
{
	refused(true,
		file("id", "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n"
			   "-----END OPENSSH PRIVATE KEY-----\n"),
		-EINVAL, "id' is a private key");
	refused(true, temp_path(&dir, "id"), -EINVAL, "id.pub'");
	refused(true, file("ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nsecret\n"), -EINVAL,
		"is a private key");
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"\n# nothing\n",
		"secret\n",
		"ssh-ed25519\n",
		"ssh-ed25519 secret\n",
		ED25519 "\nsecret\n",
		ED25519 "\x1b[2J\n",
		ED25519 " \xff\n",
		"command=\"ssh-rsa AAAA\" secret\n",
		"command=\"\\\" ssh-rsa AAAA\" secret\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		refused(true, file("text", texts[i]), -EINVAL, "is no public key of OpenSSH");
	refused(true, temp_file(&dir, "nul", ED25519 "\0" ED25519, 2 * sizeof(ED25519)), -EINVAL,
		"is no public key of OpenSSH");
	refused(true, file("ssh2", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n"), -EINVAL,
		"ssh-keygen -i -f");
}

static void file_that_is_too_long_is_refused(void **state)
{
	const size_t len = 5 * MiB;
	char *text = test_malloc(len);

	memset(text, '#', len);
	refused(true, temp_file(&dir, "long", text, len), -EFBIG, "is larger than 256K");
	refused(false, temp_path(&dir, "long"), -EFBIG, "is larger than 4M");
	test_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_in_the_metadata_and_user_data_is_as_it_was),
		cmocka_unit_test(either_may_be_missing),
		cmocka_unit_test(keys_of_a_file_are_a_list),
		cmocka_unit_test(what_yaml_does_not_take_as_it_is_is_escaped),
		cmocka_unit_test(other_contents_are_another_instance),
		cmocka_unit_test(disk_cannot_be_changed),
		cmocka_unit_test(all_kinds_of_user_data_are_known),
		cmocka_unit_test(what_cloud_init_does_not_know_is_refused),
		cmocka_unit_test(private_key_is_refused_and_not_shown),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(file_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests_name("seed", tests, set_up, tear_down);
}
