/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, cores and threads in the CPUID leaves of Intel's and AMD's processors. */
#include "cmocka_all.h"
#include "fake_cpuid.h"

/* The fields of each leaf that tell of the topology. */
#define LOGICAL(e)      ((e)->ebx >> 16 & 0xff) /* leaf 1 */
#define APIC_ID(e)      ((e)->ebx >> 24)
#define HTT(e)          ((e)->edx >> 28 & 1)
#define SHARING(e)      ((e)->eax >> 14 & 0xfff) /* leaves 4 and 0x8000001d */
#define CORE_IDS(e)     ((e)->eax >> 26)         /* leaf 4 */
#define LEVEL_TYPE(e)   ((e)->ecx >> 8)          /* leaf 0xb */
#define AMD_THREADS(e)  ((e)->ecx & 0xff)        /* leaf 0x80000008 */
#define AMD_ID_BITS(e)  ((e)->ecx >> 12 & 0xf)
#define CORE_THREADS(e) ((e)->ebx >> 8 & 0xff) /* leaf 0x8000001e */

static struct kvm_cpuid2 *made(const struct fake_cpu *cpu, struct arch_topology t, uint32_t id)
{
	struct kvm_cpuid2 *cpuid = fake_cpuid(cpu);

	cpuid_set_topology(cpuid, &t);
	cpuid_set_id(cpuid, &t, id);
	return cpuid;
}

static const struct kvm_cpuid_entry2 *leaf(struct kvm_cpuid2 *cpuid, uint32_t function,
					   uint32_t index)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, function, index);

	assert_non_null(e);
	return e;
}

static void ids_have_a_field_of_whole_bits_for_each_level(void **state)
{
	const struct arch_topology t = { 2, 3, 2 };
	const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(arch_cpu_id(&t, i), ids[i]);
}

static void ids_have_no_gaps_where_all_are_powers_of_two(void **state)
{
	const struct arch_topology flat = { 1, 200, 1 }, deep = { 4, 8, 2 };

	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(arch_cpu_id(&flat, i), i);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(arch_cpu_id(&deep, i), i);
}

static void intel_with_threads_and_gaps(void **state)
{
	struct kvm_cpuid2 *c = made(&fake_intel, (struct arch_topology){ 2, 6, 2 }, 0x1b);

	assert_int_equal(LOGICAL(leaf(c, 1, 0)), 12);
	assert_int_equal(APIC_ID(leaf(c, 1, 0)), 0x1b);
	assert_int_equal(HTT(leaf(c, 1, 0)), 1);
	/* First and second level: of a core. The third: of a socket, which has 16 IDs. */
	assert_int_equal(SHARING(leaf(c, 4, 0)), 1);
	assert_int_equal(SHARING(leaf(c, 4, 2)), 1);
	assert_int_equal(SHARING(leaf(c, 4, 3)), 15);
	assert_int_equal(CORE_IDS(leaf(c, 4, 3)), 7);
	assert_int_equal(leaf(c, 4, 4)->eax, 0);
	for (uint32_t function = 0xb; function <= 0x1f; function += 0x1f - 0xb) {
		assert_int_equal(leaf(c, function, 0)->eax, 1);
		assert_int_equal(leaf(c, function, 0)->ebx, 2);
		assert_int_equal(LEVEL_TYPE(leaf(c, function, 0)), 1);
		assert_int_equal(leaf(c, function, 1)->eax, 4);
		assert_int_equal(leaf(c, function, 1)->ebx, 12);
		assert_int_equal(leaf(c, function, 1)->ecx, 2 << 8 | 1);
		assert_int_equal(leaf(c, function, 2)->ebx, 0);
		assert_int_equal(leaf(c, function, 2)->ecx, 2); /* the end */
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(leaf(c, function, i)->edx, 0x1b);
	}
	/* AMD's, reserved here. */
	assert_int_equal(leaf(c, 0x80000008, 0)->ecx, 0);
	free(c);
}

static void intel_bounds_what_does_not_fit_its_field(void **state)
{
	struct kvm_cpuid2 *c = made(&fake_intel, (struct arch_topology){ 1, 255, 1 }, 254);

	assert_int_equal(LOGICAL(leaf(c, 1, 0)), 255);
	assert_int_equal(CORE_IDS(leaf(c, 4, 0)), 63);
	assert_int_equal(SHARING(leaf(c, 4, 3)), 255);
	assert_int_equal(leaf(c, 0xb, 1)->eax, 8);
	free(c);
}

