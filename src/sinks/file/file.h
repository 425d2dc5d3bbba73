#pragma once

/*
 * The sink `type: file`: complete files of NDJSON below a directory. Files of the open epoch lie
 * in `<root>.inprogress/`, numbered; when the epoch is published they get their places and names,
 * `<topic>-<partition>-<first>-<last>.ndjson`, by a rename each; those of dead letters that are
 * redriven `<topic>-<partition>-<first>-<last>-redriven-<epoch>.ndjson`, with the first and the
 * last offset that is in the file. See sinks/file/template.h for paths and sinks/file/outputs.h for
 * what a prepared epoch remembers.
 *
 * Each instance uses up to max_open_files buffers of SINKS_FILE_BUFFER_SIZE.
 */

#include "sinks/sinks.h"

struct sinks_file_roll {
    uint64_t size_bytes; /* of one file: the first to reach it closes the epoch */
    uint64_t time_ms;
};

struct sinks_file_options {
    const char *path;
    uint32_t format; /* 0: ndjson */
    struct sinks_file_roll roll;
    uint32_t max_open_files;
};

extern const struct sinks_plugin sinks_file_plugin;
