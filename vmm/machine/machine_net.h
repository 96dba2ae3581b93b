/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's network devices, as the machine keeps them. Main thread. */
#ifndef MACHINE_NET_H
#define MACHINE_NET_H

#include "core/loop.h"
#include "devices/vhost/vhost_net_files.h"
#include "options/options_net.h"

struct net_daemon;

struct machine_net {
	uint8_t mac[OPTIONS_MAC_LEN];
	struct net_daemon *daemon;    /* of OPTIONS_NET_USER; NULL: there is none */
	struct loop loop;             /* and its device's */
	struct vhost_net_files files; /* of OPTIONS_NET_TAP, until its device takes them over */
};

#endif
