/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's checks of the host as a whole; see doctor.h. Main thread. */
#include <stdlib.h>

#include "cli/doctor.h"
#include "core/text.h"
#include "firmware-loader/fw_image.h"
#include "vfio/host_check.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

static void check_kernel(struct doctor *doctor)
{
	const struct host_system *system = &doctor->system;

	if (!system->release[0])
		doctor_warn(doctor, "", "the kernel's version is unknown");
	else if (!host_system_since(system, 5, 10))
		doctor_fail(doctor, ERR_HOST, "use Linux 5.10 or newer",
			    "Linux %s is too old: it lacks what KVM guests here need",
			    system->release);
	else
		doctor_pass(doctor, "Linux %s", system->release);
}

static void check_kvm(struct doctor *doctor)
{
	doctor->kvm = doctor->config->query_kvm(&doctor->arch) == 0;
	if (doctor->kvm)
		doctor_pass(doctor, "it has what is needed; guest addresses have up to %u bits",
			    doctor->arch.phys_bits);
	else
		doctor_from_error(doctor, DOCTOR_FAIL);
}

/* Some kernels run guests without the CPU's help, so this matters only where there is no KVM. */
static void check_cpu(struct doctor *doctor)
{
	if (doctor->system.virtualization)
		doctor_pass(doctor, "it can run virtual machines");
	else if (!host_sysfs_exists(host_sysfs_path(doctor->config->root, "dev/kvm").s))
		doctor_fail(doctor, ERR_HOST,
			    doctor->system.nested
				    ? "switch on nested virtualization on the machine below"
				    : "switch on VT-x (Intel) or SVM (AMD) "
				      "in the firmware setup (BIOS)",
			    "it cannot run virtual machines, or that is switched off");
	if (doctor->system.nested)
		doctor_info(doctor, "this host is a virtual machine itself: its guests are slower");
}

static void check_iommu(struct doctor *doctor)
{
	const struct host_system *system = &doctor->system;

	if (host_check_has_iommu(doctor->config->root) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "%s is on, %u unit%s",
			    system->iommu[0] ? system->iommu : "an IOMMU", system->iommu_units,
			    system->iommu_units == 1 ? "" : "s");
}

static bool has_iommu(const struct doctor *doctor)
{
	const bool has = host_check_has_iommu(doctor->config->root) == 0;

	err_clear();
	return has;
}

/* It is on for some of what VFIO could use. */
static void warn_unsafe(struct doctor *doctor)
{
	const struct host_system *system = &doctor->system;
	const char *modules = "vfio_iommu_type1", *mend = "";

	if (system->unsafe_type1 && system->unsafe_iommufd)
		modules = "vfio_iommu_type1 and iommufd";
	else if (system->unsafe_iommufd)
		modules = "iommufd";
	else if (system->has_iommufd)
		mend = "iommufd has an allow_unsafe_interrupts of its own, and refuses devices "
		       "without; --iommu type1 does not";
	doctor_warn(doctor, mend,
		    "interrupts do not seem to be remapped, and allow_unsafe_interrupts of %s is "
		    "on: a guest could forge those of the host",
		    modules);
}

/* What the kernel refuses without it is told by its interfaces, too: see vfio/iommu_*.c. */
static void check_remapping(struct doctor *doctor)
{
	static const char type1_mend[] =
		"turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		"trust the guest, allow_unsafe_interrupts of the module vfio_iommu_type1";
	static const char iommufd_mend[] =
		"turn on interrupt remapping (x2APIC) in the firmware setup (BIOS), or, if you "
		"trust the guest, allow_unsafe_interrupts of the module iommufd, or for "
		"--iommu type1 that of vfio_iommu_type1";

	if (!has_iommu(doctor))
		return;
	if (doctor->system.remaps_interrupts)
		doctor_pass(doctor,
			    "interrupts are remapped: a guest cannot forge those of others");
	else if (doctor->system.unsafe_type1 || doctor->system.unsafe_iommufd)
		warn_unsafe(doctor);
	else
		doctor_warn(doctor, doctor->system.has_iommufd ? iommufd_mend : type1_mend,
			    "interrupts do not seem to be remapped; VFIO refuses devices without");
}

static void check_width(struct doctor *doctor)
{
	if (!has_iommu(doctor))
		return;
	if (doctor->system.iommu_bits)
		doctor_pass(doctor, "it maps addresses of %u bits", doctor->system.iommu_bits);
	else
		doctor_info(doctor, "how wide the addresses are that it maps is not told");
}

