/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control socket; see control_request.h. Any thread. */
#include "control/control_request.h"

#include <errno.h>
#include <stdlib.h>

static bool read_id(struct control_request *request)
{
	const uint32_t id = json_member(&request->json, 0, "id");
	const struct json_token *token;
	char *end;

	if (id == JSON_NONE)
		return true;
	request->has_id = true;
	if (json_is(&request->json, id, JSON_STRING))
		return json_string(&request->json, id, request->id, sizeof(request->id)) == 0;
	if (!json_is(&request->json, id, JSON_NUMBER))
		return false;
	token = &request->json.tokens[id];
	if (token->end - token->start >= sizeof(request->id))
		return false;
	memcpy(request->id, request->json.text + token->start, token->end - token->start);
	errno = 0;
	request->number = strtoull(request->id, &end, 10);
	request->id_is_number = true;
	return errno == 0 && !*end && request->id[0] != '-';
}

const char *control_request_read(const char *text, size_t len, struct control_request *request)
{
	if (json_parse(text, len, &request->json) < 0)
		return "this is not JSON";
	if (!json_is(&request->json, 0, JSON_OBJECT))
		return "a request is an object";
	if (!read_id(request)) {
		request->has_id = false;
		return "an id is a short string or a whole number";
	}
	if (json_member(&request->json, 0, "do") == JSON_NONE)
		return "a request says what to do";
	if (json_string(&request->json, json_member(&request->json, 0, "do"), request->word,
			sizeof(request->word)) < 0)
		return "nothing is called that";
	return NULL;
}

void control_request_fini(struct control_request *request)
{
	json_fini(&request->json);
}

bool control_request_is_true(const struct control_request *request, const char *key)
{
	return json_is(&request->json, json_member(&request->json, 0, key), JSON_TRUE);
}

void control_request_put_id(const struct control_request *request, struct json_out *json)
{
	if (request->has_id && request->id_is_number)
		json_out_number(json, "id", request->number);
	else if (request->has_id)
		json_out_string(json, "id", request->id);
}

int control_line_begin(struct control_line *line)
{
	*line = (struct control_line){ 0 };
	line->file = open_memstream(&line->text, &line->len);
	if (!line->file)
		return -ENOMEM;
	json_out_init_line(&line->json, line->file);
	json_out_object(&line->json, NULL);
	return 0;
}

bool control_line_end(struct control_line *line)
{
	json_out_end(&line->json);
	json_out_fini(&line->json);
	return fclose(line->file) == 0 && line->text;
}
