/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what each one means, or exactly what is said against it. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/options.h"
#include "cli/options_defs.h"
#include "core/err.h"

#define ARGS_MAX 64

/* The whole struct in one line, without what nobody asked for. */
static void PRINTF_LIKE(2, 3) add(char *line, const char *fmt, ...)
{
	const size_t len = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + len, 1024 - len, fmt, ap);
	va_end(ap);
}

static void describe(const struct options *o, char line[1024])
{
	const struct arch_topology *t = &o->topology;
	static const char *const levels[] = { "error", "quiet", "info", "verbose" };

	line[0] = '\0';
	if (o->help || o->version) {
		add(line, "%s", o->help ? "help" : "version");
		return;
	}
	if (o->command == OPTIONS_LIST) {
		add(line, "list%s%s", o->all ? " all" : "", o->json ? " json" : "");
		return;
	}
	if (o->command == OPTIONS_BIND || o->command == OPTIONS_RELEASE) {
		add(line, "%s", o->command == OPTIONS_BIND ? "bind" : "release");
		for (unsigned i = 0; i < o->gpu_count; i++)
			add(line, " %s", pci_addr_text(o->gpus[i].addr).s);
		if (o->wait_ms)
			add(line, " wait %u ms", o->wait_ms);
		if (o->user[0])
			add(line, " user %s", o->user);
		return;
	}
	if (o->command == OPTIONS_DOCTOR) {
		add(line, "doctor, %lluM%s", (unsigned long long)(o->memory / MiB),
		    o->json ? " json" : "");
		for (unsigned i = 0; i < o->gpu_count; i++)
			add(line, " %s", pci_addr_text(o->gpus[i].addr).s);
		return;
	}
	for (unsigned i = 0; i < o->gpu_count; i++) {
		const struct vfio_clique *clique = &o->gpus[i].clique;

		add(line, "gpu %s%s%s%s", options_gpu_name(&o->gpus[i]).s,
		    o->gpus[i].rom_off ? " no rom" : "", o->gpus[i].rom[0] ? " rom " : "",
		    o->gpus[i].rom);
		if (clique->kind == VFIO_CLIQUE_NONE)
			add(line, " no clique");
		if (clique->kind == VFIO_CLIQUE_ID)
			add(line, " clique %u", clique->id);
		if (o->gpus[i].vf_token[0])
			add(line, " token %s", o->gpus[i].vf_token);
		add(line, "; ");
	}
	if (o->wait_ms)
		add(line, "wait %u ms; ", o->wait_ms);
	if (o->p2p != VFIO_P2P_AUTO)
		add(line, "p2p %s; ", o->p2p == VFIO_P2P_ON ? "on" : "off");
	if (o->iommu != VFIO_IOMMU_AUTO)
		add(line, "%s; ", o->iommu == VFIO_IOMMU_TYPE1 ? "type1" : "iommufd");
	for (unsigned i = 0; i < o->disk_count; i++) {
		add(line, "disk '%s'%s%s%s", o->disks[i].file, o->disks[i].readonly ? " ro" : "",
		    o->disks[i].serial[0] ? " serial " : "", o->disks[i].serial);
		if (o->disks[i].cache != BLK_CACHE_WRITEBACK)
			add(line, o->disks[i].cache == BLK_CACHE_DIRECT ? " direct" : " unsafe");
		if (o->disks[i].snapshot)
			add(line, " snapshot");
		if (o->disks[i].format)
			add(line, " format %s", blk_format_name(o->disks[i].format));
		if (o->disks[i].keep_space)
			add(line, " keeps its space");
		if (o->disks[i].queues)
			add(line, " %u queues", o->disks[i].queues);
		add(line, "; ");
	}
	add(line, "%u cpus", o->cpus);
	if (t->sockets != 1 || t->threads != 1 || t->cores != o->cpus)
		add(line, " = %u x %u x %u", t->sockets, t->cores, t->threads);
	add(line, ", %lluM", (unsigned long long)(o->memory / MiB));
	if (o->cpu_features[0])
		add(line, "; cpu %s", o->cpu_features);
	if (o->dedicated)
		add(line, "; dedicated");
	if (o->hyperv)
		add(line, "; hyperv");
	if (o->hide_hypervisor)
		add(line, "; hidden");
	if (o->hypervisor_vendor[0])
		add(line, "; vendor '%s'", o->hypervisor_vendor);
	if (o->firmware_code[0])
		add(line, "; code '%s'", o->firmware_code);
	if (o->firmware_vars[0])
		add(line, " vars '%s'", o->firmware_vars);
	if (o->firmware_log[0])
		add(line, "; log '%s'", o->firmware_log);
	if (o->hugepages)
		add(line, "; pages %s",
		    o->hugepages == HUGEPAGES_2M   ? "2M"
		    : o->hugepages == HUGEPAGES_1G ? "1G"
						   : "off");
	if (o->pin)
		add(line, "; pin%s", o->pin == PIN_AUTO ? " auto" : "");
	for (unsigned i = 0; i < o->pin_count; i++)
		add(line, " %u", o->pin_cpus[i]);
	if (o->numa)
		add(line, "; numa %s",
		    o->numa == NUMA_OFF ? "off" : cpu_set_text(&o->numa_nodes).s);
	if (o->timings)
		add(line, "; timings%s", o->timings == TIMINGS_JSON ? " json" : "");
	if (o->kernel[0])
		add(line, "; kernel '%s' '%s'", o->kernel, o->cmdline);
	if (o->initrd[0])
		add(line, " initrd '%s'", o->initrd);
	for (unsigned i = 0; i < o->share_count; i++)
		add(line, "; rw '%s'", o->shares[i]);
	for (unsigned i = 0; i < o->env_count; i++)
		add(line, "; env '%s'", o->env[i]);
	if (o->user[0])
		add(line, "; user %s", o->user);
	if (o->root)
		add(line, "; root '%s'", o->root);
	if (o->timeout_ms)
		add(line, "; timeout %u ms", o->timeout_ms);
	for (unsigned i = 0; i < o->command_argc; i++)
		add(line, "%s%s", i ? " " : "; runs ", o->command_argv[i]);
	if (o->log_level != LOG_INFO)
		add(line, "; %s", levels[o->log_level]);
}

