#include "control/config/reference.h"

#include "unit/control/world.h"

static const char *const modes[] = {"slow", "fast", NULL};
static const struct option inner[] = {
    {.name = "mode", .type = OPTION_ENUM, .choices = modes, .fallback = "fast", .help = "How."},
    {.name = "size", .type = OPTION_SIZE, .min = 1024, .help = "How much."},
    {0},
};
static const struct option options[] = {
    {.name = "name", .type = OPTION_STRING, .required = true, .help = "Who: a|b."},
    {.name = "list", .type = OPTION_STRINGS, .fallback = "x", .help = "Which."},
    {.name = "inner", .type = OPTION_TABLE, .table = inner, .shorthand = true, .help = "In it."},
    {.name = "rest", .type = OPTION_TABLE, .help = "Its owner's."},
    {0},
};

static void every_option_has_a_row_and_nested_ones_a_dotted_name(void **state)
{
    (void)state;
    struct buf out = {0};
    control_config_reference(&out, options);
    assert_slice(buf_slice(&out),
                 "| field | takes | default | |\n"
                 "|---|---|---|---|\n"
                 "| `name` | text | required | Who: a\\|b. |\n"
                 "| `list` | a list of texts | `[x]` | Which. |\n"
                 "| `inner` | a mapping, or slow or fast | | In it. |\n"
                 "| `inner.mode` | slow or fast | `fast` | How. |\n"
                 "| `inner.size` | a size such as 64MiB of at least 1KiB | | How much. |\n"
                 "| `rest` | a mapping | | Its owner's. |\n");
    buf_done(&out);
}

static size_t count_rows(const struct option *table)
{
    size_t rows = 0;
    for (; table->name; table++)
        rows += 1 + (table->table ? count_rows(table->table) : 0);
    return rows;
}

static void the_programs_own_tables_are_complete(void **state)
{
    (void)state;
    const struct option *const tables[] = {control_config_options, control_config_sink_options,
                                           control_catalog_options};
    for (size_t i = 0; i < 3; i++) {
        struct buf out = {0};
        control_config_reference(&out, tables[i]);
        size_t lines = 0;
        for (size_t at = 0; at < out.size; at++)
            lines += out.data[at] == '\n';
        assert_int_equal(lines, 2 + count_rows(tables[i]));
        buf_done(&out);
    }
}

static void without_memory_the_text_is_marked(void **state)
{
    (void)state;
    struct buf out = {0};
    mem_fail_after(1);
    control_config_reference(&out, options);
    mem_fail_after(0);
    assert_false(buf_ok(&out));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_has_a_row_and_nested_ones_a_dotted_name),
        cmocka_unit_test(the_programs_own_tables_are_complete),
        cmocka_unit_test(without_memory_the_text_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
