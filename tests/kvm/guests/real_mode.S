/* SPDX-License-Identifier: Apache-2.0 */
/* Never leaves real mode: port writes of each size, then a value computed from RAM. */
#include "guest.inc"

	.code16
start:
	movb	$0x5a, %al
	outb	%al, $PORT_REPORT
	movw	$0x1234, %ax
	outw	%ax, $PORT_REPORT
	report	$0x89abcdef
	/* RAM works: DS begins at 0. */
	movl	$41, (GUEST_BUFFER & 0xffff) + 0x500
	incl	(GUEST_BUFFER & 0xffff) + 0x500
	report	(GUEST_BUFFER & 0xffff) + 0x500
	halt
