/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket for a back end to listen on that nobody but us can connect to: it has no name in the
 * file system any more once it is made, and needs no clean-up, however this process ends.
 */
#ifndef DEVICES_VHOST_USER_SERVER_H
#define DEVICES_VHOST_USER_SERVER_H

#include "core/util.h"

/*
 * `ret_listen` is for the back end's process; `ret_server` is the place to connect to for as long
 * as that listens. -errno, without an error chain.
 */
int MUST_CHECK vhost_user_listen(int *ret_listen, int *ret_server);
int MUST_CHECK vhost_user_connect(int server); /* the connection, or -errno */

#endif
