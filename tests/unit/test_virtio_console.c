/* SPDX-License-Identifier: Apache-2.0 */
/* The console device's ports as a driver sees them. [virtio-1.2 5.3 Console Device] */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "cmocka_all.h"
#include "console_guest.h"
#include "core/log.h"
#include "devices/virtio/virtio_console.h"

#define IN1  console_in(1)
#define OUT1 console_out(1)

struct fixture {
	struct console_guest g;
	struct virtio_console *console;
	/* The loop's, read by the test while it waits in loop_call. */
	char output[2][64];
	size_t output_len[2], room_for_output;
	unsigned rooms[2], opened[2], closed[2], work;
};

static size_t take_output(void *opaque, unsigned port, const void *data, size_t len)
{
	struct fixture *f = opaque;
	const size_t n = MIN(len, f->room_for_output);

	memcpy(f->output[port] + f->output_len[port], data, n);
	f->output_len[port] += n;
	f->room_for_output -= n;
	return n;
}

static void see_room(void *opaque, unsigned port)
{
	((struct fixture *)opaque)->rooms[port]++;
}

static void see_opened(void *opaque, unsigned port, bool open)
{
	struct fixture *f = opaque;

	(*(open ? &f->opened[port] : &f->closed[port]))++;
}

static int setup(void **state)
{
	static const char *const names[] = { "first", "second" };
	static const struct virtio_console_ops ops = { take_output, see_room, see_opened };
	struct fixture *f = test_calloc(1, sizeof(*f));
	const struct virtio_console_options options = { names, 2, &ops, f };

	log_set_level(LOG_ERROR);
	f->room_for_output = sizeof(f->output[0]);
	virtio_guest_init(&f->g.guest);
	f->g.loop = &f->g.guest.loop;
	if (virtio_console_create(&f->g.guest.board, &f->g.guest.loop, &options, &f->console) < 0)
		return -1;
	virtio_guest_plug(&f->g.guest, virtio_console_pci(f->console));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_guest_fini(&f->g.guest);
	test_free(f);
	return 0;
}

static bool taken(struct fixture *f, unsigned queue)
{
	uint32_t len;

	return console_guest_taken(&f->g, queue, &len);
}

/* Both ports are there, and a program has each open. */
static void open_ports(struct fixture *f)
{
	console_guest_drive(&f->g);
	console_guest_open(&f->g, 2);
}

static void identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtio_guest_config_read(&f->g.guest, PCI_VENDOR_ID, 4),
			 0x1af4 | (0x1040 + VIRTIO_ID_CONSOLE) << 16);
	assert_in_range(virtio_guest_read(&f->g.guest, f->g.guest.device_cfg + 4, 4), 2, 31);
}

