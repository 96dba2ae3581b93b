/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI windows above 4 GiB: the prediction against windows seen with OVMF 2022.11, and plans that
 * hold what they promise for all firmware.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "firmware-loader/mmio_window.h"

/* As measured: an AMD-like CPU with 1 GiB pages, 3 GiB of RAM of which 1 GiB is above 4 GiB. */
static struct mmio_case measured(unsigned phys_bits, uint32_t knob)
{
	return (struct mmio_case){
		.firmware = OVMF_202211,
		.vendor = MMIO_VENDOR_AMD,
		.phys_bits = phys_bits,
		.gib_pages = true,
		.ram_end = 5 * GiB,
		.knob = knob,
	};
}

static void assert_window(struct mmio_case c, uint64_t base, uint64_t size)
{
	struct mmio_window w = mmio_window_predict(&c);

	assert_int_equal(w.base, base);
	assert_int_equal(w.size, size);
}

static void dynamic_windows_as_measured(void **state)
{
	assert_window(measured(40, 0), 0xe000000000, 128 * GiB);
	assert_window(measured(41, 0), 0x1c000000000, 256 * GiB);
	assert_window(measured(42, 0), 0x38000000000, 512 * GiB);
	assert_window(measured(43, 0), 0x70000000000, TiB);
}

static void knob_as_measured(void **state)
{
	/* At least as large as the dynamic window: the classic one. */
	assert_window(measured(40, 262144), 0x4000000000, 256 * GiB);
	assert_window(measured(40, 492544), 0x4000000000, 481 * GiB);
	assert_window(measured(41, 1048576), 0x10000000000, TiB);

	struct mmio_case intel = measured(40, 492544);

	intel.vendor = MMIO_VENDOR_INTEL;
	assert_window(intel, 0x4000000000, 481 * GiB);
	/* Smaller: ignored, until 202505. */
	assert_window(measured(42, 262144), 0x38000000000, 512 * GiB);

	struct mmio_case c = measured(42, 262144);

	c.firmware = OVMF_202308;
	c.gib_page_tables = true;
	assert_window(c, 0x38000000000, 512 * GiB);
	c.firmware = OVMF_202505;
	assert_window(c, 0x4000000000, 256 * GiB);
	/* Malformed: as if absent. */
	c.knob = MMIO_WINDOW_KNOB_MAX + 1;
	assert_window(c, 0x38000000000, 512 * GiB);
}

static void equal_sizes_are_classic(void **state)
{
	assert_window(measured(41, 262144), 0x4000000000, 256 * GiB);
	assert_window(measured(41, 262143), 0x4000000000, 256 * GiB); /* whole GiB */
	assert_window(measured(41, 262144 - 1024), 0x1c000000000, 256 * GiB);
}

static void unbelievable_bits_are_guessed(void **state)
{
	struct mmio_case c = measured(40, 0);
	struct mmio_window w;

	c.vendor = MMIO_VENDOR_INTEL; /* 40 is what QEMU says by default */
	w = mmio_window_predict(&c);
	assert_int_equal(w.base, 32 * GiB);
	assert_int_equal(w.size, 32 * GiB);
	assert_int_equal(w.phys_bits, 36);
	c.phys_bits = 39;
	assert_window(c, 448 * GiB, 64 * GiB);
	c.vendor = MMIO_VENDOR_OTHER;
	assert_window(c, 32 * GiB, 32 * GiB);
	c.ram_end = 100 * GiB;
	w = mmio_window_predict(&c);
	assert_int_equal(w.base, 128 * GiB);
	assert_int_equal(w.phys_bits, 38);
}

static void address_bits_are_clamped(void **state)
{
	struct mmio_case c = measured(52, 0);

	assert_int_equal(mmio_window_predict(&c).phys_bits, 47);
	c.gib_pages = false;
	assert_int_equal(mmio_window_predict(&c).phys_bits, 40);
	c.gib_pages = true;
	c.firmware = OVMF_202308;
	assert_int_equal(mmio_window_predict(&c).phys_bits, 40); /* Ia32X64 */
	c.gib_page_tables = true;
	assert_int_equal(mmio_window_predict(&c).phys_bits, 46);
}

