/* SPDX-License-Identifier: Apache-2.0 */
/* EFI programs; see efi_image.h. */
#include "boot/efi_image.h"

#include <errno.h>

#include "core/err.h"

/* [PE Format, MS-DOS Stub, COFF File Header, Optional Header, Section Table] */
#define DOS_MAGIC             "MZ"
#define DOS_PE_OFF            0x3cu
#define PE_MAGIC              "PE\0"
#define PE_MACHINE            4u
#define PE_SECTIONS           6u
#define PE_OPTIONAL_SIZE      20u
#define PE_OPTIONAL           24u
#define OPTIONAL_SUBSYSTEM    68u
#define OPTIONAL_HEAD         70u /* so far it is looked at */
#define SECTION_SIZE          40u
#define SECTION_RAW_SIZE      16u
#define SECTION_RAW_OFF       20u
#define SUBSYSTEM_EFI_PROGRAM 10u
#define MACHINE_X86_64        0x8664u

static const struct {
	uint16_t machine;
	const char *name;
} machines[] = {
	{ 0x014c, "a 32-bit x86" }, { MACHINE_X86_64, "x86-64" }, { 0x01c2, "32-bit Arm" },
	{ 0xaa64, "arm64" },        { 0x5064, "64-bit RISC-V" },  { 0x6264, "LoongArch" },
};

bool efi_image_detect(const uint8_t *head, size_t len)
{
	return len >= 2 && memcmp(head, DOS_MAGIC, 2) == 0;
}

/* The offset of the PE header, of which COFF's part and the optional header's fixed one are there.
 */
static bool find_pe(const uint8_t *head, size_t len, uint64_t *ret_pe)
{
	uint64_t pe;

	if (len < DOS_PE_OFF + 4 || !efi_image_detect(head, len))
		return false;
	pe = load_le(head + DOS_PE_OFF, 4);
	if (!range_fits(pe, PE_OPTIONAL + OPTIONAL_HEAD, len) ||
	    memcmp(head + pe, PE_MAGIC, 4) != 0)
		return false;
	*ret_pe = pe;
	return true;
}

const char *efi_image_machine(const uint8_t *head, size_t len)
{
	uint64_t pe;

	if (!find_pe(head, len, &pe))
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		if (load_le(head + pe + PE_MACHINE, 2) == machines[i].machine)
			return machines[i].name;
	}
	return NULL;
}

/* All that the sections have in the file has to be there. */
static bool sections_fit(const uint8_t *head, size_t len, uint64_t pe, uint64_t size)
{
	const uint64_t count = load_le(head + pe + PE_SECTIONS, 2);
	const uint64_t first = pe + PE_OPTIONAL + load_le(head + pe + PE_OPTIONAL_SIZE, 2);

	if (count == 0 || !range_fits(first, count * SECTION_SIZE, len))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *section = head + first + i * SECTION_SIZE;

		if (!range_fits(load_le(section + SECTION_RAW_OFF, 4),
				load_le(section + SECTION_RAW_SIZE, 4), size))
			return false;
	}
	return true;
}

int efi_image_check(const uint8_t *head, size_t len, uint64_t size)
{
	uint64_t pe, machine;

	if (!find_pe(head, len, &pe)) {
		err_set(ERR_FILE, -EINVAL, "it is no EFI program, which is what firmware starts");
		err_hint("give a Linux kernel with an EFI stub (CONFIG_EFI_STUB) or a unified "
			 "kernel image, or leave out --firmware");
		return -EINVAL;
	}
	machine = load_le(head + pe + PE_MACHINE, 2);
	if (machine != MACHINE_X86_64) {
		const char *name = efi_image_machine(head, len);

		err_set(ERR_FILE, -EINVAL, "it is an EFI program for %s",
			name ? name : "another kind of machine");
		err_hint("this machine is an x86-64");
		return -EINVAL;
	}
	if (load_le(head + pe + PE_OPTIONAL + OPTIONAL_SUBSYSTEM, 2) != SUBSYSTEM_EFI_PROGRAM)
		return err_set(ERR_FILE, -EINVAL, "it is a program for Windows or an EFI driver");
	if (!sections_fit(head, len, pe, size))
		return err_set(ERR_FILE, -EINVAL, "the EFI program is truncated or damaged");
	return 0;
}
