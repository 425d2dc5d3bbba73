#pragma once

/*
 * What a request's target, Host and Origin say. Pure; any thread.
 */

#include "base/err.h"
#include "net/http/head.h"

/* Decodes %XX (RFC 3986 section 2.1) into `out`. ERR_SYNTAX for a bad escape, ERR_TOO_LARGE when
 * `capacity` is too small. `*decoded` views `out`. */
err_t net_http_percent_decode(struct slice in, void *out, size_t capacity, struct slice *decoded);

/* Matches `path` against `pattern` segment by segment, where one "{}" in the pattern stands for
 * any one segment that is not empty: it is given, still encoded, in `*value` (may be NULL when
 * there is none). */
bool net_http_path_match(struct slice path, const char *pattern, struct slice *value);

/* The value of parameter `name` in a query, "+" and %XX decoded into `out`. ERR_NOT_FOUND without
 * one (`name` alone has an empty value), else as net_http_percent_decode. */
err_t net_http_query_get(struct slice query, const char *name, void *out, size_t capacity,
                         struct slice *value);

/* True when a Host may be meant for a door that listens on `listen` ("host:port"): a literal
 * address, "localhost", the host of `listen` or one of `names` (`count` of them, any case). Names
 * that others point at our address (DNS rebinding) are not. An empty host (HTTP/1.0 without one)
 * is allowed. */
bool net_http_host_allowed(struct slice host, const char *listen, const char *const *names,
                           size_t count);

/* True when the request has no Origin or one of the host it was sent to: not sent by a page of
 * another site (RFC 6454 section 7). */
bool net_http_origin_allowed(const struct net_http_head *head);
