/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ICH9's ISA bridge: config registers, PM block, resets. vCPU threads; the power button comes
 * from any. [ICH9 13.1 PCI Configuration Registers, 13.8 Power Management Registers],
 * [ACPI-6.4 4.8 ACPI Register Model]
 */
#include "devices/chipset/ich9_lpc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/timings.h"
#include "core/vm.h"
#include "devices/pci/pci_ids.h"

/* Configuration space. */
#define PMBASE          0x40
#define PMBASE_ADDRESS  0xff80u
#define PMBASE_IO       0x1u /* always reads 1: an I/O address */
#define ACPI_CNTL       0x44
#define ACPI_CNTL_EN    0x80u
#define ACPI_CNTL_SCI   0x07u /* the SCI's interrupt; 0 is IRQ 9 */
#define PIRQA_ROUT      0x60  /* to 0x63, PIRQ E to H at 0x68 */
#define PIRQE_ROUT      0x68
#define PIRQ_ROUT_WMASK 0x8f8f8f8fu
#define PIRQ_ROUT_OFF   0x80808080u
#define RCBA            0xf0
#define RCBA_WMASK      0xffffc001u

/* PM1 status and enable bits, and control. [ACPI-6.4 4.8.3 Fixed Hardware Register Blocks] */
#define PM1_PWRBTN        (1u << 8)
#define PM1_STS_BITS      ((1u << 0) | (1u << 4) | (1u << 5) | (1u << 8) | (1u << 10) | (1u << 15))
#define PM1_EN_BITS       ((1u << 0) | (1u << 5) | (1u << 8) | (1u << 10))
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP       (7u << PM1_SLP_TYP_SHIFT)
#define PM1_SLP_EN        (1u << 13) /* reads 0 */
#define PM1_CNT_BITS      ((1u << 0) | (1u << 1) | PM1_SLP_TYP)
#define PM1_CNT_SIZE      4u

/* Our _S5 (and OVMF's shutdown) writes type 0; 7 is what this chip calls S5. */
#define SLP_TYP_S5      0u
#define SLP_TYP_S5_ICH9 7u

#define PM_TMR_HZ   3579545u
#define PM_TMR_SIZE 4u
#define PM_TMR_MASK 0xffffffu

/* Port CF9: a write of RST_CPU resets, the other bits say how thoroughly. */
#define RST_CNT_SYS_RST 0x02u
#define RST_CNT_RST_CPU 0x04u
#define RST_CNT_FULL    0x08u

#define KBD_CMD_RESET 0xfe /* pulse output line 0, which is wired to the CPU's reset */

struct ich9_lpc {
	struct pci_dev pci; /* first; its lock guards all below */
	struct bus_range pm, kbd;
	struct irq_line sci;
	uint16_t pm1_sts, pm1_en, pm1_cnt;
	uint8_t rst_cnt;
};

/* Free-running from the host's boot; what it starts at is nobody's business. No lock. */
static uint32_t pm_timer(void)
{
	struct timespec now;
	uint64_t ticks;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ticks = (uint64_t)now.tv_sec * PM_TMR_HZ + (uint64_t)now.tv_nsec * PM_TMR_HZ / NS_PER_S;
	return ticks & PM_TMR_MASK;
}

/* With the lock. */
static void update_sci(struct ich9_lpc *lpc)
{
	irq_line_set(&lpc->sci, lpc->pm1_sts & lpc->pm1_en);
}

static uint8_t pm_read_byte(const struct ich9_lpc *lpc, uint64_t off, uint32_t timer)
{
	switch (off) {
	case ICH9_PM1_STS:
	case ICH9_PM1_STS + 1:
		return (uint8_t)(lpc->pm1_sts >> 8 * (off - ICH9_PM1_STS));
	case ICH9_PM1_EN:
	case ICH9_PM1_EN + 1:
		return (uint8_t)(lpc->pm1_en >> 8 * (off - ICH9_PM1_EN));
	case ICH9_PM1_CNT:
	case ICH9_PM1_CNT + 1:
		return (uint8_t)(lpc->pm1_cnt >> 8 * (off - ICH9_PM1_CNT));
	case ICH9_PM1_CNT + 2 ... ICH9_PM1_CNT + PM1_CNT_SIZE - 1:
		return 0;
	case ICH9_PM_TMR ... ICH9_PM_TMR + PM_TMR_SIZE - 1:
		return (uint8_t)(timer >> 8 * (off - ICH9_PM_TMR));
	default: /* GPE0, SMI_EN, TCO: not there */
		return UINT8_MAX;
	}
}

