#include "server/plugins.h"

#include "lib/unit.h"

#include "server/server.h"

static void a_sink_is_found_by_the_name_of_its_type(void **state)
{
    (void)state;
    const struct sinks_plugin *file = server_sink_plugin("file");
    assert_non_null(file);
    assert_string_equal(file->name, "file");
    assert_null(server_sink_plugin("File"));
    assert_null(server_sink_plugin("fil"));
    assert_null(server_sink_plugin(""));
}

static void every_type_of_the_configuration_has_its_plug_in(void **state)
{
    (void)state;
    struct control_sink_type types[SERVER_SINK_TYPES_MAX];
    memset(types, 0xff, sizeof(types));
    server_sink_types(types, SERVER_SINK_TYPES_MAX);
    size_t count = 0;
    for (; types[count].name; count++) {
        const struct control_sink_type *type = &types[count];
        const struct sinks_plugin *plugin = server_sink_plugin(type->name);
        assert_non_null(plugin);
        assert_ptr_equal(type->options, plugin->options);
        assert_int_equal(type->options_size, plugin->options_size);
        assert_true(type->check == plugin->check && type->check_pair == plugin->check_pair);
        assert_true(strlen(type->help) > 10);
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(types[i].name, type->name);
    }
    assert_int_equal(count, 1);
}

static void every_plug_in_has_all_its_verbs(void **state)
{
    (void)state;
    struct control_sink_type types[SERVER_SINK_TYPES_MAX];
    server_sink_types(types, SERVER_SINK_TYPES_MAX);
    for (size_t i = 0; types[i].name; i++) {
        const struct sinks_plugin *plugin = server_sink_plugin(types[i].name);
        assert_true(plugin->open && plugin->close && plugin->write && plugin->prepare &&
                    plugin->publish && plugin->discard && plugin->roll_time_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_is_found_by_the_name_of_its_type),
        cmocka_unit_test(every_type_of_the_configuration_has_its_plug_in),
        cmocka_unit_test(every_plug_in_has_all_its_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
