#include "fuzz/http_oracle.h"

#include <string.h>

#include <llhttp.h>

static struct fuzz_llhttp_request *request_of(llhttp_t *parser)
{
    return parser->data;
}

static int append(char *out, size_t *size, const char *at, size_t length)
{
    if (length > FUZZ_LLHTTP_BYTES_MAX - *size)
        return HPE_USER;
    memcpy(out + *size, at, length);
    *size += length;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct fuzz_llhttp_request *request = request_of(parser);
    return append(request->target, &request->target_size, at, length);
}

static int on_field_part(llhttp_t *parser, const char *at, size_t length)
{
    struct fuzz_llhttp_request *request = request_of(parser);
    return append(request->fields, &request->fields_size, at, length);
}

static int on_field_name(llhttp_t *parser)
{
    request_of(parser)->field_count++;
    return on_field_part(parser, ":", 1);
}

/* It leaves the white space behind a value on. */
static int on_field_value(llhttp_t *parser)
{
    struct fuzz_llhttp_request *request = request_of(parser);
    while (request->fields_size && (request->fields[request->fields_size - 1] == ' ' ||
                                    request->fields[request->fields_size - 1] == '\t'))
        request->fields_size--;
    return on_field_part(parser, "\n", 1);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct fuzz_llhttp_request *request = request_of(parser);
    return append(request->body, &request->body_size, at, length);
}

static int on_head(llhttp_t *parser)
{
    struct fuzz_llhttp_request *request = request_of(parser);
    request->method = parser->method;
    request->minor = parser->http_minor;
    request->chunked = parser->flags & F_CHUNKED;
    request->persistent = llhttp_should_keep_alive(parser);
    return 0;
}

static int on_whole(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

enum fuzz_llhttp_verdict fuzz_llhttp(const uint8_t *data, size_t size,
                                     struct fuzz_llhttp_request *request)
{
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_field_part;
    settings.on_header_field_complete = on_field_name;
    settings.on_header_value = on_field_part;
    settings.on_header_value_complete = on_field_value;
    settings.on_headers_complete = on_head;
    settings.on_body = on_body;
    settings.on_message_complete = on_whole;
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = request;
    request->field_count = 0;
    request->target_size = request->fields_size = request->body_size = 0;
    llhttp_errno_t error = llhttp_execute(&parser, (const char *)data, size);
    request->reason = llhttp_get_error_reason(&parser);
    if (error == HPE_OK)
        return FUZZ_LLHTTP_MORE;
    if (parser.upgrade || error == HPE_PAUSED_UPGRADE)
        return FUZZ_LLHTTP_UPGRADE;
    if (error != HPE_PAUSED)
        return FUZZ_LLHTTP_REFUSED;
    request->size = (size_t)((const uint8_t *)llhttp_get_error_pos(&parser) - data);
    return FUZZ_LLHTTP_DONE;
}

const char *fuzz_llhttp_method(const struct fuzz_llhttp_request *request)
{
    return llhttp_method_name((llhttp_method_t)request->method);
}
