/* SPDX-License-Identifier: Apache-2.0 */
/* The leaves in which a hypervisor tells of itself: KVM's, under another name, and Hyper-V's. */
#include "cmocka_all.h"
#include "fake_cpuid.h"

#define KVM_UNHALT (1u << 7)

/* As KVM of Linux 6.1 answers KVM_GET_SUPPORTED_HV_CPUID on Intel, with all that it can. */
static const struct kvm_cpuid_entry2 hyperv_leaves[] = {
	{ .function = 0x40000000,
	  .eax = 0x40000082,
	  .ebx = 0x756e694c,
	  .ecx = 0x564b2078,
	  .edx = 0x7648204d },
	{ .function = 0x40000001, .eax = 0x31237648 },
	{ .function = 0x40000002, .eax = 0x3839, .ebx = 0xa0000 },
	{ .function = 0x40000003, .eax = 0x2eff, .ebx = 0x100830, .edx = 0x80d10 },
	{ .function = 0x40000004, .eax = 0x4e2c, .ebx = 0xfff },
	{ .function = 0x40000005, .eax = 0x400, .ebx = 0x40 },
	{ .function = 0x4000000a, .eax = 0x101 },
	{ .function = 0x40000080, .eax = 0x40000082 },
};

static const struct fake_cpu hyperv = { hyperv_leaves, ARRAY_SIZE(hyperv_leaves) };

static const struct kvm_cpuid_entry2 *leaf(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, function, 0);

	assert_non_null(e);
	return e;
}

static void assert_name(struct kvm_cpuid2 *cpuid, uint32_t function, const char *name)
{
	char text[13] = { 0 };

	memcpy(text, &leaf(cpuid, function)->ebx, 12);
	assert_string_equal(text, name);
}

static struct kvm_cpuid2 *as_hyperv(const char *vendor)
{
	struct kvm_cpuid2 *cpuid = fake_cpuid(&fake_intel), *answer = fake_cpuid(&hyperv);

	cpuid_set_hyperv(cpuid, answer, vendor);
	free(answer);
	return cpuid;
}

static void hidden_leaves_nothing(void **state)
{
	struct kvm_cpuid2 *c = fake_cpuid(&fake_intel);

	cpuid_hide_hypervisor(c);
	assert_null(cpuid_find(c, 0x40000000, 0));
	assert_null(cpuid_find(c, 0x40000001, 0));
	assert_int_equal(c->nent, fake_intel.count - 2);
	free(c);
}

static void another_vendor_comes_before_kvm(void **state)
{
	struct kvm_cpuid2 *c = fake_cpuid(&fake_intel);

	cpuid_set_vendor(c, "Acme Inc");
	assert_name(c, 0x40000000, "Acme Inc");
	assert_int_equal(leaf(c, 0x40000000)->eax, 0x40000000);
	assert_name(c, 0x40000100, "KVMKVMKVM");
	assert_int_equal(leaf(c, 0x40000100)->eax, 0x40000101);
	assert_int_equal(leaf(c, 0x40000101)->eax, 0x01007efb);
	free(c);
}

static void dedicated_is_a_hint_and_no_wake_up_by_hypercall(void **state)
{
	struct kvm_cpuid2 *c = fake_cpuid(&fake_intel);

	cpuid_set_dedicated(c, true);
	assert_int_equal(leaf(c, 0x40000001)->edx, 1);
	assert_int_equal(leaf(c, 0x40000001)->eax, 0x01007efb & ~KVM_UNHALT);
	free(c);
	c = fake_cpuid(&fake_intel);
	cpuid_set_dedicated(c, false);
	assert_int_equal(leaf(c, 0x40000001)->eax, 0x01007efb);
	free(c);
}

static void hyperv_takes_the_place_of_kvm(void **state)
{
	struct kvm_cpuid2 *c = as_hyperv(NULL);

	assert_name(c, 0x40000000, "Microsoft Hv");
	assert_int_equal(leaf(c, 0x40000000)->eax, 0x40000005);
	assert_int_equal(leaf(c, 0x40000001)->eax, 0x31237648); /* "Hv#1" */
	assert_int_equal(leaf(c, 0x40000005)->eax, 0x400);
	/* Neither KVM's leaves nor the debugger's nor those for guests in the guest. */
	assert_null(cpuid_find(c, 0x40000100, 0));
	assert_null(cpuid_find(c, 0x4000000a, 0));
	assert_null(cpuid_find(c, 0x40000080, 0));
	free(c);
}

static void hyperv_offers_what_works_here(void **state)
{
	struct kvm_cpuid2 *c = as_hyperv(NULL);

	assert_int_equal(leaf(c, 0x40000003)->eax, 0xeff); /* all but reenlightenment */
	assert_int_equal(leaf(c, 0x40000003)->ebx, 0);
	assert_int_equal(leaf(c, 0x40000003)->edx, 0x80510);
	/* No enlightened VMCS; AutoEOI is discouraged. */
	assert_int_equal(leaf(c, 0x40000004)->eax, (0x4e2c & ~0x4000) | 0x200);
	free(c);
}

static void hyperv_under_another_name_is_still_hyperv(void **state)
{
	struct kvm_cpuid2 *c = as_hyperv("Acme Inc");

	assert_name(c, 0x40000000, "Acme Inc");
	assert_int_equal(leaf(c, 0x40000000)->eax, 0x40000005);
	assert_int_equal(leaf(c, 0x40000001)->eax, 0x31237648);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hidden_leaves_nothing),
		cmocka_unit_test(another_vendor_comes_before_kvm),
		cmocka_unit_test(dedicated_is_a_hint_and_no_wake_up_by_hypercall),
		cmocka_unit_test(hyperv_takes_the_place_of_kvm),
		cmocka_unit_test(hyperv_offers_what_works_here),
		cmocka_unit_test(hyperv_under_another_name_is_still_hyperv),
	};

	return cmocka_run_group_tests_name("cpuid_hypervisor", tests, NULL, NULL);
}
