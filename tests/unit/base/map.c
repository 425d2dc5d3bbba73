#include "base/map.h"

#include "base/alloc.h"
#include "lib/unit.h"

#define KEYS 500

/* What the map is compared with: key i is in when values[i] is not NULL. */
struct model {
    char keys[KEYS][8];
    void *values[KEYS];
    size_t count;
};

static struct slice model_key(const struct model *model, size_t i)
{
    return slice_string(model->keys[i]);
}

static void model_init(struct model *model)
{
    *model = (struct model){0};
    for (size_t i = 0; i < KEYS; i++)
        (void)snprintf(model->keys[i], sizeof(model->keys[i]), "key%zu", i);
}

/* The map holds what the model holds, by each key and by walking. */
static void assert_alike(const struct map *m, const struct model *model)
{
    assert_int_equal(m->count, model->count);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(m, model_key(model, i)), model->values[i]);
    size_t walked = 0;
    for (size_t at = 0; map_next(m, &at);)
        walked++;
    assert_int_equal(walked, model->count);
}

static void an_empty_map_has_nothing_and_costs_nothing(void **state)
{
    (void)state;
    mem_fail_after(0);
    struct map m;
    map_init(&m, 1);
    size_t at = 0;
    assert_null(map_get(&m, SLICE_LITERAL("a")));
    assert_null(map_remove(&m, SLICE_LITERAL("a")));
    assert_null(map_next(&m, &at));
    map_done(&m);
    assert_int_equal(mem_alloc_count(), 0);
}

static void what_is_put_is_found_and_replaced(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, 1);
    int one = 1;
    int two = 2;
    assert_true(err_is_ok(map_put(&m, SLICE_LITERAL("a"), &one)));
    assert_true(err_is_ok(map_put(&m, SLICE_LITERAL(""), &two)));
    assert_true(err_is_ok(map_put(&m, SLICE_LITERAL("a\0b"), &two)));
    assert_ptr_equal(map_get(&m, SLICE_LITERAL("a")), &one);
    assert_ptr_equal(map_get(&m, slice_make(NULL, 0)), &two);
    assert_null(map_get(&m, SLICE_LITERAL("b")));
    assert_true(err_is_ok(map_put(&m, SLICE_LITERAL("a"), &two)));
    assert_ptr_equal(map_get(&m, SLICE_LITERAL("a")), &two);
    assert_int_equal(m.count, 3);
    map_done(&m);
    assert_null(map_get(&m, SLICE_LITERAL("a")));
}

static void a_replaced_entry_takes_the_new_keys_memory(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, 1);
    int one = 1;
    char *old_key = mem_string("key", 3);
    assert_non_null(old_key);
    assert_true(err_is_ok(map_put(&m, slice_string(old_key), &one)));
    assert_true(err_is_ok(map_put(&m, SLICE_LITERAL("key"), &one)));
    mem_free(old_key);
    assert_ptr_equal(map_get(&m, SLICE_LITERAL("key")), &one);
    map_done(&m);
}

static void random_puts_and_removes_match_a_plain_table(void **state)
{
    (void)state;
    uint64_t random = unit_seed();
    struct model model;
    model_init(&model);
    struct map m;
    map_init(&m, unit_random(&random));
    for (uint32_t step = 0; step < 40000; step++) {
        /* Waves of growth and shrinking. */
        uint64_t put_share = step / 5000 % 2 ? 3 : 7;
        size_t i = unit_random(&random) % KEYS;
        if (unit_random(&random) % 10 < put_share) {
            void *value = &model.keys[unit_random(&random) % KEYS];
            assert_true(err_is_ok(map_put(&m, model_key(&model, i), value)));
            model.count += model.values[i] == NULL;
            model.values[i] = value;
        } else {
            assert_ptr_equal(map_remove(&m, model_key(&model, i)), model.values[i]);
            model.count -= model.values[i] != NULL;
            model.values[i] = NULL;
        }
        if (step % 500 == 0)
            assert_alike(&m, &model);
    }
    assert_alike(&m, &model);
    map_done(&m);
}

static void removal_closes_gaps_in_runs_that_wrap_around(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    /* Each seed lays another set of keys on the 16 slots, the wrap of a run among them. */
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct map m;
        map_init(&m, seed);
        size_t start = seed % (KEYS - 12);
        for (size_t i = start; i < start + 12; i++)
            assert_true(err_is_ok(map_put(&m, model_key(&model, i), &model)));
        assert_int_equal(m.capacity, 16);
        for (size_t removed = start; removed < start + 12; removed++) {
            assert_ptr_equal(map_remove(&m, model_key(&model, removed)), &model);
            for (size_t i = start; i < start + 12; i++)
                assert_int_equal(map_get(&m, model_key(&model, i)) != NULL, i > removed);
        }
        assert_int_equal(m.count, 0);
        map_done(&m);
    }
}

static void putting_and_removing_for_ever_does_not_grow_the_table(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct map m;
    map_init(&m, 5);
    for (size_t i = 0; i < 100000; i++) {
        assert_true(err_is_ok(map_put(&m, model_key(&model, i % KEYS), &model)));
        if (i >= 8)
            assert_non_null(map_remove(&m, model_key(&model, (i - 8) % KEYS)));
    }
    assert_int_equal(m.capacity, 16);
    assert_int_equal(m.count, 8);
    map_done(&m);
}

static void replacing_in_a_full_table_does_not_grow_it(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct map m;
    map_init(&m, 5);
    for (size_t i = 0; i < 12; i++)
        assert_true(err_is_ok(map_put(&m, model_key(&model, i), &model)));
    mem_fail_after(1);
    for (size_t i = 0; i < 12; i++)
        assert_true(err_is_ok(map_put(&m, model_key(&model, i), &m)));
    assert_int_equal(mem_alloc_count(), 0);
    mem_fail_after(0);
    map_done(&m);
}

static void without_memory_a_put_changes_nothing(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct map m;
    map_init(&m, 5);
    for (size_t i = 0; i < KEYS; i++) {
        mem_fail_after(1);
        err_t err = map_put(&m, model_key(&model, i), &model);
        mem_fail_after(0);
        if (!err_is_ok(err)) {
            assert_true(err_is(err, ERR_MEMORY));
            assert_alike(&m, &model);
            assert_true(err_is_ok(map_put(&m, model_key(&model, i), &model)));
        }
        model.values[i] = &model;
        model.count++;
    }
    assert_alike(&m, &model);
    map_done(&m);
}

static void walking_meets_every_value_once(void **state)
{
    (void)state;
    int values[100] = {0};
    struct model model;
    model_init(&model);
    struct map m;
    map_init(&m, 9);
    for (size_t i = 0; i < 100; i++)
        assert_true(err_is_ok(map_put(&m, model_key(&model, i), &values[i])));
    int *value = NULL;
    for (size_t at = 0; (value = map_next(&m, &at));)
        (*value)++;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(values[i], 1);
    map_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing_and_costs_nothing),
        cmocka_unit_test(what_is_put_is_found_and_replaced),
        cmocka_unit_test(a_replaced_entry_takes_the_new_keys_memory),
        cmocka_unit_test(random_puts_and_removes_match_a_plain_table),
        cmocka_unit_test(removal_closes_gaps_in_runs_that_wrap_around),
        cmocka_unit_test(putting_and_removing_for_ever_does_not_grow_the_table),
        cmocka_unit_test(replacing_in_a_full_table_does_not_grow_it),
        cmocka_unit_test(without_memory_a_put_changes_nothing),
        cmocka_unit_test(walking_meets_every_value_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
