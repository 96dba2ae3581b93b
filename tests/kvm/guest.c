/* SPDX-License-Identifier: Apache-2.0 */
/* The test machine; see guest.h. Main thread, but for the handlers of its ports. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "x86_64/layout.h"

#define DEADLINE_MS   20000u
#define QUIET_MS      30u /* how long an interrupt that must not come is waited for */
#define TEST_MAX_S    60u /* then the process is killed: something in the core hangs */
#define IOAPIC_SELECT 0x00u
#define IOAPIC_WINDOW 0x10u
#define IOAPIC_ENTRY0 0x10u

static void nap(void)
{
	usleep(50);
}

bool guest_kvm_usable(void)
{
	struct vm vm;
	bool usable = vm_init(&vm) == 0;

	if (!usable)
		fprintf(stderr, "skipped: %s\n", err_text());
	vm_fini(&vm);
	return usable;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned len)
{
	return ones(len);
}

static void report_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct guest *guest = dev;

	pthread_mutex_lock(&guest->lock);
	if (off == 0 && guest->reports_made < GUEST_REPORTS_MAX) {
		guest->reports[guest->reports_made] = (uint32_t)val;
		guest->report_sizes[guest->reports_made++] = len;
		pthread_cond_broadcast(&guest->reported);
	}
	pthread_mutex_unlock(&guest->lock);
}

static void irq_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct guest *guest = dev;

	if (guest->on_irq)
		guest->on_irq(guest->on_irq_arg, (unsigned)val);
}

static const struct bus_ops report_ops = { port_read, report_write };
static const struct bus_ops irq_ops = { port_read, irq_write };

int guest_setup(void **state)
{
	*state = calloc(1, sizeof(struct guest));
	alarm(TEST_MAX_S);
	return *state ? 0 : -1;
}

static void check(int r)
{
	if (r < 0)
		fail_msg("%s (%d)", err_text(), r);
}

static void requested(struct vm *vm)
{
	sys_eventfd_signal(container_of(vm, struct guest, vm)->request_fd);
}

void guest_init(struct guest *guest, const uint8_t *image, unsigned cpus)
{
	if (!guest->cpu.topology.cores)
		guest->cpu.topology = (struct arch_topology){ 1, cpus, 1 };
	pthread_mutex_init(&guest->lock, NULL);
	pthread_cond_init(&guest->reported, NULL);
	bus_init(&guest->pio);
	bus_init(&guest->mmio);
	guest_mem_init(&guest->mem);
	guest->has_vm = true;
	check(vm_init(&guest->vm));
	guest->request_fd = sys_eventfd();
	assert_true(guest->request_fd >= 0);
	guest->vm.requested = requested;
	check(guest_mem_add(&guest->mem, 0, GUEST_RAM_SIZE));
	check(vm_slot_map(&guest->vm, &guest->ram_slot, 0, GUEST_RAM_SIZE, guest->mem.banks[0].hva,
			  0));
	guest->rom = aligned_alloc(4096, GUEST_ROM_SIZE);
	assert_non_null(guest->rom);
	memcpy(guest->rom, image, GUEST_ROM_SIZE);
	check(vm_slot_map(&guest->vm, &guest->rom_slot, GUEST_ROM_BASE, GUEST_ROM_SIZE, guest->rom,
			  VM_SLOT_READONLY));
	check(arch_cpu_create(&guest->vm, &guest->cpu, &guest->arch_cpu));
	arch_cpu_set_phys_bits(guest->arch_cpu,
			       guest->phys_bits ? guest->phys_bits : GUEST_PHYS_BITS);
	check(arch_vm_init(&guest->vm, guest->arch_cpu));
	guest->board =
		(struct board){ &guest->vm, &guest->mem, &guest->irq, &guest->pio, &guest->mmio };
	check(arch_irqs_init(&guest->board, guest->arch_cpu));
	guest->has_irq = true;
	guest->report_port = (struct bus_range){ PORT_REPORT, 4, &report_ops, guest, false };
	guest->irq_port = (struct bus_range){ PORT_IRQ, 4, &irq_ops, guest, false };
	check(bus_add(&guest->pio, &guest->report_port));
	check(bus_add(&guest->pio, &guest->irq_port));
	guest->has_vcpus = true;
	check(vcpus_init(&guest->vcpus, &guest->board, &guest->cpu.topology, guest->arch_cpu));
}

int guest_teardown(void **state)
{
	struct guest *guest = *state;

	if (guest->has_vcpus)
		vcpus_fini(&guest->vcpus);
	if (guest->has_irq)
		arch_irqs_fini(&guest->board, guest->arch_cpu);
	arch_cpu_destroy(guest->arch_cpu);
	if (guest->has_vm) {
		vm_fini(&guest->vm);
		close(guest->request_fd);
		guest_mem_fini(&guest->mem);
		bus_fini(&guest->pio);
		bus_fini(&guest->mmio);
	}
	free(guest->rom);
	free(guest);
	alarm(0);
	return 0;
}

