/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug console port: collects characters into lines. vCPU threads.
 * [edk2 OvmfPkg/Library/PlatformDebugLibIoPort]
 */
#include "devices/chipset/debug_port.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/err.h"

#define LINE_MAX_LEN 200u

struct debug_port {
	struct device device;
	void (*line)(void *opaque, const char *text);
	void *opaque;
	struct bus *pio;
	struct bus_range range;

	pthread_mutex_t lock; /* guards all below */
	char text[LINE_MAX_LEN + 1];
	unsigned len;
};

static void flush_line(struct debug_port *port)
{
	port->text[port->len] = '\0';
	port->len = 0;
	port->line(port->opaque, port->text);
}

static uint64_t debug_port_read(void *dev, uint64_t off, unsigned len)
{
	return DEBUG_PORT_ID;
}

static void debug_port_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct debug_port *port = dev;
	char c = (char)val;

	pthread_mutex_lock(&port->lock);
	if (c == '\n') {
		flush_line(port);
	} else if (c != '\r') {
		/* Nothing a terminal would obey. */
		port->text[port->len++] = c == '\t' || (c >= ' ' && c <= '~') ? c : '?';
		if (port->len == LINE_MAX_LEN)
			flush_line(port);
	}
	pthread_mutex_unlock(&port->lock);
}

static void debug_port_reset(struct device *dev)
{
	struct debug_port *port = container_of(dev, struct debug_port, device);

	pthread_mutex_lock(&port->lock);
	if (port->len > 0)
		flush_line(port);
	pthread_mutex_unlock(&port->lock);
}

static void debug_port_destroy(struct device *dev)
{
	struct debug_port *port = container_of(dev, struct debug_port, device);

	bus_remove(port->pio, &port->range);
	debug_port_reset(dev);
	pthread_mutex_destroy(&port->lock);
	free(port);
}

static const struct device_ops debug_port_device_ops = {
	.reset = debug_port_reset,
	.destroy = debug_port_destroy,
};

static const struct bus_ops debug_port_bus_ops = {
	.read = debug_port_read,
	.write = debug_port_write,
	.name = "firmware log",
};

int debug_port_create(const struct board *board, uint16_t io_port,
		      void (*line)(void *opaque, const char *text), void *opaque,
		      struct device **ret_dev)
{
	struct debug_port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return err_sys(ERR_LIMIT, -ENOMEM, "debug port");
	port->device = (struct device){ .name = "debug-port", .ops = &debug_port_device_ops };
	port->line = line;
	port->opaque = opaque;
	port->pio = board->pio;
	port->range = (struct bus_range){
		.base = io_port, .size = 1, .ops = &debug_port_bus_ops, .dev = port
	};
	pthread_mutex_init(&port->lock, NULL);
	r = bus_add(board->pio, &port->range);
	if (r < 0) {
		debug_port_destroy(&port->device);
		return err_sys(ERR_INTERNAL, r, "debug port at I/O port 0x%x", io_port);
	}
	*ret_dev = &port->device;
	return 0;
}
