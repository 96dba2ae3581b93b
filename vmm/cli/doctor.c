/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the doctor's checks and prints what they found; see doctor.h. Main thread. */
#include "cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli/table.h"
#include "core/json_out.h"
#include "vfio/host_ready.h"
#include "vfio/host_sysfs.h"

/* How a status is written, and in which colour [ECMA-48 8.3.117 SGR]. */
static const struct {
	const char *text, *color;
} statuses[] = {
	[DOCTOR_PASS] = { "pass", "\033[32m" },
	[DOCTOR_INFO] = { "info", "\033[36m" },
	[DOCTOR_WARN] = { "warn", "\033[33m" },
	[DOCTOR_FAIL] = { "fail", "\033[1;31m" },
};
#define COLOR_END "\033[0m"

/* "  pass  name-of-a-check     text" */
#define INDENT      2u
#define CHECK_AT    8u
#define CHECK_WIDTH 20u
#define TEXT_AT     (CHECK_AT + CHECK_WIDTH + 2u)

static struct doctor_row *add_row(struct doctor *doctor, enum doctor_status status)
{
	struct doctor_rows *rows = doctor->rows;
	struct doctor_row *more = reallocarray(rows->rows, rows->count + 1, sizeof(*more));

	if (!more) {
		doctor->failed = true;
		return NULL;
	}
	rows->rows = more;
	more += rows->count++;
	*more = (struct doctor_row){ .check = doctor->check, .status = status };
	return more;
}

static void row(struct doctor *doctor, enum doctor_status status, enum err_kind kind,
		const char *mend, const char *fmt, va_list ap)
{
	struct doctor_row *new = add_row(doctor, status);

	if (!new)
		return;
	new->kind = kind;
	vsnprintf(new->text, sizeof(new->text), fmt, ap);
	snprintf(new->mend, sizeof(new->mend), "%s", mend);
}

void doctor_pass(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	row(doctor, DOCTOR_PASS, ERR_INTERNAL, "", fmt, ap);
	va_end(ap);
}

void doctor_info(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	row(doctor, DOCTOR_INFO, ERR_INTERNAL, "", fmt, ap);
	va_end(ap);
}

void doctor_warn(struct doctor *doctor, const char *mend, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	row(doctor, DOCTOR_WARN, ERR_INTERNAL, mend, fmt, ap);
	va_end(ap);
}

void doctor_fail(struct doctor *doctor, enum err_kind kind, const char *mend, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	row(doctor, DOCTOR_FAIL, kind, mend, fmt, ap);
	va_end(ap);
}

void doctor_from_error(struct doctor *doctor, enum doctor_status status)
{
	struct doctor_row *new = add_row(doctor, status);

	if (new) {
		new->kind = err_kind();
		snprintf(new->text, sizeof(new->text), "%s", err_text());
		snprintf(new->mend, sizeof(new->mend), "%s", err_hint_text());
	}
	err_clear();
}

/* The devices that are asked for, or all GPUs. */
static int find_devices(struct doctor *doctor)
{
	const struct doctor_config *config = doctor->config;
	struct pci_addr *all = NULL;
	const struct pci_addr *addrs = config->devices;
	unsigned count = config->device_count;
	struct pci_names names;

	if (!count && host_info_list(config->root, &all, &count) == 0)
		addrs = all;
	doctor->devices = calloc(MAX(count, 1u), sizeof(*doctor->devices));
	if (!doctor->devices) {
		free(all);
		return -ENOMEM;
	}
	pci_names_init(&names, config->root);
	for (unsigned i = 0; i < count; i++) {
		struct doctor_device *dev = &doctor->devices[doctor->device_count];

		host_info_read(config->root, addrs[i], &dev->info);
		if (all && !dev->info.gpu)
			continue;
		if (host_sysfs_exists(host_sysfs_device(config->root, addrs[i], "").s))
			pci_names_find(&names, dev->info.vendor, dev->info.device, dev->name);
		doctor->device_count++;
	}
	pci_names_fini(&names);
	free(all);
	return 0;
}

/* What goes to the guest with `dev`: all given devices; or, of a card of several functions, those
 * of its group. */
static void put_together(struct doctor *doctor, struct doctor_device *dev)
{
	struct vfio_host *host = &dev->together;

	vfio_host_init(host, doctor->config->root);
	host_ready_add(host, &dev->info);
	for (unsigned i = 0; i < doctor->config->device_count; i++) {
		const struct host_info *other = &doctor->devices[i].info;

		if (host_sysfs_exists(host_sysfs_device(host->root, other->addr, "").s) &&
		    !vfio_host_has(host, other->addr) && host->count < VFIO_HOST_DEVICES_MAX)
			host->devices[host->count++] =
				(struct vfio_host_device){ .addr = other->addr,
							   .group = other->group };
	}
}

static void check_all(struct doctor *doctor)
{
	doctor->rows = &doctor->host;
	for (unsigned i = 0; i < doctor_host_check_count; i++) {
		doctor->check = doctor_host_checks[i].name;
		doctor_host_checks[i].check(doctor);
	}
	for (unsigned d = 0; d < doctor->device_count; d++) {
		struct doctor_device *dev = &doctor->devices[d];

		put_together(doctor, dev);
		doctor->rows = &dev->rows;
		for (unsigned i = 0; i < doctor_device_check_count; i++) {
			const struct doctor_device_check *check = &doctor_device_checks[i];

			doctor->check = check->name;
			if (dev->there || !check->needs_device)
				check->check(doctor, dev);
		}
	}
}

