/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what the test says: waits for a command in its mailbox, without exits and with interrupts
 * on, executes it and puts the result back. An interrupt is counted, told to the test through
 * PORT_IRQ (so that it can lower a line, as a driver would make its device do) and acknowledged. An
 * exception ends the command.
 */
#include "guest.inc"

#define MAILBOX(field) GUEST_MAILBOX + MAILBOX_##field

#define EFLAGS_IF	0x200
#define PIC_LAST_VECTOR 0x2f /* from 32: the PIC's sixteen, when a test programs it so */
#define PIC1_COMMAND	 0x20
#define PIC2_COMMAND	 0xa0
#define PIC_EOI		 0x20

	.code16
start:
	enter_protected_mode
	load_idt stubs
	movl	$SVR_ENABLE | SPURIOUS, LAPIC + LAPIC_SVR
	movl	$0, MAILBOX(OP)
	movl	$1, MAILBOX(READY)
	sti

next_command:
	pause
	movl	MAILBOX(OP), %eax
	testl	%eax, %eax
	jz	next_command
	movl	$0, MAILBOX(FAULT)
	movl	MAILBOX(ADDR), %edx
	movl	MAILBOX(COUNT), %ecx
	movl	$GUEST_BUFFER, %esi
	movl	$GUEST_BUFFER, %edi
	cld
	cmpl	$OP_COUNT, %eax
	jae	done
	movl	commands(,%eax,4), %ebx
	movl	MAILBOX(VALUE), %eax
	jmp	*%ebx
result:
	movl	%eax, MAILBOX(RESULT)
done:
	movl	$0, MAILBOX(OP)
	jmp	next_command

	.balign	4
commands:
	.long	done, op_in8, op_in16, op_in32, op_out8, op_out16, op_out32
	.long	op_read8, op_read16, op_read32, op_write8, op_write16, op_write32
	.long	op_rdmsr, op_wrmsr, op_cpuid, op_insb, op_insw, op_outsb, op_outsw
	.long	op_hammer, op_cr, op_cli, op_sti

op_in8:
	xorl	%eax, %eax
	inb	%dx, %al
	jmp	result
op_in16:
	xorl	%eax, %eax
	inw	%dx, %ax
	jmp	result
op_in32:
	inl	%dx, %eax
	jmp	result
op_out8:
	outb	%al, %dx
	jmp	done
op_out16:
	outw	%ax, %dx
	jmp	done
op_out32:
	outl	%eax, %dx
	jmp	done
op_read8:
	xorl	%eax, %eax
	movb	(%edx), %al
	jmp	result
op_read16:
	xorl	%eax, %eax
	movw	(%edx), %ax
	jmp	result
op_read32:
	movl	(%edx), %eax
	jmp	result
op_write8:
	movb	%al, (%edx)
	jmp	done
op_write16:
	movw	%ax, (%edx)
	jmp	done
op_write32:
	movl	%eax, (%edx)
	jmp	done
op_rdmsr:
	movl	%edx, %ecx
	rdmsr
	movl	%edx, MAILBOX(RESULT) + 4
	jmp	result
op_wrmsr:
	xchgl	%edx, %ecx		/* the MSR to ECX, the high half to EDX */
	wrmsr
	jmp	done
op_cpuid:
	movl	%eax, %ecx
	movl	%edx, %eax
	cpuid
	movl	%ebx, MAILBOX(RESULT) + 4
	movl	%ecx, MAILBOX(RESULT) + 8
	movl	%edx, MAILBOX(RESULT) + 12
	jmp	result
op_insb:
	rep insb
	jmp	done
op_insw:
	rep insw
	jmp	done
op_outsb:
	rep outsb
	jmp	done
op_outsw:
	rep outsw
	jmp	done
op_hammer:
	xorl	%esi, %esi		/* as expected */
	xorl	%edi, %edi		/* all ones */
	xorl	%ebp, %ebp		/* anything else */
1:	movl	(%edx), %ebx
	cmpl	%eax, %ebx
	je	2f
	cmpl	$-1, %ebx
	je	3f
	incl	%ebp
	jmp	4f
2:	incl	%esi
	jmp	4f
3:	incl	%edi
4:	decl	%ecx
	jnz	1b
	movl	%esi, MAILBOX(RESULT)
	movl	%edi, MAILBOX(RESULT) + 4
	movl	%ebp, MAILBOX(RESULT) + 8
	jmp	done
op_cr:
	movl	%cr0, %eax
	movl	%cr3, %ebx
	movl	%cr4, %ecx
	movl	%ebx, MAILBOX(RESULT) + 4
	movl	%ecx, MAILBOX(RESULT) + 8
	jmp	result
op_cli:
	cli
	jmp	done
op_sti:
	sti
	jmp	done

/* 256 entries of 16 bytes; an error code may be on the stack, under the number. */
	.balign	16
stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	pushl	$vector
	jmp	interrupt
	.set	vector, vector + 1
	.endr
	.balign	16

interrupt:
	cmpl	$32, (%esp)
	jb	exception
	pushl	%eax
	movl	4(%esp), %eax		/* the vector */
	outb	%al, $PORT_IRQ
	incl	GUEST_IRQ_COUNT(,%eax,4) /* after the test's own handler, which it may wait for */
	pushl	%ebx
	movl	%eax, %ebx
	shrl	$5, %ebx		/* 32 vectors in each of the registers, 16 bytes apart */
	shll	$4, %ebx
	cmpl	$0, LAPIC + LAPIC_ISR(%ebx)
	popl	%ebx
	jne	1f
	incl	MAILBOX(EARLY)
1:	cmpl	$SPURIOUS, %eax
	je	2f
	cmpl	$PIC_LAST_VECTOR, %eax
	ja	1f
	movb	$PIC_EOI, %al
	outb	%al, $PIC1_COMMAND
	outb	%al, $PIC2_COMMAND
	jmp	2f
1:	movl	$0, LAPIC + LAPIC_EOI
/*
 * Back, without IRET: some KVM hosts run ring 0 in KVM's instruction emulator, which has none for
 * protected mode. Interrupts were on, or this one would not have come; STI holds until LRET is done.
 */
2:	popl	%eax
	addl	$4, %esp		/* the vector; EIP, CS and EFLAGS follow */
	pushl	8(%esp)
	andl	$~EFLAGS_IF, (%esp)
	popfl
	sti
	lretl	$4

exception:
	popl	%eax
	orl	$0x100, %eax
	movl	%eax, MAILBOX(FAULT)
	movl	$GUEST_STACK, %esp
	sti
	jmp	done
