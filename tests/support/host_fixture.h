/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake host with one graphics card, a struct vfio_host for it, and what is logged. For tests that
 * are one file each; linked with --wrap=log_msg besides what fake_sysfs.h asks for.
 */
#ifndef TESTS_HOST_FIXTURE_H
#define TESTS_HOST_FIXTURE_H

#include "cmocka_all.h"

#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "fake_sysfs.h"
#include "vfio/host.h"

#define GPU     "0000:01:00.0"
#define AUDIO   "0000:01:00.1"
#define JOURNAL "run/tinyvmm/journal/"

#define TAKE_GPU                                     \
	"devices/" GPU "/driver_override vfio-pci\n" \
	"devices/" GPU "/driver/unbind " GPU "\n"    \
	"drivers_probe " GPU "\n"
#define GIVE_BACK_GPU                              \
	"devices/" GPU "/driver/unbind " GPU "\n"  \
	"devices/" GPU "/driver_override nvidia\n" \
	"drivers_probe " GPU "\n"                  \
	"devices/" GPU "/driver_override \\n\n"

static struct fake_sysfs fs;
static struct vfio_host host;
static char messages[2048];

void __wrap_log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	const size_t len = strlen(messages);
	va_list ap;

	va_start(ap, fmt);
	if (level <= LOG_INFO && len < sizeof(messages) - 2) {
		vsnprintf(messages + len, sizeof(messages) - len - 1, fmt, ap);
		strcat(messages, "\n");
	}
	va_end(ap);
}

static inline void assert_messages(const char *text)
{
	assert_string_equal(messages, text);
	messages[0] = '\0';
}

static inline void init_host(struct vfio_host *h)
{
	vfio_host_init(h, fs.root);
	/* Far more than a loaded machine needs. */
	h->limit_ms = 10000;
	h->bind_limit_ms = 10000;
}

/*
 * From now on `driver` does not answer ("hang", "slow"), and is not waited for very long. What does
 * answer has its time, on a loaded machine too.
 */
static inline void let_hang(const char *driver, const char *manner)
{
	fake_sysfs_manner(&fs, driver, manner);
	if (strcmp(manner, "slow") == 0)
		host.bind_limit_ms = 200;
	else
		host.limit_ms = 200;
}

static inline int setup(void **state)
{
	static const struct fake_pci_device gpu = { GPU, 0x030000, "nvidia", "nvidia", 7, 0 };

	(void)state;
	fake_sysfs_init(&fs);
	fake_sysfs_add_driver(&fs, "vfio-pci");
	fake_sysfs_add_device(&fs, &gpu);
	init_host(&host);
	messages[0] = '\0';
	err_clear();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	vfio_host_fini(&host);
	fake_sysfs_fini(&fs);
	return 0;
}

/* The audio function of the card, in a group of its own, with a driver or none. */
static inline void add_audio(const char *driver)
{
	fake_sysfs_add_device(&fs, &(struct fake_pci_device){ AUDIO, 0x040300, driver,
							      "snd_hda_intel", 8, 0 });
}

static inline void check(struct vfio_host *h, const char *a, const char *b)
{
	struct pci_addr addrs[2];
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &addrs[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &addrs[n++]));
	assert_int_equal(vfio_host_check(h, addrs, n), 0);
}

static inline void check_and_take(const char *a, const char *b)
{
	check(&host, a, b);
	assert_int_equal(vfio_host_take(&host), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
