/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm list`: the host's GPUs, or all devices, and whether each could be passed through now.
 * Changes nothing, but for what a killed run left behind, which is given back first. Main thread.
 */
#include "cli/cmd_list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "core/err.h"
#include "core/json_out.h"
#include "core/text.h"
#include "options/options.h"
#include "vfio/host_info.h"
#include "vfio/host_ready.h"
#include "vfio/pci_names.h"

/* All that is told of one device. */
struct entry {
	struct host_info info;
	struct host_ready ready;
	char name[PCI_NAME_SIZE];
};

struct list {
	struct entry *entries;
	unsigned count;
	unsigned others; /* devices that are not listed, bridges left out */
};

/* The longest cell: six BARs that can be resized. */
#define CELL_SIZE 160

struct cell {
	char s[CELL_SIZE];
};

static void PRINTF_LIKE(2, 3) cell_add(struct cell *cell, const char *fmt, ...)
{
	const size_t len = strlen(cell->s);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cell->s + len, sizeof(cell->s) - len, fmt, ap);
	va_end(ap);
}

static int gather(const struct list_config *config, struct list *list)
{
	struct pci_names names;
	struct pci_addr *addrs;
	unsigned count;

	if (host_info_list(config->root, &addrs, &count) < 0)
		return 0; /* a host without PCI */
	list->entries = calloc(MAX(count, 1u), sizeof(*list->entries));
	if (!list->entries) {
		free(addrs);
		return err_sys(ERR_LIMIT, -ENOMEM, "list the devices");
	}
	pci_names_init(&names, config->root);
	for (unsigned i = 0; i < count; i++) {
		struct entry *entry = &list->entries[list->count];

		host_info_read(config->root, addrs[i], &entry->info);
		if (entry->info.bridge)
			continue;
		if (!config->all && !entry->info.gpu) {
			list->others++;
			continue;
		}
		host_ready_check(config->root, &entry->info, &entry->ready);
		pci_names_find(&names, entry->info.vendor, entry->info.device, entry->name);
		list->count++;
	}
	pci_names_fini(&names);
	free(addrs);
	return 0;
}

/* ".1" for a function of the same card; else the address, its domain only if it is another. */
static void add_function(struct cell *cell, const char *separator, struct pci_addr addr,
			 struct pci_addr of)
{
	const struct pci_addr_text text = pci_addr_text(addr);

	if (pci_addr_same_slot(addr, of))
		cell_add(cell, "%s.%u", separator, addr.fn);
	else
		cell_add(cell, "%s%s", separator,
			 addr.domain == of.domain ? strchr(text.s, ':') + 1 : text.s);
}

/* "13", "13 (.1)", "20 (42:00.0)", "2 (.1 +7)": with its other members but bridges. */
static struct cell group_cell(const struct host_info *info)
{
	struct cell cell = { "-" };
	unsigned others = 0;

	if (!info->has_group)
		return cell;
	cell.s[0] = '\0';
	cell_add(&cell, "%u", info->group);
	for (unsigned i = 0; i < info->member_count; i++) {
		const struct host_info_member *member = &info->members[i];

		if (member->bridge || pci_addr_compare(member->addr, info->addr) == 0)
			continue;
		if (!others++)
			add_function(&cell, " (", member->addr, info->addr);
	}
	if (others > 1)
		cell_add(&cell, " +%u", others - 1);
	if (others)
		cell_add(&cell, ")");
	return cell;
}

/* "16M+256M/32G+32M": memory only; behind a slash what a BAR could be resized to. */
static struct cell bars_cell(const struct host_info *info)
{
	struct cell cell = { "" };

	for (unsigned i = 0; i < HOST_INFO_BARS; i++) {
		const struct host_info_bar *bar = &info->bars[i];

		if (!bar->size || bar->io)
			continue;
		cell_add(&cell, "%s%s", cell.s[0] ? "+" : "", text_size(bar->size).s);
		if (bar->largest > bar->size)
			cell_add(&cell, "/%s", text_size(bar->largest).s);
	}
	return cell.s[0] ? cell : (struct cell){ "-" };
}

static struct cell reset_cell(const struct host_info *info)
{
	struct cell cell = { "" };

	cell_add(&cell, "%s", info->reset_methods);
	for (char *p = cell.s; (p = strchr(p, ' '));)
		*p = ',';
	if (!cell.s[0])
		cell_add(&cell, "%s", info->can_reset ? "yes" : "none");
	return cell;
}

static struct cell state_cell(const struct entry *entry)
{
	const struct host_ready *ready = &entry->ready;
	struct cell cell = { "" };

	if (!ready->ready) {
		cell_add(&cell, "%s", ready->reason);
		return cell;
	}
	cell_add(&cell, "ready");
	for (unsigned i = 0; i < ready->with_count; i++)
		add_function(&cell, i ? " " : " with ", ready->with[i], entry->info.addr);
	if (entry->info.boot_display)
		cell_add(&cell, "; boot display");
	return cell;
}

static int print_table(const struct list_config *config, const struct list *list, FILE *out)
{
	static const struct table_column columns[] = {
		{ .title = "ADDRESS" },
		{ .title = "NAME", .shrink_to = 16 },
		{ .title = "DRIVER" },
		{ .title = "GROUP", .optional = true },
		{ .title = "NUMA", .optional = true },
		{ .title = "BARS" },
		{ .title = "RESET" },
		{ .title = "STATE", .own_line = true },
	};
	struct table table;
	int r;

	table_init(&table, columns, ARRAY_SIZE(columns));
	for (unsigned i = 0; i < list->count; i++) {
		const struct entry *entry = &list->entries[i];
		const struct host_info *info = &entry->info;

		table_cell(&table, "%s", pci_addr_text(info->addr).s);
		table_cell(&table, "%s", entry->name);
		table_cell(&table, "%s", info->driver[0] ? info->driver : "-");
		table_cell(&table, "%s", group_cell(info).s);
		if (info->numa_node < 0)
			table_cell(&table, "-");
		else
			table_cell(&table, "%d", info->numa_node);
		table_cell(&table, "%s", bars_cell(info).s);
		table_cell(&table, "%s", reset_cell(info).s);
		table_cell(&table, "%s", state_cell(entry).s);
	}
	r = table_print(&table, out, config->width);
	table_fini(&table);
	return r < 0 ? err_sys(ERR_LIMIT, r, "list the devices") : 0;
}

static void json_addr(struct json_out *json, const char *key, struct pci_addr addr)
{
	json_out_string(json, key, pci_addr_text(addr).s);
}

static void json_group(struct json_out *json, const struct host_info *info)
{
	if (info->has_group)
		json_out_number(json, "group", info->group);
	else
		json_out_null(json, "group");
	json_out_array(json, "group_members");
	for (unsigned i = 0; i < info->member_count; i++) {
		const struct host_info_member *member = &info->members[i];

		if (pci_addr_compare(member->addr, info->addr) == 0)
			continue;
		json_out_object(json, NULL);
		json_addr(json, "address", member->addr);
		json_out_string(json, "driver", member->driver[0] ? member->driver : NULL);
		json_out_bool(json, "bridge", member->bridge);
		json_out_end(json);
	}
	json_out_end(json);
}

static void json_bars(struct json_out *json, const struct host_info *info)
{
	json_out_array(json, "bars");
	for (unsigned i = 0; i < HOST_INFO_BARS; i++) {
		const struct host_info_bar *bar = &info->bars[i];

		if (!bar->size)
			continue;
		json_out_object(json, NULL);
		json_out_number(json, "bar", i);
		json_out_string(json, "kind", bar->io ? "io" : bar->mem64 ? "mem64" : "mem32");
		json_out_bool(json, "prefetchable", bar->prefetch);
		json_out_number(json, "size", bar->size);
		if (info->resize_known)
			json_out_number(json, "largest_size", MAX(bar->largest, bar->size));
		else
			json_out_null(json, "largest_size");
		json_out_end(json);
	}
	json_out_end(json);
}

static void json_reset_methods(struct json_out *json, const struct host_info *info)
{
	char methods[sizeof(info->reset_methods)], *save = NULL;

	json_out_bool(json, "can_reset", info->can_reset);
	json_out_array(json, "reset_methods");
	strcpy(methods, info->reset_methods);
	for (char *m = strtok_r(methods, " ", &save); m; m = strtok_r(NULL, " ", &save))
		json_out_string(json, NULL, m);
	json_out_end(json);
}

static void json_ready(struct json_out *json, const struct host_ready *ready)
{
	json_out_bool(json, "ready", ready->ready);
	json_out_string(json, "reason", ready->ready ? NULL : ready->reason);
	if (ready->holder)
		json_out_number(json, "in_use_by_pid", (uint64_t)ready->holder);
	else
		json_out_null(json, "in_use_by_pid");
	json_out_array(json, "pass_with");
	for (unsigned i = 0; i < ready->with_count; i++)
		json_addr(json, NULL, ready->with[i]);
	json_out_end(json);
}

static void json_entry(struct json_out *json, const struct entry *entry)
{
	const struct host_info *info = &entry->info;
	char text[16];

	json_out_object(json, NULL);
	json_addr(json, "address", info->addr);
	json_out_string(json, "name", entry->name);
	snprintf(text, sizeof(text), "%04x:%04x", info->vendor, info->device);
	json_out_string(json, "id", text);
	snprintf(text, sizeof(text), "%06x", info->class);
	json_out_string(json, "class", text);
	json_out_bool(json, "gpu", info->gpu);
	json_out_string(json, "driver", info->driver[0] ? info->driver : NULL);
	json_group(json, info);
	if (info->numa_node < 0)
		json_out_null(json, "numa_node");
	else
		json_out_number(json, "numa_node", (uint64_t)info->numa_node);
	json_bars(json, info);
	json_out_number(json, "rom_size", info->rom_size);
	json_reset_methods(json, info);
	json_out_bool(json, "boot_display", info->boot_display);
	json_ready(json, &entry->ready);
	json_out_end(json);
}

static void print_json(const struct list *list, FILE *out)
{
	struct json_out json;

	json_out_init(&json, out);
	json_out_object(&json, NULL);
	json_out_array(&json, "devices");
	for (unsigned i = 0; i < list->count; i++)
		json_entry(&json, &list->entries[i]);
	json_out_end(&json);
	json_out_end(&json);
	json_out_fini(&json);
}

/* Only where somebody looks: whoever reads lines wants nothing but the table. */
static void print_advice(const struct list_config *config, const struct list *list, FILE *out)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < list->count; i++)
		ready += list->entries[i].ready.ready;
	if (!config->width)
		return;
	if (!list->count)
		fprintf(out, "No GPU is here. tinyvmm list --all lists the %u other PCI devices.\n",
			list->others);
	else if (ready < list->count)
		fprintf(out, "\ntinyvmm doctor says more, and what to do about it.\n");
}

int list_print(const struct list_config *config, FILE *out)
{
	struct list list = { 0 };
	int r = gather(config, &list);

	if (r == 0 && config->json)
		print_json(&list, out);
	else if (r == 0 && (list.count || !config->width))
		r = print_table(config, &list, out);
	if (r == 0 && !config->json)
		print_advice(config, &list, out);
	free(list.entries);
	return r;
}

int cmd_list(const struct options *options)
{
	const struct list_config config = {
		.root = "",
		.all = options->all,
		.json = options->json,
		.width = table_terminal_width(stdout),
	};

	command_recover();
	if (list_print(&config, stdout) < 0 || table_flush(stdout) < 0)
		return command_failed();
	return 0;
}