static void check_module(struct doctor *doctor, const char *module, enum doctor_status absent)
{
	static const char mend[] = "install all modules of the host's kernel (package "
				   "linux-modules-extra-* on Ubuntu)";

	switch (host_system_module(doctor->config->root, &doctor->system, module)) {
	case HOST_MODULE_LOADED:
		doctor_pass(doctor, "%s is loaded", module);
		return;
	case HOST_MODULE_LOADABLE:
		doctor_pass(doctor, "%s can be loaded", module);
		return;
	case HOST_MODULE_ABSENT:
		break;
	}
	if (absent == DOCTOR_FAIL)
		doctor_fail(doctor, ERR_HOST, mend,
			    "%s is neither loaded nor among the kernel's modules", module);
	else
		doctor_info(doctor, "%s is neither loaded nor among the kernel's modules", module);
}

static void check_vfio(struct doctor *doctor)
{
	check_module(doctor, "vfio-pci", DOCTOR_FAIL);
	/* Where there is iommufd, VFIO can do without. */
	check_module(doctor, "vfio_iommu_type1",
		     doctor->system.has_iommufd ? DOCTOR_INFO : DOCTOR_FAIL);
}

static void check_iommufd(struct doctor *doctor)
{
	if (doctor->system.has_iommufd)
		doctor_pass(doctor, "/dev/iommu is there; it is used where it can be");
	else if (host_system_since(&doctor->system, 6, 6))
		doctor_info(doctor, "no /dev/iommu; type1 is used");
	else
		doctor_info(doctor, "it comes with Linux 6.6; type1 is used");
}

static void check_memory(struct doctor *doctor)
{
	const uint64_t memory = doctor->config->memory;

	if (doctor->config->check_memory(memory, doctor->config->hugepages, true) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "the %s of a guest are free", text_size(memory).s);
}

static void check_memlock(struct doctor *doctor)
{
	const uint64_t memory = doctor->config->memory;

	if (doctor->config->allow_pinning(memory) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "this user may lock the %s of a guest", text_size(memory).s);
}

/* Root makes its own. */
static void check_leases(struct doctor *doctor)
{
	struct vfio_host host;

	if (doctor->config->privileged)
		return;
	vfio_host_init(&host, doctor->config->root);
	if (host_lease_check_place(host.state_dir) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "this user's are in %s", host.state_dir);
}

static void check_huge_pages(struct doctor *doctor)
{
	const struct host_system *system = &doctor->system;
	bool any = false;

	for (unsigned i = 0; i < system->huge_page_sizes; i++) {
		const struct host_huge_pages *pages = &system->huge_pages[i];

		any |= pages->reserved;
		if (pages->reserved)
			doctor_info(doctor, "%llu of %s are reserved, %llu free",
				    (unsigned long long)pages->reserved, text_size(pages->size).s,
				    (unsigned long long)pages->free);
	}
	if (!any)
		doctor_info(doctor, "none are reserved");
}

static void check_firmware(struct doctor *doctor)
{
	struct fw_image image;

	if (fw_image_open(NULL, doctor->config->firmware, &image) < 0) {
		doctor_from_error(doctor, DOCTOR_FAIL);
		return;
	}
	doctor_pass(doctor, "%s", image.code_path);
	fw_image_fini(&image);
}

/* In a folder of PATH, or at one of the places outside of it that are looked at first. */
static bool is_installed(const struct doctor *doctor, const char *program,
			 const char *const places[])
{
	const char *path = getenv("PATH");
	bool found = false;

	for (unsigned i = 0; places[i] && !found; i++)
		found = host_sysfs_exists(host_sysfs_path(doctor->config->root, "%s", places[i]).s);
	while (path && *path && !found) {
		const int len = (int)strcspn(path, ":");

		found = host_sysfs_exists(
			host_sysfs_path(doctor->config->root, "%.*s/%s", len, path, program).s);
		path += len + (path[len] == ':');
	}
	return found;
}

/* None is needed by every run. */
static void check_helpers(struct doctor *doctor)
{
	static const struct {
		const char *program, *purpose, *package;
		const char *places[5];
	} helpers[] = {
		{ "passt", "--net user, which guests with disks have by default,", "passt", {} },
		{ "virtiofsd",
		  "run -- COMMAND",
		  "virtiofsd, or qemu-system-common before Debian 13",
		  { "usr/libexec/virtiofsd", "usr/lib/qemu/virtiofsd", "usr/lib/virtiofsd",
		    "usr/local/libexec/virtiofsd" } },
		{ "qemu-storage-daemon",
		  "--disk with snapshot or of another format than raw",
		  "qemu-system-common",
		  {} },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(helpers); i++) {
		if (is_installed(doctor, helpers[i].program, helpers[i].places))
			doctor_pass(doctor, "%s is installed", helpers[i].program);
		else
			doctor_info(doctor, "%s is not installed: %s needs it (package %s)",
				    helpers[i].program, helpers[i].purpose, helpers[i].package);
	}
}

