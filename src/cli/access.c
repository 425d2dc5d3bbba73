/*
 * What is wrong with the flags is told before anything is connected to, so that a password never
 * goes where it would be read on the way.
 */

#include "cli/access.h"

#include "base/assert.h"
#include "cli/user.h"
#include "control/auth/users.h"
#include "control/config/value.h"

const char *const cli_access_mechanisms[] = {"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", NULL};

/* Flags that do nothing would be taken for some that did. */
static int check(const struct cli_command *command, const struct cli_access_flags *flags,
                 const char *address)
{
    bool tls = flags->tls || flags->cacert;
    /* A name may be of another machine, whatever it looks like. */
    bool near =
        control_config_address_valid(address) && control_config_address_is_loopback(address);
    if (flags->server_name && !tls)
        return cli_fail(command, CLI_USAGE, "--server-name goes with --tls");
    if (!flags->user && (flags->password_file || flags->sasl != 0))
        return cli_fail(command, CLI_USAGE, "--password-file and --sasl go with --user");
    if (flags->user && !control_auth_name_valid(slice_string(flags->user)))
        return cli_fail(command, CLI_USAGE,
                        "--user: expected a name of 1 to %u bytes of UTF-8 without control "
                        "characters",
                        CONTROL_AUTH_NAME_MAX);
    if (flags->user && flags->sasl == CLI_ACCESS_PLAIN && !tls && !near)
        return cli_fail(command, CLI_USAGE,
                        "--sasl PLAIN would send the password to %s for everybody on the way to "
                        "read; give --tls, or another mechanism",
                        address);
    return -1;
}

static err_t take_password(const struct cli *cli, const char *file, struct buf *out,
                           struct err_text *why)
{
    /* The file first: it was named, and the environment may be somebody else's doing. */
    if (file)
        return cli_user_take_password(file, out, why);
    const char *given = cli->env("GARNER_PASSWORD");
    if (!given || !given[0] || strlen(given) > CONTROL_AUTH_PASSWORD_MAX)
        return err_set(why, ERR_INVALID,
                       "--user needs a password of 1 to %u bytes: in the environment as "
                       "GARNER_PASSWORD, or in the first line of --password-file",
                       CONTROL_AUTH_PASSWORD_MAX);
    buf_add_string(out, given);
    return buf_error(out);
}

int cli_access_take(const struct cli *cli, const struct cli_command *command,
                    const struct cli_access_flags *flags, const char *address,
                    struct cli_access *out)
{
    struct err_text why = {0};
    *out = (struct cli_access){
        .server_name = flags->server_name, .user = flags->user, .mechanism = flags->sasl};
    int code = check(command, flags, address);
    if (code >= 0)
        return code;
    err_t err = err_ok();
    if (flags->user)
        err = take_password(cli, flags->password_file, &out->password, &why);
    if (err_is_ok(err) && (flags->tls || flags->cacert))
        err = net_tls_client_read(cli->disk, flags->cacert, &out->trust, &why);
    if (err_is_ok(err))
        return -1;
    bool memory = err_is(err, ERR_MEMORY);
    return cli_fail(command, memory ? CLI_INTERNAL : CLI_USAGE, "%s%s",
                    err_is(err, ERR_CONFIG) ? "--cacert: " : "", err_detail(err, &why));
}

err_t cli_access_begin(struct cli_access *access, struct io_loop *loop)
{
    ASSERT(!access->tls);
    if (!access->trust)
        return err_ok();
    return net_tls_loop_new(
        &(struct net_tls_options){.loop = loop, .tls = access->trust, .name = access->server_name},
        &access->tls);
}

struct io_loop *cli_access_loop(const struct cli_access *access, struct io_loop *loop)
{
    /* Forgotten, a password would go out for everybody to read. */
    ASSERT(!access->trust || access->tls);
    return access->tls ? net_tls_loop_io(access->tls) : loop;
}

void cli_access_done(struct cli_access *access)
{
    net_tls_loop_free(&access->tls);
    net_tls_free(&access->trust);
    /* The process may live on for a report. */
    if (access->password.size > 0)
        net_tls_wipe(access->password.data, access->password.size);
    buf_done(&access->password);
}
