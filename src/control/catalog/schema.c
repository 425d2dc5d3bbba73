#include "control/catalog/schema.h"

#include "base/assert.h"
#include "base/sha256.h"
#include "control/config/node.h"
#include "format/jsonschema/jsonschema.h"

/*
 * A file that cannot be read and a schema that is none are both mistakes in the contract: that is
 * where an editor can jump to. Messages show the file by the name that the contract has for it.
 */

/* The text is kept beside what it was compiled to: people ask what is in force, and it has to be
 * what they wrote. */
err_t control_catalog_schema_compile(struct slice text, struct arena *arena,
                                     struct control_catalog_schema *schema,
                                     struct format_jsonschema **out, struct err_text *why)
{
    const struct format_jsonschema_options options = {.assert_formats = schema->format_assertion};
    char digits[SHA256_TEXT_SIZE];
    TRY(format_jsonschema_compile(text, &options, out, why));
    sha256_text(text, digits);
    schema->json = *out;
    schema->text = arena_slice(arena, text);
    schema->fingerprint = arena_string(arena, slice_string(digits));
    if (schema->text.data && schema->fingerprint)
        return err_ok();
    format_jsonschema_free(out);
    return err_make(ERR_MEMORY);
}

bool control_catalog_schema_load(struct io_disk *disk, struct arena *arena,
                                 struct control_catalog_contract *contract,
                                 struct control_report *report, struct format_jsonschema **out)
{
    struct control_catalog_schema *schema = &contract->topic.schema;
    *out = NULL;
    if (schema->type == CONTROL_CATALOG_SCHEMA_NONE)
        return true;
    ASSERT(schema->type == CONTROL_CATALOG_SCHEMA_JSON && schema->file);
    struct buf text;
    buf_init(&text, 0);
    struct err_text why = {0};
    err_t err = io_disk_read_file(disk, schema->file, FORMAT_JSONSCHEMA_SIZE_MAX, &text, &why);
    if (err_is_ok(err))
        err = control_catalog_schema_compile(buf_slice(&text), arena, schema, out, &why);
    buf_done(&text);
    if (err_is(err, ERR_MEMORY)) {
        control_report_no_memory(report);
    } else if (!err_is_ok(err)) {
        const struct control_config_node *at =
            control_config_node_get(control_config_node_get(contract->root, "schema"), "file");
        bool pointer = why.text[0] == '#';
        control_config_node_error(at, report, "expected a JSON Schema: %s%s%s", at->text,
                                  pointer ? "" : ": ", err_detail(err, &why));
    }
    return err_is_ok(err);
}