static uint64_t pm_read(void *dev, uint64_t off, unsigned len)
{
	struct ich9_lpc *lpc = dev;
	uint32_t timer = pm_timer();
	uint64_t val = 0;

	/* Firmware and some guests spin on this one: no lock. */
	if (off == ICH9_PM_TMR && len == PM_TMR_SIZE)
		return timer;
	pthread_mutex_lock(&lpc->pci.lock);
	for (unsigned i = 0; i < len; i++)
		val |= (uint64_t)pm_read_byte(lpc, off + i, timer) << 8 * i;
	pthread_mutex_unlock(&lpc->pci.lock);
	return val;
}

static void go_to_sleep(struct ich9_lpc *lpc)
{
	unsigned type = (lpc->pm1_cnt & PM1_SLP_TYP) >> PM1_SLP_TYP_SHIFT;

	if (type == SLP_TYP_S5 || type == SLP_TYP_S5_ICH9)
		vm_request(lpc->pci.board->vm, VM_REQUEST_POWEROFF);
	else
		log_guest("sleep state of type %u does not exist", type);
}

static void pm_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct ich9_lpc *lpc = dev;
	bool sleep = false;

	pthread_mutex_lock(&lpc->pci.lock);
	for (unsigned i = 0; i < len; i++, off++, val >>= 8) {
		unsigned shift = 8 * (off & 1);
		uint16_t bits = (uint16_t)((val & 0xff) << shift);
		uint16_t keep = (uint16_t) ~(0xff << shift);

		switch (off) {
		case ICH9_PM1_STS:
		case ICH9_PM1_STS + 1:
			lpc->pm1_sts &= (uint16_t)~bits;
			break;
		case ICH9_PM1_EN:
		case ICH9_PM1_EN + 1:
			lpc->pm1_en = (lpc->pm1_en & keep) | (bits & PM1_EN_BITS);
			if (lpc->pm1_en & PM1_PWRBTN)
				timings_mark(TIMINGS_POWER_BUTTON);
			break;
		case ICH9_PM1_CNT:
		case ICH9_PM1_CNT + 1:
			lpc->pm1_cnt = (lpc->pm1_cnt & keep) | (bits & PM1_CNT_BITS);
			sleep |= (bits & PM1_SLP_EN) != 0;
			break;
		default:
			break;
		}
	}
	update_sci(lpc);
	if (sleep)
		go_to_sleep(lpc);
	pthread_mutex_unlock(&lpc->pci.lock);
}

static const struct bus_ops pm_ops = {
	.read = pm_read,
	.write = pm_write,
	.name = "power management",
};

static uint64_t kbd_read(void *dev, uint64_t off, unsigned len)
{
	return ones(len);
}

static void kbd_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct ich9_lpc *lpc = dev;

	if ((uint8_t)val == KBD_CMD_RESET)
		vm_request(lpc->pci.board->vm, VM_REQUEST_RESET);
}

static const struct bus_ops kbd_ops = {
	.read = kbd_read,
	.write = kbd_write,
	.name = "reset by the keyboard's port",
};

uint8_t ich9_lpc_reset_read(void *dev)
{
	struct ich9_lpc *lpc = dev;
	uint8_t val;

	pthread_mutex_lock(&lpc->pci.lock);
	val = lpc->rst_cnt;
	pthread_mutex_unlock(&lpc->pci.lock);
	return val;
}

void ich9_lpc_reset_write(void *dev, uint8_t val)
{
	struct ich9_lpc *lpc = dev;

	pthread_mutex_lock(&lpc->pci.lock);
	lpc->rst_cnt = val & (RST_CNT_SYS_RST | RST_CNT_FULL);
	pthread_mutex_unlock(&lpc->pci.lock);
	if (val & RST_CNT_RST_CPU)
		vm_request(lpc->pci.board->vm, VM_REQUEST_RESET);
}

bool ich9_lpc_power_button(struct ich9_lpc *lpc)
{
	bool listens;

	pthread_mutex_lock(&lpc->pci.lock);
	listens = lpc->pm1_en & PM1_PWRBTN;
	if (listens)
		lpc->pm1_sts |= PM1_PWRBTN;
	update_sci(lpc);
	pthread_mutex_unlock(&lpc->pci.lock);
	return listens;
}

/* Decodes the PM block where PMBASE and ACPI_CNTL say. With the lock. */
static int update_pm_range(struct ich9_lpc *lpc)
{
	const uint8_t *config = lpc->pci.config;
	uint64_t base = load_le(config + PMBASE, 2) & PMBASE_ADDRESS;
	struct bus *pio = lpc->pci.board->pio;

	if (lpc->pm.added && lpc->pm.base == base && (config[ACPI_CNTL] & ACPI_CNTL_EN))
		return 0;
	bus_remove(pio, &lpc->pm);
	if (!(config[ACPI_CNTL] & ACPI_CNTL_EN) || base == 0)
		return 0;
	lpc->pm.base = base;
	return bus_add(pio, &lpc->pm);
}

