#pragma once

/*
 * URIs (RFC 3986): taken apart, resolved against a base, and looked at as a format. Pure; any
 * thread.
 */

#include "base/buf.h"
#include "base/slice.h"

/* The parts of RFC 3986 appendix B; views. A part that is not there has data NULL. */
struct format_jsonschema_uri {
    struct slice scheme;
    struct slice authority;
    struct slice path; /* always there */
    struct slice query;
    struct slice fragment;
};

/* Takes any text apart; what is no URI gives parts that are none either. */
struct format_jsonschema_uri format_jsonschema_uri_split(struct slice text);
/* Appends `reference` resolved against `base` (RFC 3986 section 5.2), without its fragment. */
void format_jsonschema_uri_resolve(struct slice base, struct slice reference, struct buf *out);
/* Appends `s` with %41 as the byte it stands for; false where a % is followed by anything else. */
bool format_jsonschema_uri_decode(struct slice s, struct buf *out);
/* True when `text` is a URI, or, if `relative`, a URI reference, by the grammar of appendix A. */
bool format_jsonschema_uri_valid(struct slice text, bool relative);
/* IPv4 in four decimal numbers without leading zeros (RFC 2673 section 3.2). */
bool format_jsonschema_ipv4_valid(struct slice text);
/* IPv6 as text, without a zone (RFC 4291 section 2.2). */
bool format_jsonschema_ipv6_valid(struct slice text);
