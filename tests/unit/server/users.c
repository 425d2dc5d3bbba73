#include "unit/server/world.h"

static void expect(const struct world *w, const char *method, const char *path, const char *body,
                   const char *part)
{
    char *answer = world_ask(w, ADMIN_PORT, method, path, "application/json", body);
    assert_has(answer, part);
    free(answer);
}

#define PASSWORD "{\"password\":\"secret\"}"

static void users_are_there_after_the_next_start(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    expect(&w, "GET", "/v1/users", NULL, "{\"users\":[]}");
    expect(&w, "PUT", "/v1/users/mia", PASSWORD, "{\"added\":\"mia\"}");
    expect(&w, "PUT", "/v1/users/zoe", PASSWORD, "{\"added\":\"zoe\"}");
    expect(&w, "PUT", "/v1/users/zoe", PASSWORD, "{\"added\":\"zoe\"}");
    expect(&w, "DELETE", "/v1/users/mia", NULL, "{\"removed\":\"mia\"}");
    expect(&w, "DELETE", "/v1/users/mia", NULL, "unknown_user");
    expect(&w, "GET", "/v1/users", NULL, "{\"users\":[{\"name\":\"zoe\",");
    world_stop(&w);
    world_start(&w);
    expect(&w, "GET", "/v1/users", NULL, "{\"users\":[{\"name\":\"zoe\",");
    /* What was written before is there, and changes go on behind it. */
    expect(&w, "PUT", "/v1/users/adam", PASSWORD, "{\"added\":\"adam\"}");
    expect(&w, "GET", "/v1/users", NULL, "{\"users\":[{\"name\":\"adam\",");
    world_until(&w, "/v1/topics/_audit/records?offset=earliest",
                "\"what\":\"user\",\"event\":\"removed\",\"user\":\"mia\"");
    world_stop(&w);
    world_done(&w);
}

/* So many changes of one user that most of the records are of no use. */
static void the_topic_is_compacted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    expect(&w, "PUT", "/v1/users/mia", PASSWORD, "{\"added\":\"mia\"}");
    for (int i = 0; i < 70; i++)
        expect(&w, "PUT", "/v1/users/zoe", PASSWORD, "{\"added\":\"zoe\"}");
    expect(&w, "DELETE", "/v1/users/zoe", NULL, "{\"removed\":\"zoe\"}");
    for (int life = 0; life < 2; life++) {
        /* The secret, two users and what came behind; of the rest there is nothing. */
        expect(&w, "GET", "/v1/topics", NULL,
               "{\"partition\":0,\"start_offset\":69,\"end_offset\":75}");
        expect(&w, "GET", "/v1/users", NULL, "{\"users\":[{\"name\":\"mia\",");
        world_stop(&w);
        world_start(&w);
    }
    world_stop(&w);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_there_after_the_next_start),
        cmocka_unit_test(the_topic_is_compacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
