#include "format/jsonschema/compat_int.h"

#include "unit/format/jsonschema/compat.h"

#define S "{\"type\":\"string\"}"
#define I "{\"type\":\"integer\"}"

static void items_may_be_widened(void **state)
{
    (void)state;
    expect_widens("{\"items\":" I "}", "{\"items\":{\"type\":\"number\"}}",
                  "#/items/type TYPE_NARROWED");
    expect_widens("{\"items\":" I "}", "{}", "#/items ADDITIONAL_ITEMS_NARROWED");
    expect_widens("{\"items\":false}", "{\"items\":" I "}", "#/items ADDITIONAL_ITEMS_REMOVED");
    expect_breaks("{}", "{\"items\":{}}", "");
}

static void positions_follow_the_content_model(void **state)
{
    (void)state;
    expect_widens("{\"prefixItems\":[" S "," I "]}", "{\"prefixItems\":[" S "]}",
                  "#/prefixItems/1 ITEM_ADDED_TO_OPEN_CONTENT_MODEL");
    expect_widens("{\"prefixItems\":[" S "],\"items\":false}",
                  "{\"prefixItems\":[" S "," I "],\"items\":false}",
                  "#/prefixItems/1 ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL");
    expect_breaks("{\"prefixItems\":[" S "],\"items\":" I "}",
                  "{\"prefixItems\":[" S "," I "],\"items\":" I "}", "");
    expect_breaks("{\"prefixItems\":[" S "],\"items\":" I "}",
                  "{\"prefixItems\":[" S "," S "],\"items\":" I "}",
                  "#/prefixItems/1/type TYPE_CHANGED; #/prefixItems/1 "
                  "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL");
    expect_breaks("{\"prefixItems\":[" S "," S "],\"items\":" I "}",
                  "{\"prefixItems\":[" S "],\"items\":" I "}",
                  "#/items/type TYPE_CHANGED; #/prefixItems/1 "
                  "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL");
    expect_breaks("{\"prefixItems\":[" S "]}", "{\"prefixItems\":[" I "]}",
                  "#/prefixItems/0/type TYPE_CHANGED");
}

static void draft_7_says_the_same_in_other_words(void **state)
{
    (void)state;
    static const struct format_jsonschema_options seven = {.draft = FORMAT_JSONSCHEMA_7};
    expect_breaks_with("{\"items\":[" S "]}", "{\"items\":[" S "],\"additionalItems\":false}",
                       "#/additionalItems ADDITIONAL_ITEMS_REMOVED", &seven);
    expect_breaks_with("{\"items\":[" S "]}", "{\"items\":[" S "," I "]}",
                       "#/items/1 ITEM_ADDED_TO_OPEN_CONTENT_MODEL", &seven);
    expect_breaks_with("{\"items\":[" S "],\"additionalItems\":" I "}",
                       "{\"items\":[" S "],\"additionalItems\":{\"type\":\"number\"}}", "", &seven);
}

static void sizes_and_uniqueness_may_be_loosened(void **state)
{
    (void)state;
    expect_widens("{\"maxItems\":1}", "{\"maxItems\":2}", "#/maxItems MAX_ITEMS_DECREASED");
    expect_widens("{\"maxItems\":1}", "{}", "#/maxItems MAX_ITEMS_ADDED");
    expect_widens("{\"minItems\":2}", "{\"minItems\":1}", "#/minItems MIN_ITEMS_INCREASED");
    expect_widens("{\"minItems\":2}", "{\"minItems\":0}", "#/minItems MIN_ITEMS_ADDED");
    expect_widens("{\"uniqueItems\":true}", "{\"uniqueItems\":false}",
                  "#/uniqueItems UNIQUE_ITEMS_ADDED");
}

static void contains_may_ask_for_less(void **state)
{
    (void)state;
    expect_widens("{\"contains\":" I "}", "{\"contains\":{\"type\":\"number\"}}",
                  "#/contains CONTAINS_CHANGED");
    expect_widens("{\"contains\":" I "}", "{}", "#/contains CONTAINS_ADDED");
    expect_widens("{\"contains\":" I ",\"minContains\":2}", "{\"contains\":" I "}",
                  "#/contains CONTAINS_CHANGED");
    expect_widens("{\"contains\":" I ",\"maxContains\":2}",
                  "{\"contains\":" I ",\"maxContains\":3}", "#/contains CONTAINS_CHANGED");
    /* More items count than before against the same limit. */
    expect_breaks("{\"contains\":" I ",\"maxContains\":2}",
                  "{\"contains\":{\"type\":\"number\"},\"maxContains\":2}",
                  "#/contains CONTAINS_CHANGED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_may_be_widened),
        cmocka_unit_test(positions_follow_the_content_model),
        cmocka_unit_test(draft_7_says_the_same_in_other_words),
        cmocka_unit_test(sizes_and_uniqueness_may_be_loosened),
        cmocka_unit_test(contains_may_ask_for_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
