/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for tests on the real /dev/kvm: RAM, a ROM with a tiny guest, the interrupt chips, two
 * empty buses and vCPUs. Everything waits with a deadline and fails the test after it; the fixture
 * then ends the guest, whatever it does.
 *
 * The main guest is the agent: the test tells it what to access, and asserts on what comes back.
 */
#ifndef KVM_GUEST_H
#define KVM_GUEST_H

#include "cmocka_all.h"

#include <errno.h>
#include <pthread.h>

#include "core/arch.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/mem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "guests/layout.h"

#define GUEST_REPORTS_MAX 64u
#define GUEST_PHYS_BITS   36u

/* An image of GUEST_ROM_SIZE bytes, from guests/<name>.S. */
extern const uint8_t guest_image_agent[], guest_image_long_mode[], guest_image_lost[],
	guest_image_real_mode[], guest_image_smp[], guest_image_spin[], guest_image_triple_fault[];

struct guest {
	struct vm vm;
	struct guest_mem mem;
	struct irq irq;
	struct bus pio, mmio;
	struct board board;
	struct vcpus vcpus;
	bool has_vm, has_irq, has_vcpus, paused;
	int request_fd; /* eventfd, signalled when the VM's request changes */
	uint8_t *rom;
	struct vm_slot ram_slot, rom_slot;
	struct bus_range report_port, irq_port;

	pthread_mutex_t lock; /* guards the reports */
	pthread_cond_t reported;
	uint32_t reports[GUEST_REPORTS_MAX];
	unsigned report_sizes[GUEST_REPORTS_MAX];
	unsigned reports_made, reports_read;

	/* Set before guest_init; no cores: one socket of as many as guest_init is told. */
	struct arch_cpu_config cpu;
	unsigned phys_bits; /* 0: GUEST_PHYS_BITS */
	struct arch_cpu *arch_cpu;

	/* The agent serves `vector`; on the vCPU's thread, before its EOI. Set before guest_start.
	 */
	void (*on_irq)(void *arg, unsigned vector);
	void *on_irq_arg;
};

/* For main: false, with the reason on standard error, where /dev/kvm cannot be used. */
bool guest_kvm_usable(void);
#define GUEST_EXIT_SKIPPED 77 /* what meson takes for a skipped test */

/* A fixture: *state is the struct guest, with nothing made yet; ends whatever was made. */
int guest_setup(void **state);
int guest_teardown(void **state);
#define GUEST_TEST(f) cmocka_unit_test_setup_teardown(f, guest_setup, guest_teardown)

/* The machine with `image` in its ROM, vCPUs not started; main may add ranges and devices. */
void guest_init(struct guest *guest, const uint8_t *image, unsigned cpus);
void guest_start(struct guest *guest);
void guest_pause(struct guest *guest);
void guest_resume(struct guest *guest);
struct vcpu_counts guest_counts(struct guest *guest); /* of vCPU 0, paused for it */

/* A dword of guest RAM, as it is now. */
uint32_t guest_ram(struct guest *guest, uint64_t gpa);
void guest_set_ram(struct guest *guest, uint64_t gpa, uint32_t val);

/* The next value that the guest writes to PORT_REPORT. */
uint32_t guest_report(struct guest *guest);
/* Its size, 1, 2 or 4, of the value read last. */
unsigned guest_report_size(struct guest *guest);
void guest_wait_request(struct guest *guest, enum vm_request request);
/* Until the dword in RAM is at least `val` (by subtraction, so that it may wrap). */
void guest_wait_ram(struct guest *guest, uint64_t gpa, uint32_t val);
/* Until `fd` is readable, then drains it. False after `ms`. */
bool guest_wait_fd(int fd, unsigned ms);

/* guest_init with the agent, start, and wait until it has come up. */
void agent_start(struct guest *guest, unsigned cpus);
void agent_wait_ready(struct guest *guest);
/* One command; its results are in the mailbox. Returns the exception it met, -1 if none. */
int agent_try(struct guest *guest, unsigned op, uint32_t addr, uint32_t value, uint32_t count);
uint32_t agent_result(struct guest *guest, unsigned i);

/* These fail the test if the command meets an exception. `size` is 1, 2 or 4. */
uint32_t agent_in(struct guest *guest, uint16_t port, unsigned size);
void agent_out(struct guest *guest, uint16_t port, unsigned size, uint32_t val);
uint32_t agent_read(struct guest *guest, uint32_t addr, unsigned size);
void agent_write(struct guest *guest, uint32_t addr, unsigned size, uint32_t val);
uint64_t agent_rdmsr(struct guest *guest, uint32_t msr);
void agent_wrmsr(struct guest *guest, uint32_t msr, uint64_t val);
void agent_cpuid(struct guest *guest, uint32_t leaf, uint32_t subleaf, uint32_t ret_regs[4]);

/* How often the agent served `vector`. */
unsigned agent_irqs(struct guest *guest, unsigned vector);
void agent_wait_irqs(struct guest *guest, unsigned vector, unsigned count);
/* Gives an interrupt that must not come the time to come, then checks the count. */
void agent_no_more_irqs(struct guest *guest, unsigned vector, unsigned count);
/*
 * After interrupts of the local APIC: true if each was in service while its handler ran. There are
 * KVMs that acknowledge an interrupt as they deliver it; level lines then fire too often.
 */
bool agent_has_in_service(struct guest *guest);
void agent_ioapic_write(struct guest *guest, unsigned pin, uint64_t entry);
uint64_t agent_ioapic_read(struct guest *guest, unsigned pin);

struct probe_access {
	uint64_t off, val;
	unsigned len;
};

/* A device for buses: remembers writes, answers `answer`. */
struct probe {
	struct bus_range range;
	uint64_t answer;
	unsigned reads, writes;
	struct probe_access last;    /* write */
	struct probe_access log[64]; /* the first writes, in order */
};
/* Adds the range to `bus`, failing the test if that fails. */
void probe_add(struct probe *probe, struct bus *bus, uint64_t base, uint64_t size);
extern const struct bus_ops probe_ops;

#endif