/* Runs the parser on words with one space between them; an error is "text; hint". */
static int parse(const char *words, struct options *options, char line[1024])
{
	char copy[8192], *argv[ARGS_MAX] = { (char *)"tinyvmm" };
	int r, argc = 1;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *p = copy; *p && argc < ARGS_MAX - 1;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
	}
	err_clear();
	memset(options, 0, sizeof(*options));
	r = options_parse(argc, argv, options);
	if (r == 0)
		describe(options, line);
	else
		snprintf(line, 1024, "%s%s%s", err_text(), err_hint_text()[0] ? "; " : "",
			 err_hint_text());
	return r;
}

struct golden {
	const char *words, *expected;
};

static const struct golden good[] = {
	{ "--disk a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "run --disk a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "--disk run", "disk 'run'; 2 cpus, 4096M" },
	{ "--disk=a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "--disk=--a.img", "disk '--a.img'; 2 cpus, 4096M" },
	{ "--disk=a=b.img", "disk 'a=b.img'; 2 cpus, 4096M" },
	{ "--disk -", "disk '-'; 2 cpus, 4096M" },
	{ "--disk a.img,ro,serial=WD-1", "disk 'a.img' ro serial WD-1; 2 cpus, 4096M" },
	{ "--disk a.img,cache=direct,ro --disk b,cache=unsafe --disk c,cache=writeback",
	  "disk 'a.img' ro direct; disk 'b' unsafe; disk 'c'; 2 cpus, 4096M" },
	{ "--disk a.img,discard=off --disk b,discard=on",
	  "disk 'a.img' keeps its space; disk 'b'; 2 cpus, 4096M" },
	{ "--disk a.img,queues=64", "disk 'a.img' 64 queues; 2 cpus, 4096M" },
	{ "--disk a.qcow2", "disk 'a.qcow2'; 2 cpus, 4096M" },
	{ "--disk a.img,format=qcow2,ro", "disk 'a.img' ro format qcow2; 2 cpus, 4096M" },
	{ "--disk a.img,snapshot", "disk 'a.img' snapshot; 2 cpus, 4096M" },
	{ "--disk a.qcow2,snapshot,format=raw",
	  "disk 'a.qcow2' snapshot format raw; 2 cpus, 4096M" },
	{ "--disk a.qcow2,format=raw,serial=x",
	  "disk 'a.qcow2' serial x format raw; 2 cpus, 4096M" },
	{ "--disk a.img,serial=x,ro,ro", "disk 'a.img' ro serial x; 2 cpus, 4096M" },
	{ "--disk a.img,serial=12345678901234567890",
	  "disk 'a.img' serial 12345678901234567890; 2 cpus, 4096M" },
	{ "--disk a,,b,,,,c.img", "disk 'a,b,,c.img'; 2 cpus, 4096M" },
	{ "--disk a.img,,,ro", "disk 'a.img,' ro; 2 cpus, 4096M" },
	{ "--disk ,,", "disk ','; 2 cpus, 4096M" },
	{ "--disk a.img,serial=a,,b", "disk 'a.img' serial a,b; 2 cpus, 4096M" },
	{ "--disk a --disk b,ro --disk c", "disk 'a'; disk 'b' ro; disk 'c'; 2 cpus, 4096M" },

	{ "--gpu 01:00.0", "gpu 0000:01:00.0; 2 cpus, 4096M" },
	{ "--gpu 0000:AF:00.1,rom=off", "gpu 0000:af:00.1 no rom; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=vbios.rom", "gpu 0000:01:00.0 rom vbios.rom; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=./off", "gpu 0000:01:00.0 rom ./off; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=a,,b=c", "gpu 0000:01:00.0 rom a,b=c; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --gpu 01:00.1", "gpu 0000:01:00.0; gpu 0000:01:00.1; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --iommu auto", "gpu 0000:01:00.0; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3 --iommu type1",
	  "gpu 0000:01:00.0 token bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3; type1; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --iommu type1", "gpu 0000:01:00.0; type1; 2 cpus, 4096M" },
	{ "--iommu iommufd --disk d", "iommufd; disk 'd'; 2 cpus, 4096M" },

	{ "--gpu 01:00.0,clique=0", "gpu 0000:01:00.0 clique 0; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,clique=15,rom=off", "gpu 0000:01:00.0 no rom clique 15; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,clique=off", "gpu 0000:01:00.0 no clique; 2 cpus, 4096M" },
	{ "--gpu 01:00.1,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1f3",
	  "gpu 0000:01:00.1 token BD8D9D2B-5a5f-4f5a-a211-f591514ba1f3; 2 cpus, 4096M" },
	{ "--gpu /sys/bus/mdev/devices/83B8F4F2-509f-382f-3c1e-e6bfe0fa1001",
	  "gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001; 2 cpus, 4096M" },
	{ "--gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001,rom=off",
	  "gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 no rom; 2 cpus, 4096M" },
	{ "--p2p on --disk d", "p2p on; disk 'd'; 2 cpus, 4096M" },
	{ "--p2p off --disk d", "p2p off; disk 'd'; 2 cpus, 4096M" },
	{ "--p2p auto --disk d", "disk 'd'; 2 cpus, 4096M" },

	{ "--kernel a,b", "2 cpus, 4096M; kernel 'a,b' ''" },
	{ "--cmdline=ro --initrd i --kernel k", "2 cpus, 4096M; kernel 'k' 'ro' initrd 'i'" },

	{ "--cpus 1 --disk d", "disk 'd'; 1 cpus, 4096M" },
	{ "--cpus 1024 --disk d", "disk 'd'; 1024 cpus, 4096M" },
	{ "--cpu -avx512f,+aes --disk d", "disk 'd'; 2 cpus, 4096M; cpu -avx512f,+aes" },
	{ "--hyperv --dedicated --hypervisor-vendor Acme --disk d",
	  "disk 'd'; 2 cpus, 4096M; dedicated; hyperv; vendor 'Acme'" },
	{ "--cpus cores=3 --disk d", "disk 'd'; 3 cpus, 4096M" },
	{ "--cpus 12,threads=2 --disk d", "disk 'd'; 12 cpus = 1 x 6 x 2, 4096M" },
	{ "--cpus 12,sockets=2 --disk d", "disk 'd'; 12 cpus = 2 x 6 x 1, 4096M" },
	{ "--cpus 12,cores=3 --disk d", "disk 'd'; 12 cpus = 4 x 3 x 1, 4096M" },
	{ "--cpus 12,cores=3,sockets=2 --disk d", "disk 'd'; 12 cpus = 2 x 3 x 2, 4096M" },
	{ "--cpus threads=2,sockets=2,cores=3,12 --disk d",
	  "disk 'd'; 12 cpus = 2 x 3 x 2, 4096M" },
	{ "--cpus sockets=2,threads=2 --disk d", "disk 'd'; 4 cpus = 2 x 1 x 2, 4096M" },
	{ "--cpus 08 --disk d", "disk 'd'; 8 cpus, 4096M" },
	{ "--hide-hypervisor --disk d", "disk 'd'; 2 cpus, 4096M; hidden" },
	{ "--hypervisor-vendor AcmeAcmeAcme --disk d",
	  "disk 'd'; 2 cpus, 4096M; vendor 'AcmeAcmeAcme'" },
	{ "--memory 64M --disk d", "disk 'd'; 2 cpus, 64M" },
	{ "--memory 65536K --disk d", "disk 'd'; 2 cpus, 64M" },
	{ "--memory 16G --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 16g --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 16GiB --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 512mib --disk d", "disk 'd'; 2 cpus, 512M" },
	{ "--memory 1T --disk d", "disk 'd'; 2 cpus, 1048576M" },
	{ "--memory 32T --disk d", "disk 'd'; 2 cpus, 33554432M" },

	{ "--firmware OVMF.fd", "2 cpus, 4096M; code 'OVMF.fd'" },
	{ "--firmware a,,b.fd,vars=c,,d.fd", "2 cpus, 4096M; code 'a,b.fd' vars 'c,d.fd'" },
	{ "--pin 0-3,9,8 --disk d", "disk 'd'; 2 cpus, 4096M; pin 0 1 2 3 9 8" },
	{ "--pin auto --disk d", "disk 'd'; 2 cpus, 4096M; pin auto" },
	{ "--numa auto --disk d", "disk 'd'; 2 cpus, 4096M" },
	{ "--numa off --disk d", "disk 'd'; 2 cpus, 4096M; numa off" },
	{ "--numa=2,0-1 --disk d", "disk 'd'; 2 cpus, 4096M; numa 0-2" },
	{ "--hugepages auto --disk d", "disk 'd'; 2 cpus, 4096M" },
	{ "--hugepages 2M --disk d", "disk 'd'; 2 cpus, 4096M; pages 2M" },
	{ "--hugepages=1G --disk d", "disk 'd'; 2 cpus, 4096M; pages 1G" },
	{ "--hugepages off --disk d", "disk 'd'; 2 cpus, 4096M; pages off" },
	{ "--timings --disk d", "disk 'd'; 2 cpus, 4096M; timings" },
	{ "--timings --json --disk d", "disk 'd'; 2 cpus, 4096M; timings json" },
	{ "--json --timings -q --disk d", "disk 'd'; 2 cpus, 4096M; timings json; quiet" },
	{ "--firmware-log - --disk d", "disk 'd'; 2 cpus, 4096M; log '-'" },
	{ "--firmware-log=a,b --disk d", "disk 'd'; 2 cpus, 4096M; log 'a,b'" },
	{ "-v --disk d", "disk 'd'; 2 cpus, 4096M; verbose" },
	{ "--verbose -v --disk d", "disk 'd'; 2 cpus, 4096M; verbose" },
	{ "-q --disk d", "disk 'd'; 2 cpus, 4096M; quiet" },
	{ "--quiet --disk d", "disk 'd'; 2 cpus, 4096M; quiet" },
	{ "-h", "help" },
	{ "--help", "help" },
	{ "run --help", "help" },
	{ "--help --nonsense", "help" },
	{ "run --help disk", "help" },
	{ "--help boot nonsense", "help" },
	{ "--help list", "help" },
	{ "--cpus 3 -V x", "version" },
	{ "list", "list" },
	{ "list -a --json", "list all json" },
	{ "list --all", "list all" },
	{ "list --help", "help" },
	{ "--wait 30s --disk d", "wait 30000 ms; disk 'd'; 2 cpus, 4096M" },
	{ "--wait 5m --disk d", "wait 300000 ms; disk 'd'; 2 cpus, 4096M" },
	{ "--wait 168h --disk d", "wait 604800000 ms; disk 'd'; 2 cpus, 4096M" },
	{ "bind 01:00.0", "bind 0000:01:00.0" },
	{ "bind 01:00.0 --user joe 0000:01:00.1 --wait 2h",
	  "bind 0000:01:00.0 0000:01:00.1 wait 7200000 ms user joe" },
	{ "release -- 01:00.0", "release 0000:01:00.0" },
	{ "-- true", "2 cpus, 4096M; runs true" },
	{ "run --gpu 01:00.0 -- pytest --gpu tests -- x",
	  "gpu 0000:01:00.0; 2 cpus, 4096M; runs pytest --gpu tests -- x" },
	{ "run --rw out --rw /tmp --env A --env=B=c --user joe --root / --timeout 10m -- make test",
	  "2 cpus, 4096M; rw 'out'; rw '/tmp'; env 'A'; env 'B=c'; user joe; root '/'; timeout "
	  "600000 ms; runs make test" },
	{ "doctor", "doctor, 4096M" },
	{ "doctor 01:00.0 --json --memory 16G 0000:01:00.1",
	  "doctor, 16384M json 0000:01:00.0 0000:01:00.1" },
	{ "doctor --help", "help" },
	{ "--version", "version" },
	{ "--gpu 0000:41:00.0,rom=off --gpu 41:00.1 --disk /dev/nvme0n1p3,serial=root --disk x,ro "
	  "--cpus=16 --memory 64G --firmware CODE.fd,vars=VARS.fd --firmware-log fw.log -v",
	  "gpu 0000:41:00.0 no rom; gpu 0000:41:00.1; disk '/dev/nvme0n1p3' serial root; disk 'x' "
	  "ro; 16 cpus, 65536M; code 'CODE.fd' vars 'VARS.fd'; log 'fw.log'; verbose" },
};

#define NOTHING                                                            \
	"nothing is given to run: no --disk, --kernel, --gpu or command; " \
	"tinyvmm --help has examples"

#define DISK_HINT \
	"tinyvmm run --help disk names its properties; a comma in a file name is written ',,'"

static const struct golden bad[] = {
	{ "--gpu 01:00.0,clique=16",
	  "--gpu 0000:01:00.0: '16' is no clique; clique= takes a number from 0 to 15, or off" },
	{ "--gpu 01:00.0,clique=-1",
	  "--gpu 0000:01:00.0: '-1' is no clique; clique= takes a number from 0 to 15, or off" },
	{ "--gpu 01:00.0,clique=1,clique=off", "--gpu 0000:01:00.0: clique is given twice" },
	{ "--gpu 01:00.0,clique=off,clique=off", "--gpu 0000:01:00.0: clique is given twice" },
	{ "--gpu 01:00.0,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1f",
	  "--gpu 0000:01:00.0: 'BD8D9D2B-5a5f-4f5a-a211-f591514ba1f' is no VF token; it is a UUID; "
	  "uuidgen makes one" },
	{ "--gpu 01:00.0,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1fg",
	  "--gpu 0000:01:00.0: 'BD8D9D2B-5a5f-4f5a-a211-f591514ba1fg' is no VF token; it is a "
	  "UUID; "
	  "uuidgen makes one" },
	{ "--gpu /sys/bus/pci/devices/0000:01:00.0",
	  "--gpu: '/sys/bus/pci/devices/0000:01:00.0' is not the path of a mediated device; that "
	  "is "
	  "/sys/bus/mdev/devices/UUID; other devices are given by their address" },
	{ "--gpu /tmp/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	  "--gpu: '/tmp/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001' is not the path of a mediated "
	  "device; "
	  "that is /sys/bus/mdev/devices/UUID; other devices are given by their address" },
	{ "--gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --gpu "
	  "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	  "--gpu: 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 is given twice" },
	{ "--p2p yes", "--p2p: 'yes' is none of on, off and auto" },
	{ "--hypervisor-vendor AcmeAcmeAcme1",
	  "--hypervisor-vendor: 'AcmeAcmeAcme1' cannot be told; it takes 1 to 12 visible ASCII "
	  "characters" },
	{ "--hypervisor-vendor Ac\xc3\xa9",
	  "--hypervisor-vendor: 'Ac\xc3\xa9' cannot be told; it takes 1 to 12 visible ASCII "
	  "characters" },
	{ "--gpu 01:00.0,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3 --iommu iommufd",
	  "--gpu 0000:01:00.0: a VF token cannot be given through iommufd; leave --iommu away, or "
	  "give --iommu type1" },
	{ "--iommu iommufd --gpu 01:00.0 "
	  "--gpu 01:00.1,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3",
	  "--gpu 0000:01:00.1: a VF token cannot be given through iommufd; leave --iommu away, or "
	  "give --iommu type1" },
	{ "--iommu vfio", "--iommu: 'vfio' is not auto, iommufd or type1" },
	{ "--iommu type1 --iommu type1", "--iommu is given twice" },
	{ "--hypervisor-vendor x --hide-hypervisor",
	  "--hide-hypervisor and --hypervisor-vendor exclude each other" },
	{ "--hide-hypervisor --hypervisor-vendor x",
	  "--hide-hypervisor and --hypervisor-vendor exclude each other" },
	{ "", "nothing is given to run; tinyvmm --help has examples" },
	{ "run", "nothing is given to run; tinyvmm --help has examples" },
	{ "a.img",
	  "'a.img' belongs to no option; a disk is given as --disk FILE; tinyvmm run --help "
	  "lists the options" },
	{ "--cpus 2 01:00.0",
	  "'01:00.0' belongs to no option; a device is given as --gpu 01:00.0" },
	{ "--cpus 2 run", "'run' belongs to no option; the command comes first: tinyvmm run ..." },
	{ "-v list", "'list' belongs to no option; the command comes first: tinyvmm list ..." },
	{ "run list", "'list' belongs to no option; the command comes first: tinyvmm list ..." },
	{ "-q lits", "'lits' belongs to no option; did you mean the command list?" },
	{ "--cpus 2 lits",
	  "'lits' belongs to no option; a disk is given as --disk FILE; tinyvmm run --help lists "
	  "the options" },
	{ "run lits",
	  "'lits' belongs to no option; a disk is given as --disk FILE; tinyvmm run --help lists "
	  "the options" },
	{ "--rw out --disk d",
	  "--rw is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--user joe --disk d",
	  "--user is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--timeout 5 -- true",
	  "--timeout: '5' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--env =x -- true", "--env: '=x' has no name" },
	{ "--initrd i -- true", "--initrd does not go with a command" },
	{ "--kernel k --firmware-log - -- true", "--firmware-log does not go with a command" },
	{ "--firmware f -- true", "--firmware does not go with a command" },
	{ "--", "no command is given behind --; write it as tinyvmm run ... -- COMMAND" },
	{ "run --disk d --",
	  "no command is given behind --; write it as tinyvmm run ... -- COMMAND" },
	{ "help", "'help' belongs to no option; that is tinyvmm --help" },
	{ "doctor --gpu 01:00.0",
	  "--gpu does not belong to the command doctor; give the address without --gpu" },
	{ "bind --gpu=01:00.0",
	  "--gpu does not belong to the command bind; give the address without --gpu" },
	{ "list --gpu 01:00.0", "--gpu does not belong to the command list" },
	{ "--wait 0s", NOTHING },
	{ "--p2p on", NOTHING },
	{ "--timings", NOTHING },
	{ "run -v", NOTHING },
	{ "--firmware-log -", NOTHING },

	{ "list --cpus 2", "--cpus does not belong to the command list" },
	{ "--json", "--json: there is nothing to show; a run has its --timings to show as JSON" },
	{ "--pin 1,x", "--pin: '1,x' is no list of CPUs; write it as --pin 0-7 or --pin 2,4,6, in "
		       "the order of the vCPUs, or --pin auto" },
	{ "--pin 1,0-3", "--pin: CPU 1 is named twice" },
	{ "--pin 0-1024", "--pin: more than 1024 CPUs are named" },
	{ "--pin 8192", "--pin: '8192' is no list of CPUs; write it as --pin 0-7 or --pin 2,4,6, "
			"in the order of the vCPUs, or --pin auto" },
	{ "--numa on", "--numa: 'on' is not auto, off or a list of nodes; write nodes as --numa "
		       "0,1" },
	{ "doctor --pin auto", "--pin does not belong to the command doctor" },
	{ "--hugepages 4K", "--hugepages: '4K' is not auto, 2M, 1G or off" },
	{ "--hugepages 2M --hugepages 2M", "--hugepages is given twice" },
	{ "--timings=json", "--timings takes no value" },
	{ "list --timings", "--timings does not belong to the command list" },
	{ "list 01:00.0",
	  "'01:00.0' belongs to no option; tinyvmm list --help lists what it takes" },
	{ "bind", "nothing is given to bind; tinyvmm --help has examples" },
	{ "bind 01:00",
	  "'01:00' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "bind 01:00.0 0000:01:00.0", "0000:01:00.0 is given twice" },
	{ "release 01:00.0 --user joe", "--user does not belong to the command release" },
	{ "list --user joe", "--user does not belong to the command list" },
	{ "--wait 5", "--wait: '5' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait m", "--wait: 'm' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 5min",
	  "--wait: '5min' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 169h",
	  "--wait: '169h' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 5000000000000000h",
	  "--wait: '5000000000000000h' is not a time of at most a week; write it as 30s, 5m or "
	  "2h" },
	{ "doctor gpu",
	  "'gpu' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "doctor 01:00.0 0000:01:00.0", "0000:01:00.0 is given twice" },
	{ "doctor 1:0.0 2:0.0 3:0.0 4:0.0 5:0.0 6:0.0 7:0.0 8:0.0 9:0.0 a:0.0 b:0.0 c:0.0 d:0.0 "
	  "e:0.0 f:0.0 10:0.0 11:0.0",
	  "more than 16 devices" },
	{ "doctor --all", "--all does not belong to the command doctor" },
	{ "lits", "'lits' belongs to no option; did you mean the command list?" },

	{ "--dsk a.img", "unknown option '--dsk'; did you mean --disk?" },
	{ "--dsk=a.img", "unknown option '--dsk'; did you mean --disk?" },
	{ "-disk a.img", "unknown option '-disk'; did you mean --disk?" },
	{ "--mem 4G", "unknown option '--mem'; did you mean --memory?" },
	{ "--cpu 4", "--cpu: '4' is not understood; the number of CPUs is --cpus 4" },
	{ "--gup 01:00.0", "unknown option '--gup'; did you mean --gpu?" },
	{ "--firmware_log -", "unknown option '--firmware_log'; did you mean --firmware-log?" },
	{ "--initrd i", "--initrd goes with --kernel; without it, the guest's boot loader has its "
			"own" },
	{ "--cmdline quiet --disk a",
	  "--cmdline goes with --kernel; without it, the guest's boot loader has its own" },
	{ "--firmware-log - --kernel k",
	  "--kernel starts a kernel without firmware; leave out --firmware-log, or name the "
	  "--firmware that is to start it" },
	{ "--kernel a --kernel b", "--kernel is given twice" },
	{ "--xyzzy x", "unknown option '--xyzzy'; tinyvmm run --help lists the options" },
	{ "-x", "unknown option '-x'; tinyvmm run --help lists the options" },
	{ "-", "unknown option '-'; tinyvmm run --help lists the options" },
	{ "--=x", "unknown option '--'; tinyvmm run --help lists the options" },
	{ "-vq", "unknown option '-vq'; tinyvmm run --help lists the options" },
	{ "--this-is-a-very-long-option-that-nobody-has-thought-of",
	  "unknown option '--this-is-a-very-long-option-that-nobody-has-thought-of'; tinyvmm run "
	  "--help lists the options" },

	{ "--disk a,discard=unmap", "--disk a: discard 'unmap' is not on or off" },
	{ "--disk a,cache=none", "--disk a: cache 'none' is not writeback, direct or unsafe" },
	{ "--disk a,cache=", "--disk a: cache '' is not writeback, direct or unsafe" },
	{ "--disk", "--disk needs a value; write it as --disk FILE[,PROPERTY]..." },
	{ "--disk=", "--disk needs a value; write it as --disk FILE[,PROPERTY]..." },
	{ "--gpu --disk a", "--gpu needs a value; write it as --gpu BDF[,PROPERTY=VALUE]..." },
	{ "--cpus",
	  "--cpus needs a value; write it as --cpus [N,][sockets=N,][cores=N,][threads=N]" },
	{ "--memory", "--memory needs a value; write it as --memory SIZE" },
	{ "--firmware", "--firmware needs a value; write it as --firmware CODE[,vars=FILE]" },
	{ "--firmware-log", "--firmware-log needs a value; write it as --firmware-log FILE|-" },
	{ "--verbose=1", "--verbose takes no value" },
	{ "--help=", "--help takes no value" },
	{ "run --help disc",
	  "--help: there is no page 'disc'; tinyvmm run --help names the pages" },
	{ "list --help disk",
	  "--help: there is no page 'disk'; tinyvmm run --help names the pages" },

	{ "--cpus 1 --cpus 1", "--cpus is given twice" },
	{ "--memory 1G --memory=2G", "--memory is given twice" },
	{ "--firmware a --firmware b", "--firmware is given twice" },
	{ "--firmware-log a --firmware-log a", "--firmware-log is given twice" },
	{ "-v --quiet", "--verbose and --quiet exclude each other" },
	{ "-q -v", "--verbose and --quiet exclude each other" },

	{ "--gpu x",
	  "--gpu: 'x' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "--gpu ,rom=off",
	  "--gpu: '' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "--gpu 01:00.0 --gpu 0000:01:00.0", "--gpu: 0000:01:00.0 is given twice" },
	{ "--gpu 01:00.0,rom", "--gpu 0000:01:00.0: 'rom' is not understood; it takes "
			       "rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,rom=", "--gpu 0000:01:00.0: 'rom=' is not understood; it takes "
				"rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,", "--gpu 0000:01:00.0: '' is not understood; it takes rom=FILE|off, "
			    "clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,vga=on", "--gpu 0000:01:00.0: 'vga=on' is not understood; it takes "
				  "rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,rom=off,rom=a",
	  "--gpu 0000:01:00.0: rom is given twice; it takes rom=FILE or rom=off, not both" },
	{ "--gpu 01:00.0,rom=a,rom=off",
	  "--gpu 0000:01:00.0: rom is given twice; it takes rom=FILE or rom=off, not both" },
	{ "--gpu 1:0.0 --gpu 2:0.0 --gpu 3:0.0 --gpu 4:0.0 --gpu 5:0.0 --gpu 6:0.0 --gpu 7:0.0 "
	  "--gpu 8:0.0 --gpu 9:0.0 --gpu a:0.0 --gpu b:0.0 --gpu c:0.0 --gpu d:0.0 --gpu e:0.0 "
	  "--gpu f:0.0 --gpu 10:0.0 --gpu 11:0.0",
	  "--gpu: more than 16 devices" },

	{ "--disk ,ro", "--disk: the file name is missing; write it as --disk "
			"FILE[,PROPERTY]..." },
	{ "--disk a --disk a,ro", "--disk: a is given twice" },
	{ "--disk a,b.img", "--disk a: 'b.img' is not understood; " DISK_HINT },
	{ "--disk a,", "--disk a: '' is not understood; " DISK_HINT },
	{ "--disk a,ro=on", "--disk a: 'ro=on' is not understood; " DISK_HINT },
	{ "--disk a,queues=0", "--disk a: queues '0' is not a number from 1 to 64" },
	{ "--disk a,queues=65", "--disk a: queues '65' is not a number from 1 to 64" },
	{ "--disk a,queues=2,queues=2", "--disk a: queues is given twice" },
	{ "--disk a,serial=", "--disk a: '' cannot be a serial number; serial=TEXT takes 1 to 20 "
			      "visible ASCII characters" },
	{ "--disk a,serial=123456789012345678901",
	  "--disk a: '123456789012345678901' cannot be a serial number; serial=TEXT takes 1 to 20 "
	  "visible ASCII characters" },
	{ "--disk a,serial=\303\244", "--disk a: '\303\244' cannot be a serial number; serial=TEXT "
				      "takes 1 to 20 visible ASCII characters" },
	{ "--disk a,format=luks", "--disk a: there is no format 'luks'; format= takes raw, qcow2, "
				  "vmdk, vdi, vhdx or vpc" },
	{ "--disk a,format=raw,format=raw", "--disk a: format is given twice" },
	{ "--disk a,ro,snapshot", "--disk a: ro and snapshot exclude each other" },
	{ "--disk a.vdi,snapshot", "--disk a.vdi: snapshot is for raw and qcow2" },
	{ "--disk a.qcow2,serial=x",
	  "--disk a.qcow2: serial is for raw disks only; such an image is served by "
	  "qemu-storage-daemon, which gives all its disks the same" },
	{ "--disk a,serial=x,snapshot",
	  "--disk a: serial is for raw disks only; a snapshot is served by "
	  "qemu-storage-daemon, which gives all its disks the same" },
	{ "--disk a,serial=x,serial=y", "--disk a: serial is given twice" },
	{ "--disk a,serial=x --disk b,serial=x", "--disk b: a has the serial number 'x' already" },
	{ "--disk 1 --disk 2 --disk 3 --disk 4 --disk 5 --disk 6 --disk 7 --disk 8 --disk 9 --disk "
	  "10 --disk 11 --disk 12 --disk 13",
	  "--disk: more than 12 disks" },

	{ "--cpus 0", "--cpus 0: '0' is not understood; write it as N or "
		      "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 1025", "--cpus 1025: '1025' is not understood; write it as N or "
			 "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 12,cores=5", "--cpus 12,cores=5: 12 is not 1 sockets x 5 cores x 1 threads" },
	{ "--cpus 8,sockets=2,cores=2,threads=1",
	  "--cpus 8,sockets=2,cores=2,threads=1: 8 is not 2 sockets x 2 cores x 1 threads" },
	{ "--cpus sockets=2,cores=1000", "--cpus sockets=2,cores=1000: the most is 1024 in all" },
	{ "--cpus 8,cores=0", "--cpus 8,cores=0: 'cores=0' is not understood; write it as N or "
			      "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 8,8", "--cpus 8,8: '8' is not understood; write it as N or "
			"[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 8,dies=2", "--cpus 8,dies=2: 'dies=2' is not understood; write it as N or "
			     "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpu avx", "--cpu: 'avx' is not understood; write -NAME for a feature that the guest "
		       "shall not have, +NAME for one that it must have" },
	{ "--cpu -avx,", "--cpu: '' is not understood; write -NAME for a feature that the guest "
			 "shall not have, +NAME for one that it must have" },
	{ "--cpu +", "--cpu: '+' is not understood; write -NAME for a feature that the guest shall "
		     "not have, +NAME for one that it must have" },
	{ "--hyperv --hide-hypervisor", "--hide-hypervisor and --hyperv exclude each other" },
	{ "--cpus -1", "--cpus -1: '-1' is not understood; write it as N or "
		       "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 0x4", "--cpus 0x4: '0x4' is not understood; write it as N or "
			"[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 2x", "--cpus 2x: '2x' is not understood; write it as N or "
		       "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 18446744073709551617",
	  "--cpus 18446744073709551617: '18446744073709551617' is not understood; write it as N or "
	  "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },

	{ "--memory 4", "--memory: '4' is not a size; write it as 512M or 16G; the units are K, M, "
			"G and T, powers of 1024" },
	{ "--memory G", "--memory: 'G' is not a size; write it as 512M or 16G; the units are K, M, "
			"G and T, powers of 1024" },
	{ "--memory 4GB", "--memory: '4GB' is not a size; write it as 512M or 16G; the units are "
			  "K, M, G and T, powers of 1024" },
	{ "--memory 1.5G", "--memory: '1.5G' is not a size; write it as 512M or 16G; the units are "
			   "K, M, G and T, powers of 1024" },
	{ "--memory -1G", "--memory: '-1G' is not a size; write it as 512M or 16G; the units are "
			  "K, M, G and T, powers of 1024" },
	{ "--memory 99999999999999999999G",
	  "--memory: '99999999999999999999G' is not a size; write it as 512M or 16G; the units are "
	  "K, M, G and T, powers of 1024" },
	{ "--memory 63M", "--memory: 63M is too little; the least is 64M" },
	{ "--memory 0G", "--memory: 0G is too little; the least is 64M" },
	{ "--memory 33T", "--memory: 33T is too much; the most is 32T" },
	{ "--memory 18446744073709551615T",
	  "--memory: 18446744073709551615T is too much; the most is 32T" },
	{ "--memory 1025M", "--memory: 1025M is not a multiple of 2M" },

	{ "--firmware ,vars=x",
	  "--firmware: the file name is missing; write it as --firmware CODE[,vars=FILE]" },
	{ "--firmware a,vars",
	  "--firmware a: 'vars' is not understood; it takes vars=FILE; a comma "
	  "in a file name is written ',,'" },
	{ "--firmware a,vars=", "--firmware a: 'vars=' is not understood; it takes vars=FILE; a "
				"comma in a file name is written ',,'" },
	{ "--firmware a,vars=b,vars=c", "--firmware a: vars is given twice" },
	{ "--firmware a,vars=a", "--firmware: a cannot be both CODE and vars" },
};

static struct options options;

static void good_command_lines_mean_what_they_say(void **state)
{
	char line[1024];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (parse(good[i].words, &options, line) != 0 ||
		    strcmp(line, good[i].expected) != 0)
			fail_msg("%s\n    is       %s\n    expected %s", good[i].words, line,
				 good[i].expected);
	}
}

static void bad_command_lines_are_told_why(void **state)
{
	char line[1024];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i].words, &options, line) != -EINVAL ||
		    strcmp(line, bad[i].expected) != 0 || err_kind() != ERR_USAGE)
			fail_msg("%s\n    is       %s\n    expected %s", bad[i].words, line,
				 bad[i].expected);
	}
}

static void value_too_long_for_a_path_is_refused(void **state)
{
	static const char *const names[] = { "gpu",    "disk",     "cpus",
					     "memory", "firmware", "firmware-log" };
	char words[2 * PATH_MAX], line[1024], expected[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(words, sizeof(words), "--%s %0*d", names[i], PATH_MAX, 1);
		snprintf(expected, sizeof(expected),
			 "--%s: the value is longer than 4095 characters", names[i]);
		assert_int_equal(parse(words, &options, line), -EINVAL);
		assert_string_equal(line, expected);
	}
	snprintf(words, sizeof(words), "--disk %0*d", PATH_MAX - 1, 1);
	assert_int_equal(parse(words, &options, line), 0);
	assert_int_equal(strlen(options.disks[0].file), PATH_MAX - 1);
}

static void command_is_known_on_a_wrong_command_line(void **state)
{
	static const struct {
		char *argv[6];
		bool have;
	} cases[] = {
		{ { "tinyvmm" }, false },
		{ { "tinyvmm", "run", "--nonsense", "--", "true" }, true },
		{ { "tinyvmm", "--nonsense", "--" }, true },
		{ { "tinyvmm", "run", "--disk", "--", "true" }, true },
		{ { "tinyvmm", "run", "--nonsense", "true" }, false },
		{ { "tinyvmm", "run", "--disk=--", "--nonsense" }, false },
		{ { "tinyvmm", "list", "--", "true" }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int argc = 0;

		while (cases[i].argv[argc])
			argc++;
		assert_int_equal(options_have_command(argc, cases[i].argv), cases[i].have);
	}
}

/* At most 23 lines of at most 79 characters, all ended. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_command_lines_mean_what_they_say),
		cmocka_unit_test(bad_command_lines_are_told_why),
		cmocka_unit_test(command_is_known_on_a_wrong_command_line),
		cmocka_unit_test(value_too_long_for_a_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
