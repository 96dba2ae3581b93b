/* SPDX-License-Identifier: Apache-2.0 */
/* Between session.c and session_words.c. On the session's loop. */
#ifndef SESSION_WORDS_H
#define SESSION_WORDS_H

#include "command/session.h"

/* Gives the agent of what is to be told as much as it takes. */
void session_words_send(struct session *session);

/* The agent has said so much more. */
void session_words_hear(struct session *session, const char *data, size_t len);

/* How the command ended, `text` in foreign words; the first call is the one that counts. */
void session_set_end(struct session *session, enum session_end end, int value, const char *text);

/* Tells the session's owner of the end, once there is no more to come. */
void session_check_end(struct session *session);

#endif