static void amd_with_threads_and_sockets(void **state)
{
	struct kvm_cpuid2 *c = made(&fake_amd, (struct arch_topology){ 2, 3, 2 }, 0xd);
	const struct kvm_cpuid_entry2 *e;

	assert_int_equal(LOGICAL(leaf(c, 1, 0)), 6);
	assert_int_equal(HTT(leaf(c, 1, 0)), 1);
	assert_true(leaf(c, 0x80000001, 0)->ecx & 1 << 1); /* CmpLegacy */
	assert_int_equal(AMD_THREADS(leaf(c, 0x80000008, 0)), 5);
	assert_int_equal(AMD_ID_BITS(leaf(c, 0x80000008, 0)), 3);
	assert_int_equal(SHARING(leaf(c, 0x8000001d, 0)), 1);
	assert_int_equal(SHARING(leaf(c, 0x8000001d, 2)), 1);
	assert_int_equal(SHARING(leaf(c, 0x8000001d, 3)), 7);
	e = leaf(c, 0x8000001e, 0);
	assert_int_equal(e->eax, 0xd);
	assert_int_equal(e->ebx & 0xff, 2); /* the last core */
	assert_int_equal(CORE_THREADS(e), 1);
	assert_int_equal(e->ecx, 1); /* of the second socket */
	assert_int_equal(leaf(c, 0xb, 0)->edx, 0xd);
	/* The host's own levels would be taken before leaf 0xb. */
	e = leaf(c, 0x80000026, 0);
	assert_true(e->eax == 0 && e->ebx == 0 && e->ecx == 0 && e->edx == 0);
	free(c);
}

static void one_cpu_has_no_neighbours(void **state)
{
	struct kvm_cpuid2 *c = made(&fake_amd, (struct arch_topology){ 1, 1, 1 }, 0);

	assert_int_equal(LOGICAL(leaf(c, 1, 0)), 1);
	assert_int_equal(HTT(leaf(c, 1, 0)), 0);
	assert_int_equal(AMD_THREADS(leaf(c, 0x80000008, 0)), 0);
	assert_int_equal(SHARING(leaf(c, 0x8000001d, 3)), 0);
	free(c);
}

static void an_amd_without_the_topology_leaf_goes_without(void **state)
{
	struct kvm_cpuid2 *c = fake_cpuid(&fake_amd);

	cpuid_remove(c, 0xb, 0xb);
	cpuid_set_topology(c, &(struct arch_topology){ 1, 4, 1 });
	assert_null(cpuid_find(c, 0xb, 0));
	assert_null(cpuid_find(c, 0xb, 1));
	free(c);
}

static void an_old_amd_learns_of_threads(void **state)
{
	const struct arch_topology t = { 1, 2, 2 };
	struct kvm_cpuid2 *c = fake_cpuid(&fake_amd);
	struct kvm_cpuid_entry2 *features = cpuid_find(c, 0x80000001, 0);

	features->ecx &= ~(1u << 22);
	cpuid_find(c, 0x80000000, 0)->eax = 0x8000000a;
	cpuid_remove(c, 0x8000001d, 0x80000026);
	cpuid_set_topology(c, &t);
	cpuid_set_id(c, &t, 3);
	assert_int_equal(leaf(c, 0x80000000, 0)->eax, 0x8000001e);
	assert_true(leaf(c, 0x80000001, 0)->ecx & 1u << 22);
	assert_int_equal(leaf(c, 0x8000001e, 0)->eax, 3);
	assert_int_equal(leaf(c, 0x8000001e, 0)->ebx, 1 << 8 | 1);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_have_a_field_of_whole_bits_for_each_level),
		cmocka_unit_test(ids_have_no_gaps_where_all_are_powers_of_two),
		cmocka_unit_test(intel_with_threads_and_gaps),
		cmocka_unit_test(intel_bounds_what_does_not_fit_its_field),
		cmocka_unit_test(amd_with_threads_and_sockets),
		cmocka_unit_test(one_cpu_has_no_neighbours),
		cmocka_unit_test(an_old_amd_learns_of_threads),
		cmocka_unit_test(an_amd_without_the_topology_leaf_goes_without),
	};

	return cmocka_run_group_tests_name("cpuid_topology", tests, NULL, NULL);
}
