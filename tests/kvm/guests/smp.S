/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts all other processors with INIT and SIPI. Every processor then fills its entry in the table
 * of processors (CPUID leaf 1's ID, leaf 0xb's ID, local APIC's ID) and counts for ever in the
 * fourth dword, with an exit to an absent port now and then.
 */
#include "guest.inc"

#define PORT_ABSENT 0xe0

	.code16
start:
	enter_protected_mode
	/* Real-mode processors start below 1 MiB: give them a copy. */
	movl	$ap_start, %esi
	movl	$GUEST_AP_CODE, %edi
	movl	$ap_end - ap_start, %ecx
	rep movsb
	movl	$SVR_ENABLE | SPURIOUS, LAPIC + LAPIC_SVR
	movl	$ICR_INIT, LAPIC + LAPIC_ICR
	movl	$ICR_SIPI | GUEST_AP_CODE >> 12, LAPIC + LAPIC_ICR

every_cpu:
	movl	$0xb, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%edx, %ebp		/* our number */
	shll	$4, %ebp
	addl	$GUEST_CPU_TABLE, %ebp
	movl	%edx, 4(%ebp)
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	movl	%ebx, (%ebp)
	movl	LAPIC + LAPIC_ID, %eax
	shrl	$24, %eax
	movl	%eax, 8(%ebp)
1:	incl	12(%ebp)
	testb	$0x3f, 12(%ebp)
	jnz	1b
	outb	%al, $PORT_ABSENT
	jmp	1b

/* Runs at GUEST_AP_CODE; CS begins there. */
	.code16
ap_start:
	cli
	lgdtl	%cs:(ap_gdt_pointer - ap_start)
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $ap_protected
ap_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_end:

	.code32
ap_protected:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	jmp	every_cpu
