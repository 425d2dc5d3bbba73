#include "cli/reference.h"

#include "unit/control/world.h"

static char *page(const char *name)
{
    struct buf out = {0};
    assert_true(cli_reference(&out, name, world_sink_types));
    buf_add_byte(&out, '\0');
    assert_true(buf_ok(&out));
    return (char *)out.data;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in %s", part, text ? text : "");
}

static void the_configuration_page_has_every_field_and_type(void **state)
{
    (void)state;
    char *text = page("configuration");
    for (const struct option *o = control_config_options; o->name; o++) {
        char row[64];
        snprintf(row, sizeof(row), "\n| `%s` | ", o->name);
        assert_holds(text, row);
    }
    assert_holds(text, "\n| `durability.max_delay` | ");
    assert_holds(text, "\n| `topics` | ");
    assert_holds(text, "\n### type: file\n\nFiles.\n\n| field | ");
    assert_holds(text, "\n| `path` | a path | required | Where files go. |\n");
    assert_holds(text, "\n### type: null\n");
    mem_free(text);
}

static void the_contracts_page_has_every_field(void **state)
{
    (void)state;
    char *text = page("contracts");
    for (const struct option *o = control_catalog_options; o->name; o++) {
        char row[64];
        snprintf(row, sizeof(row), "\n| `%s` | ", o->name);
        assert_holds(text, row);
    }
    mem_free(text);
}

static void no_other_page_is_known(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_false(cli_reference(&out, "contract", world_sink_types));
    assert_false(cli_reference(&out, "", world_sink_types));
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_page_has_every_field_and_type),
        cmocka_unit_test(the_contracts_page_has_every_field),
        cmocka_unit_test(no_other_page_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
