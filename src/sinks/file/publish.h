#pragma once

/*
 * Makes the files of a prepared epoch visible. Blocks; any thread.
 */

#include "base/err.h"
#include "base/slice.h"
#include "io/disk.h"

/* Moves each in-progress file of `outputs` (sinks/file/outputs.h) to its final path, making
 * directories, and flushes all directories concerned. May be called again after a failure or a
 * crash: what is moved already is success. A file is never replaced: ERR_EXISTS where another
 * stands in the way, ERR_NO_FILE where neither the one nor the other is there, ERR_CORRUPT and
 * ERR_VERSION for outputs that cannot be read, and the disk's own errors. */
err_t sinks_file_publish(struct io_disk *disk, struct slice outputs, struct err_text *why);