/* RAM that reaches into the last eighth: the classic window, which may then lie out of reach. */
static void ram_in_the_way_of_the_dynamic_window(void **state)
{
	struct mmio_case c = measured(40, 0);

	c.ram_end = 890 * GiB;
	assert_window(c, 896 * GiB, 32 * GiB);
	c.ram_end = 895 * GiB;
	assert_window(c, 896 * GiB, 32 * GiB); /* 896 + 128 GiB is not below 2^40 */
	c.ram_end = 800 * GiB;
	assert_window(c, 896 * GiB, 128 * GiB);
}

/*
 * Firmware's allocator (edk2, MdeModulePkg/Bus/Pci/PciBusDxe: InsertResourceNode and
 * CalculateResourceAperture): nodes ordered by alignment, then by what they leave over.
 */
struct node {
	uint64_t len, align;
	unsigned port;
};

static void insert_node(struct node *list, unsigned count, struct node node)
{
	unsigned i = 0;

	for (; i < count && node.align <= list[i].align; i++) {
		uint64_t rest = node.len & (node.align - 1);
		uint64_t other = list[i].len & (list[i].align - 1);

		if (node.align == list[i].align && (rest == 0 || rest >= other))
			break;
	}
	memmove(list + i + 1, list + i, (count - i) * sizeof(*list));
	list[i] = node;
}

static uint64_t aperture(const struct node *list, unsigned count)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < count; i++)
		end = align_up(end, list[i].align) + list[i].len;
	return end;
}

/* One root bridge; the first has emulated devices beside what is passed through. */
static uint64_t allocate_root(const struct mmio_request *req, unsigned number, bool emulated,
			      uint64_t *ret_align)
{
	struct node root[64], behind[64];
	unsigned roots = 0;

	if (emulated)
		insert_node(root, roots++, (struct node){ MiB, MiB, 0 });
	for (unsigned port = 0; port < 16; port++) {
		unsigned count = 0;

		for (size_t i = 0; i < req->count; i++) {
			struct node bar = { req->bars[i].size, req->bars[i].size, port };

			if (req->bars[i].port != port || req->bars[i].root != number)
				continue;
			if (port)
				insert_node(behind, count++, bar);
			else
				insert_node(root, roots++, bar);
		}
		if (port && count) {
			insert_node(root, roots++,
				    (struct node){ align_up(aperture(behind, count), MiB),
						   MAX(behind[0].align, MiB), port });
		}
	}
	*ret_align = roots ? root[0].align : 1;
	return aperture(root, roots);
}

/* Root bridge after root bridge (edk2, PciHostBridgeDxe: each gets the first place in the window).
 */
static uint64_t allocate(const struct mmio_request *req)
{
	unsigned roots = 0;
	uint64_t end, align;

	for (size_t i = 0; i < req->count; i++)
		roots = MAX(roots, req->bars[i].root);
	end = allocate_root(req, 0, roots > 0, &align);
	for (unsigned root = 1; root <= roots; root++) {
		const uint64_t len = allocate_root(req, root, false, &align);

		end = align_up(end, align) + len;
	}
	return end;
}

static struct mmio_plan check_plan(const struct mmio_request *req)
{
	const uint64_t ram_end = MAX(req->ram_end, 4 * GiB);
	struct mmio_plan plan;
	uint64_t sum = 0;

