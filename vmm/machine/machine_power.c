/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's power button, pressed from the console or by a signal. Main thread. [ACPI-6.3 4.8.2
 * Fixed Hardware Features]: who listens has set PWRBTN_EN.
 */
#include "core/log.h"
#include "machine/machine.h"
#include "machine/machine_control.h"

/*
 * A kernel listens some time before the programs that act on it do, and what it hears until then is
 * lost: the button is pressed some more times.
 */
#define LISTEN_PERIOD_S 1
#define PRESS_PERIOD_S  10
#define PRESSES         6u

void machine_power_button(void *opaque)
{
	struct machine *machine = opaque;

	if (machine_press(machine))
		log_info("asked the guest to power off");
	else
		log_info("the guest does not listen to its power button yet");
}

static void button_ready(struct loop_timer *timer)
{
	struct machine *machine = container_of(timer, struct machine, button);

	if (!machine_press(machine))
		return;
	if (machine->button_presses++ == 0) {
		log_info("asked the guest to power off, now that it listens");
		loop_set_timer(&machine->loop, timer, PRESS_PERIOD_S);
	}
	if (machine->button_presses == PRESSES)
		loop_set_timer(&machine->loop, timer, 0);
}

void machine_press_later(struct machine *machine)
{
	if (machine->button.fn)
		return;
	machine->button.fn = button_ready;
	loop_set_timer(&machine->loop, &machine->button, LISTEN_PERIOD_S);
}

void machine_power_fini(struct machine *machine)
{
	loop_set_timer(&machine->loop, &machine->button, 0);
	machine->button.fn = NULL;
}
