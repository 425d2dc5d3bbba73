#pragma once

/*
 * Failures on purpose, for tests: with the build option `faults` the environment variable
 * GARNER_FAULT (io/fault.h has its words) makes single calls of the disk fail, wait, or be the
 * last. Without the option the variable means nothing.
 */

#include "control/config/config.h"

/* Puts the disk that fails in front of `*disk` where one is asked for. */
err_t server_faults_wrap(const struct control_config_host *host, struct io_disk **disk,
                         struct err_text *why);
/* Frees it. */
void server_faults_unwrap(const struct control_config_host *host, struct io_disk **disk);
