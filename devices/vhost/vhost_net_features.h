/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which features a network device that the kernel serves has, and what they mean to vhost and to
 * the interface. Pure. [virtio-1.2 5.1.3 Feature bits]
 */
#ifndef DEVICES_VHOST_NET_FEATURES_H
#define DEVICES_VHOST_NET_FEATURES_H

#include "devices/vhost/vhost_net_files.h"

/* What is offered with these files. */
uint64_t vhost_net_features(const struct vhost_net_files *files);

/* Of what a driver has accepted, what vhost does itself. */
uint64_t vhost_net_features_rings(uint64_t features);

/* TUN_F_*: what the interface may leave to a driver that has accepted these. */
unsigned vhost_net_features_tap(uint64_t features);

#endif
