/* The least a server can do: what load.c reaches against this is what load.c can generate and check.
 *
 * It knows the one form of PUB that `load flow` writes, copies each payload behind a ready-made MSG line to every
 * subscriber, and answers PING. No subjects, no parsing of what it has seen before, one thread.
 *
 *   reflector SUBJECT SIZE        prints its port, serves until stdin ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, CLIENTS_MAX = 128 };

typedef struct {
    int fd, is_subscriber;
    char *in, *out;
    size_t in_size, out_size, out_at, out_capacity;
} client;

static client *clients[CLIENTS_MAX];
static int client_count, epoll;
static char pub[256], msg[256];
static size_t pub_size, msg_size, payload_size;

static void append(client *c, const char *data, size_t size) {
    if (c->out_size + size > c->out_capacity) {
        c->out_capacity = (c->out_size + size) * 2;
        c->out = realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

static void flush(client *c) {
    while (c->out_at < c->out_size) {
        ssize_t n = write(c->fd, c->out + c->out_at, c->out_size - c->out_at);
        if (n <= 0) break;
        c->out_at += n;
    }
    if (c->out_at == c->out_size) c->out_at = c->out_size = 0;
    struct epoll_event event = {.events = EPOLLIN | (c->out_size ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void handle_line(client *c, const char *line) {
    if (!memcmp(line, "PING", 4)) append(c, "PONG\r\n", 6);
    if (!memcmp(line, "SUB ", 4)) c->is_subscriber = 1;
}

static size_t consume(client *c, const char *data, size_t size) {
    size_t at = 0, stride = pub_size + payload_size + 2;
    while (at < size) {
        if (size - at >= stride && !memcmp(data + at, pub, pub_size)) {
            for (int i = 0; i < client_count; i++)
                if (clients[i]->is_subscriber) {
                    append(clients[i], msg, msg_size);
                    append(clients[i], data + at + pub_size, payload_size + 2);
                }
            at += stride;
            continue;
        }
        const char *end = memchr(data + at, '\n', size - at);
        if (!end || !memcmp(data + at, "PUB ", 4)) break;
        handle_line(c, data + at);
        at = end + 1 - data;
    }
    return at;
}

static void accept_client(int listener) {
    client *c = calloc(1, sizeof *c);
    int on = 1;
    c->fd = accept(listener, NULL, NULL);
    c->in = malloc(READ_BYTES);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    if (client_count < CLIENTS_MAX) clients[client_count++] = c;
    append(c, "INFO {} \r\n", 10);
    flush(c);
}

static void serve(client *c) {
    ssize_t n = read(c->fd, c->in + c->in_size, READ_BYTES - c->in_size);
    if (n < 0 && errno == EAGAIN) {
        flush(c); /* Called because there is room to write. */
        return;
    }
    if (n <= 0) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
        c->is_subscriber = 0;
        return;
    }
    c->in_size += n;
    size_t used = consume(c, c->in, c->in_size);
    memmove(c->in, c->in + used, c->in_size - used);
    c->in_size -= used;
    for (int i = 0; i < client_count; i++)
        if (clients[i]->out_size) flush(clients[i]);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    payload_size = atoi(argv[2]);
    pub_size = snprintf(pub, sizeof pub, "PUB %s %zu\r\n", argv[1], payload_size);
    msg_size = snprintf(msg, sizeof msg, "MSG %s 1 %zu\r\n", argv[1], payload_size);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
    event.data.ptr = NULL;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &epoll;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &epoll) return 0;
            if (!events[i].data.ptr) accept_client(listener);
            else serve(events[i].data.ptr);
        }
    }
}