static void count_rows(const struct doctor_rows *rows, unsigned counts[ARRAY_SIZE(statuses)],
		       const struct doctor_row **ret_first)
{
	for (unsigned i = 0; i < rows->count; i++) {
		counts[rows->rows[i].status]++;
		if (rows->rows[i].status == DOCTOR_FAIL && !*ret_first)
			*ret_first = &rows->rows[i];
	}
}

static bool is_shown(const struct doctor_config *config, const struct doctor_row *r)
{
	return !config->quiet || r->status >= DOCTOR_WARN;
}

static bool any_shown(const struct doctor_config *config, const struct doctor_rows *rows)
{
	for (unsigned i = 0; i < rows->count; i++) {
		if (is_shown(config, &rows->rows[i]))
			return true;
	}
	return false;
}

static void print_rows(const struct doctor_config *config, const struct doctor_rows *rows,
		       FILE *out)
{
	for (unsigned i = 0; i < rows->count; i++) {
		const struct doctor_row *r = &rows->rows[i];

		if (!is_shown(config, r))
			continue;
		fprintf(out, "%*s%s%s%s  %-*s  ", (int)INDENT, "",
			config->color ? statuses[r->status].color : "", statuses[r->status].text,
			config->color ? COLOR_END : "", (int)CHECK_WIDTH, r->check);
		table_paragraph(out, r->text, TEXT_AT, config->width);
		if (r->mend[0]) {
			fprintf(out, "%*s-> ", (int)TEXT_AT, "");
			table_paragraph(out, r->mend, TEXT_AT + 3, config->width);
		}
	}
}

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static void print_text(const struct doctor *doctor, const unsigned counts[ARRAY_SIZE(statuses)],
		       FILE *out)
{
	const struct doctor_config *config = doctor->config;
	const char *gap = "";

	if (any_shown(config, &doctor->host)) {
		fprintf(out, "The host\n");
		print_rows(config, &doctor->host, out);
		gap = "\n";
	}
	for (unsigned i = 0; i < doctor->device_count; i++) {
		const struct doctor_device *dev = &doctor->devices[i];

		if (!any_shown(config, &dev->rows))
			continue;
		fprintf(out, "%s%s%s%s\n", gap, pci_addr_text(dev->info.addr).s,
			dev->name[0] ? "  " : "", dev->name);
		print_rows(config, &dev->rows, out);
		gap = "\n";
	}
	if (!doctor->device_count) {
		fprintf(out, "%sNo GPU is here; tinyvmm list --all lists the other devices.\n",
			gap);
		gap = "\n";
	}
	fprintf(out, "%s%u failure%s, %u warning%s\n", gap, counts[DOCTOR_FAIL],
		plural(counts[DOCTOR_FAIL]), counts[DOCTOR_WARN], plural(counts[DOCTOR_WARN]));
}

static void json_rows(struct json_out *json, const struct doctor_rows *rows)
{
	json_out_array(json, "checks");
	for (unsigned i = 0; i < rows->count; i++) {
		const struct doctor_row *r = &rows->rows[i];

		json_out_object(json, NULL);
		json_out_string(json, "check", r->check);
		json_out_string(json, "status", statuses[r->status].text);
		json_out_string(json, "text", r->text);
		json_out_string(json, "mend", r->mend[0] ? r->mend : NULL);
		json_out_end(json);
	}
	json_out_end(json);
}

static void print_json(const struct doctor *doctor, const unsigned counts[ARRAY_SIZE(statuses)],
		       int status, FILE *out)
{
	struct json_out json;

	json_out_init(&json, out);
	json_out_object(&json, NULL);
	json_out_number(&json, "exit_status", (uint64_t)status);
	json_out_number(&json, "failures", counts[DOCTOR_FAIL]);
	json_out_number(&json, "warnings", counts[DOCTOR_WARN]);
	json_out_number(&json, "memory", doctor->config->memory);
	json_out_object(&json, "host");
	json_rows(&json, &doctor->host);
	json_out_end(&json);
	json_out_array(&json, "devices");
	for (unsigned i = 0; i < doctor->device_count; i++) {
		const struct doctor_device *dev = &doctor->devices[i];

		json_out_object(&json, NULL);
		json_out_string(&json, "address", pci_addr_text(dev->info.addr).s);
		json_out_string(&json, "name", dev->name[0] ? dev->name : NULL);
		json_rows(&json, &dev->rows);
		json_out_end(&json);
	}
	json_out_end(&json);
	json_out_end(&json);
	json_out_fini(&json);
}

static void fini(struct doctor *doctor)
{
	for (unsigned i = 0; i < doctor->device_count; i++)
		free(doctor->devices[i].rows.rows);
	free(doctor->devices);
	free(doctor->host.rows);
}

int doctor_run(const struct doctor_config *config, FILE *out, int *ret_status)
{
	struct doctor doctor = { .config = config };
	unsigned counts[ARRAY_SIZE(statuses)] = { 0 };
	const struct doctor_row *first = NULL;
	int status, r;

	host_system_read(config->root, &doctor.system);
	r = find_devices(&doctor);
	if (r == 0)
		check_all(&doctor);
	if (r < 0 || doctor.failed) {
		fini(&doctor);
		return err_sys(ERR_LIMIT, -ENOMEM, "check the host");
	}
	count_rows(&doctor.host, counts, &first);
	for (unsigned i = 0; i < doctor.device_count; i++)
		count_rows(&doctor.devices[i].rows, counts, &first);
	status = first ? (int)first->kind : 0;
	if (config->json)
		print_json(&doctor, counts, status, out);
	else
		print_text(&doctor, counts, out);
	fini(&doctor);
	*ret_status = status;
	return 0;
}
