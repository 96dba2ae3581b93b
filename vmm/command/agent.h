/* SPDX-License-Identifier: Apache-2.0 */
/* The agent for guests that run one command: where its file is. */
#ifndef AGENT_H
#define AGENT_H

#include "core/util.h"

/*
 * Looked for beside what it was installed with, the program or the shared library, so that both can
 * be moved together; then where it was to be installed. ERR_FILE.
 */
int MUST_CHECK agent_open(int *ret_fd);

#endif
