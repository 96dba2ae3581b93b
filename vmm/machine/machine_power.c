/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's power button, pressed from the console or by a signal. Main thread. [ACPI-6.3 4.8.2
 * Fixed Hardware Features]: who listens has set PWRBTN_EN.
 */
#include <errno.h>
#include <sys/timerfd.h>

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

static void set_period(struct machine *machine, time_t seconds)
{
	const struct itimerspec period = { { seconds, 0 }, { seconds, 0 } };

	(void)timerfd_settime(machine->button.fd, 0, &period, NULL);
}

static void button_ready(struct loop_source *source)
{
	struct machine *machine = container_of(source, struct machine, button);
	uint64_t expirations;

	if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations) ||
	    !machine_press(machine))
		return;
	if (machine->button_presses++ == 0) {
		log_info("asked the guest to power off, now that it listens");
		set_period(machine, PRESS_PERIOD_S);
	}
	if (machine->button_presses == PRESSES)
		set_period(machine, 0);
}

void machine_press_later(struct machine *machine)
{
	int fd;

	if (machine->button.fd)
		return;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0) {
		log_warn("the power button will not be pressed: %s", strerror(errno));
		return;
	}
	machine->button = (struct loop_source){ fd, button_ready };
	if (loop_add(&machine->loop, &machine->button) < 0) {
		log_warn("the power button will not be pressed");
		close(fd);
		machine->button.fd = 0;
		return;
	}
	set_period(machine, LISTEN_PERIOD_S);
}

void machine_power_fini(struct machine *machine)
{
	if (!machine->button.fd)
		return;
	loop_remove(&machine->loop, &machine->button);
	close(machine->button.fd);
	machine->button.fd = 0;
}
