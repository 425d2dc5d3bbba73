/*
 * The bound for an intake: a server of one thread that reads requests from bare sockets, looks at
 * nothing in them but their length, keeps nothing and answers at once. Started by the measurements
 * of the whole server, with what garner gen sends.
 *
 *     bare PORT RECORD_BYTES      answers that a body has length / (RECORD_BYTES + 1) records
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)256 * 1024)
#define HEAD_MAX 4096
#define CONNECTIONS 20000
#define EVENTS 256

/* A connection: the head that is being gathered, and what is left of the body behind it. */
struct connection {
    int fd;
    size_t head_size;
    uint64_t body_left;
    uint64_t records;
    char head[HEAD_MAX];
};

static uint64_t record_size;
static struct connection *connections; /* by descriptor */

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static bool answer(struct connection *c)
{
    char body[128];
    char text[256];
    int size = snprintf(body, sizeof(body),
                        "{\"accepted\":%llu,\"duplicates\":0,\"dead_lettered\":0,\"refused\":0,"
                        "\"errors\":[]}\n",
                        (unsigned long long)c->records);
    size = snprintf(
        text, sizeof(text),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size,
        body);
    return send(c->fd, text, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Takes a head off the front of the bytes gathered; false when it is not whole. */
static bool begin_body(struct connection *c)
{
    c->head[c->head_size] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    char *length = strstr(c->head, "Content-Length: ");
    if (!end || !length)
        return false;
    uint64_t size = strtoull(length + 16, NULL, 10);
    uint64_t here = c->head_size - (size_t)(end + 4 - c->head);
    c->body_left = size > here ? size - here : 0;
    c->records = size / (record_size + 1);
    c->head_size = 0;
    return true;
}

/* False when the connection is over. A client sends one request at a time. */
static bool serve(struct connection *c, char *room)
{
    for (;;) {
        bool in_head = c->body_left == 0;
        ssize_t got = in_head ? recv(c->fd, c->head + c->head_size, HEAD_MAX - 1 - c->head_size, 0)
                              : recv(c->fd, room, READ_SIZE, 0);
        if (got < 0)
            return errno == EAGAIN;
        if (got == 0)
            return false;
        if (in_head) {
            c->head_size += (size_t)got;
            if (!begin_body(c))
                return c->head_size < HEAD_MAX - 1;
        } else {
            c->body_left -= (uint64_t)got < c->body_left ? (uint64_t)got : c->body_left;
        }
        if (c->body_left == 0)
            return answer(c);
    }
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)(void *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
        fail("bare: listen");
    return fd;
}

static void accept_one(int epoll, int listener)
{
    int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= CONNECTIONS)
        fail("bare: accept");
    connections[fd] = (struct connection){.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: bare PORT RECORD_BYTES\n"), 2;
    record_size = strtoull(argv[2], NULL, 10);
    int listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
    int epoll = epoll_create1(0);
    char *room = malloc(READ_SIZE);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    connections = calloc(CONNECTIONS, sizeof(connections[0]));
    if (!room || !connections)
        fail("bare");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_one(epoll, listener);
            else if (!serve(&connections[fd], room))
                close(fd);
        }
    }
}
