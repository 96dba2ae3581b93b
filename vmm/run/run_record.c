/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers the record of a run; see run_record.h. Main thread. */
#include "run/run_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/timings.h"
#include "run/run.h"
#include "vfio/host_info.h"

static bool is_wanted(const struct run_record *rec)
{
	return rec->json.path || rec->junit.path;
}

/* When exec was. */
static struct timespec start_time(void)
{
	const uint64_t ago_ns = timings_now_us() * NS_PER_US;
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec - ago_ns;
	return (struct timespec){ (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
}

static int open_file(struct record_file *file, const char *path, const struct options *options)
{
	return record_file_open(file, path, options->shares, options->share_count);
}

int run_record_open(struct run_record *rec, const struct options *options)
{
	struct record *record = &rec->record;
	struct err_chain why;
	int r, r2;

	*rec = (struct run_record){
		.record = {
			.argv = options->command_argv,
			.argc = options->command_argc,
			.program = TINYVMM_VERSION,
			.cpus = options->cpus,
			.memory = options->memory,
			.oom_kills = RECORD_UNKNOWN,
		},
	};
	if (!options->record && !options->junit)
		return 0;
	record->started = start_time();
	uname(&record->host);
	for (unsigned i = 0; i < RECORD_PHASES; i++)
		record->us[i] = RECORD_UNKNOWN;
	r = open_file(&rec->json, options->record, options);
	if (r < 0)
		err_save(&why);
	r2 = open_file(&rec->junit, options->junit, options);
	if (r == 0)
		return r2;
	err_restore(&why);
	return r;
}

/* --- the devices --- */

/* That it had before we took it. */
static void copy_host_driver(const struct run *run, struct pci_addr addr, const char *now,
			     char ret_driver[VFIO_HOST_DRIVER_SIZE])
{
	for (unsigned i = 0; i < run->host.count; i++) {
		const struct vfio_host_device *dev = &run->host.devices[i];

		if (dev->taken && pci_addr_compare(dev->addr, addr) == 0)
			now = dev->before.driver;
	}
	snprintf(ret_driver, VFIO_HOST_DRIVER_SIZE, "%s", now);
}

static void look_at_gpu(const struct run *run, const struct pci_names *names,
			const struct options_gpu *option, struct record_gpu *gpu)
{
	struct host_info info;

	gpu->name = options_gpu_name(option);
	gpu->mediated = option->mdev[0];
	if (gpu->mediated)
		return;
	host_info_read("", option->addr, &info);
	gpu->vendor = info.vendor;
	gpu->device = info.device;
	if (info.vendor || info.device)
		pci_names_find(names, info.vendor, info.device, gpu->text);
	copy_host_driver(run, option->addr, info.driver, gpu->host_driver);
}

/* By where the guest has it. A machine that was not built has neither device nor command. */
static void look_at_guest_driver(const struct run *run, unsigned i, struct record_gpu *gpu)
{
	const struct machine *machine = &run->machine;
	const struct pci_dev *dev, *bridge;

	if (!machine->ended || !machine->command)
		return;
	dev = machine->gpu_of_option[i];
	bridge = dev->bus->bridge;
	gpu->guest_driver = session_driver(&machine->command->session,
					   bridge->config[PCI_SECONDARY_BUS], dev->devfn);
}

static void look_at_gpus(struct run_record *rec, const struct run *run)
{
	struct record *record = &rec->record;
	struct pci_names names;

	if (!run->options->gpu_count)
		return;
	pci_names_init(&names, "");
	for (unsigned i = 0; i < run->options->gpu_count; i++) {
		struct record_gpu *gpu = &record->gpus[record->gpu_count];

		/* None was found. */
		if (run->options->gpus[i].any)
			continue;
		look_at_gpu(run, &names, &run->options->gpus[i], gpu);
		look_at_guest_driver(run, i, gpu);
		record->gpu_count++;
	}
	pci_names_fini(&names);
}

void run_record_guest(struct run_record *rec, const struct run *run)
{
	const struct machine *machine = &run->machine;
	struct record *record = &rec->record;
	const struct session_report *report;

	if (!is_wanted(rec))
		return;
	look_at_gpus(rec, run);
	if (!machine->ended || !machine->command)
		return;
	report = &machine->command->session.report;
	strcpy(record->guest_kernel, report->kernel);
	record->peak_command = report->peak;
	if (report->oom_told)
		record->oom_kills = report->oom_kills;
}

/* --- the end --- */

static void copy_phases(struct record *record)
{
	static const struct {
		const char *name;
		enum record_phase phase;
	} phases[] = {
		{ "host checks", RECORD_HOST_CHECKS },   { "open files", RECORD_OPEN_FILES },
		{ "take devices", RECORD_TAKE_DEVICES }, { "build the machine", RECORD_BUILD },
		{ "tear down", RECORD_TEAR_DOWN },       { "give devices back", RECORD_GIVE_BACK },
	};
	struct timings_entry *entries = NULL;
	unsigned count = 0;

	/* Out of memory: they stay unknown. */
	if (timings_list(&entries, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(phases); k++) {
			if (!entries[i].is_event && !entries[i].is_open && !entries[i].depth &&
			    strcmp(entries[i].name, phases[k].name) == 0)
				record->us[phases[k].phase] = entries[i].took_us;
		}
	}
	free(entries);
}

/* Where the command has no end of its own: when the guest had. */
static uint64_t guest_end(void)
{
	struct timings_entry *entries = NULL;
	unsigned count = 0;
	uint64_t end = 0;

	if (timings_list(&entries, &count) < 0)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		if (!entries[i].is_event && !entries[i].depth &&
		    strcmp(entries[i].name, "guest") == 0)
			end = entries[i].at_us + entries[i].took_us;
	}
	free(entries);
	return end;
}

static void copy_timings(struct record *record)
{
	uint64_t begin, started, ended;

	copy_phases(record);
	if (!timings_event(TIMINGS_FIRST_INSTRUCTION, &begin) ||
	    !timings_event(TIMINGS_COMMAND_STARTED, &started))
		return;
	record->us[RECORD_BOOT] = started - begin;
	if (!timings_event(TIMINGS_COMMAND_ENDED, &ended))
		ended = guest_end();
	if (ended >= started)
		record->us[RECORD_COMMAND] = ended - started;
}

/* NULL where there is no text or no memory. */
static char *copy_log(const struct console *console)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	console_print_kept(console, out, "");
	if (fclose(out) == 0 && len)
		return text;
	free(text);
	return NULL;
}

