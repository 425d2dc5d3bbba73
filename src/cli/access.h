#pragma once

/*
 * How a command reaches a Kafka listener that has TLS and asks who its clients are: the flags for
 * that, which are the same for every command, and what is made of them. A password comes from a
 * file or from GARNER_PASSWORD, never from the command line, which everybody on the machine can
 * read. Single loop.
 */

#include "base/buf.h"
#include "base/option.h"
#include "cli/cli.h"
#include "control/auth/scram.h"
#include "net/tls/tls.h"

struct cli_access_flags {
    bool tls;
    uint32_t sasl; /* a place in cli_access_mechanisms */
    const char *cacert;
    const char *server_name;
    const char *user;
    const char *password_file;
};

/* As SASL names them; ends with NULL. */
extern const char *const cli_access_mechanisms[];
#define CLI_ACCESS_PLAIN 2u

/* The rows of a command's option table: `flags` is its struct, `field` a struct cli_access_flags in
 * there. */
#define CLI_ACCESS_OPTION(flags, field, member, type_)                                             \
    .name = #member, .type = type_,                                                                \
    .offset = offsetof(flags, field) + offsetof(struct cli_access_flags, member)
#define CLI_ACCESS_OPTIONS(flags, field)                                                           \
    {CLI_ACCESS_OPTION(flags, field, tls, OPTION_BOOL),                                            \
     .help = "the broker's listener speaks TLS; its certificate is verified"},                     \
        {CLI_ACCESS_OPTION(flags, field, cacert, OPTION_STRING),                                   \
         .help = "PEM file of whom its certificate leads to, else who the system trusts; implies " \
                 "--tls"},                                                                         \
        {CLI_ACCESS_OPTION(flags, field, server_name, OPTION_STRING),                              \
         .help = "the name that its certificate has to be of; else the host of --server"},         \
        {CLI_ACCESS_OPTION(flags, field, user, OPTION_STRING),                                     \
         .help = "who to say that we are, to a listener with SASL; the password is in "            \
                 "GARNER_PASSWORD"},                                                               \
        {CLI_ACCESS_OPTION(flags, field, password_file, OPTION_STRING),                            \
         .help = "a file whose first line is the password of --user"},                             \
    {                                                                                              \
        CLI_ACCESS_OPTION(flags, field, sasl, OPTION_ENUM),                                        \
            .fallback = "SCRAM-SHA-512", .choices = cli_access_mechanisms,                         \
            .help = "how the password is proved; PLAIN sends it, over TLS or to this machine only" \
    }

/* Zero-initialise; a zero one is no TLS, and nobody to be. */
struct cli_access {
    struct net_tls *trust;    /* NULL: no TLS */
    struct net_tls_loop *tls; /* between begin and done, where there is TLS */
    const char *server_name;
    const char *user; /* NULL: nobody */
    struct buf password;
    uint32_t mechanism; /* a place in cli_access_mechanisms */
};

/* Takes the flags, for a broker at `address`; strings are kept. Reads the files. -1, or the exit
 * code after what is wrong was said. To be ended with cli_access_done in either case. */
int cli_access_take(const struct cli *cli, const struct cli_command *command,
                    const struct cli_access_flags *flags, const char *address,
                    struct cli_access *out);
/* Makes TLS of `loop`'s sockets, where there is to be any; the loop runs on. Once. ERR_MEMORY. */
err_t cli_access_begin(struct cli_access *access, struct io_loop *loop);
/* The loop to connect from: the one that was given, or the one before it. */
struct io_loop *cli_access_loop(const struct cli_access *access, struct io_loop *loop);
/* When every connection is closed. */
void cli_access_done(struct cli_access *access);
