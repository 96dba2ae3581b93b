/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a guest that needs no right on the host: a passt of ours, which has our
 * connections' other ends in sockets of its own, and speaks Ethernet with us over a stream. Started
 * before the machine is built, so that a port that cannot be had is told before a device is taken.
 * Main thread, but for what is the loop's.
 */
#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include "core/util.h"

/* The largest that passt tells the guest of [passt(1) --mtu]. */
#define NET_DAEMON_MTU 65520u

/*
 * What a guest that asks nobody has there, and is told by us: any address would do, the other end
 * answers for all others. The server of names is the host's first.
 */
#define NET_DAEMON_ADDRESS "10.0.2.15"
#define NET_DAEMON_PREFIX  "24"
#define NET_DAEMON_GATEWAY "10.0.2.2"
#define NET_DAEMON_DNS     "10.0.2.3"

struct loop;
struct options_net;
struct net_daemon;

/*
 * Starts it, and waits until it listens at all ports and reads the stream. `mac` is the guest's.
 * With `told` it has the addresses above; else it asks for some, and gets the host's.
 * What it cannot do is an error that says why, as passt did, and what to do about it.
 */
int MUST_CHECK net_daemon_start(const struct options_net *net, const uint8_t mac[], bool told,
				struct net_daemon **ret_daemon);

/* Our end of the stream, for the device, which takes it over. Once. */
int net_daemon_take_stream(struct net_daemon *daemon);

/*
 * Has `loop`, on epoll, read what it complains of from now on: it would wait for ever for a reader.
 * Until net_daemon_stop, or the end of the loop before that.
 */
int MUST_CHECK net_daemon_watch(struct net_daemon *daemon, struct loop *loop);

/* Its stream is closed: says why, as it did. On the loop that watches it, if one does. */
void net_daemon_lost(struct net_daemon *daemon);

/* Ends it. NULL: nothing. */
void net_daemon_stop(struct net_daemon *daemon);

#endif
