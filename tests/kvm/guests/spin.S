/* SPDX-License-Identifier: Apache-2.0 */
/* Counts in RAM for ever, interrupts off, no exit: only a kick gets it out of KVM_RUN. */
#include "guest.inc"

	.code16
start:
	cli
1:	incl	GUEST_MAILBOX
	jmp	1b
