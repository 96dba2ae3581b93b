/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Linux 6.2 has added to the headers of TAP interfaces and network devices, for building with
 * older ones. [Linux: include/uapi/linux/if_tun.h, virtio_net.h; virtio-1.2 5.1.3 Feature bits]
 */
#ifndef DEVICES_VIRTIO_NET_UAPI_H
#define DEVICES_VIRTIO_NET_UAPI_H

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

#endif
