/* SPDX-License-Identifier: Apache-2.0
 *
 * The least boot loader: an EFI application that says that it is there (marks.h) and switches the machine off. Linked flat, at 0; it
 * needs no relocation. [PE Format; UEFI 2.10, 4.3 EFI System Table; 8.5.1 Reset System]
 */
#include "marks.h"

#define ALIGNMENT 0x200
#define EFI_APPLICATION 10
#define SYSTEM_TABLE_RUNTIME 0x58
#define RUNTIME_RESET_SYSTEM 0x68
#define RESET_SHUTDOWN 2

	.globl	_start
base:	.ascii	"MZ"
	.org	0x3c
	.long	pe
pe:	.ascii	"PE\0\0"
	.word	0x8664, 1	/* machine x86-64, one section */
	.long	0, 0, 0
	.word	sections - optional, 0x22e /* executable image, no line numbers, symbols or debug data, large addresses */
optional:
	.word	0x20b		/* PE32+ */
	.byte	0, 0
	.long	end - _start, 0, 0, _start - base, _start - base
	.quad	0		/* where it would like to be */
	.long	ALIGNMENT, ALIGNMENT
	.word	0, 0, 0, 0, 0, 0
	.long	0, end - base, _start - base, 0
	.word	EFI_APPLICATION, 0
	.quad	0, 0, 0, 0
	.long	0, 6		/* six data directories, all empty */
	.fill	6, 8, 0
sections:
	.ascii	".text\0\0\0"
	.long	end - _start, _start - base, end - _start, _start - base, 0, 0
	.word	0, 0
	.long	0x60000020	/* code, executable, readable */

	.balign	ALIGNMENT
_start:
	mov	%rdx, %rbx	/* the system table */
	mov	$MARK_PORT, %edx
	mov	$(LOADER_MARK << MARK_KIND_SHIFT), %eax
	out	%eax, %dx
	mov	SYSTEM_TABLE_RUNTIME(%rbx), %rax
	mov	$RESET_SHUTDOWN, %ecx
	xor	%edx, %edx
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	sub	$40, %rsp
	call	*RUNTIME_RESET_SYSTEM(%rax)
1:	hlt
	jmp	1b
	.balign	ALIGNMENT
end:
