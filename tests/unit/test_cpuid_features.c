/* SPDX-License-Identifier: Apache-2.0 */
/* --cpu: what is taken away takes along what needs it, and the leaves that describe it. */
#include "cmocka_all.h"
#include "fake_cpuid.h"

#include <errno.h>

#include "core/err.h"

static int choose(const struct fake_cpu *cpu, const char *features, struct kvm_cpuid2 **ret_cpuid)
{
	struct kvm_cpuid2 *before = fake_cpuid(cpu);
	int r;

	err_clear();
	*ret_cpuid = fake_cpuid(cpu);
	r = cpuid_choose_features(*ret_cpuid, before, features);
	free(before);
	return r;
}

static struct kvm_cpuid2 *chosen(const struct fake_cpu *cpu, const char *features)
{
	struct kvm_cpuid2 *cpuid;

	if (choose(cpu, features, &cpuid) < 0)
		fail_msg("%s", err_text());
	return cpuid;
}

static void refused(const struct fake_cpu *cpu, const char *features, int error, const char *text,
		    const char *hint)
{
	struct kvm_cpuid2 *cpuid;

	assert_int_equal(choose(cpu, features, &cpuid), error);
	assert_string_equal(err_text(), text);
	assert_string_equal(err_hint_text(), hint);
	free(cpuid);
}

static void a_feature_that_is_there_changes_nothing(void **state)
{
	struct kvm_cpuid2 *plain = fake_cpuid(&fake_intel);
	struct kvm_cpuid2 *c = chosen(&fake_intel, "+aes,+avx512f,+amx_tile");

	assert_memory_equal(c->entries, plain->entries, plain->nent * sizeof(plain->entries[0]));
	free(plain);
	free(c);
}

static void one_feature_goes_alone(void **state)
{
	struct kvm_cpuid2 *plain = fake_cpuid(&fake_intel);
	struct kvm_cpuid2 *c = chosen(&fake_intel, "-aes");

	cpuid_find(plain, 1, 0)->ecx &= ~(1u << 25);
	assert_memory_equal(c->entries, plain->entries, plain->nent * sizeof(plain->entries[0]));
	free(plain);
	free(c);
}

static void without_avx_there_is_none_of_its_family_nor_its_state(void **state)
{
	static const char *const family[] = { "avx",         "avx2",        "fma",
					      "f16c",        "avx512f",     "vaes",
					      "avx512_fp16", "avx512_bf16", "avx_vnni" };
	struct kvm_cpuid2 *c = chosen(&fake_intel, "-avx");

	for (unsigned i = 0; i < ARRAY_SIZE(family); i++)
		assert_false(cpuid_has_feature(c, family[i]));
	assert_true(cpuid_has_feature(c, "aes"));
	assert_true(cpuid_has_feature(c, "xsave"));
	/* SSE, protection keys and AMX stay. */
	assert_int_equal(cpuid_find(c, 0xd, 0)->eax, 0x60203);
	for (uint32_t bit = 2; bit <= 7; bit++)
		assert_true(!cpuid_find(c, 0xd, bit) || !cpuid_find(c, 0xd, bit)->eax);
	assert_int_equal(cpuid_find(c, 0xd, 0)->ecx, 0x2b00); /* where AMX ends, as before */
	free(c);
}

static void the_area_shrinks_with_its_last_component(void **state)
{
	struct kvm_cpuid2 *c = chosen(&fake_intel, "-amx_tile");

	assert_false(cpuid_has_feature(c, "amx_bf16"));
	assert_int_equal(cpuid_find(c, 0xd, 0)->eax, 0x2e7);
	assert_int_equal(cpuid_find(c, 0xd, 0)->ecx, 0xa88); /* protection keys are the last */
	assert_int_equal(cpuid_find(c, 0x1d, 1)->eax, 0);
	assert_int_equal(cpuid_find(c, 0x1e, 0)->ebx, 0);
	free(c);
	c = chosen(&fake_amd, "-pku,-avx512f");
	assert_int_equal(cpuid_find(c, 0xd, 0)->eax, 0x7);
	assert_int_equal(cpuid_find(c, 0xd, 0)->ecx, 0x340);
	free(c);
}

