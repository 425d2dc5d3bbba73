#pragma once

/*
 * Heads of HTTP/1.1 messages (RFC 9110, RFC 9112), parsed strictly: what two parsers could read
 * in two ways is refused, not repaired. A parsed head is views into the bytes given. Pure; any
 * thread.
 *
 * Refused with 400: a CR or LF alone, NUL and other control characters, folded lines, space
 * before a colon or at the front of a line, none or several Hosts, several Content-Lengths (equal
 * ones too), Content-Length beside Transfer-Encoding, Transfer-Encoding in HTTP/1.0 or not ending
 * in chunked. 414: a request line that is too long. 417: an expectation other than 100-continue.
 * 431: a head that is too large or has too many fields. 501: a transfer coding beside chunked,
 * CONNECT. 505: a version other than 1.0 and 1.1.
 */

#include "base/slice.h"

/* Fields a head may have. */
#define NET_HTTP_HEADERS_MAX 100u
/* Bytes of a head, start line and empty line included. */
#define NET_HTTP_HEAD_MAX 16384u
/* Bytes of a request line. */
#define NET_HTTP_LINE_MAX 8192u

enum net_http_parse {
    NET_HTTP_MORE,    /* not whole yet */
    NET_HTTP_DONE,    /* whole */
    NET_HTTP_REFUSED, /* see the refusal; the framing is lost */
};

/* Why a message is refused. */
struct net_http_refusal {
    int status;         /* for the answer */
    const char *detail; /* constant text for a person */
};

enum net_http_method {
    NET_HTTP_GET,
    NET_HTTP_HEAD,
    NET_HTTP_POST,
    NET_HTTP_PUT,
    NET_HTTP_DELETE,
    NET_HTTP_OPTIONS,
    NET_HTTP_OTHER, /* a valid token; see `method_name` */
};

struct net_http_header {
    struct slice name;  /* as sent */
    struct slice value; /* without the white space around it */
};

/* What both kinds of message have: the fields, and what they say of the body and the
 * connection. */
struct net_http_fields {
    bool chunked;
    bool has_length;
    uint64_t length; /* Content-Length; 0 without one */
    bool close;      /* Connection: close */
    bool keep_alive; /* Connection: keep-alive */
    uint32_t count;
    struct net_http_header items[NET_HTTP_HEADERS_MAX];
};

struct net_http_head {
    enum net_http_method method;
    struct slice method_name;
    struct slice target;  /* as sent */
    struct slice path;    /* from "/" to "?", still percent-encoded; "*" for OPTIONS * */
    struct slice query;   /* behind "?", still percent-encoded; empty without one */
    struct slice host;    /* of the absolute target or the Host field; empty: none (HTTP/1.0) */
    uint8_t minor;        /* version 1.minor */
    bool expect_continue; /* RFC 9110 section 10.1.1 */
    bool persistent;      /* the connection may stay open behind the answer */
    size_t size;          /* bytes that the head took */
    struct net_http_fields fields;
};

struct net_http_response_head {
    int status;
    uint8_t minor;
    bool persistent;
    size_t size;
    struct net_http_fields fields;
};

/* Parses a request's head at the front of `in` (RFC 9112 sections 2 to 6). `*scanned` is 0 for a
 * message's first call; while the result is MORE it says how far line ends were looked for, so
 * that feeding byte by byte costs no more than feeding at once. With DONE `head` is filled. */
enum net_http_parse net_http_head_parse(struct slice in, size_t *scanned,
                                        struct net_http_head *head,
                                        struct net_http_refusal *refusal);
/* The same for a response's head (RFC 9112 section 4). */
enum net_http_parse net_http_response_head_parse(struct slice in, size_t *scanned,
                                                 struct net_http_response_head *head,
                                                 struct net_http_refusal *refusal);

/* The value of the first field called `name` (any case); data is NULL when there is none. */
struct slice net_http_fields_get(const struct net_http_fields *fields, const char *name);
/* The same for fields that may stand several times: looks from `*index` on and moves it behind
 * what was found. */
struct slice net_http_fields_next(const struct net_http_fields *fields, const char *name,
                                  uint32_t *index);
