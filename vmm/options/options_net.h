/* SPDX-License-Identifier: Apache-2.0 */
/* What --net says: the guest's network devices. Pure. docs/network.md is the user's side of it. */
#ifndef OPTIONS_NET_H
#define OPTIONS_NET_H

#include <net/if.h>
#include <netinet/in.h>

#include "core/util.h"

#define OPTIONS_NETS_MAX     4
#define OPTIONS_FORWARDS_MAX 32
#define OPTIONS_MAC_LEN      6
/* Pairs of queues; more have not been seen to make one faster. */
#define OPTIONS_NET_QUEUES_MAX 16

/* Of IPv4, with "/32" behind it. */
#define OPTIONS_SUBNET_SIZE (INET_ADDRSTRLEN + 3)

enum options_net_kind {
	OPTIONS_NET_USER, /* a passt of our own, without any right on the host */
	OPTIONS_NET_TAP,  /* an interface of the host */
};

/* A port of the host that is the guest's. */
struct options_forward {
	char address[INET6_ADDRSTRLEN]; /* of the host; "": not given */
	uint16_t host_port, guest_port;
	bool udp;
};

struct options_net {
	enum options_net_kind kind;
	uint8_t mac[OPTIONS_MAC_LEN]; /* all zero: not given */
	char tap[IF_NAMESIZE];
	unsigned queues; /* of a tap; 0: as many as make sense */
	/* Of a tap, for the guest of a command; "": none. */
	char address[OPTIONS_SUBNET_SIZE]; /* ADDRESS/PREFIX */
	char gateway[INET_ADDRSTRLEN], dns[INET_ADDRSTRLEN];
	struct options_forward forwards[OPTIONS_FORWARDS_MAX];
	unsigned forward_count;
	bool host_loopback; /* the gateway's address reaches the host's own services */
	bool by_default;    /* nobody asked for it: a run goes on without */
};

#endif