	if (mmio_window_plan(req, &plan) < 0)
		fail_msg("%s", err_text());
	for (size_t i = 0; i < req->count; i++)
		sum += req->bars[i].size / MiB * MiB;
	assert_true(plan.phys_bits <= req->host_phys_bits);
	assert_true(plan.base >= ram_end);
	assert_true(plan.base + plan.size <= 1ull << plan.phys_bits);
	assert_true(allocate(req) <= plan.size);
	assert_int_equal(plan.knob * MiB, plan.size);
	assert_true(plan.knob <= MMIO_WINDOW_KNOB_MAX);
	assert_true(plan.base - ram_end >= 2 * sum ||
		    (1ull << plan.phys_bits) - plan.base - plan.size >= sum);
	assert_false(ranges_overlap(plan.base, plan.size, 0xfd00000000, 12 * GiB));
	for (size_t i = 0; i < req->count; i++)
		assert_int_equal(plan.base % req->bars[i].size, 0);
	for (unsigned i = 0; i < 3 * 3 * 2; i++) {
		struct mmio_case c = {
			.firmware = (enum mmio_firmware)(i % 3),
			.vendor = (enum mmio_vendor)(i / 3 % 3),
			.gib_page_tables = i / 9,
			.phys_bits = plan.phys_bits,
			.gib_pages = req->gib_pages,
			.ram_end = req->ram_end,
			.knob = plan.knob,
		};
		struct mmio_window w = mmio_window_predict(&c);

		if (!plan.below_1tib && c.firmware != OVMF_202211 && !c.gib_page_tables)
			continue;
		assert_int_equal(w.base, plan.base);
		assert_int_equal(w.size, plan.size);
		assert_true(w.base + w.size <= 1ull << w.phys_bits);
	}
	return plan;
}

static struct mmio_request request(const struct mmio_bar *bars, size_t count, uint64_t ram_end,
				   unsigned host_phys_bits)
{
	return (struct mmio_request){
		.bars = bars,
		.count = count,
		.ram_end = ram_end,
		.low_ram = MIN(ram_end, 2 * GiB),
		.host_phys_bits = host_phys_bits,
		.gib_pages = true,
	};
}

static void no_gpu_needs_little(void **state)
{
	const struct mmio_bar bars[] = { { 16 * KiB, 0 }, { 16 * KiB, 0 } };
	struct mmio_request req = request(bars, 2, 2 * GiB, 46);
	struct mmio_plan plan = check_plan(&req);

	assert_int_equal(plan.phys_bits, 40);
	assert_int_equal(plan.base, 128 * GiB);
	assert_int_equal(plan.size, 128 * GiB);
	assert_true(plan.below_1tib);
	req.count = 0;
	req.bars = NULL;
	check_plan(&req);
}

static void one_large_gpu_stays_below_1_tib(void **state)
{
	for (uint64_t size = 16 * GiB; size <= 256 * GiB; size *= 2) {
		const struct mmio_bar bars[] = {
			{ size, 1 }, { 64 * MiB, 1 }, { 32 * MiB, 1 }, { 16 * KiB, 0 }
		};
		struct mmio_request req = request(bars, ARRAY_SIZE(bars), 66 * GiB, 52);
		struct mmio_plan plan = check_plan(&req);

		assert_int_equal(plan.phys_bits, 40);
		assert_true(plan.below_1tib);
		assert_true(plan.size >= size + size / 4);
	}
}

static void desktop_with_39_bits(void **state)
{
	const struct mmio_bar bars[] = { { 32 * GiB, 1 }, { 32 * MiB, 1 }, { 16 * KiB, 0 } };
	struct mmio_request req = request(bars, ARRAY_SIZE(bars), 34 * GiB, 39);
	struct mmio_plan plan = check_plan(&req);

	assert_int_equal(plan.phys_bits, 39);
	assert_int_equal(plan.size, 64 * GiB);
	assert_int_equal(plan.base, 64 * GiB);
	assert_true(plan.below_1tib);
}

/* At 512 GiB the window would cross the addresses that AMD reserves below 1 TiB. */
static void two_gpus_of_256_gib_lie_above_1_tib(void **state)
{
	const struct mmio_bar bars[] = {
		{ 256 * GiB, 1 }, { 64 * MiB, 1 }, { 256 * GiB, 2 }, { 64 * MiB, 2 }
	};
	struct mmio_request req = request(bars, ARRAY_SIZE(bars), 66 * GiB, 52);
	struct mmio_plan plan = check_plan(&req);

	assert_int_equal(plan.base, TiB);
	assert_int_equal(plan.size, TiB);
	assert_int_equal(plan.phys_bits, 42); /* 41 would leave too little free */
	assert_false(plan.below_1tib);
}

