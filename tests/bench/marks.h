/* SPDX-License-Identifier: Apache-2.0
 *
 * What a guest of the bench tells measure.c: 32-bit writes to a port that neither tinyvmm nor QEMU
 * nor kvmtool has a device at.
 */
#ifndef BENCH_MARKS_H
#define BENCH_MARKS_H

#define MARK_PORT       0x5e0
#define MARK_KIND_SHIFT 24
#define LOADER_MARK     2

#ifndef __ASSEMBLER__
#define MARK_VALUE_MASK 0xffffffu

enum mark {
	MARK_INIT = 1,   /* the first thing that /init does */
	MARK_LOADER = 2, /* the first thing that a boot loader does */
	MARK_IDLE = 3,   /* the guest will do nothing for a while: look at the process's memory */
	MARK_END = 8,    /* the machine is about to end */
};

#endif
#endif
