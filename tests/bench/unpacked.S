/* SPDX-License-Identifier: Apache-2.0
 *
 * Where every instruction is emulated, a kernel that unpacks itself takes most of its start for that. This is the protected-mode
 * part of a bzImage that does not: what follows it in the file is the kernel's ELF file, whose segments it moves to their places.
 * For VMMs that have no other way to start an unpacked kernel. Linked at 1 MiB, where a bzImage is loaded; entered there in 32-bit
 * mode without paging, RSI is the boot_params. [Linux/x86 Boot Protocol, 32-bit BOOT PROTOCOL]
 */
#define TABLES 0x80000 /* six pages of page tables; conventional memory that the real-mode part is done with */
#define PRESENT_WRITE 3
#define LARGE 0x80
#define CR4_PAE 0x20
#define EFER 0xc0000080
#define EFER_LME_BIT 8
#define CR0_PG_BIT 31

/* Offsets in ELF64 headers. */
#define E_ENTRY 24
#define E_PHOFF 32
#define E_PHNUM 56
#define P_OFFSET 8
#define P_PADDR 24
#define P_FILESZ 32
#define P_MEMSZ 40
#define PHDR_SIZE 56
#define PT_LOAD 1

	.code32
	.globl _start
_start:
	cld
	mov	%esi, %ebp
	/* The first 4 GiB, one to one, in pages of 2 MiB. */
	mov	$TABLES, %edi
	xor	%eax, %eax
	mov	$(2 * 4096 / 4), %ecx
	rep	stosl
	movl	$(TABLES + 0x1000 + PRESENT_WRITE), TABLES
	mov	$(TABLES + 0x2000 + PRESENT_WRITE), %eax
	mov	$(TABLES + 0x1000), %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$0x1000, %eax
	add	$8, %edi
	loop	1b
	mov	$(PRESENT_WRITE + LARGE), %eax
	mov	$(TABLES + 0x2000), %edi
	mov	$2048, %ecx
2:	mov	%eax, (%edi)
	movl	$0, 4(%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	2b

	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$EFER, %ecx
	rdmsr
	bts	$EFER_LME_BIT, %eax
	wrmsr
	lgdt	gdt_pointer
	mov	%cr0, %eax
	bts	$CR0_PG_BIT, %eax
	mov	%eax, %cr0
	ljmp	$0x10, $long_mode

	.code64
long_mode:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%ebp, %ebp /* boot_params */
	lea	elf(%rip), %r8
	movzwl	E_PHNUM(%r8), %r9d
	imul	$PHDR_SIZE, %r9, %r10
	add	E_PHOFF(%r8), %r10
	add	%r8, %r10
	/* All move up, over each other: from the last to the first, each from its end. */
3:	sub	$PHDR_SIZE, %r10
	cmpl	$PT_LOAD, (%r10)
	jne	4f
	/* What the file has none of is zero. */
	cld
	mov	P_PADDR(%r10), %rdi
	add	P_FILESZ(%r10), %rdi
	mov	P_MEMSZ(%r10), %rcx
	sub	P_FILESZ(%r10), %rcx
	xor	%eax, %eax
	rep	stosb
	std
	mov	P_FILESZ(%r10), %rcx
	mov	P_OFFSET(%r10), %rsi
	lea	-8(%rsi,%r8), %rsi
	add	%rcx, %rsi
	mov	P_PADDR(%r10), %rdi
	lea	-8(%rdi,%rcx), %rdi
	shr	$3, %rcx
	rep	movsq
	cld
4:	dec	%r9d
	jnz	3b
	mov	E_ENTRY(%r8), %rax
	mov	%rbp, %rsi
	jmp	*%rax

	.balign	8
gdt:	.quad	0, 0
	.quad	0x00af9a000000ffff /* 0x10: 64-bit code */
	.quad	0x00cf92000000ffff /* 0x18: data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.balign	4096
elf:
