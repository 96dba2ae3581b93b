/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that costs exits: four loops of accesses to cheap registers that the VMM handles, each timed by
 * the TSC, one line on COM1 for each, then ACPI's power-off. An ELF file with a PVH entry, for
 * tinyvmm --kernel and for bare. With BATCHES 0 it is the shortest life a
 * guest can have, and with IDLE it sleeps instead of ending.
 */
#ifndef BATCHES
#define BATCHES 1000
#endif
#define BATCH_SHIFT 6 /* accesses */

#define COM1         0x3f8
#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define CMOS_MEMORY  0x34       /* a register without a function */
#define ECAM_LPC     0xe00f8000 /* its vendor ID, where tinyvmm has ECAM */
#define PM1_CONTROL  0x604
#define PM1_SLEEP_S5 0x2000

#define XEN_ELFNOTE_PHYS32_ENTRY 18

	.section .note, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long start

	.text
	.code32

/*
 * Prints "name cycles" for one access, in the quickest of all batches: in the others something else ran
 * on the host's CPU. Clobbers all but ecx.
 */
.macro timed name, access:vararg
	movl	$BATCHES, batches
	movl	$-1, quickest
1:	mov	$1 << BATCH_SHIFT, %ebp
	lfence
	rdtsc
	mov	%eax, %esi
2:	\access
	dec	%ebp
	jnz	2b
	lfence
	rdtsc
	sub	%esi, %eax
	cmp	quickest, %eax
	jae	3f
	mov	%eax, quickest
3:	decl	batches
	jnz	1b
	mov	$4f, %esi
	call	report
	.section .rodata
4:	.asciz "\name"
	.text
.endm

/* A statement each, as an argument of a macro ends at a semicolon. */
.macro	port_write
	mov	%ecx, %eax
	out	%al, $CMOS_INDEX
.endm

	.globl start
start:
	mov	$stack_end, %esp
	mov	$CMOS_MEMORY, %al
	out	%al, $CMOS_INDEX
#if BATCHES > 0
	mov	$CMOS_MEMORY, %ecx
	timed	"port-write ", port_write
	timed	"port-read ", in $CMOS_DATA, %al
	timed	"mmio-write ", mov %ecx, ECAM_LPC
	timed	"mmio-read ", mov ECAM_LPC, %ecx
#endif
#ifndef IDLE
	mov	$PM1_CONTROL, %dx
	mov	$PM1_SLEEP_S5, %ax
	out	%ax, %dx
#endif
3:	hlt
	jmp	3b

/* The string at esi, then the cycles, and a line feed. */
report:
	mov	$COM1, %dx
4:	lodsb
	test	%al, %al
	jz	5f
	out	%al, %dx
	jmp	4b
5:	mov	quickest, %eax
	shr	$BATCH_SHIFT, %eax
	mov	$10, %ecx
	xor	%edi, %edi
6:	xor	%edx, %edx
	div	%ecx
	push	%edx
	inc	%edi
	test	%eax, %eax
	jnz	6b
	mov	$COM1, %dx
7:	pop	%eax
	add	$'0', %al
	out	%al, %dx
	dec	%edi
	jnz	7b
	mov	$'\n', %al
	out	%al, %dx
	mov	$CMOS_MEMORY, %ecx
	ret

	.bss
batches:
	.space	4
quickest:
	.space	4
	.space	4096
stack_end:
