/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tinyvmm and its agent in the guest say to each other: four ports of a virtio console. Three
 * are the command's standard streams, byte for byte; with a terminal, input and output are its two
 * directions and the third is not used. The first carries lines:
 *
 * from the agent
 *   started           the command runs
 *   exited STATUS     it ended by itself
 *   killed SIGNAL     a signal ended it
 *   failed TEXT       it could not be run, and why
 *   kernel RELEASE    of the guest
 *   driver 0000:BUS:SLOT.FUNCTION NAME [VERSION]    of a device that is not on bus 0
 *   peak KIB          the memory of the largest process that the command had
 *   oom-kills COUNT   processes that the kernel killed for want of memory: before the end
 *   signaled COUNT    the command was sent a signal of the host's, after so many oom-kills
 *   not-found TEXT, not-executable TEXT    the same, where a shell would exit with 127 and 126
 * to the agent
 *   signal NUMBER     for the command and its children
 *   size ROWS COLUMNS of the terminal
 *
 * The agent closes the streams before it says how the command ended, so that all of their bytes
 * are on their way by then.
 */
#ifndef GUEST_PROTOCOL_H
#define GUEST_PROTOCOL_H

enum guest_port {
	GUEST_CONTROL,
	GUEST_STDIN,
	GUEST_STDOUT,
	GUEST_STDERR,
	GUEST_PORTS,
};

/* As Linux shows them in /sys/class/virtio-ports/ and /dev/virtio-ports/. */
#define GUEST_PORT_NAMES                                                                \
	{                                                                               \
		"tinyvmm.control", "tinyvmm.stdin", "tinyvmm.stdout", "tinyvmm.stderr", \
	}

/* The longest line, with its end. */
#define GUEST_LINE_MAX 512

#endif
