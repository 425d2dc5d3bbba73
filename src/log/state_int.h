#pragma once

/*
 * What the files of the state share: state.c applies frames, state_keys.c keeps the files of keys.
 */

#include "log/state.h"

/* Lets go of the oldest buckets of the topic's keys; their files are doomed. ERR_MEMORY. */
err_t log_state_drop_keys(struct log_state *state, struct log_topic *topic, uint32_t count);
/* Nothing of the topic is doomed any more. */
void log_state_forget_doomed_keys(struct log_state *state, uint32_t topic_id);
