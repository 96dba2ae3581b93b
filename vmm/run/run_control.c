/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's side of a control socket, see run_control.h. Main thread. */
#include "run/run_control.h"

#include <errno.h>

#include "control/control.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

/* --- requests --- */

static int act(void *opaque, const char *what)
{
	static const struct {
		const char *name;
		enum machine_action action;
	} actions[] = {
		{ "pause", MACHINE_PAUSE },
		{ "resume", MACHINE_RESUME },
		{ "power-button", MACHINE_POWER_BUTTON },
		{ "reset", MACHINE_RESET },
		{ "stop", MACHINE_STOP },
		{ "kill", MACHINE_KILL },
	};
	struct run_control *rc = opaque;

	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(what, actions[i].name) == 0)
			return machine_act(rc->machine, actions[i].action);
	}
	return -ENOENT;
}

static void put_what_runs(const struct options *options, struct json_out *json)
{
	json_out_array(json, "gpus");
	for (unsigned i = 0; i < options->gpu_count; i++)
		json_out_string(json, NULL, options_gpu_name(&options->gpus[i]).s);
	json_out_end(json);
	json_out_array(json, "disks");
	for (unsigned i = 0; i < options->disk_count; i++)
		json_out_string(json, NULL, options->disks[i].file);
	json_out_end(json);
	json_out_string(json, "kernel", options->kernel[0] ? options->kernel : NULL);
	json_out_array(json, "command");
	for (unsigned i = 0; i < options->command_argc; i++)
		json_out_string(json, NULL, options->command_argv[i]);
	json_out_end(json);
}

static void put_status(void *opaque, struct json_out *json)
{
	const struct run_control *rc = opaque;
	const struct options *options = rc->machine->options;
	struct machine_status status;

	machine_status(rc->machine, &status);
	json_out_string(json, "name", rc->folder.name);
	json_out_number(json, "pid", (uint64_t)getpid());
	json_out_string(json, "state", machine_state_name(status.state));
	json_out_bool(json, "stopping", status.asked_to_end);
	json_out_number(json, "uptime_ms", status.uptime_ns / NS_PER_MS);
	json_out_number(json, "paused_ms", status.paused_ns / NS_PER_MS);
	json_out_number(json, "resets", status.resets);
	json_out_number(json, "cpus", options->cpus);
	json_out_number(json, "memory", options->memory);
	put_what_runs(options, json);
}

static void put_statistics(void *opaque, struct json_out *json)
{
	const struct run_control *rc = opaque;
	struct machine_statistics s;

	machine_statistics(rc->machine, &s);
	json_out_number(json, "cpu_ms", s.cpu_ns / NS_PER_MS);
	json_out_number(json, "vcpu_cpu_ms", s.vcpu_cpu_ns / NS_PER_MS);
	json_out_number(json, "resident", s.resident);
	json_out_object(json, "exits");
	json_out_number(json, "ports", s.exits.pio);
	json_out_number(json, "memory", s.exits.mmio);
	json_out_number(json, "other", s.exits.other);
	json_out_end(json);
}

static size_t type(void *opaque, const uint8_t *data, size_t len)
{
	const struct run_control *rc = opaque;

	return console_type(&rc->machine->console, data, len);
}

static const struct control_ops control_ops = { act, put_status, put_statistics, type };

/* --- the machine --- */

static void tap_output(void *opaque, const uint8_t *data, size_t len)
{
	const struct run_control *rc = opaque;

	control_console_output(rc->control, data, len);
}

static void tap_room(void *opaque)
{
	const struct run_control *rc = opaque;

	control_console_room(rc->control);
}

static void told(struct machine_listener *listener, enum machine_event event)
{
	struct run_control *rc = container_of(listener, struct run_control, listener);
	const char *name = machine_event_name(event);

	if (event == MACHINE_EVENT_STARTED && control_join(rc->control, &rc->machine->loop) < 0)
		log_warn("%s", err_text());
	if (event == MACHINE_EVENT_ENDED)
		control_tell(rc->control, name, "why", machine_end_name(rc->machine->end));
	else
		control_tell(rc->control, name, NULL, NULL);
	if (event == MACHINE_EVENT_ENDED)
		control_leave(rc->control);
}

/* --- life --- */

int run_control_init(struct run_control *rc, struct machine *machine, const struct options *options)
{
	int r;

	if (!options->name[0] && !options->detach)
		return 0;
	rc->machine = machine;
	rc->folder.fd = -1;
	rc->log.file = -1;
	r = run_folder_create("", options->name, &rc->folder);
	if (r < 0)
		return r;
	r = control_create(run_folder_path(&rc->folder, RUN_FOLDER_SOCKET).s, &control_ops, rc,
			   &rc->control);
	if (r == 0 && options->detach)
		r = run_log_open(&rc->log, &rc->folder);
	if (r < 0)
		return r;
	rc->listener.told = told;
	rc->tap = (struct console_tap){ tap_output, tap_room, rc };
	machine_listen(machine, &rc->listener);
	machine->console_tap = &rc->tap;
	return 0;
}

void run_control_started(struct run_control *rc)
{
	if (rc->machine && rc->log.file >= 0 && run_log_start(&rc->log) < 0)
		log_warn("%s", err_text());
}

void run_control_fini(struct run_control *rc, int status)
{
	if (!rc->machine)
		return;
	/* Who follows the log reads all of it when it hears of the end. */
	run_log_close(&rc->log);
	if (rc->control)
		control_tell_exit(rc->control, status);
	run_folder_remove("", &rc->folder);
	control_destroy(rc->control);
	rc->machine = NULL;
}
