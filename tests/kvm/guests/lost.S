/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps to where there is no memory: KVM has no instruction to run. */
#include "guest.inc"

#define NOWHERE 0xd0000000

	.code16
start:
	enter_protected_mode
	report	$1
	movl	$NOWHERE, %eax
	jmp	*%eax
