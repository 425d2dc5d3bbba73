/*
 * What a server answers to GET /v1/contracts, as a command reads it: whatever it is, reading ends
 * with a catalog or a reason, and a catalog that was read is written and read again as itself.
 */

#include "fuzz/fuzz.h"

#include <string.h>

#include "control/catalog/change.h"
#include "control/catalog/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err_text why = {0};
    struct control_catalog *catalog = NULL;
    struct control_catalog *again = NULL;
    err_t err = control_catalog_parse(slice_make(data, size), &catalog, &why);
    FUZZ_EXPECT(err_is_ok(err) == (catalog != NULL));
    if (!catalog) {
        FUZZ_EXPECT(err_detail(err, &why)[0] != '\0');
        return 0;
    }
    struct buf text = {0};
    control_catalog_render(catalog, &text);
    FUZZ_EXPECT(err_is_ok(control_catalog_parse(buf_slice(&text), &again, &why)));
    FUZZ_EXPECT(again->topic_count == catalog->topic_count);
    for (size_t i = 0; i < catalog->topic_count; i++) {
        FUZZ_EXPECT(strcmp(catalog->topics[i].name, again->topics[i].name) == 0);
        FUZZ_EXPECT(control_catalog_same(&catalog->topics[i], &again->topics[i]));
    }
    buf_done(&text);
    control_catalog_free(&again);
    control_catalog_free(&catalog);
    return 0;
}
