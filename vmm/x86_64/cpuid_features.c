/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --cpu: features by the names of Linux's /proc/cpuinfo, taken away with all that needs them, or
 * insisted on. [Linux arch/x86/include/asm/cpufeatures.h, arch/x86/kernel/cpu/cpuid-deps.c]. Main
 * thread.
 */
#include <errno.h>
#include <stdio.h>

#include "core/err.h"
#include "core/text.h"
#include "x86_64/cpuid_table.h"

enum reg { EAX, EBX, ECX, EDX };

#define BITS 32u

/*
 * The names of a register's bits from 0 on, as Linux prints them; "-": none that a user could mean.
 * Some names stand in several registers, where Intel and AMD put the same thing in different
 * places.
 */
static const struct reg_names {
	uint32_t function, index;
	enum reg reg;
	const char *names;
} registers[] = {
	{ LEAF_FEATURES, 0, EDX,
	  "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - "
	  "dts acpi mmx fxsr sse sse2 ss - tm ia64 pbe" },
	{ LEAF_FEATURES, 0, ECX,
	  "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - "
	  "pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c "
	  "rdrand" },
	{ LEAF_THERMAL_POWER, 0, EAX, "- - arat" },
	{ LEAF_STRUCTURED, 0, EBX,
	  "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a "
	  "avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf "
	  "avx512er "
	  "avx512cd sha_ni avx512bw avx512vl" },
	{ LEAF_STRUCTURED, 0, ECX,
	  "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 user_shstk gfni vaes vpclmulqdq "
	  "avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect "
	  "cldemote - movdiri movdir64b enqcmd sgx_lc pks" },
	{ LEAF_STRUCTURED, 0, EDX,
	  "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - "
	  "serialize - tsxldtrk - pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 "
	  "ibrs "
	  "stibp flush_l1d arch_capabilities - ssbd" },
	{ LEAF_STRUCTURED, 0, EDX, "- - - - - - - - - - - - - - - - - - - - - - - - - - ibpb" },
	{ LEAF_STRUCTURED, 1, EAX,
	  "sha512 sm3 sm4 - avx_vnni avx512_bf16 lass cmpccxadd - - fzrm fsrs fsrc - - - - fred "
	  "lkgs "
	  "wrmsrns - amx_fp16 - avx_ifma - - lam" },
	{ LEAF_STRUCTURED, 1, EDX,
	  "- - - - avx_vnni_int8 avx_ne_convert - - amx_complex - avx_vnni_int16 - - - prefetchi - "
	  "- "
	  "- - avx10" },
	{ LEAF_XSAVE, 1, EAX, "xsaveopt xsavec xgetbv1 xsaves xfd" },
	{ LEAF_EXT_FEATURES, 0, EDX,
	  "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp "
	  "- "
	  "lm 3dnowext 3dnow" },
	{ LEAF_EXT_FEATURES, 0, ECX,
	  "lahf_lm - svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
	  "skinit "
	  "wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc "
	  "perfctr_llc mwaitx" },
	{ LEAF_POWER, 0, EDX, "- - - - - - - - nonstop_tsc" },
	{ LEAF_POWER, 0, EDX, "- - - - - - - - constant_tsc" },
	{ LEAF_ADDRESS_SIZES, 0, EBX,
	  "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - ibpb - ibrs stibp - - - - - - - "
	  "amd_ppin ssbd virt_ssbd - cppc amd_psfd btc_no ibpb_ret brs" },
	{ LEAF_AMD_SVM, 0, EDX,
	  "npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists - - "
	  "pausefilter "
	  "- pfthreshold avic - v_vmsave_vmload vgif - x2avic - v_spec_ctrl - - - - vnmi" },
	{ LEAF_AMD_MORE, 0, EAX,
	  "no_nested_data_bp - lfence_rdtsc - - - null_sel_clr_base - autoibrs no_smm_ctl_msr - - "
	  "- "
	  "- - - - - - - - - - - - - - sbpb ibpb_brtype srso_no" },
};

/* What has an option of its own. */
static const struct {
	const char *name, *option;
} elsewhere[] = {
	{ "ht", "--cpus" },
	{ "cmp_legacy", "--cpus" },
	{ "hypervisor", "--hide-hypervisor" },
};

