/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of a console's output; see control_console.h. Any thread. */
#include "control/control_console.h"

void control_console_init(struct control_console *console)
{
	pthread_mutex_init(&console->lock, NULL);
	console->viewers = 0;
	console->bytes = 0;
}

void control_console_fini(struct control_console *console)
{
	pthread_mutex_destroy(&console->lock);
}

bool control_console_put(struct control_console *console, const uint8_t *data, size_t len)
{
	bool seen;

	pthread_mutex_lock(&console->lock);
	seen = console->viewers > 0;
	for (size_t i = 0; i < len && seen; i++)
		console->ring[console->bytes++ % CONTROL_CONSOLE] = data[i];
	pthread_mutex_unlock(&console->lock);
	return seen;
}

void control_console_enter(struct control_console *console, uint64_t *ret_at)
{
	pthread_mutex_lock(&console->lock);
	console->viewers++;
	*ret_at = console->bytes;
	pthread_mutex_unlock(&console->lock);
}

void control_console_leave(struct control_console *console)
{
	pthread_mutex_lock(&console->lock);
	console->viewers--;
	pthread_mutex_unlock(&console->lock);
}

size_t control_console_get(struct control_console *console, uint64_t *at, char *buf, size_t room)
{
	size_t len = 0;

	pthread_mutex_lock(&console->lock);
	if (console->bytes - *at > CONTROL_CONSOLE)
		*at = console->bytes - CONTROL_CONSOLE;
	while (*at != console->bytes && len < room)
		buf[len++] = (char)console->ring[(*at)++ % CONTROL_CONSOLE];
	pthread_mutex_unlock(&console->lock);
	return len;
}
