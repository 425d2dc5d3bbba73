#include "serve/kafka/kafka_int.h"

#include "base/assert.h"

/*
 * InitProducerId without transactions: whoever asks gets an id that nobody had before, epoch 0, as
 * Kafka answers a client without a transactional id, also one that says which id it has (KIP-360):
 * in a new id's numbers nothing of the old one's can be mistaken for a repeat. The id is in a frame
 * on disk before it is told.
 *
 * A transactional id is refused with the one code that every client takes for final; with others
 * librdkafka asks again for ever.
 */

/* Kafka's transaction.max.timeout.ms. */
#define TRANSACTION_TIMEOUT_MAX_MS 900000

struct init {
    struct serve_kafka_call *call;
    struct flow_commit commit;
};

static void answer(struct serve_kafka_call *call, int16_t error_code, int64_t producer_id)
{
    struct proto_kafka_init_producer_id_response response;
    proto_kafka_init(call->api->response, &response);
    ASSERT(error_code == SERVE_KAFKA_NONE || producer_id == -1);
    response.error_code = error_code;
    response.producer_id = producer_id;
    response.producer_epoch = producer_id >= 0 ? 0 : -1;
    serve_kafka_reply(call, &response);
}

static void given(struct flow_commit *commit)
{
    const struct init *init = CONTAINER_OF(commit, struct init, commit);
    if (err_is_ok(commit->error))
        answer(init->call, SERVE_KAFKA_NONE, commit->producer_id);
    else
        answer(init->call, serve_kafka_error_code(commit->error), -1);
}

static int16_t look(const struct proto_kafka_init_producer_id_request *request)
{
    if ((request->producer_id == -1) != (request->producer_epoch == -1))
        return SERVE_KAFKA_INVALID_REQUEST;
    if (!request->transactional_id.data)
        return SERVE_KAFKA_NONE;
    if (request->transactional_id.size == 0)
        return SERVE_KAFKA_INVALID_REQUEST;
    if (request->transaction_timeout_ms <= 0 ||
        request->transaction_timeout_ms > TRANSACTION_TIMEOUT_MAX_MS)
        return SERVE_KAFKA_INVALID_TRANSACTION_TIMEOUT;
    return SERVE_KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

void serve_kafka_init_producer_id(struct serve_kafka_call *call)
{
    int16_t code = look(call->message);
    if (code != SERVE_KAFKA_NONE) {
        answer(call, code, -1);
        return;
    }
    struct init *init = serve_kafka_alloc(call, 1, sizeof(*init));
    if (!init)
        return;
    init->call = call;
    init->commit =
        (struct flow_commit){.home = call->door->loop, .done = given, .gives_producer_id = true};
    flow_log_commit(call->door->kafka->log, &init->commit);
}
