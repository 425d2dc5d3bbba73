#include "base/assert.h"
#include "io/uv/uv.h"
#include "server/plugins.h"
#include "server/server.h"

#include <errno.h>
#include <unistd.h>

/*
 * What the program knows of the machine it runs on, asked once at the start and handed on: so that
 * reading a configuration, in a command or in a test, touches nothing that was not given to it.
 */

err_t server_host_init(struct server_host *host, const char *(*env)(const char *name))
{
    ASSERT(env);
    /* Paths are made absolute at once: a later change of directory would move all of them. */
    if (!getcwd(host->directory, sizeof host->directory))
        return err_from_errno(errno);
    server_sink_types(host->sink_types, SERVER_SINK_TYPES_MAX);
    host->host = (struct control_config_host){
        .disk = io_uv_disk(),
        .directory = host->directory,
        .env = env,
        .memory_bytes = io_uv_memory_bytes(),
        .sink_types = host->sink_types,
    };
    return err_ok();
}
