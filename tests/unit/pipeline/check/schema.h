#pragma once

/*
 * A check whose topics "events" and "orders" have a schema.
 */

#include "unit/pipeline/check/fixture.h"

struct schema_fixture {
    struct fixture f;
    struct pipeline_check_topic topics[2];
    struct format_jsonschema *schema;
};

static inline void schema_init(struct schema_fixture *s, const char *text, uint64_t steps)
{
    const struct format_jsonschema_options how = {.steps = steps};
    struct err_text why = {0};
    assert_true(err_is_ok(format_jsonschema_compile(slice_string(text), &how, &s->schema, &why)));
    struct pipeline_check_options options = fixture_options(&s->f);
    memcpy(s->topics, fixture_topics, sizeof(s->topics));
    s->topics[0].schema = s->schema;
    s->topics[1].schema = s->schema;
    options.topics = s->topics;
    fixture_start(&s->f, &options);
}

static inline void schema_done(struct schema_fixture *s)
{
    fixture_done(&s->f);
    format_jsonschema_free(&s->schema);
}