/* Guests with disks do without all of it. */
static void check_command(struct doctor *doctor)
{
	for (const struct doctor_need *need = doctor->config->command_needs; need->check; need++) {
		int r = need->check();

		if (r == 0) {
			doctor_pass(doctor, "%s", need->met);
			continue;
		}
		(void)err_wrap(r, "run -- COMMAND would fail");
		doctor_from_error(doctor, DOCTOR_INFO);
	}
}

/* What newer kernels do better [linux 6.12 huge pfnmaps in vfio-pci, 6.15 masks in VFIO_DMA_MAP, */
/* 6.19 dma-bufs of vfio-pci]. */
static void check_bar_pages(struct doctor *doctor)
{
	if (host_system_since(&doctor->system, 6, 12))
		doctor_pass(doctor, "a GPU's memory is mapped in huge pages");
	else
		doctor_info(doctor, "a GPU's memory is mapped in pages of 4K, so its first use is "
				    "slow; Linux 6.12 and newer take huge ones");
}

static void check_bar_dma(struct doctor *doctor)
{
	if (host_system_since(&doctor->system, 6, 15))
		doctor_pass(doctor, "mapping GPUs' memory for each other is quick");
	else
		doctor_info(doctor, "with several GPUs, mapping 32G for each other takes about a "
				    "second; Linux 6.15 and newer are quicker");
}

static void check_dma_buf(struct doctor *doctor)
{
	if (!doctor->system.has_iommufd)
		return;
	doctor_info(doctor, "iommufd maps no GPUs' memory for each other; several GPUs get type1");
}

/* What could be given back has been, before any check. `what` is said of each device. */
static unsigned check_journal(struct doctor *doctor, enum host_journal kind, const char *what)
{
	struct vfio_host host;
	struct pci_addr *addrs;
	unsigned count;
	int r;

	vfio_host_init(&host, doctor->config->root);
	r = host_journal_list(host.state_dir, kind, &addrs, &count);
	if (r < 0) {
		doctor_warn(doctor, "", "the journal in %s cannot be read: %s", host.state_dir,
			    strerror(-r));
		return 1;
	}
	for (unsigned i = 0; i < count; i++) {
		struct vfio_host_before before;

		if (host_journal_read(host.state_dir, kind, addrs[i], &before) < 0)
			doctor_warn(doctor, "", "%s is in the journal, which says nothing sensible",
				    pci_addr_text(addrs[i]).s);
		else
			doctor_info(doctor, "%s %s; before that, %s had it",
				    pci_addr_text(addrs[i]).s, what,
				    before.driver[0] ? before.driver : "no driver");
	}
	free(addrs);
	return count;
}

static void check_journals(struct doctor *doctor)
{
	const unsigned taken =
		check_journal(doctor, HOST_JOURNAL_TAKEN,
			      "is with VFIO for a run, or was left so by one that was killed");

	if (check_journal(doctor, HOST_JOURNAL_BOUND, "is bound to VFIO by tinyvmm bind") + taken ==
	    0)
		doctor_pass(doctor, "no run has left a device behind");
}

const struct doctor_host_check doctor_host_checks[] = {
	{ "kernel", check_kernel },
	{ "kvm", check_kvm },
	{ "cpu", check_cpu },
	{ "iommu", check_iommu },
	{ "interrupt-remapping", check_remapping },
	{ "iommu-width", check_width },
	{ "vfio", check_vfio },
	{ "iommufd", check_iommufd },
	{ "memory", check_memory },
	{ "memlock", check_memlock },
	{ "leases", check_leases },
	{ "huge-pages", check_huge_pages },
	{ "firmware", check_firmware },
	{ "helpers", check_helpers },
	{ "command", check_command },
	{ "bar-pages", check_bar_pages },
	{ "bar-dma", check_bar_dma },
	{ "bar-iommufd", check_dma_buf },
	{ "journal", check_journals },
};

const unsigned doctor_host_check_count = ARRAY_SIZE(doctor_host_checks);
