#include "base/assert.h"
#include "server/server_int.h"

/*
 * What the Kafka door shows to its clients is read here, at the start and by each reload: a
 * certificate lives for months at the most, and a server should not end with it. What a reload
 * finds is shown to those who come from then on; a file that is wrong refuses the reload, and the
 * one before stays.
 */

err_t server_tls_read(const struct server *server, const struct control_config *config,
                      struct net_tls **out, struct err_text *why)
{
    const struct control_config_tls *tls = &config->kafka.tls;
    if (!tls->cert)
        return err_ok();
    err_t err = net_tls_read(server->disk,
                             &(struct net_tls_files){.certificate_name = tls->cert,
                                                     .key_name = tls->key,
                                                     .client_ca_name = tls->client_ca},
                             out, why);
    if (!err_is_ok(err))
        err_prefix(why, "kafka.tls");
    return err;
}

err_t server_tls_new(struct server *server, struct err_text *why)
{
    struct net_tls *tls = NULL;
    TRY(server_tls_read(server, server->config, &tls, why));
    err_t err = err_ok();
    ASSERT(!tls == !server->config->kafka.tls.cert);
    for (size_t i = 0; i < server->intake_count && tls && err_is_ok(err); i++)
        err = net_tls_loop_new(&(struct net_tls_options){.loop = server->intakes[i].loop,
                                                         .tls = tls,
                                                         .logger = &server->logger.logger},
                               &server->intakes[i].kafka_tls);
    /* The loops count what they use. */
    net_tls_free(&tls);
    return err;
}
