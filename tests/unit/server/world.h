#pragma once

/*
 * A whole server in a directory of its own: in a thread of the test, or in a child process where
 * its end is the subject. Its doors are on an address of 127.0.0.0/8 that is made of the
 * process' id, so that no two tests ever want the same one.
 */

#include "lib/unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "io/uv/uv.h"
#include "server/plugins.h"
#include "server/server.h"

#define WORLD_SECONDS 30
#define INTAKE_PORT 8080
#define ADMIN_PORT 9600
#define KAFKA_PORT 9092
#define assert_ok(expression) assert_string_equal(err_name(expression), "OK")

struct world {
    char directory[64];
    char address[32]; /* of the doors */
    char config_file[96];
    struct control_sink_type sink_types[SERVER_SINK_TYPES_MAX];
    struct control_config_host host;
    struct server_options options;
    pthread_t thread;
    bool running;
    err_t error; /* of the server that ended */
    struct err_text why;
};

static inline const char *world_env(const char *name)
{
    (void)name;
    return NULL;
}

/* The path of `name` in the world's directory, until the next call. */
static inline const char *world_path(const struct world *w, const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    return path;
}

static inline void world_write(const struct world *w, const char *name, const char *content)
{
    FILE *file = fopen(world_path(w, name), "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A whole file as a string, freed with free; empty when there is none. */
static inline char *world_read(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);
    if (file) {
        size_t got = fread(text, 1, 65535, file);
        assert_true(got < 65535);
        fclose(file);
    }
    return text;
}

/* The configuration: what every server here has, and `more` lines. */
static inline void world_configure(const struct world *w, const char *more)
{
    char text[2048];
    int size =
        snprintf(text, sizeof(text),
                 "data_dir: ./data\nmemory_limit: 64MiB\nwal_limit: 64MiB\nloops: 2\n"
                 "intake: { listen: '%s:%d' }\nadmin: { listen: '%s:%d' }\n"
                 "kafka: { listen: '%s:%d' }\ncontracts: [ '*.topic' ]\n%s",
                 w->address, INTAKE_PORT, w->address, ADMIN_PORT, w->address, KAFKA_PORT, more);
    assert_in_range(size, 1, sizeof(text) - 1);
    world_write(w, "garner.yaml", text);
}

/* One topic, flights; no sink. */
static inline void world_init(struct world *w)
{
    *w = (struct world){.directory = "/tmp/garner-server-XXXXXX"};
    assert_non_null(mkdtemp(w->directory));
    unsigned id = (unsigned)getpid();
    snprintf(w->address, sizeof(w->address), "127.%u.%u.%u", (id >> 16 & 0x7f) + 1, id >> 8 & 0xff,
             id & 0xff);
    snprintf(w->config_file, sizeof(w->config_file), "%s/garner.yaml", w->directory);
    server_sink_types(w->sink_types, SERVER_SINK_TYPES_MAX);
    w->host = (struct control_config_host){.disk = io_uv_disk(),
                                           .directory = w->directory,
                                           .env = world_env,
                                           .memory_bytes = UINT64_C(1) << 30,
                                           .sink_types = w->sink_types};
    w->options = (struct server_options){.host = &w->host, .config_file = w->config_file};
    world_write(w, "flights.topic", "topic: flights\npartitions: 2\n");
    world_configure(w, "");
}

static inline int world_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void world_done(struct world *w)
{
    assert_false(w->running);
    assert_int_equal(nftw(w->directory, world_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void *world_run(void *context)
{
    struct world *w = context;
    w->error = server_run(&w->options, &w->why);
    return NULL;
}

/* A connection to a door, or -1 when nobody listens. */
static inline int world_connect(const struct world *w, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, w->address, &to.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = WORLD_SECONDS};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    if (connect(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline void world_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes until the peer closes, freed with free. Closes. */
static inline char *world_receive(int fd)
{
    size_t capacity = 1 << 18, size = 0;
    char *text = calloc(1, capacity);
    for (;;) {
        assert_true(size + 1 < capacity);
        ssize_t got = recv(fd, text + size, capacity - size - 1, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    close(fd);
    return text;
}

/* Asks for `path` with `method`, `type` and `body` (NULL: none); the answer is freed with free. */
static inline char *world_ask(const struct world *w, uint16_t port, const char *method,
                              const char *path, const char *type, const char *body)
{
    int fd = world_connect(w, port);
    assert_true(fd >= 0);
    char head[1024];
    snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
             method, path);
    world_send(fd, head);
    if (body) {
        snprintf(head, sizeof(head), "Content-Type: %s\r\nContent-Length: %zu\r\n", type,
                 strlen(body));
        world_send(fd, head);
    }
    world_send(fd, "\r\n");
    if (body)
        world_send(fd, body);
    return world_receive(fd);
}

static inline char *world_get(const struct world *w, const char *path)
{
    return world_ask(w, ADMIN_PORT, "GET", path, NULL, NULL);
}

/* Sends NDJSON to a topic; fails unless `expected` stands in the answer. */
static inline void world_post(const struct world *w, const char *topic, const char *lines,
                              const char *expected)
{
    char path[128];
    snprintf(path, sizeof(path), "/v1/topics/%s/records", topic);
    char *answer = world_ask(w, INTAKE_PORT, "POST", path, "application/x-ndjson", lines);
    if (!strstr(answer, expected))
        fail_msg("no %s in the answer:\n%s", expected, answer);
    free(answer);
}

/* One round of waiting for something; fails when it took too long. */
struct world_wait {
    time_t end;
};

static inline void world_pause(struct world_wait *wait, const char *what)
{
    if (wait->end == 0)
        wait->end = time(NULL) + WORLD_SECONDS;
    if (time(NULL) > wait->end)
        fail_msg("waited too long for %s", what);
    (void)poll(NULL, 0, 2);
}

/* Waits until `expected` stands in the answer to GET `path` of the admin door. */
static inline void world_until(const struct world *w, const char *path, const char *expected)
{
    struct world_wait wait = {0};
    for (;;) {
        char *answer = world_get(w, path);
        bool there = strstr(answer, expected);
        free(answer);
        if (there)
            return;
        world_pause(&wait, expected);
    }
}

/* Waits until a door is open, or closed. */
static inline void world_until_door(const struct world *w, uint16_t port, bool open)
{
    struct world_wait wait = {0};
    for (;;) {
        int fd = world_connect(w, port);
        if (fd >= 0)
            close(fd);
        if ((fd >= 0) == open)
            return;
        world_pause(&wait, "a door");
    }
}

/* Starts the server in a thread and waits until it is ready. */
static inline void world_start(struct world *w)
{
    assert_false(w->running);
    w->why = (struct err_text){0};
    assert_int_equal(pthread_create(&w->thread, NULL, world_run, w), 0);
    w->running = true;
    struct world_wait wait = {0};
    for (int fd = -1; fd < 0;) {
        if (pthread_tryjoin_np(w->thread, NULL) == 0) {
            w->running = false;
            fail_msg("the server ended: %s", err_detail(w->error, &w->why));
        }
        fd = world_connect(w, ADMIN_PORT);
        if (fd < 0)
            world_pause(&wait, "the admin door");
        else
            close(fd);
    }
    world_until(w, "/ready", "HTTP/1.1 200 ");
}

/* Sends the signal and waits for the end, which is a good one. */
static inline void world_stop_by(struct world *w, int signal_number)
{
    assert_true(w->running);
    assert_int_equal(kill(getpid(), signal_number), 0);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    w->running = false;
    assert_ok(w->error);
}

static inline void world_stop(struct world *w)
{
    world_stop_by(w, SIGTERM);
}

/* The server in this thread, which must not start; the error is in the world. */
static inline err_t world_fail(struct world *w)
{
    w->why = (struct err_text){0};
    w->error = server_run(&w->options, &w->why);
    assert_false(err_is_ok(w->error));
    return w->error;
}

/* What goes to standard error between begin and end, of all threads; freed with free. */
struct world_capture {
    char path[64];
    int saved;
};

static inline void world_capture_begin(struct world_capture *capture)
{
    *capture = (struct world_capture){.path = "/tmp/garner-stderr-XXXXXX"};
    int fd = mkstemp(capture->path);
    assert_true(fd >= 0);
    capture->saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

static inline char *world_capture_end(struct world_capture *capture)
{
    assert_int_equal(dup2(capture->saved, STDERR_FILENO), STDERR_FILENO);
    close(capture->saved);
    char *text = world_read(capture->path);
    unlink(capture->path);
    (void)fputs(text, stderr);
    return text;
}

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text ? text : "");
}

/* The number of files below `name` whose name ends in `end`; the last one's path in `path`. */
static inline unsigned world_files(const struct world *w, const char *name, const char *end,
                                   char path[static 1024])
{
    unsigned count = 0;
    char directory[512];
    snprintf(directory, sizeof(directory), "%s", world_path(w, name));
    DIR *list = opendir(directory);
    if (!list)
        return 0;
    for (struct dirent *entry; (entry = readdir(list));) {
        size_t size = strlen(entry->d_name), end_size = strlen(end);
        if (size < end_size || strcmp(entry->d_name + size - end_size, end) != 0)
            continue;
        snprintf(path, 1024, "%s/%s", directory, entry->d_name);
        count++;
    }
    closedir(list);
    return count;
}
