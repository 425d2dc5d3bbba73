#include "admin/admin_int.h"

#include "base/assert.h"
#include "control/catalog/document.h"

/* The catalog in force is this loop's to read at any moment, so nothing is asked and nothing is
 * waited for. An answer is made whole before a byte of it is sent: a reload in between cannot mix
 * two catalogs. */

static void reply(struct net_http_request *request, struct buf *body)
{
    buf_add_byte(body, '\n');
    admin_reply(request, 200, NULL, body);
    buf_done(body);
}

void admin_contracts_serve(struct admin *admin, struct net_http_request *request,
                           const struct admin_target *target)
{
    struct buf body = {0};
    (void)target;
    ASSERT(admin->options.catalog);
    control_catalog_render(admin->options.catalog, &body);
    reply(request, &body);
}

void admin_contract_serve(struct admin *admin, struct net_http_request *request,
                          const struct admin_target *target)
{
    /* Looked at anew for each request: a reload exchanges it between two. */
    const struct control_catalog *catalog = admin->options.catalog;
    struct slice name = slice_make(target->topic, target->topic_size);
    const struct control_catalog_topic *topic = control_catalog_find(catalog, name);
    ASSERT(catalog);
    if (!topic) {
        /* The topic may be there all the same: they outlive their contracts. */
        net_http_reply_error(request, 404, "unknown_topic", NULL,
                             "no contract in force declares a topic %.*s", SLICE_PRINTF(name));
        return;
    }
    struct buf body = {0};
    control_catalog_render_topic(catalog, topic, &body);
    reply(request, &body);
}