/* The first needs the second. */
static const struct {
	const char *name, *needs;
} dependencies[] = {
	{ "sse", "fxsr" },
	{ "mmx", "fxsr" },
	{ "fxsr_opt", "fxsr" },
	{ "sse2", "sse" },
	{ "pni", "sse2" },
	{ "ssse3", "pni" },
	{ "sse4_1", "ssse3" },
	{ "sse4_2", "sse4_1" },
	{ "sse4a", "pni" },
	{ "misalignsse", "sse" },
	{ "aes", "sse2" },
	{ "pclmulqdq", "sse2" },
	{ "gfni", "sse2" },
	{ "sha_ni", "sse2" },
	{ "mmxext", "mmx" },
	{ "3dnow", "mmx" },
	{ "3dnowext", "3dnow" },
	{ "xsaveopt", "xsave" },
	{ "xsavec", "xsave" },
	{ "xgetbv1", "xsave" },
	{ "xsaves", "xsavec" },
	{ "xfd", "xsave" },
	{ "pku", "xsave" },
	{ "mpx", "xsave" },
	{ "avx", "xsave" },
	{ "avx", "sse4_2" },
	{ "user_shstk", "xsaves" },
	{ "arch_lbr", "xsaves" },
	{ "avx2", "avx" },
	{ "f16c", "avx" },
	{ "fma", "avx" },
	{ "fma4", "avx" },
	{ "xop", "avx" },
	{ "vaes", "avx" },
	{ "vpclmulqdq", "avx" },
	{ "sha512", "avx2" },
	{ "sm3", "avx" },
	{ "sm4", "avx" },
	{ "avx_vnni", "avx2" },
	{ "avx_ifma", "avx2" },
	{ "avx_vnni_int8", "avx2" },
	{ "avx_vnni_int16", "avx2" },
	{ "avx_ne_convert", "avx2" },
	{ "avx512f", "avx2" },
	{ "avx512f", "fma" },
	{ "avx512f", "f16c" },
	{ "avx512cd", "avx512f" },
	{ "avx512dq", "avx512f" },
	{ "avx512bw", "avx512f" },
	{ "avx512vl", "avx512f" },
	{ "avx512er", "avx512f" },
	{ "avx512pf", "avx512f" },
	{ "avx512ifma", "avx512f" },
	{ "avx512_4vnniw", "avx512f" },
	{ "avx512_4fmaps", "avx512f" },
	{ "avx512_vpopcntdq", "avx512f" },
	{ "avx512vbmi", "avx512bw" },
	{ "avx512_vbmi2", "avx512bw" },
	{ "avx512_bitalg", "avx512bw" },
	{ "avx512_vnni", "avx512f" },
	{ "avx512_bf16", "avx512bw" },
	{ "avx512_fp16", "avx512bw" },
	{ "avx512_vp2intersect", "avx512f" },
	{ "avx10", "avx512f" },
	{ "amx_tile", "xfd" },
	{ "amx_int8", "amx_tile" },
	{ "amx_bf16", "amx_tile" },
	{ "amx_fp16", "amx_tile" },
	{ "amx_complex", "amx_tile" },
	{ "rdtscp", "tsc" },
	{ "constant_tsc", "tsc" },
	{ "tsc_adjust", "tsc" },
	{ "tsc_deadline_timer", "tsc" },
	{ "tsc_deadline_timer", "apic" },
	{ "x2apic", "apic" },
	{ "enqcmd", "xsaves" },
	{ "fred", "lkgs" },
};

/* AMD has these bits of leaf 1's EDX once more at the same place. [AMD-APM 3 E.4.2] */
#define AMD_ALIASES 0x0183f3ffu

#define NAME_LEN 32u

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &e->eax;
	case EBX:
		return &e->ebx;
	case ECX:
		return &e->ecx;
	case EDX:
		break;
	}
	return &e->edx;
}

/* The next word of *pos, which moves behind it; false at the end. */
static bool next_name(const char **pos, char name[NAME_LEN])
{
	const size_t len = strcspn(*pos, " ");

	if (!len)
		return false;
	snprintf(name, NAME_LEN, "%.*s", (int)len, *pos);
	*pos += len + ((*pos)[len] == ' ');
	return true;
}

/* Which bit of `r` has this name; BITS if none has. */
static unsigned bit_of(const struct reg_names *r, const char *name)
{
	const char *pos = r->names;
	char known[NAME_LEN];
	unsigned bit = 0;

	for (; next_name(&pos, known); bit++) {
		if (strcmp(known, name) == 0)
			return bit;
	}
	return BITS;
}

