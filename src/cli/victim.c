/*
 * The shell is made the head of a new process group, so that one signal to the group reaches it and
 * all it has started, and nothing besides. As a subreaper this program inherits what the shell
 * leaves behind: the group is gone when waiting for it finds nobody.
 *
 * Signals are held back while the child is made: one that came before it runs the shell would be
 * caught by a handler that is ours, and be lost.
 *
 * What goes wrong: what has left the group (setsid) is no longer ours to kill and lives on. When
 * this program itself is killed, the kernel sends the shell SIGTERM in its place.
 */

#include "cli/victim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

static err_t failed(struct err_text *why, int error)
{
    char text[128];
    return err_set(why, (enum err_code)err_from_errno(error).code, "cannot start a process: %s",
                   strerror_r(error, text, sizeof(text)));
}

/* The child: nothing of ours but what the shell needs. */
static _Noreturn void run_shell(const char *command, const sigset_t *mask)
{
    setpgid(0, 0);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* It ends when we do, however that is. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

err_t cli_victim_start(struct cli_victim *victim, struct err_text *why)
{
    ASSERT(victim->group == 0 && victim->command);
    /* What the shell leaves behind becomes our child, so that its end can be waited for. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return failed(why, errno);
    fflush(NULL);
    sigset_t all;
    sigset_t mask;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid_t child = fork();
    int error = errno;
    if (child == 0)
        run_shell(victim->command, &mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (child < 0)
        return failed(why, error);
    /* Both do this, so that the group is there whoever runs first; the second fails. */
    setpgid(child, child);
    victim->group = child;
    victim->status = 0;
    return err_ok();
}

/* Collects what has ended; false when nothing of the group is left. */
static bool collect(struct cli_victim *victim, int flags)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-victim->group, &status, flags);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid == victim->group)
            victim->status = status;
        if (pid < 0)
            victim->group = 0;
        if (pid <= 0)
            return pid == 0;
    }
}

void cli_victim_kill(struct cli_victim *victim)
{
    if (victim->group == 0)
        return;
    kill(-victim->group, SIGKILL);
    bool left = collect(victim, 0);
    ASSERT(!left);
}

void cli_victim_terminate(struct cli_victim *victim)
{
    if (victim->group != 0)
        kill(-victim->group, SIGTERM);
}

bool cli_victim_running(struct cli_victim *victim)
{
    return victim->group != 0 && collect(victim, WNOHANG);
}

void cli_victim_describe(const struct cli_victim *victim, char *out, size_t size)
{
    ASSERT(victim->group == 0);
    if (WIFSIGNALED(victim->status))
        snprintf(out, size, "by signal %d", WTERMSIG(victim->status));
    else
        snprintf(out, size, "with exit code %d", WEXITSTATUS(victim->status));
}
