/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where guests and tests meet: addresses in guest RAM, ports and the agent's commands. Both the
 * assembler and the C compiler read this file, so it has nothing but numbers.
 */
#ifndef GUESTS_LAYOUT_H
#define GUESTS_LAYOUT_H

#define GUEST_ROM_BASE 0xffff0000 /* 64 KiB that end at 4 GiB, with the reset vector */
#define GUEST_ROM_SIZE 0x10000
#define GUEST_RAM_SIZE 0x200000 /* from 0 */

/* Guest RAM. */
#define GUEST_MAILBOX   0x1000 /* the agent's: fields below */
#define GUEST_IDT       0x2000
#define GUEST_IRQ_COUNT 0x3000  /* 256 dwords: how often each vector came */
#define GUEST_STACK     0x8000  /* grows down from here */
#define GUEST_AP_CODE   0x9000  /* where SIPI vector 9 begins */
#define GUEST_CPU_TABLE 0xa000  /* 16 bytes a vCPU, see smp.S */
#define GUEST_CPU_STACK 0xc000  /* 256 bytes a vCPU, growing up from here */
#define GUEST_TABLES    0x10000 /* page tables of long_mode.S, 6 pages */
#define GUEST_BUFFER    0x20000 /* 64 KiB for string I/O */

/* Ports. */
#define PORT_REPORT 0xf4 /* a dword for the test to check, in order */
#define PORT_IRQ    0xf8 /* the vector that the agent's handler serves, before its EOI */

/* Mailbox, offsets of dwords. The test writes OP last; the agent writes it back to 0 when done. */
#define MAILBOX_OP     0x00
#define MAILBOX_ADDR   0x04 /* port, address, MSR or CPUID leaf */
#define MAILBOX_VALUE  0x08
#define MAILBOX_COUNT  0x0c
#define MAILBOX_RESULT 0x10 /* four dwords */
#define MAILBOX_FAULT  0x20 /* the exception that ended the command, plus 0x100; 0: none */
#define MAILBOX_READY  0x24 /* 1: the agent has come up */
#define MAILBOX_EARLY  0x28 /* interrupts that were not in service while their handler ran */

#define OP_IN8     1
#define OP_IN16    2
#define OP_IN32    3
#define OP_OUT8    4
#define OP_OUT16   5
#define OP_OUT32   6
#define OP_READ8   7
#define OP_READ16  8
#define OP_READ32  9
#define OP_WRITE8  10
#define OP_WRITE16 11
#define OP_WRITE32 12
#define OP_RDMSR   13
#define OP_WRMSR   14 /* low half in VALUE, high half in COUNT */
#define OP_CPUID   15 /* leaf in ADDR, subleaf in VALUE; EAX to EDX in RESULT */
#define OP_INSB    16 /* REP, COUNT items to GUEST_BUFFER */
#define OP_INSW    17
#define OP_OUTSB   18 /* REP, COUNT items from GUEST_BUFFER */
#define OP_OUTSW   19
#define OP_HAMMER  20 /* reads ADDR COUNT times: RESULT = as VALUE, all ones, anything else */
#define OP_CR      21 /* reads CR0, CR3, CR4 */
#define OP_CLI     22
#define OP_STI     23
#define OP_COUNT   24

#endif