static void lpc_config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val)
{
	struct ich9_lpc *lpc = container_of(pci, struct ich9_lpc, pci);

	pci_config_write(pci, off, len, val);
	if (!pci_access_hits(off, len, PMBASE, 4) && !pci_access_hits(off, len, ACPI_CNTL, 1))
		return;
	if (update_pm_range(lpc) < 0)
		log_guest("PMBASE collides with another device's ports");
}

static void lpc_reset(struct device *dev)
{
	struct ich9_lpc *lpc = container_of(dev, struct ich9_lpc, pci.device);

	pci_dev_reset(&lpc->pci);
	pthread_mutex_lock(&lpc->pci.lock);
	lpc->pm1_sts = lpc->pm1_en = lpc->pm1_cnt = 0;
	lpc->rst_cnt = 0;
	update_sci(lpc);
	if (update_pm_range(lpc) < 0)
		log_error("the ACPI PM block's ports are taken by another device");
	pthread_mutex_unlock(&lpc->pci.lock);
}

static void lpc_destroy(struct device *dev)
{
	struct ich9_lpc *lpc = container_of(dev, struct ich9_lpc, pci.device);

	bus_remove(lpc->pci.board->pio, &lpc->pm);
	bus_remove(lpc->pci.board->pio, &lpc->kbd);
	irq_line_set(&lpc->sci, false);
	pci_dev_fini(&lpc->pci);
	free(lpc);
}

static const struct device_ops lpc_device_ops = {
	.reset = lpc_reset,
	.destroy = lpc_destroy,
};

static const struct pci_dev_ops lpc_pci_ops = {
	.config_write = lpc_config_write,
};

static void init_config(struct pci_dev *pci, uint16_t pm_base)
{
	store_le(pci->config + PMBASE, 4, pm_base | PMBASE_IO);
	pci_set_wmask(pci, PMBASE, 2, PMBASE_ADDRESS);
	pci->config[ACPI_CNTL] = ACPI_CNTL_EN;
	pci_set_wmask(pci, ACPI_CNTL, 1, ACPI_CNTL_EN | ACPI_CNTL_SCI);

	/* Kept for the firmware that routes them; the PIC gets no PCI interrupt from here. */
	store_le(pci->config + PIRQA_ROUT, 4, PIRQ_ROUT_OFF);
	store_le(pci->config + PIRQE_ROUT, 4, PIRQ_ROUT_OFF);
	pci_set_wmask(pci, PIRQA_ROUT, 4, PIRQ_ROUT_WMASK);
	pci_set_wmask(pci, PIRQE_ROUT, 4, PIRQ_ROUT_WMASK);

	/* Firmware places the chipset's window, in which nobody has looked so far. */
	pci_set_wmask(pci, RCBA, 4, RCBA_WMASK);
}

int ich9_lpc_create(const struct board *board, const struct ich9_lpc_config *config,
		    struct ich9_lpc **ret_lpc)
{
	static const struct pci_ids ids = { .vendor = PCI_VENDOR_INTEL,
					    .device = 0x2918,
					    .class = PCI_CLASS_BRIDGE_ISA,
					    .revision = 2 };
	struct ich9_lpc *lpc;
	int r;

	assert(config->pm_base && config->pm_base % ICH9_PM_SIZE == 0);
	lpc = calloc(1, sizeof(*lpc));
	if (!lpc)
		return err_sys(ERR_LIMIT, -ENOMEM, "ISA bridge");
	lpc->pci.device = (struct device){ .name = "isa-bridge", .ops = &lpc_device_ops };
	pci_dev_init(&lpc->pci, board, &lpc_pci_ops, &ids);
	init_config(&lpc->pci, config->pm_base);
	irq_line_init(&lpc->sci, board->irq, config->sci_gsi);
	lpc->pm = (struct bus_range){ .size = ICH9_PM_SIZE, .ops = &pm_ops, .dev = lpc };
	lpc->kbd = (struct bus_range){
		.base = config->kbd_command_port, .size = 1, .ops = &kbd_ops, .dev = lpc
	};
	r = update_pm_range(lpc);
	if (r == 0)
		r = bus_add(board->pio, &lpc->kbd);
	if (r < 0) {
		lpc_destroy(&lpc->pci.device);
		return err_sys(ERR_INTERNAL, r, "ports of the ISA bridge");
	}
	*ret_lpc = lpc;
	return 0;
}

struct pci_dev *ich9_lpc_pci(struct ich9_lpc *lpc)
{
	return &lpc->pci;
}
