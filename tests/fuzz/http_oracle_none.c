#include "fuzz/http_oracle.h"

enum fuzz_llhttp_verdict fuzz_llhttp(const uint8_t *data, size_t size,
                                     struct fuzz_llhttp_request *request)
{
    (void)data, (void)size, (void)request;
    return FUZZ_LLHTTP_ABSENT;
}

const char *fuzz_llhttp_method(const struct fuzz_llhttp_request *request)
{
    (void)request;
    return "";
}