static void eight_huge_gpus(void **state)
{
	struct mmio_bar bars[24];
	struct mmio_request req;
	struct mmio_plan plan;

	for (unsigned i = 0; i < 8; i++) {
		bars[3 * i] = (struct mmio_bar){ 512 * GiB, i + 1 };
		bars[3 * i + 1] = (struct mmio_bar){ 32 * MiB, i + 1 };
		bars[3 * i + 2] = (struct mmio_bar){ 64 * MiB, i + 1 };
	}
	req = request(bars, ARRAY_SIZE(bars), 3 * TiB, 52);
	plan = check_plan(&req);
	assert_int_equal(plan.phys_bits, 45);
	/* More than firmware can be told. */
	for (unsigned i = 0; i < 8; i++)
		bars[3 * i].size = 2 * TiB;
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
}

/* Ports with the same alignment, and gaps of every kind between them. */
static void mixed_devices_fit_as_firmware_places_them(void **state)
{
	static const uint64_t sizes[] = { MiB, 16 * MiB, 256 * MiB, 4 * GiB, 32 * GiB };
	struct mmio_bar bars[8] = { 0 };
	unsigned seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		struct mmio_request req = request(bars, ARRAY_SIZE(bars), 10 * GiB, 46);

		for (size_t i = 0; i < ARRAY_SIZE(bars); i++) {
			seed = seed * 1103515245 + 12345;
			bars[i].size = sizes[(seed >> 16 & 0xff) % ARRAY_SIZE(sizes)];
			bars[i].port = seed >> 24 & 3;
		}
		check_plan(&req);
	}
}

static void each_root_bus_has_a_place_of_its_own(void **state)
{
	static const uint64_t sizes[] = { 16 * MiB, 4 * GiB, 32 * GiB, 128 * GiB };
	const struct mmio_bar one[] = { { 128 * GiB, 1, 1 } };
	struct mmio_request req = request(one, 1, 16 * GiB, 46);
	struct mmio_bar bars[6] = { 0 };
	unsigned seed = 7;

	/* Emulated devices come first, the GPU at the next multiple of its size. */
	assert_true(check_plan(&req).size >= 256 * GiB);
	for (unsigned round = 0; round < 2000; round++) {
		req = request(bars, ARRAY_SIZE(bars), 10 * GiB, 46);
		for (unsigned i = 0; i < ARRAY_SIZE(bars); i++) {
			seed = seed * 1103515245 + 12345;
			bars[i].size = sizes[(seed >> 16 & 0xff) % ARRAY_SIZE(sizes)];
			bars[i].port = 1 + i / 2;
			bars[i].root = round % 4 ? i / 2 % (round % 4) : 1;
		}
		check_plan(&req);
	}
}

static void all_reasonable_machines_get_a_window(void **state)
{
	for (unsigned bits = 36; bits <= 52; bits++) {
		for (uint64_t bar = MiB; bar <= 512 * GiB; bar *= 2) {
			for (uint64_t ram = GiB; ram <= 8 * TiB; ram = ram * 3 / 2) {
				const struct mmio_bar bars[] = { { bar, 1 },
								 { bar, 2 },
								 { 32 * MiB, 2 } };
				struct mmio_request req = request(bars, 3, ram, bits);
				struct mmio_plan plan;

				if (mmio_window_plan(&req, &plan) == 0) {
					check_plan(&req);
					continue;
				}
				assert_int_equal(err_kind(), ERR_LIMIT);
				/* With so much room a refusal would be a mistake. */
				assert_false(bits >= 44);
				assert_false(8 * bar + ram < 1ull << (bits - 2) && bits > 40 &&
					     ram < 512 * GiB);
			}
		}
	}
}

static void without_1_gib_pages_only_1_tib_is_reached(void **state)
{
	const struct mmio_bar small[] = { { 32 * GiB, 1 } }, large[] = { { 512 * GiB, 1 } };
	struct mmio_request req = request(small, 1, 16 * GiB, 46);
	struct mmio_plan plan;

	req.gib_pages = false;
	assert_true(check_plan(&req).below_1tib);
	req.bars = large;
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
}

