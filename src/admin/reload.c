#include "admin/admin_int.h"

#include "base/alloc.h"
#include "base/assert.h"

/* The server reloads; here is only how it is asked and answered. */

struct reload {
    struct admin_reload ask;
    struct admin *admin;
    struct net_http_request *request;
};

static void reload_done(struct admin_reload *ask)
{
    struct reload *reload = CONTAINER_OF(ask, struct reload, ask);
    ASSERT(ask->status > 0);
    admin_reply(reload->request, ask->status, NULL, &ask->body);
    admin_inquiry_end(reload->admin);
    buf_done(&ask->body);
    mem_free(reload);
}

void admin_reload_serve(struct admin *admin, struct net_http_request *request,
                        const struct admin_target *target)
{
    (void)target;
    if (!admin->options.reload) {
        net_http_reply_error(request, 503, "unavailable", NULL, "this server cannot reload");
        return;
    }
    if (!admin_inquiry_begin(admin, request))
        return;
    struct reload *reload = mem_zalloc(1, sizeof *reload);
    if (!reload) {
        admin_reply_busy(request);
        admin_inquiry_end(admin);
        return;
    }
    reload->ask.done = reload_done;
    reload->admin = admin;
    reload->request = request;
    admin->options.reload(admin->options.reload_owner, &reload->ask);
}