bool cpuid_feature_known(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		if (strcmp(name, "-") != 0 && bit_of(&registers[i], name) < BITS)
			return true;
	}
	return false;
}

/* The register `r` of the table, with the bit of this name; NULL if it has none, or is not there.
 */
static uint32_t *find_feature(struct kvm_cpuid2 *cpuid, const struct reg_names *r, const char *name,
			      uint32_t *ret_mask)
{
	const unsigned bit = bit_of(r, name);
	struct kvm_cpuid_entry2 *e = bit < BITS ? cpuid_find(cpuid, r->function, r->index) : NULL;

	if (!e)
		return NULL;
	*ret_mask = 1u << bit;
	return reg_of(e, r->reg);
}

bool cpuid_has_feature(struct kvm_cpuid2 *cpuid, const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		uint32_t mask;
		const uint32_t *reg = find_feature(cpuid, &registers[i], name, &mask);

		if (reg && *reg & mask)
			return true;
	}
	return false;
}

static void clear_feature(struct kvm_cpuid2 *cpuid, const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct reg_names *r = &registers[i];
		uint32_t mask, *reg = find_feature(cpuid, r, name, &mask);
		struct kvm_cpuid_entry2 *e;

		if (!reg)
			continue;
		*reg &= ~mask;
		if (r->function != LEAF_FEATURES || r->reg != EDX || !cpuid_is_amd(cpuid))
			continue;
		e = cpuid_find(cpuid, LEAF_EXT_FEATURES, 0);
		if (e)
			e->edx &= ~(mask & AMD_ALIASES);
	}
}

/* Each pass takes away at least one feature, or is the last. */
static bool clear_dependents(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *before)
{
	bool cleared = false;

	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++) {
		const char *name = dependencies[i].name, *needs = dependencies[i].needs;

		if (!cpuid_has_feature(cpuid, name) || cpuid_has_feature(cpuid, needs) ||
		    !cpuid_has_feature(before, needs))
			continue;
		clear_feature(cpuid, name);
		cleared = true;
	}
	return cleared;
}

static int unknown_feature(const char *name)
{
	const char *near = NULL;
	size_t best = SIZE_MAX;
	char known[NAME_LEN], nearest[NAME_LEN];

	for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		if (strcmp(name, elsewhere[i].name) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--cpu: '%s' follows from %s", name,
				       elsewhere[i].option);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		for (const char *pos = registers[i].names; next_name(&pos, known);) {
			const size_t d = text_nearness(name, known);

			if (d >= best || strcmp(known, "-") == 0)
				continue;
			best = d;
			near = strcpy(nearest, known);
		}
	}
	err_set(ERR_USAGE, -EINVAL, "--cpu: '%s' is no feature of an x86 CPU that is known here",
		name);
	if (near)
		err_hint("did you mean %s?", near);
	else
		err_hint("the names are those of the flags in Linux's /proc/cpuinfo");
	return -EINVAL;
}

/* One part of the text, with its sign. */
static int choose(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *before, const char *part,
		  bool wanted)
{
	const char *name = part + 1;

	if (!cpuid_feature_known(name))
		return unknown_feature(name);
	if ((*part == '+') != wanted)
		return 0;
	if (!wanted) {
		clear_feature(cpuid, name);
		return 0;
	}
	if (cpuid_has_feature(cpuid, name))
		return 0;
	if (cpuid_has_feature(before, name)) {
		err_set(ERR_USAGE, -EINVAL, "--cpu: +%s cannot be kept", name);
		err_hint("it, or a feature that it needs, is left out with a minus");
		return -EINVAL;
	}
	err_set(ERR_HOST, -ENOTSUP, "--cpu: KVM on this host has no %s for a guest", name);
	err_hint("leave out +%s: what KVM has is given without asking", name);
	return -ENOTSUP;
}

static int choose_all(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *before, const char *features,
		      bool wanted)
{
	int r = 0;

	while (*features && r == 0) {
		const size_t len = strcspn(features, ",");
		char part[2 * NAME_LEN];

		snprintf(part, sizeof(part), "%.*s", (int)len, features);
		r = choose(cpuid, before, part, wanted);
		features += len + (features[len] == ',');
	}
	return r;
}

int cpuid_choose_features(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *before, const char *features)
{
	int r = choose_all(cpuid, before, features, false);

	if (r < 0)
		return r;
	while (clear_dependents(cpuid, before))
		;
	cpuid_fit_state(cpuid);
	return choose_all(cpuid, before, features, true);
}
