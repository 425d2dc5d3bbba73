#pragma once

/*
 * What the files of the state share: state.c applies frames, state_letters.c what they say of dead
 * letters, state_keys.c keeps the files of keys.
 */

#include "log/state.h"

/* Lets go of the oldest buckets of the topic's keys; their files are doomed. ERR_MEMORY. */
err_t log_state_drop_keys(struct log_state *state, struct log_topic *topic, uint32_t count);
/* Nothing of the topic is doomed any more. */
void log_state_forget_doomed_keys(struct log_state *state, uint32_t topic_id);

/* Applies a settle. ERR_CORRUPT when it cannot be, ERR_MEMORY unless room was reserved. */
err_t log_state_settle(struct log_state *state, const struct flow_settle *settle);
/* The end of a prepared epoch that redrives: its letters are settled, and delivered after all.
 * Errors as above. */
err_t log_state_redriven(struct log_state *state, struct log_sink *sink);
/* The settled letters of a topic that was asked about. ERR_MEMORY. */
err_t log_state_snapshot_settled(const struct log_state *state, const struct log_topic *topic,
                                 struct arena *arena, struct flow_topic_state *out);