static void shadow_stacks_take_their_supervisor_state_along(void **state)
{
	struct kvm_cpuid2 *c = chosen(&fake_intel, "-user_shstk");

	assert_int_equal(cpuid_find(c, 0xd, 1)->ecx, 0);
	assert_int_equal(cpuid_find(c, 0xd, 11)->eax, 0);
	assert_int_equal(cpuid_find(c, 0xd, 1)->eax, 0x1f);
	free(c);
}

static void without_xsave_there_is_no_extended_state(void **state)
{
	struct kvm_cpuid2 *c = chosen(&fake_amd, "-xsave");

	assert_false(cpuid_has_feature(c, "avx2"));
	assert_false(cpuid_has_feature(c, "pku"));
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0xd)
			assert_true(!e->eax && !e->ebx && !e->ecx && !e->edx);
	}
	free(c);
}

static void amd_has_bits_of_leaf_1_twice(void **state)
{
	struct kvm_cpuid2 *c = chosen(&fake_amd, "-mmx");

	assert_false(cpuid_find(c, 1, 0)->edx & 1u << 23);
	assert_false(cpuid_find(c, 0x80000001, 0)->edx & 1u << 23);
	assert_false(cpuid_has_feature(c, "mmxext")); /* needs it */
	assert_true(cpuid_has_feature(c, "syscall"));
	free(c);
}

static void a_name_of_both_makers_is_cleared_where_it_is(void **state)
{
	struct kvm_cpuid2 *c = chosen(&fake_amd, "-ibpb,-stibp");

	assert_int_equal(cpuid_find(c, 0x80000008, 0)->ebx & (1u << 12 | 1u << 15), 0);
	assert_true(cpuid_find(c, 0x80000008, 0)->ebx & 1u << 14); /* ibrs */
	free(c);
}

static void what_the_host_lacks_is_not_held_against_what_needs_it(void **state)
{
	struct kvm_cpuid2 *before = fake_cpuid(&fake_intel), *c = fake_cpuid(&fake_intel);

	/* No fma, as KVM has it; avx512f is not taken away for that. */
	cpuid_find(before, 1, 0)->ecx &= ~(1u << 12);
	cpuid_find(c, 1, 0)->ecx &= ~(1u << 12);
	assert_int_equal(cpuid_choose_features(c, before, "-aes"), 0);
	assert_true(cpuid_has_feature(c, "avx512f"));
	free(before);
	free(c);
}

static void names_that_cannot_be_are_told_why(void **state)
{
	refused(&fake_intel, "-avx512", -EINVAL,
		"--cpu: 'avx512' is no feature of an x86 CPU that is known here",
		"did you mean avx512f?");
	refused(&fake_intel, "+sse4.1", -EINVAL,
		"--cpu: 'sse4.1' is no feature of an x86 CPU that is known here",
		"did you mean sse4_1?");
	refused(&fake_intel, "-quantum", -EINVAL,
		"--cpu: 'quantum' is no feature of an x86 CPU that is known here",
		"the names are those of the flags in Linux's /proc/cpuinfo");
	refused(&fake_intel, "--", -EINVAL,
		"--cpu: '-' is no feature of an x86 CPU that is known here",
		"the names are those of the flags in Linux's /proc/cpuinfo");
	refused(&fake_intel, "-ht", -EINVAL, "--cpu: 'ht' follows from --cpus", "");
	refused(&fake_intel, "+sse4a", -ENOTSUP, "--cpu: KVM on this host has no sse4a for a guest",
		"leave out +sse4a: what KVM has is given without asking");
	refused(&fake_intel, "-avx,+avx2", -EINVAL, "--cpu: +avx2 cannot be kept",
		"it, or a feature that it needs, is left out with a minus");
	refused(&fake_intel, "+aes,-aes", -EINVAL, "--cpu: +aes cannot be kept",
		"it, or a feature that it needs, is left out with a minus");
}

