/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A UART. Register accesses run on vCPU threads, serial_input on the main loop's.
 * [PC16550D 8.0 Registers]
 *
 * The line has no speed: a byte is sent the moment it is written, so the transmitter is always
 * empty, and the receiver's character timeout has always passed.
 */
#include "devices/chipset/serial.h"

#include <assert.h>
#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"

/*
 * Bytes between the caller and the guest. More than the chip's 16, because a guest that reads until
 * it finds no more then needs fewer interrupts for pasted text. In loopback the chip's own depth
 * holds: Linux counts the bytes that come back to tell the types of UART apart.
 */
#define RX_QUEUE 64u
#define RX_FIFO  16u

#define IER_MASK (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define IIR_FIFO 0xc0 /* both FIFO bits: a 16550A */
#define MCR_MASK (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)

struct serial {
	struct device device;
	const struct serial_ops *ops;
	void *opaque;
	struct bus *pio;
	struct bus_range range;

	pthread_mutex_t lock; /* guards all below */
	struct irq_line irq;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t msr_delta; /* the low half of MSR: lines that changed since it was read */
	bool overrun;
	bool thr_empty_irq; /* the transmitter became empty and nobody has been told */
	bool starved;       /* serial_input could not take all */
	uint8_t rx[RX_QUEUE];
	unsigned rx_head, rx_count;
};

static bool loopback(const struct serial *s)
{
	return s->mcr & UART_MCR_LOOP;
}

/* What the receiver holds before it is full, from either side. */
static unsigned rx_capacity(const struct serial *s)
{
	if (!(s->fcr & UART_FCR_ENABLE_FIFO))
		return 1;
	return loopback(s) ? RX_FIFO : RX_QUEUE;
}

static unsigned rx_trigger(const struct serial *s)
{
	switch (s->fcr & UART_FCR_TRIGGER_MASK) {
	case UART_FCR_TRIGGER_4:
		return 4;
	case UART_FCR_TRIGGER_8:
		return 8;
	case UART_FCR_TRIGGER_14:
		return 14;
	default:
		return 1;
	}
}

static void rx_push(struct serial *s, uint8_t byte)
{
	if (s->rx_count >= rx_capacity(s)) {
		s->overrun = true;
		return;
	}
	s->rx[(s->rx_head + s->rx_count++) % RX_QUEUE] = byte;
}

static uint8_t rx_pop(struct serial *s)
{
	uint8_t byte;

	if (s->rx_count == 0)
		return 0;
	byte = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % RX_QUEUE;
	s->rx_count--;
	return byte;
}

/* The interrupt of the highest priority. [PC16550D table IV Interrupt Control Functions] */
static uint8_t pending_interrupt(const struct serial *s)
{
	if ((s->ier & UART_IER_RLSI) && s->overrun)
		return UART_IIR_RLSI;
	if ((s->ier & UART_IER_RDI) && s->rx_count > 0) {
		if ((s->fcr & UART_FCR_ENABLE_FIFO) && s->rx_count < rx_trigger(s))
			return UART_IIR_RX_TIMEOUT;
		return UART_IIR_RDI;
	}
	if ((s->ier & UART_IER_THRI) && s->thr_empty_irq)
		return UART_IIR_THRI;
	if ((s->ier & UART_IER_MSI) && s->msr_delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void update_irq(struct serial *s)
{
	irq_line_set(&s->irq, pending_interrupt(s) != UART_IIR_NO_INT);
}

/* The modem's lines: a terminal that is always there, or in loopback our own outputs. */
static uint8_t modem_lines(const struct serial *s)
{
	uint8_t lines = 0;

	if (!loopback(s))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	if (s->mcr & UART_MCR_RTS)
		lines |= UART_MSR_CTS;
	if (s->mcr & UART_MCR_DTR)
		lines |= UART_MSR_DSR;
	if (s->mcr & UART_MCR_OUT1)
		lines |= UART_MSR_RI;
	if (s->mcr & UART_MCR_OUT2)
		lines |= UART_MSR_DCD;
	return lines;
}

static void write_mcr(struct serial *s, uint8_t val)
{
	uint8_t before = modem_lines(s), changed, after;

	s->mcr = val & MCR_MASK;
	after = modem_lines(s);
	changed = before ^ after;
	if (changed & UART_MSR_CTS)
		s->msr_delta |= UART_MSR_DCTS;
	if (changed & UART_MSR_DSR)
		s->msr_delta |= UART_MSR_DDSR;
	if (changed & UART_MSR_DCD)
		s->msr_delta |= UART_MSR_DDCD;
	if (changed & before & UART_MSR_RI) /* its trailing edge only */
		s->msr_delta |= UART_MSR_TERI;
}

static void write_fcr(struct serial *s, uint8_t val)
{
	/* A change of mode empties the FIFOs as well. [PC16550D 8.4 FIFO Control Register] */
	if ((val ^ s->fcr) & UART_FCR_ENABLE_FIFO)
		val |= UART_FCR_CLEAR_RCVR;
	if (val & UART_FCR_CLEAR_RCVR)
		s->rx_count = 0;
	s->fcr = val & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
}

static void write_ier(struct serial *s, uint8_t val)
{
	/* Enabling the interrupt of a transmitter that is empty raises it. */
	if (val & ~s->ier & UART_IER_THRI)
		s->thr_empty_irq = true;
	s->ier = val & IER_MASK;
}

/* True if somebody waits for room and there is some; the caller tells them without the lock. */
static bool take_room(struct serial *s)
{
	if (!s->starved || loopback(s) || s->rx_count >= rx_capacity(s))
		return false;
	s->starved = false;
	return true;
}

static uint8_t read_register(struct serial *s, uint64_t reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t val;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : rx_pop(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		val = pending_interrupt(s);
		if (val == UART_IIR_THRI)
			s->thr_empty_irq = false;
		return val | (s->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		val = UART_LSR_THRE | UART_LSR_TEMT;
		val |= s->rx_count > 0 ? UART_LSR_DR : 0;
		val |= s->overrun ? UART_LSR_OE : 0;
		s->overrun = false;
		return val;
	case UART_MSR:
		val = modem_lines(s) | s->msr_delta;
		s->msr_delta = 0;
		return val;
	case UART_SCR:
		return s->scr;
	default:
		return UINT8_MAX;
	}
}

static uint64_t serial_read(void *dev, uint64_t off, unsigned len)
{
	struct serial *s = dev;
	uint8_t val;
	bool room;

	if (len != 1)
		return ones(len);
	pthread_mutex_lock(&s->lock);
	val = read_register(s, off);
	update_irq(s);
	room = take_room(s);
	pthread_mutex_unlock(&s->lock);
	if (room && s->ops->input_room)
		s->ops->input_room(s->opaque);
	return val;
}

static void write_register(struct serial *s, uint64_t reg, uint8_t val)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab) {
			s->dll = val;
			break;
		}
		if (loopback(s))
			rx_push(s, val);
		s->thr_empty_irq = true;
		break;
	case UART_IER:
		if (dlab)
			s->dlm = val;
		else
			write_ier(s, val);
		break;
	case UART_FCR:
		write_fcr(s, val);
		break;
	case UART_LCR:
		s->lcr = val;
		break;
	case UART_MCR:
		write_mcr(s, val);
		break;
	case UART_SCR:
		s->scr = val;
		break;
	default: /* LSR and MSR are read-only in effect: writing them is for factory tests */
		break;
	}
}

