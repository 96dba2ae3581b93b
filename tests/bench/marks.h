/* SPDX-License-Identifier: Apache-2.0
 *
 * What a guest of the bench tells measure.c: 32-bit writes to a port that neither tinyvmm nor QEMU
 * nor kvmtool has a device at. And what the least program and its guest agree on.
 */
#ifndef BENCH_MARKS_H
#define BENCH_MARKS_H

#define MARK_PORT       0x5e0
#define MARK_KIND_SHIFT 24
#define LOADER_MARK     2

/* The disk of bare.c, as exits.S has it. */
#define DOORBELL    0xd0000000
#define DISK_VECTOR 0x40
#define DISK_BLOCK  4096
#define LOCAL_APIC  0xfee00000

#ifndef __ASSEMBLER__
#define MARK_VALUE_MASK 0xffffffu

enum mark {
	MARK_INIT = 1,    /* the first thing that /init does */
	MARK_LOADER = 2,  /* the first thing that a boot loader does */
	MARK_IDLE = 3,    /* the guest will do nothing for a while: look at the process's memory */
	MARK_COUNT = 4,   /* 1: count events from now on; 0: no longer */
	MARK_BEGIN = 5,   /* of what is measured; the value is the operation and how often */
	MARK_DONE = 6,    /* and its end */
	MARK_NUMBER = 7,  /* a figure that the guest found out */
	MARK_END = 8,     /* the machine is about to end */
	MARK_TOUCHED = 9, /* memory was written to, so many MiB of it */
};

#define MARK_OP_SHIFT 16

/* What is measured between MARK_BEGIN and MARK_DONE. */
enum op {
	OP_WARM_UP = 0, /* what happens only the first time */
	OP_READ_DEPTH_1 = 1,
	OP_READ_DEPTH_32 = 2,
	OP_READ_SEQUENTIAL = 3,
	OP_PORT = 4,
	OP_MMIO = 5,
};

#endif
#endif
