/* SPDX-License-Identifier: Apache-2.0 */
/* The image, read as a driver does: volume, root folder, records with their extensions. */
#include "cmocka_all.h"

#include "boot/iso9660.h"

#define BLOCK 2048u

struct seen {
	char short_name[16], name[80];
	const uint8_t *data;
	uint32_t len, mode;
	bool folder;
};

static uint32_t load_be(const uint8_t *p, unsigned len)
{
	uint32_t v = 0;

	while (len--)
		v = v << 8 | *p++;
	return v;
}

/* Both copies of a number agree. */
static uint32_t both(const uint8_t *p, unsigned len)
{
	assert_int_equal(load_le(p, len), load_be(p + len, len));
	return (uint32_t)load_le(p, len);
}

static const uint8_t *block(const struct buf *b, uint32_t nr)
{
	assert_true(nr < b->len / BLOCK);
	return b->data + (size_t)nr * BLOCK;
}

/* The record at `p`; its length. */
static unsigned record(const struct buf *b, const uint8_t *p, struct seen *seen)
{
	const unsigned len = p[0], name = p[32];
	const uint8_t *use = p + 33 + name + (33 + name) % 2;

	*seen = (struct seen){ .len = both(p + 10, 4), .folder = p[25] & 2 };
	assert_int_equal(len % 2, 0);
	assert_in_range(name, 1, sizeof(seen->short_name) - 1);
	memcpy(seen->short_name, p + 33, name);
	if (seen->len) {
		seen->data = block(b, both(p + 2, 4));
		assert_true(seen->len <= (size_t)(b->data + b->len - seen->data));
	}
	while (use + 4 <= p + len) {
		assert_in_range(use[2], 4, p + len - use);
		assert_int_equal(use[3], 1);
		if (memcmp(use, "PX", 2) == 0)
			seen->mode = both(use + 4, 4);
		else if (memcmp(use, "NM", 2) == 0)
			memcpy(seen->name, use + 5, use[2] - 5u);
		use += use[2];
	}
	return len;
}

/* Everything before the first file's record. */
static const uint8_t *open_root(const struct buf *b, const char *label)
{
	static const char padded[33] = "                                ";
	const uint8_t *volume = block(b, 16), *root, *p;
	struct seen self, above;
	char text[33];

	assert_int_equal(volume[0], 1);
	assert_memory_equal(volume + 1, "CD001\1", 6);
	memcpy(text, padded, sizeof(text));
	memcpy(text, label, strlen(label));
	assert_memory_equal(volume + 40, text, 32);
	assert_int_equal(both(volume + 80, 4), b->len / BLOCK);
	assert_int_equal(both(volume + 120, 2), 1);
	assert_int_equal(both(volume + 124, 2), 1);
	assert_int_equal(both(volume + 128, 2), BLOCK);
	assert_int_equal(both(volume + 132, 4), 10);
	assert_int_equal(volume[156], 34);
	assert_int_equal(volume[881], 1);
	assert_int_equal(block(b, 17)[0], 255);
	assert_memory_equal(block(b, 17) + 1, "CD001\1", 6);

	root = block(b, both(volume + 156 + 2, 4));
	p = block(b, (uint32_t)load_le(volume + 140, 4));
	assert_ptr_equal(block(b, (uint32_t)load_le(p + 2, 4)), root);
	p = block(b, load_be(volume + 148, 4));
	assert_ptr_equal(block(b, load_be(p + 2, 4)), root);

	p = root + record(b, root, &self);
	p += record(b, p, &above);
	assert_string_equal(self.short_name, "");
	assert_string_equal(above.short_name, "\1");
	assert_true(self.folder && above.folder);
	assert_ptr_equal(self.data, root);
	assert_int_equal(self.mode, 040755);
	/* How a reader knows that there are extensions: at the very begin of the first record. */
	assert_memory_equal(root + 34, "SP\7\1\xbe\xef", 7);
	return p;
}

static void files_have_their_names_and_content(void **state)
{
	static char large[3 * BLOCK + 1];
	const struct iso9660_file files[] = {
		{ "meta-data", "instance-id: 1\n", 15 },
		{ "network-config", large, sizeof(large) },
		{ "user-data", "", 0 },
		{ "x", "y", 1 },
	};
	const char *const short_names[] = { "META_DAT.;1", "NETWORK_.;1", "USER_DAT.;1", "X.;1" };
	const uint8_t *p;
	struct seen seen;
	struct buf b;

	memset(large, 'n', sizeof(large));
	buf_init(&b);
	iso9660_write(&b, "CIDATA", files, ARRAY_SIZE(files));
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len % BLOCK, 0);
	p = open_root(&b, "CIDATA");
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		p += record(&b, p, &seen);
		assert_string_equal(seen.short_name, short_names[i]);
		assert_string_equal(seen.name, files[i].name);
		assert_false(seen.folder);
		assert_int_equal(seen.mode, 0100444);
		assert_int_equal(seen.len, files[i].len);
		if (seen.len)
			assert_memory_equal(seen.data, files[i].data, seen.len);
	}
	assert_int_equal(p[0], 0);
	buf_fini(&b);
}

static void folder_may_be_empty(void **state)
{
	struct buf b;

	buf_init(&b);
	iso9660_write(&b, "A234567890123456789012345678901B", NULL, 0);
	assert_int_equal(open_root(&b, "A234567890123456789012345678901B")[0], 0);
	buf_fini(&b);
}

static void longest_names_fit(void **state)
{
	char names[ISO9660_FILES_MAX][ISO9660_NAME_MAX + 1];
	struct iso9660_file files[ISO9660_FILES_MAX];
	const uint8_t *p;
	struct seen seen;
	struct buf b;

	for (unsigned i = 0; i < ISO9660_FILES_MAX; i++) {
		memset(names[i], 'a' + (int)i, ISO9660_NAME_MAX);
		names[i][ISO9660_NAME_MAX] = '\0';
		files[i] = (struct iso9660_file){ names[i], names[i], ISO9660_NAME_MAX };
	}
	buf_init(&b);
	iso9660_write(&b, "CIDATA", files, ISO9660_FILES_MAX);
	p = open_root(&b, "CIDATA");
	for (unsigned i = 0; i < ISO9660_FILES_MAX; i++) {
		p += record(&b, p, &seen);
		assert_string_equal(seen.name, names[i]);
		assert_memory_equal(seen.data, names[i], ISO9660_NAME_MAX);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_have_their_names_and_content),
		cmocka_unit_test(folder_may_be_empty),
		cmocka_unit_test(longest_names_fit),
	};

	return cmocka_run_group_tests_name("iso9660", tests, NULL, NULL);
}
