#include "server/faults.h"

#include <signal.h>
#include <time.h>

#include "base/assert.h"
#include "io/fault.h"

#define FAULT_VARIABLE "GARNER_FAULT"

/* A signal that runs no handler and flushes nothing: what is left is what the kernel was given. */
static void kill_process(void)
{
    raise(SIGKILL);
}

/* On the thread of the call that is to be slow: a flush that takes long holds up the flusher and
 * nothing else, and that is what is to be seen. */
static void sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
                            .tv_nsec = (long)(ns % UINT64_C(1000000000))};
    /* Cut short by a signal: sleeps the rest. */
    while (nanosleep(&left, &left) != 0)
        ASSERT(left.tv_nsec >= 0);
}

err_t server_faults_wrap(const struct control_config_host *host, struct io_disk **disk,
                         struct err_text *why)
{
    static const struct io_fault_hooks hooks = {.kill = kill_process, .sleep_ns = sleep_ns};
    ASSERT(*disk == host->disk);
    const char *spec = host->env(FAULT_VARIABLE);
    /* Built in and not asked for: nothing stands between the log and its disk. */
    if (!spec || !*spec)
        return err_ok();
    err_t err = io_fault_disk_new(host->disk, spec, &hooks, disk, why);
    if (!err_is_ok(err))
        err_prefix(why, FAULT_VARIABLE);
    return err;
}

void server_faults_unwrap(const struct control_config_host *host, struct io_disk **disk)
{
    ASSERT(*disk);
    if (*disk == host->disk)
        return;
    io_fault_disk_free(disk);
    *disk = host->disk;
}