static void errors_say_what_does_not_fit(void **state)
{
	const struct mmio_bar bars[] = { { 256 * GiB, 1 } };
	const struct mmio_bar silly[] = { { 1ull << 63, 1 }, { 1ull << 63, 2 }, { UINT64_MAX, 3 } };
	struct mmio_request req = request(bars, 1, 16 * GiB, 39);
	struct mmio_plan plan;

	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
	assert_string_equal(err_text(),
			    "64-bit BARs of 262144 MiB do not fit above 16384 MiB of guest "
			    "addresses with the host's 39 address bits");
	assert_string_not_equal(err_hint_text(), "");
	assert_int_equal(err_kind(), ERR_LIMIT);

	req = request(silly, 3, 16 * GiB, 64);
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
	req = request(bars, 1, UINT64_MAX, 64);
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
	req = request(bars, 1, GiB, 0);
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
}

/* 46 bits cost 256 MiB of page tables: 256 MiB of RAM did not boot, 512 MiB did. */
static void page_tables_must_fit_into_ram(void **state)
{
	const struct mmio_bar bars[] = { { 4 * TiB, 1 } };
	struct mmio_request req = request(bars, 1, 4 * GiB, 52);
	struct mmio_plan plan;
	uint64_t tables;

	assert_int_equal(mmio_window_plan(&req, &plan), 0);
	tables = (1ull << plan.phys_bits) / GiB * 4 * KiB;
	req.low_ram = 2 * tables;
	check_plan(&req);
	req.low_ram = tables;
	assert_int_equal(mmio_window_plan(&req, &plan), -ENOSPC);
	assert_non_null(strstr(err_text(), "MiB of guest memory"));
}

static void windows_below_4_gib(void **state)
{
	uint64_t base, end;

	mmio_window_32(0xb0000000, 2 * GiB, &base, &end);
	assert_int_equal(base, 0xc0000000);
	assert_int_equal(end, 0xfc000000);
	mmio_window_32(0xe0000000, 2 * GiB, &base, &end);
	assert_int_equal(base, 0x80000000);
	assert_int_equal(end, 0xe0000000);
	mmio_window_32(0xe0000000, 64 * MiB, &base, &end);
	assert_int_equal(base, 0x80000000);
	mmio_window_32(0xe0000000, 0x90000000, &base, &end);
	assert_int_equal(base, 0xc0000000);
}

static void window_is_extended_to_cover_a_bar(void **state)
{
	uint64_t base = 128 * GiB, size = 128 * GiB;

	mmio_window_cover(&base, &size, 200 * GiB, GiB);
	assert_int_equal(base, 128 * GiB);
	assert_int_equal(size, 128 * GiB);
	mmio_window_cover(&base, &size, 512 * GiB, GiB);
	assert_int_equal(base, 128 * GiB);
	assert_int_equal(size, 385 * GiB);
	mmio_window_cover(&base, &size, 64 * GiB, GiB);
	assert_int_equal(base, 64 * GiB);
	assert_int_equal(base + size, 513 * GiB);
	base = size = 0;
	mmio_window_cover(&base, &size, 64 * GiB, GiB);
	assert_int_equal(base, 64 * GiB);
	assert_int_equal(size, GiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dynamic_windows_as_measured),
		cmocka_unit_test(knob_as_measured),
		cmocka_unit_test(equal_sizes_are_classic),
		cmocka_unit_test(unbelievable_bits_are_guessed),
		cmocka_unit_test(address_bits_are_clamped),
		cmocka_unit_test(ram_in_the_way_of_the_dynamic_window),
		cmocka_unit_test(no_gpu_needs_little),
		cmocka_unit_test(one_large_gpu_stays_below_1_tib),
		cmocka_unit_test(desktop_with_39_bits),
		cmocka_unit_test(two_gpus_of_256_gib_lie_above_1_tib),
		cmocka_unit_test(eight_huge_gpus),
		cmocka_unit_test(mixed_devices_fit_as_firmware_places_them),
		cmocka_unit_test(each_root_bus_has_a_place_of_its_own),
		cmocka_unit_test(all_reasonable_machines_get_a_window),
		cmocka_unit_test(without_1_gib_pages_only_1_tib_is_reached),
		cmocka_unit_test(errors_say_what_does_not_fit),
		cmocka_unit_test(page_tables_must_fit_into_ram),
		cmocka_unit_test(windows_below_4_gib),
		cmocka_unit_test(window_is_extended_to_cover_a_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
