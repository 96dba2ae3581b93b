/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports how often it came up (RAM survives a reset), then faults with an IDT that has no room for
 * any gate: the fault, the double fault and the shutdown.
 */
#include "guest.inc"

	.code16
start:
	enter_protected_mode
	incl	GUEST_MAILBOX
	report	GUEST_MAILBOX
	lidtl	no_idt
	ud2
	halt

no_idt:
	.word	0
	.long	0
