/* SPDX-License-Identifier: Apache-2.0 */
/* One assembled guest as an array of bytes; meson gives the symbol and the file. */
	.section .rodata
	.global	IMAGE_SYMBOL
	.type	IMAGE_SYMBOL, @object
	.size	IMAGE_SYMBOL, 65536
IMAGE_SYMBOL:
	.incbin	IMAGE_FILE

	.section .note.GNU-stack, "", @progbits