static void the_names_are_those_of_cpuinfo(void **state)
{
	/* Of one register each, at the ends of the tables too. */
	static const char *const known[] = { "fpu",     "pbe",         "pni",         "rdrand",
					     "arat",    "avx512vl",    "pks",         "ssbd",
					     "lam",     "avx10",       "xfd",         "3dnow",
					     "mwaitx",  "nonstop_tsc", "brs",         "vnmi",
					     "srso_no", "ibpb",        "constant_tsc" };

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		assert_true(cpuid_feature_known(known[i]));
	assert_false(cpuid_feature_known("-"));
	assert_false(cpuid_feature_known(""));
}

/* The last bit's name of a register, where miscounting would show. */
static void names_stand_at_their_bits(void **state)
{
	static const struct {
		const char *name;
		uint32_t function, index;
		unsigned reg, bit; /* 0: EAX */
	} bits[] = {
		{ "pbe", 1, 0, 3, 31 },
		{ "clflush", 1, 0, 3, 19 },
		{ "rdrand", 1, 0, 2, 30 },
		{ "sse4_1", 1, 0, 2, 19 },
		{ "avx512vl", 7, 0, 1, 31 },
		{ "smep", 7, 0, 1, 7 },
		{ "la57", 7, 0, 2, 16 },
		{ "pks", 7, 0, 2, 31 },
		{ "rdpid", 7, 0, 2, 22 },
		{ "ssbd", 7, 0, 3, 31 },
		{ "ibpb", 7, 0, 3, 26 },
		{ "arch_capabilities", 7, 0, 3, 29 },
		{ "amx_tile", 7, 0, 3, 24 },
		{ "lam", 7, 1, 0, 26 },
		{ "avx512_bf16", 7, 1, 0, 5 },
		{ "avx10", 7, 1, 3, 19 },
		{ "xfd", 0xd, 1, 0, 4 },
		{ "3dnow", 0x80000001, 0, 3, 31 },
		{ "nx", 0x80000001, 0, 3, 20 },
		{ "lm", 0x80000001, 0, 3, 29 },
		{ "mwaitx", 0x80000001, 0, 2, 29 },
		{ "topoext", 0x80000001, 0, 2, 22 },
		{ "nonstop_tsc", 0x80000007, 0, 3, 8 },
		{ "brs", 0x80000008, 0, 1, 31 },
		{ "ssbd", 0x80000008, 0, 1, 24 },
		{ "vnmi", 0x8000000a, 0, 3, 25 },
		{ "vgif", 0x8000000a, 0, 3, 16 },
		{ "srso_no", 0x80000021, 0, 0, 29 },
		{ "autoibrs", 0x80000021, 0, 0, 8 },
		{ "arat", 6, 0, 0, 2 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		const struct fake_cpu nothing = { 0 };
		struct kvm_cpuid2 *c = fake_cpuid(&nothing);
		struct kvm_cpuid_entry2 *e = cpuid_add(c, bits[i].function, bits[i].index);
		uint32_t *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

		assert_false(cpuid_has_feature(c, bits[i].name));
		*regs[bits[i].reg] = 1u << bits[i].bit;
		if (!cpuid_has_feature(c, bits[i].name))
			fail_msg("%s is elsewhere", bits[i].name);
		free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_feature_that_is_there_changes_nothing),
		cmocka_unit_test(one_feature_goes_alone),
		cmocka_unit_test(without_avx_there_is_none_of_its_family_nor_its_state),
		cmocka_unit_test(the_area_shrinks_with_its_last_component),
		cmocka_unit_test(shadow_stacks_take_their_supervisor_state_along),
		cmocka_unit_test(without_xsave_there_is_no_extended_state),
		cmocka_unit_test(amd_has_bits_of_leaf_1_twice),
		cmocka_unit_test(a_name_of_both_makers_is_cleared_where_it_is),
		cmocka_unit_test(what_the_host_lacks_is_not_held_against_what_needs_it),
		cmocka_unit_test(names_that_cannot_be_are_told_why),
		cmocka_unit_test(the_names_are_those_of_cpuinfo),
		cmocka_unit_test(names_stand_at_their_bits),
	};

	return cmocka_run_group_tests_name("cpuid_features", tests, NULL, NULL);
}