static void driver_is_told_of_ports_and_names(void **state)
{
	struct fixture *f = *state;

	console_guest_drive(&f->g);
	console_guest_give_room(&f->g, CONTROL_IN, CONSOLE_GUEST_QUEUE, 64);
	console_guest_control(&f->g, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	console_guest_heard(&f->g, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	console_guest_control(&f->g, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "second");
	assert_false(taken(f, CONTROL_IN));
}

static void messages_wait_for_the_drivers_buffers(void **state)
{
	struct fixture *f = *state;

	console_guest_drive(&f->g);
	console_guest_control(&f->g, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	console_guest_give_room(&f->g, CONTROL_IN, 1, 64);
	console_guest_heard(&f->g, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	assert_false(taken(f, CONTROL_IN));
	console_guest_give_room(&f->g, CONTROL_IN, 1, 64);
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
}

static void count_work(void *arg)
{
	struct fixture *f = arg;

	f->work = f->g.guest.loop.work_count;
}

static void loop_rests_while_the_driver_has_buffers_left(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	console_guest_settle(&f->g);
	loop_call(&f->g.guest.loop, count_work, f);
	assert_int_equal(f->work, 0);
}

static void loop_rests_while_output_has_no_room(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	f->room_for_output = 0;
	console_guest_say(&f->g, OUT1, "hello", 5);
	console_guest_say(&f->g, OUT1, "HE", 2);
	loop_call(&f->g.guest.loop, count_work, f);
	assert_int_equal(f->work, 0);
}

static void output_comes_out(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	assert_int_equal(f->opened[1], 1);
	console_guest_say(&f->g, OUT1, "hello", 5);
	assert_string_equal(f->output[1], "hello");
	assert_true(taken(f, OUT1));
}

/* virtio_console_resume is the loop's. */
struct resume {
	struct fixture *f;
	unsigned port;
};

static void resume_on_loop(void *arg)
{
	const struct resume *r = arg;

	virtio_console_resume(r->f->console, r->port);
}

static void output_without_room_waits_and_keeps_its_order(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	f->room_for_output = 3;
	console_guest_say(&f->g, OUT1, "hello", 5);
	assert_string_equal(f->output[1], "hel");
	assert_false(taken(f, OUT1));
	console_guest_say(&f->g, OUT1, "HE", 2);
	assert_string_equal(f->output[1], "hel");
	f->room_for_output = 32;
	loop_call(&f->g.guest.loop, resume_on_loop, &(struct resume){ f, 1 });
	console_guest_settle(&f->g);
	assert_string_equal(f->output[1], "helloHE");
	assert_true(taken(f, OUT1) && taken(f, OUT1));
}

static void port_is_closed_after_its_last_byte(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	f->room_for_output = 0;
	console_guest_say(&f->g, OUT1, "bye", 3);
	console_guest_control(&f->g, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_int_equal(f->closed[1], 0);
	f->room_for_output = 32;
	loop_call(&f->g.guest.loop, resume_on_loop, &(struct resume){ f, 1 });
	console_guest_settle(&f->g);
	assert_string_equal(f->output[1], "bye");
	assert_int_equal(f->closed[1], 1);
}

struct input {
	struct fixture *f;
	const char *text;
	size_t len, taken;
};

static void input_on_loop(void *arg)
{
	struct input *in = arg;

	in->taken = virtio_console_input(in->f->console, 1, in->text, in->len);
}

static size_t input(struct fixture *f, const char *text, size_t len)
{
	struct input in = { f, text, len, 0 };

	loop_call(&f->g.guest.loop, input_on_loop, &in);
	console_guest_settle(&f->g);
	return in.taken;
}

static void input_goes_in_as_far_as_there_is_room(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	console_guest_drive(&f->g);
	assert_int_equal(input(f, "early", 5), 0);
	console_guest_open(&f->g, 2);
	assert_int_equal(input(f, "hello", 5), 0);
	console_guest_give_room(&f->g, IN1, 2, 2);
	assert_true(f->rooms[1] > 0);
	assert_int_equal(input(f, "hello", 5), 4);
	assert_true(console_guest_taken(&f->g, IN1, &len));
	assert_int_equal(len, 2);
	assert_memory_equal(console_guest_buffer(&f->g, IN1, 0), "he", 2);
	assert_true(taken(f, IN1));
	assert_int_equal(input(f, "o", 1), 0);
}

static void end_on_loop(void *arg)
{
	struct fixture *f = arg;

	virtio_console_end_input(f->console, 1);
}

static void end_of_input_is_told_once_the_driver_knows_the_port(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	loop_call(&f->g.guest.loop, end_on_loop, f);
	console_guest_settle(&f->g);
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
}

static void input_that_ended_before_the_driver_came_reads_as_ended(void **state)
{
	struct fixture *f = *state;

	loop_call(&f->g.guest.loop, end_on_loop, f);
	console_guest_settle(&f->g);
	console_guest_drive(&f->g);
	console_guest_give_room(&f->g, CONTROL_IN, CONSOLE_GUEST_QUEUE, 64);
	console_guest_control(&f->g, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	console_guest_heard(&f->g, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "second");
}

static void nonsense_of_the_driver_is_ignored(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	console_guest_control(&f->g, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	console_guest_control(&f->g, 0xffffffff, VIRTIO_CONSOLE_PORT_OPEN, 1);
	console_guest_control(&f->g, 1, 0xffff, 1);
	console_guest_control(&f->g, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	console_guest_say(&f->g, CONTROL_OUT, "short", 5);
	assert_int_equal(f->opened[1], 1);
	console_guest_say(&f->g, OUT1, "still", 5);
	assert_string_equal(f->output[1], "still");
}

static void reset_closes_the_ports(void **state)
{
	struct fixture *f = *state;

	open_ports(f);
	f->room_for_output = 1;
	console_guest_say(&f->g, OUT1, "lost", 4);
	virtio_guest_set(&f->g.guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(f->closed[1], 1);
	open_ports(f);
	f->room_for_output = 32;
	console_guest_say(&f->g, OUT1, "again", 5);
	assert_string_equal(f->output[1], "lagain");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(driver_is_told_of_ports_and_names),
		TEST(messages_wait_for_the_drivers_buffers),
		TEST(loop_rests_while_the_driver_has_buffers_left),
		TEST(loop_rests_while_output_has_no_room),
		TEST(output_comes_out),
		TEST(output_without_room_waits_and_keeps_its_order),
		TEST(port_is_closed_after_its_last_byte),
		TEST(input_goes_in_as_far_as_there_is_room),
		TEST(end_of_input_is_told_once_the_driver_knows_the_port),
		TEST(input_that_ended_before_the_driver_came_reads_as_ended),
		TEST(nonsense_of_the_driver_is_ignored),
		TEST(reset_closes_the_ports),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