static int write_one(struct record_file *file, const struct record *record,
		     void (*print)(const struct record *record, FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int r;

	if (!file->path)
		return 0;
	out = open_memstream(&text, &len);
	if (!out)
		return err_sys(ERR_LIMIT, -ENOMEM, "the record of the run");
	print(record, out);
	r = fclose(out) < 0 ? err_sys(ERR_LIMIT, -ENOMEM, "the record of the run")
			    : record_file_write(file, text, len);
	free(text);
	record_file_close(file);
	return r;
}

/* Both are tried; a failure is printed. */
static int write_all(struct run_record *rec)
{
	struct record *record = &rec->record;
	struct rusage usage;
	int r, r2;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		record->peak_process = (uint64_t)usage.ru_maxrss * KiB;
	record->total_us = timings_now_us();
	r = write_one(&rec->json, record, record_json);
	if (r < 0)
		err_log();
	r2 = write_one(&rec->junit, record, record_junit);
	if (r2 < 0)
		err_log();
	free(record->kernel_log);
	record->kernel_log = NULL;
	return r < 0 ? r : r2;
}

void run_record_end(struct run_record *rec, struct run *run)
{
	struct record *record = &rec->record;

	if (!is_wanted(rec))
		return;
	record->verdict = run->verdict;
	copy_timings(record);
	for (unsigned i = 0; i < record->gpu_count; i++) {
		record->gpus[i].was_used = run->machine.ended;
		record->gpus[i].clean = !run->machine.gpu_dirty[i];
	}
	if (run->verdict.kind != VERDICT_PASSED && run->machine.ended)
		record->kernel_log = copy_log(&run->machine.console);
	if (write_all(rec) < 0) {
		verdict_spoil(&run->verdict, VERDICT_RECORD_LOST);
	}
}

void run_record_refuse(int argc, char *const argv[])
{
	static struct options options;
	static struct run_record rec;
	struct err_chain why;

	timings_start();
	err_save(&why);
	options_salvage(argc, argv, &options);
	if (run_record_open(&rec, &options) < 0)
		err_log();
	rec.record.verdict = verdict_of_failure(&why, false);
	if (is_wanted(&rec))
		(void)write_all(&rec);
}
