/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64-bit mode, the lowest 4 GiB identity-mapped with 2 MiB pages: accesses of 8 bytes, which 32-bit
 * code cannot make. The test puts the address to access into the mailbox.
 */
#include "guest.inc"

#define PTE_TABLE 0x7	/* present, writable, user */
#define PTE_LARGE 0x83	/* present, writable, 2 MiB */
#define CR4_PAE	  0x20
#define CR0_PG	  0x80000000
#define MSR_EFER  0xc0000080
#define EFER_LME  0x100

	.code16
start:
	enter_protected_mode
	/* PML4 -> one PDPT -> four page directories; RAM is zero at start. */
	movl	$GUEST_TABLES + 0x1000 + PTE_TABLE, GUEST_TABLES
	movl	$GUEST_TABLES + 0x2000 + PTE_TABLE, %eax
	movl	$GUEST_TABLES + 0x1000, %edi
	movl	$4, %ecx
1:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	decl	%ecx
	jnz	1b
	movl	$PTE_LARGE, %eax
	movl	$GUEST_TABLES + 0x2000, %edi
	movl	$4 * 512, %ecx
2:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	decl	%ecx
	jnz	2b

	movl	$GUEST_TABLES, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE64, $3f
	.code64
3:	movl	GUEST_MAILBOX, %ebx
	movq	(%rbx), %rcx
	report	%ecx
	shrq	$32, %rcx
	report	%ecx
	movabsq	$0x1122334455667788, %rcx
	movq	%rcx, 8(%rbx)
	report	$1
	/* 4 bytes before the end of a page, 4 behind it. */
	movq	0xffc(%rbx), %rcx
	report	%ecx
	shrq	$32, %rcx
	report	%ecx
	movabsq	$0x99aabbccddeeff00, %rcx
	movq	%rcx, 0xffc(%rbx)
	report	$2
	halt