void guest_start(struct guest *guest)
{
	check(vcpus_start(&guest->vcpus));
}

void guest_pause(struct guest *guest)
{
	vcpus_pause(&guest->vcpus);
}

void guest_resume(struct guest *guest)
{
	vcpus_resume(&guest->vcpus);
}

struct vcpu_counts guest_counts(struct guest *guest)
{
	struct vcpu_counts counts;

	guest_pause(guest);
	counts = guest->vcpus.vcpus[0].counts;
	guest_resume(guest);
	return counts;
}

uint32_t guest_ram(struct guest *guest, uint64_t gpa)
{
	return __atomic_load_n((uint32_t *)mem_ptr(&guest->mem, gpa, 4), __ATOMIC_ACQUIRE);
}

void guest_set_ram(struct guest *guest, uint64_t gpa, uint32_t val)
{
	__atomic_store_n((uint32_t *)mem_ptr(&guest->mem, gpa, 4), val, __ATOMIC_RELEASE);
}

/* Fails the test, saying where the guest stands; a crash of the guest was logged already. */
static void out_of_time(struct guest *guest, const char *what)
{
	char where[256];

	guest_pause(guest);
	arch_vcpu_describe(&guest->vcpus.vcpus[0], where, sizeof(where));
	guest_resume(guest);
	fail_msg("no %s within %u ms; request %d, vCPU 0 at %s", what, DEADLINE_MS,
		 atomic_load(&guest->vm.request), where);
}

uint32_t guest_report(struct guest *guest)
{
	const uint64_t end = clock_ms() + DEADLINE_MS;
	bool have = false;
	uint32_t val = 0;

	while (!have) {
		pthread_mutex_lock(&guest->lock);
		have = guest->reports_read < guest->reports_made;
		if (have)
			val = guest->reports[guest->reports_read++];
		pthread_mutex_unlock(&guest->lock);
		if (!have && clock_ms() > end)
			out_of_time(guest, "report");
		if (!have)
			nap();
	}
	return val;
}

unsigned guest_report_size(struct guest *guest)
{
	unsigned size;

	pthread_mutex_lock(&guest->lock);
	size = guest->report_sizes[guest->reports_read - 1];
	pthread_mutex_unlock(&guest->lock);
	return size;
}

void guest_wait_request(struct guest *guest, enum vm_request request)
{
	if (!guest_wait_fd(guest->request_fd, DEADLINE_MS))
		out_of_time(guest, "request");
	assert_int_equal(atomic_exchange(&guest->vm.request, VM_REQUEST_NONE), request);
}

void guest_wait_ram(struct guest *guest, uint64_t gpa, uint32_t val)
{
	const uint64_t end = clock_ms() + DEADLINE_MS;

	while ((int32_t)(guest_ram(guest, gpa) - val) < 0) {
		if (clock_ms() > end)
			out_of_time(guest, "change in RAM");
		nap();
	}
}

bool guest_wait_fd(int fd, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, (int)ms) == 1 && sys_eventfd_drain(fd) > 0;
}

void agent_wait_ready(struct guest *guest)
{
	guest_wait_ram(guest, GUEST_MAILBOX + MAILBOX_READY, 1);
}

void agent_start(struct guest *guest, unsigned cpus)
{
	guest_init(guest, guest_image_agent, cpus);
	guest_start(guest);
	agent_wait_ready(guest);
}

int agent_try(struct guest *guest, unsigned op, uint32_t addr, uint32_t value, uint32_t count)
{
	const uint64_t end = clock_ms() + DEADLINE_MS;
	uint32_t fault;

	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_ADDR, addr);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_VALUE, value);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_COUNT, count);
	guest_set_ram(guest, GUEST_MAILBOX + MAILBOX_OP, op);
	while (guest_ram(guest, GUEST_MAILBOX + MAILBOX_OP) != 0) {
		if (clock_ms() > end)
			out_of_time(guest, "answer from the agent");
		nap();
	}
	fault = guest_ram(guest, GUEST_MAILBOX + MAILBOX_FAULT);
	return fault ? (int)(fault & 0xff) : -1;
}

uint32_t agent_result(struct guest *guest, unsigned i)
{
	return guest_ram(guest, GUEST_MAILBOX + MAILBOX_RESULT + 4 * i);
}

static void agent_do(struct guest *guest, unsigned op, uint32_t addr, uint32_t value,
		     uint32_t count)
{
	int exception = agent_try(guest, op, addr, value, count);

	if (exception >= 0)
		fail_msg("the guest met exception %d in command %u (0x%x, 0x%x)", exception, op,
			 addr, value);
}