static void serial_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct serial *s = dev;
	uint8_t byte = (uint8_t)val;
	bool sends, room;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	sends = off == UART_TX && !(s->lcr & UART_LCR_DLAB) && !loopback(s);
	if (sends) {
		/*
		 * Without the lock, as a slow terminal must not hold up the main loop; and before
		 * the interrupt that makes another vCPU write the next byte.
		 */
		pthread_mutex_unlock(&s->lock);
		s->ops->output(s->opaque, &byte, 1);
		pthread_mutex_lock(&s->lock);
		s->thr_empty_irq = true;
	} else {
		write_register(s, off, byte);
	}
	update_irq(s);
	room = take_room(s);
	pthread_mutex_unlock(&s->lock);
	if (room && s->ops->input_room)
		s->ops->input_room(s->opaque);
}

size_t serial_input(struct serial *s, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	if (!loopback(s)) {
		while (taken < len && s->rx_count < rx_capacity(s))
			rx_push(s, data[taken++]);
	}
	s->starved = taken < len;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static void serial_reset(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, device);
	bool room;

	pthread_mutex_lock(&s->lock);
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->dll = s->dlm = 0;
	s->msr_delta = 0;
	s->overrun = s->thr_empty_irq = false;
	s->rx_head = s->rx_count = 0;
	update_irq(s);
	room = take_room(s);
	pthread_mutex_unlock(&s->lock);
	if (room && s->ops->input_room)
		s->ops->input_room(s->opaque);
}

static void serial_destroy(struct device *dev)
{
	struct serial *s = container_of(dev, struct serial, device);

	bus_remove(s->pio, &s->range);
	irq_line_set(&s->irq, false);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct device_ops serial_device_ops = {
	.reset = serial_reset,
	.destroy = serial_destroy,
};

static const struct bus_ops serial_bus_ops = {
	.read = serial_read,
	.write = serial_write,
	.name = "serial console",
};

int serial_create(const struct board *board, uint16_t port, unsigned gsi,
		  const struct serial_ops *ops, void *opaque, struct serial **ret_serial)
{
	struct serial *s;
	int r;

	assert(ops && ops->output);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_sys(ERR_LIMIT, -ENOMEM, "serial port");
	s->device = (struct device){ .name = "serial", .ops = &serial_device_ops };
	s->ops = ops;
	s->opaque = opaque;
	s->pio = board->pio;
	s->range = (struct bus_range){
		.base = port, .size = SERIAL_PORTS, .ops = &serial_bus_ops, .dev = s
	};
	pthread_mutex_init(&s->lock, NULL);
	irq_line_init(&s->irq, board->irq, gsi);
	r = bus_add(board->pio, &s->range);
	if (r < 0) {
		serial_destroy(&s->device);
		return err_sys(ERR_INTERNAL, r, "serial port at I/O port 0x%x", port);
	}
	*ret_serial = s;
	return 0;
}

struct device *serial_device(struct serial *s)
{
	return &s->device;
}
