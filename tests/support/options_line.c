/* SPDX-License-Identifier: Apache-2.0 */
#include "options_line.h"

#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"

#define ARGS_MAX 64

static struct options checked;

static void PRINTF_LIKE(2, 3) add(char *line, const char *fmt, ...)
{
	const size_t len = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + len, OPTIONS_LINE_MAX - len, fmt, ap);
	va_end(ap);
}

static void describe_net(const struct options_net *net, char *line)
{
	static const uint8_t none[OPTIONS_MAC_LEN];
	const uint8_t *m = net->mac;

	if (net->kind == OPTIONS_NET_TAP)
		add(line, "tap '%s'", net->tap);
	else
		add(line, "user");
	if (net->queues)
		add(line, " %u queues", net->queues);
	if (memcmp(m, none, sizeof(none)) != 0)
		add(line, " mac %02x%02x%02x%02x%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	if (net->host_loopback)
		add(line, " host");
	if (net->address[0])
		add(line, " %s by '%s' names '%s'", net->address, net->gateway, net->dns);
	for (unsigned i = 0; i < net->forward_count; i++) {
		const struct options_forward *f = &net->forwards[i];

		add(line, " '%s' %s %u to %u", f->address, f->udp ? "udp" : "tcp", f->host_port,
		    f->guest_port);
	}
	add(line, "; ");
}

/* What is for guests that run. */
static void describe_guests(const struct options *o, char line[OPTIONS_LINE_MAX])
{
	static const char *const names[] = {
		[OPTIONS_PS] = "ps",           [OPTIONS_STOP] = "stop",
		[OPTIONS_CONSOLE] = "console", [OPTIONS_LOGS] = "logs",
		[OPTIONS_CONTROL] = "control",
	};

	add(line, "%s", names[o->command]);
	for (unsigned i = 0; i < o->argument_count; i++)
		add(line, " %s", o->arguments[i]);
	add(line, "%s%s%s", o->json ? "; json" : "", o->kill ? "; kill" : "",
	    o->follow ? "; follow" : "");
	if (o->timeout_ms)
		add(line, "; timeout %u ms", o->timeout_ms);
}

static void describe(const struct options *o, char line[OPTIONS_LINE_MAX])
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
	if (o->command != OPTIONS_RUN) {
		describe_guests(o, line);
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
	/* What a disk brings along by itself is no part of each line. */
	if (o->disk_count && !o->net_count && !o->command_argc)
		add(line, "%s; ", o->no_net ? "no network" : "missing network");
	for (unsigned i = 0; i < o->net_count; i++) {
		if (!o->nets[i].by_default || !o->disk_count || o->command_argc)
			describe_net(&o->nets[i], line);
	}
	if (o->cloud_init)
		add(line, "cloud-init '%s'; ", o->cloud_init);
	if (o->ssh_key)
		add(line, "key '%s'; ", o->ssh_key);
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
	if (o->name[0])
		add(line, "; name %s", o->name);
	if (o->detach)
		add(line, "; detach");
	if (o->record)
		add(line, "; record '%s'", o->record);
	if (o->junit)
		add(line, "; junit '%s'", o->junit);
	for (unsigned i = 0; i < o->command_argc; i++)
		add(line, "%s%s", i ? " " : "; runs ", o->command_argv[i]);
	if (o->log_level != LOG_INFO)
		add(line, "; %s", levels[o->log_level]);
}

int options_line(const char *words, struct options *options, char line[OPTIONS_LINE_MAX])
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
		snprintf(line, OPTIONS_LINE_MAX, "%s%s%s", err_text(),
			 err_hint_text()[0] ? "; " : "", err_hint_text());
	return r;
}

void check_understood(const struct golden *cases, size_t count)
{
	char line[OPTIONS_LINE_MAX];

	for (size_t i = 0; i < count; i++) {
		if (options_line(cases[i].words, &checked, line) != 0 ||
		    strcmp(line, cases[i].expected) != 0)
			fail_msg("%s\n    is       %s\n    expected %s", cases[i].words, line,
				 cases[i].expected);
	}
}

void check_refused(const struct golden *cases, size_t count)
{
	char line[OPTIONS_LINE_MAX];

	for (size_t i = 0; i < count; i++) {
		if (options_line(cases[i].words, &checked, line) != -EINVAL ||
		    strcmp(line, cases[i].expected) != 0 || err_kind() != ERR_USAGE)
			fail_msg("%s\n    is       %s\n    expected %s", cases[i].words, line,
				 cases[i].expected);
	}
}