/* `op8` is the first of three commands, for 1, 2 and 4 bytes. */
static unsigned sized(unsigned op8, unsigned size)
{
	return op8 + (size == 1 ? 0 : size == 2 ? 1 : 2);
}

uint32_t agent_in(struct guest *guest, uint16_t port, unsigned size)
{
	agent_do(guest, sized(OP_IN8, size), port, 0, 0);
	return agent_result(guest, 0);
}

void agent_out(struct guest *guest, uint16_t port, unsigned size, uint32_t val)
{
	agent_do(guest, sized(OP_OUT8, size), port, val, 0);
}

uint32_t agent_read(struct guest *guest, uint32_t addr, unsigned size)
{
	agent_do(guest, sized(OP_READ8, size), addr, 0, 0);
	return agent_result(guest, 0);
}

void agent_write(struct guest *guest, uint32_t addr, unsigned size, uint32_t val)
{
	agent_do(guest, sized(OP_WRITE8, size), addr, val, 0);
}

uint64_t agent_rdmsr(struct guest *guest, uint32_t msr)
{
	agent_do(guest, OP_RDMSR, msr, 0, 0);
	return agent_result(guest, 0) | (uint64_t)agent_result(guest, 1) << 32;
}

void agent_wrmsr(struct guest *guest, uint32_t msr, uint64_t val)
{
	agent_do(guest, OP_WRMSR, msr, (uint32_t)val, (uint32_t)(val >> 32));
}

void agent_cpuid(struct guest *guest, uint32_t leaf, uint32_t subleaf, uint32_t ret_regs[4])
{
	agent_do(guest, OP_CPUID, leaf, subleaf, 0);
	for (unsigned i = 0; i < 4; i++)
		ret_regs[i] = agent_result(guest, i);
}

unsigned agent_irqs(struct guest *guest, unsigned vector)
{
	return guest_ram(guest, GUEST_IRQ_COUNT + 4 * vector);
}

void agent_wait_irqs(struct guest *guest, unsigned vector, unsigned count)
{
	guest_wait_ram(guest, GUEST_IRQ_COUNT + 4 * vector, count);
}

void agent_no_more_irqs(struct guest *guest, unsigned vector, unsigned count)
{
	usleep(QUIET_MS * 1000);
	assert_int_equal(agent_irqs(guest, vector), count);
}

bool agent_has_in_service(struct guest *guest)
{
	return guest_ram(guest, GUEST_MAILBOX + MAILBOX_EARLY) == 0;
}

void agent_ioapic_write(struct guest *guest, unsigned pin, uint64_t entry)
{
	/* The half with the mask bit last, so that the entry is whole when it goes live. */
	agent_write(guest, IOAPIC_BASE + IOAPIC_SELECT, 4, IOAPIC_ENTRY0 + 2 * pin + 1);
	agent_write(guest, IOAPIC_BASE + IOAPIC_WINDOW, 4, (uint32_t)(entry >> 32));
	agent_write(guest, IOAPIC_BASE + IOAPIC_SELECT, 4, IOAPIC_ENTRY0 + 2 * pin);
	agent_write(guest, IOAPIC_BASE + IOAPIC_WINDOW, 4, (uint32_t)entry);
}

uint64_t agent_ioapic_read(struct guest *guest, unsigned pin)
{
	uint64_t entry;

	agent_write(guest, IOAPIC_BASE + IOAPIC_SELECT, 4, IOAPIC_ENTRY0 + 2 * pin);
	entry = agent_read(guest, IOAPIC_BASE + IOAPIC_WINDOW, 4);
	agent_write(guest, IOAPIC_BASE + IOAPIC_SELECT, 4, IOAPIC_ENTRY0 + 2 * pin + 1);
	return entry | (uint64_t)agent_read(guest, IOAPIC_BASE + IOAPIC_WINDOW, 4) << 32;
}

static uint64_t probe_read(void *dev, uint64_t off, unsigned len)
{
	struct probe *probe = dev;

	probe->reads++;
	return (probe->answer >> (8 * (off % 8))) & ones(len);
}

static void probe_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct probe *probe = dev;

	probe->last = (struct probe_access){ off, val, len };
	if (probe->writes < ARRAY_SIZE(probe->log))
		probe->log[probe->writes] = probe->last;
	probe->writes++;
}

const struct bus_ops probe_ops = { probe_read, probe_write };

void probe_add(struct probe *probe, struct bus *bus, uint64_t base, uint64_t size)
{
	probe->range = (struct bus_range){ base, size, &probe_ops, probe, false };
	check(bus_add(bus, &probe->range));
}
