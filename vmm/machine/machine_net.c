/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's network devices: what is behind them, then the devices. Main thread. */
#include "machine/machine_net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "daemons/net_daemon.h"
#include "devices/net/virtio_net.h"
#include "devices/vhost/vhost_net.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

/* Of a MAC address's first byte: not given by a manufacturer, and of one device [IEEE 802 8.2]. */
#define MAC_LOCAL 0x02
#define MAC_GROUP 0x01

/* FNV-1a, with the 0 that ends `text`. */
static uint64_t hash(uint64_t sum, const char *text)
{
	do {
		sum = (sum ^ (uint8_t)*text) * 0x100000001b3;
	} while (*text++);
	return sum;
}

/*
 * The same one for the same guest on the same host, because installed systems keep a network's
 * settings by it; another one for another guest or host, because they may meet on a bridge.
 */
static void choose_mac(const struct options *options, unsigned nr, uint8_t ret_mac[OPTIONS_MAC_LEN])
{
	const char *disk = options->disk_count ? options->disks[0].file : "";
	char *absolute = realpath(disk, NULL);
	char host[64] = "";
	uint64_t sum;

	if (sys_read_text("/etc/machine-id", host, sizeof(host)) < 0)
		host[0] = '\0';
	sum = hash(0xcbf29ce484222325, host);
	sum = hash(sum, absolute ? absolute : disk);
	sum = hash(sum, options->nets[nr].tap);
	free(absolute);
	for (unsigned i = 0; i < OPTIONS_MAC_LEN; i++)
		ret_mac[i] = (uint8_t)(sum >> (8 * (i + 2)));
	ret_mac[0] = (uint8_t)((ret_mac[0] | MAC_LOCAL) & ~MAC_GROUP);
}

/* A queue pair for each vCPU; one where the interface was made without IFF_MULTI_QUEUE. */
static int open_tap(struct machine *machine, unsigned nr)
{
	const struct options_net *options = &machine->options->nets[nr];
	const unsigned most = MIN(machine->options->cpus, OPTIONS_NET_QUEUES_MAX);

	_Static_assert(OPTIONS_NET_QUEUES_MAX <= NET_TAP_QUEUES_MAX,
		       "no more than it has room for");
	return vhost_net_files_open(&machine->nets[nr].files, options->tap,
				    options->queues ? options->queues : most, !options->queues);
}

static int open_user(struct machine *machine, unsigned nr)
{
	struct machine_net *net = &machine->nets[nr];
	const struct options_net *options = &machine->options->nets[nr];
	int r = net_daemon_start(options, net->mac, machine_has_command(machine), &net->daemon);

	if (r == 0 || !options->by_default)
		return r;
	log_warn("the guest has no network: %s%s%s", err_text(), err_hint_text()[0] ? "; " : "",
		 err_hint_text());
	err_clear();
	return 0;
}

static int open_net(struct machine *machine, unsigned nr)
{
	static const uint8_t none[OPTIONS_MAC_LEN];
	const struct options_net *options = &machine->options->nets[nr];
	struct machine_net *net = &machine->nets[nr];

	if (memcmp(options->mac, none, sizeof(none)) != 0)
		memcpy(net->mac, options->mac, sizeof(net->mac));
	else
		choose_mac(machine->options, nr, net->mac);
	return options->kind == OPTIONS_NET_TAP ? open_tap(machine, nr) : open_user(machine, nr);
}

int machine_open_nets(struct machine *machine)
{
	int r = 0;

	for (unsigned i = 0; i < machine->options->net_count && r == 0; i++)
		r = open_net(machine, i);
	return r;
}

void machine_close_nets(struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->nets); i++) {
		net_daemon_stop(machine->nets[i].daemon);
		machine->nets[i].daemon = NULL;
		vhost_net_files_close(&machine->nets[i].files);
	}
}

static void stream_lost(void *opaque)
{
	net_daemon_lost(opaque);
}

/* A loop of its own: neither a disk nor another network waits for it. */
static int add_stream(struct machine *machine, unsigned nr, struct pci_dev **ret_dev)
{
	struct machine_net *net = &machine->nets[nr];
	struct virtio_net_options config = {
		.mtu = NET_DAEMON_MTU,
		.loop = &net->loop,
		.lost = stream_lost,
		.opaque = net->daemon,
	};
	char name[16];
	int r = loop_init(&net->loop);

	snprintf(name, sizeof(name), "net%u", nr);
	if (r == 0)
		r = loop_start_thread(&net->loop, name);
	if (r == 0)
		r = net_daemon_watch(net->daemon, &net->loop);
	if (r < 0)
		return r;
	memcpy(config.mac, net->mac, sizeof(config.mac));
	config.fd = net_daemon_take_stream(net->daemon);
	return virtio_net_create(&machine->board, &config, ret_dev);
}

static int add_net(struct machine *machine, unsigned nr)
{
	struct machine_net *net = &machine->nets[nr];
	struct pci_dev *dev;
	int r;

	if (machine->options->nets[nr].kind == OPTIONS_NET_TAP)
		r = vhost_net_create(&machine->board, &machine->device_loop, &net->files, net->mac,
				     &dev);
	else if (net->daemon)
		r = add_stream(machine, nr, &dev);
	else
		return 0;
	if (r < 0)
		return r;
	machine_add_device(machine, &dev->device);
	/* Behind function 0, which is always there. */
	pci_bus_add(&machine->pci.bus, dev, PCI_DEVFN(SLOT_RNG, FUNCTION_FIRST_NET + nr));
	return 0;
}

int machine_add_nets(struct machine *machine)
{
	int r = 0;

	for (unsigned i = 0; i < machine->options->net_count && r == 0; i++)
		r = add_net(machine, i);
	return r;
}

void machine_remove_nets(struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->nets); i++) {
		loop_join_thread(&machine->nets[i].loop);
		loop_fini(&machine->nets[i].loop);
	}
}
