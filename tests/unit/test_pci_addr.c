/* SPDX-License-Identifier: Apache-2.0 */
/* PCI addresses as users write them. */
#include "cmocka_all.h"

#include <errno.h>

#include "core/err.h"
#include "vfio/pci_addr.h"

static void every_way_of_writing_it_is_read(void **state)
{
	static const struct {
		const char *text, *canonical;
	} good[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "01:00.0", "0000:01:00.0" },
		{ "1:0.0", "0000:01:00.0" },
		{ "0001:AF:1F.7", "0001:af:1f.7" },
		{ "aF:1f.7", "0000:af:1f.7" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "ffffffff:ff:1f.7", "ffffffff:ff:1f.7" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct pci_addr addr;

		assert_int_equal(pci_addr_parse(good[i].text, &addr), 0);
		assert_string_equal(pci_addr_text(addr).s, good[i].canonical);
	}
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"01",
		"01:00",
		"01:00.",
		"01:00.8",
		"01:20.0",
		"001:00.0",
		"01:00.0 ",
		" 01:00.0",
		"01:00.00",
		"0000:01:00",
		"0000::01:00.0",
		"000000000:01:00.0",
		":01:00.0",
		"0000.01.00.0",
		"0x01:00.0",
		"0000:01:00.0:0",
		"-1:00.0",
		"g1:00.0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pci_addr addr = { .bus = 0x55 };

		assert_int_equal(pci_addr_parse(bad[i], &addr), -EINVAL);
		assert_int_equal(err_kind(), ERR_USAGE);
		assert_int_equal(addr.bus, 0x55);
	}
	assert_string_equal(err_text(), "'g1:00.0' is not a PCI address");
	assert_string_equal(err_hint_text(), "write it as 0000:01:00.0 (see 'tinyvmm list')");
}

static void order_is_that_of_lspci(void **state)
{
	static const char *const sorted[] = { "0000:01:00.0", "0000:01:00.1", "0000:01:01.0",
					      "0000:02:00.0", "0001:00:00.0", "10000:00:00.0" };

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
			struct pci_addr a, b;
			int r;

			assert_true(pci_addr_scan(sorted[i], &a) && pci_addr_scan(sorted[j], &b));
			r = pci_addr_compare(a, b);
			assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_of_writing_it_is_read),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(order_is_that_of_lspci),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
