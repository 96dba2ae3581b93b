/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for a run in the background, an ELF file with a PVH entry: says "ready" on COM1, sends back what it is
 * sent, resets the machine when that is "R", and powers off when its power button is pressed. It polls, so
 * that the exits that it costs tell whether it runs.
 */
#define COM1         0x3f8
#define COM1_LSR     (COM1 + 5)
#define LSR_DR       0x01
#define I8042_CMD    0x64
#define PULSE_RESET  0xfe
#define PM1_STATUS   0x600
#define PM1_ENABLE   0x602
#define PM1_BUTTON   0x100
#define PM1_CONTROL  0x604
#define PM1_SLEEP_S5 0x2000

#define XEN_ELFNOTE_PHYS32_ENTRY 18

	.section .note, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long start

	.section .rodata
ready:	.asciz "ready\n"

	.text
	.code32
	.globl start
start:
	mov	$COM1, %dx
	mov	$ready, %esi
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	mov	$PM1_ENABLE, %dx
	mov	$PM1_BUTTON, %ax
	out	%ax, %dx
3:	mov	$PM1_STATUS, %dx
	in	%dx, %ax
	test	$PM1_BUTTON, %ax
	jnz	5f
	mov	$COM1_LSR, %dx
	in	%dx, %al
	test	$LSR_DR, %al
	jz	3b
	mov	$COM1, %dx
	in	%dx, %al
	cmp	$'R', %al
	je	4f
	out	%al, %dx
	jmp	3b
4:	mov	$PULSE_RESET, %al
	out	%al, $I8042_CMD
	jmp	4b
5:	mov	$PM1_CONTROL, %dx
	mov	$PM1_SLEEP_S5, %ax
	out	%ax, %dx
	hlt
	jmp	5b
