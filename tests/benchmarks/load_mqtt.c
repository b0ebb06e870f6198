/* A load generator for MQTT 3.1.1 brokers, cheap enough that the broker is the bottleneck.
 *
 * One thread, one epoll. Messages carry their number; every subscriber checks that each number comes exactly once and
 * in order (QoS 0 too), so figures are only printed for loads that arrived whole.
 *
 *   load_mqtt MODE port= key=value...     prints one JSON object; exit 1 with a text on stderr when anything is wrong
 *
 *   flow     qos= subs= size= count= window=   one publisher to each of `subs`; `window` messages unacknowledged
 *                                              (QoS 0: not yet received by the slowest)
 *   latency  qos= count=                       one message at a time, PUBLISH to PUBACK or PUBCOMP
 *   connect  count= at_once=                   so many clients; holds them until stdin ends
 *   retain   count=                            stores retained messages; then `#` to a new client, until all are there
 *   queue    count= window=                    makes a session that is away, and publishes QoS 1 for it
 *   drain    count=                            comes back as that session and takes what waited
 *
 * Not here: starting brokers, choosing scenarios, statistics over rounds (mqtt.py beside this).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 18,
    OUT_BYTES = 1 << 18,
    STALLED_MS = 20000,
    EVENTS_MAX = 256,
    IDS = 65535,
};

typedef struct client {
    int fd;
    int is_counted;    /* a subscriber whose messages are checked */
    char *in;          /* READ_BYTES, made at the first byte: idle clients need none */
    size_t in_size;
    char *out;
    size_t out_at, out_size, out_capacity;
    uint64_t received; /* messages, as subscriber */
    uint64_t done;     /* acknowledgements, as publisher */
    int is_answered;   /* CONNACK or SUBACK came */
    int has_session;
} client;

static int epoll;
static int port = 1883;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void flush_out(client *c) {
    while (c->out_at < c->out_size) {
        ssize_t written = send(c->fd, c->out + c->out_at, c->out_size - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EAGAIN) {
                struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
                return;
            }
            fail("send: %s", strerror(errno));
        }
        c->out_at += written;
    }
    c->out_at = c->out_size = 0;
}

static void put(client *c, const void *data, size_t size) {
    if (c->out_size + size > c->out_capacity) {
        if (c->out_at > 0) {
            memmove(c->out, c->out + c->out_at, c->out_size - c->out_at);
            c->out_size -= c->out_at;
            c->out_at = 0;
        }
        while (c->out_size + size > c->out_capacity) {
            c->out_capacity = c->out_capacity ? c->out_capacity * 2 : 256;
            c->out = realloc(c->out, c->out_capacity);
            if (!c->out) fail("out of memory");
        }
    }
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

static size_t put_length(unsigned char *to, size_t length) {
    size_t at = 0;
    do {
        to[at] = length & 0x7f;
        length >>= 7;
        if (length) to[at] |= 0x80;
        at++;
    } while (length);
    return at;
}

static void put_connect(client *c, const char *id, int is_clean) {
    size_t id_size = strlen(id);
    unsigned char packet[128] = {0x10};
    size_t at = 1 + put_length(packet + 1, 12 + id_size);
    memcpy(packet + at, "\0\4MQTT\4", 7);
    packet[at + 7] = is_clean ? 2 : 0;
    packet[at + 8] = packet[at + 9] = 0;
    packet[at + 10] = id_size >> 8;
    packet[at + 11] = id_size & 0xff;
    memcpy(packet + at + 12, id, id_size);
    put(c, packet, at + 12 + id_size);
}

static void put_subscribe(client *c, const char *filter, int qos) {
    size_t size = strlen(filter);
    unsigned char packet[128] = {0x82, (unsigned char)(size + 5), 0, 1, 0, (unsigned char)size};
    memcpy(packet + 6, filter, size);
    packet[6 + size] = qos;
    put(c, packet, 7 + size);
}

static uint64_t clock_number; /* the latest number built; its packet id is number % IDS + 1 */

static void put_publish(client *c, const char *topic, uint64_t number, size_t size, int qos, int is_retained) {
    static unsigned char packet[1 << 17];
    size_t topic_size = strlen(topic), body = 2 + topic_size + (qos ? 2 : 0) + size;
    packet[0] = 0x30 | qos << 1 | is_retained;
    size_t at = 1 + put_length(packet + 1, body);
    packet[at++] = topic_size >> 8;
    packet[at++] = topic_size & 0xff;
    memcpy(packet + at, topic, topic_size);
    at += topic_size;
    if (qos) {
        unsigned id = number % IDS + 1;
        packet[at++] = id >> 8;
        packet[at++] = id & 0xff;
    }
    memset(packet + at, 'x', size);
    memcpy(packet + at, &number, sizeof number);
    put(c, packet, at + size);
    clock_number = number;
}

static void put_ack(client *c, unsigned char first, const unsigned char *id) {
    unsigned char packet[4] = {first, 2, id[0], id[1]};
    put(c, packet, 4);
}

static int is_order_checked = 1;

static void take(client *c, unsigned char first, const unsigned char *body, size_t size) {
    switch (first >> 4) {
    case 2:
        if (body[1]) fail("CONNACK with code %d", body[1]);
        c->has_session = body[0];
        c->is_answered = 1;
        return;
    case 9:
        if (body[2] & 0x80) fail("SUBACK refuses");
        c->is_answered = 1;
        return;
    case 3: {
        int qos = first >> 1 & 3;
        size_t topic_size = body[0] << 8 | body[1], at = 2 + topic_size + (qos ? 2 : 0);
        uint64_t number;
        if (size < at + sizeof number) fail("a message without its number");
        memcpy(&number, body + at, sizeof number);
        if (c->is_counted && is_order_checked && number != c->received)
            fail("message %lu came where %lu was next", number, c->received);
        c->received++;
        if (qos == 1) put_ack(c, 0x40, body + 2 + topic_size);
        if (qos == 2) put_ack(c, 0x50, body + 2 + topic_size);
        return;
    }
    case 4:
    case 7:
        c->done++;
        return;
    case 5:
        put_ack(c, 0x62, body);
        return;
    case 6:
        put_ack(c, 0x70, body);
        return;
    default:
        return;
    }
}

static void read_in(client *c) {
    if (!c->in) c->in = malloc(READ_BYTES);
    ssize_t count = recv(c->fd, c->in + c->in_size, READ_BYTES - c->in_size, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail("the broker closed a connection");
    c->in_size += count;
    size_t at = 0;
    while (c->in_size - at >= 2) {
        size_t length = 0, header = 1;
        int shift = 0;
        while (at + header < c->in_size && header < 5) {
            unsigned char byte = c->in[at + header++];
            length |= (size_t)(byte & 0x7f) << shift;
            shift += 7;
            if (byte < 0x80) goto complete;
        }
        break;
    complete:
        if (c->in_size - at < header + length) break;
        take(c, c->in[at], (unsigned char *)c->in + at + header, length);
        at += header + length;
    }
    memmove(c->in, c->in + at, c->in_size - at);
    c->in_size -= at;
    if (c->out_size) flush_out(c);
}

static void turn(void) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll, events, EVENTS_MAX, STALLED_MS);
    if (count == 0) fail("nothing came for %d ms", STALLED_MS);
    for (int index = 0; index < count; index++) {
        client *c = events[index].data.ptr;
        if (events[index].events & EPOLLOUT) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
            flush_out(c);
        }
        if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
    }
}

static client *opened(void) {
    client *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect to port %d: %s", port, strerror(errno));
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    return c;
}

static void wait_answer(client *c) {
    c->is_answered = 0;
    flush_out(c);
    while (!c->is_answered) turn();
}

static client *connected(const char *id, int is_clean) {
    client *c = opened();
    put_connect(c, id, is_clean);
    wait_answer(c);
    return c;
}

static void subscribed(client *c, const char *filter, int qos) {
    put_subscribe(c, filter, qos);
    wait_answer(c);
}

static void leave(client *c) {
    put(c, "\xe0\0", 2);
    flush_out(c);
    char rest[256];
    while (recv(c->fd, rest, sizeof rest, 0) > 0) {
    }
    close(c->fd);
}

/* Publishes `count` messages to one topic, `window` of them open at a time; open until acknowledged and received. */
static void publish_all(client *publisher, client **subscribers, int subs, const char *topic, uint64_t count, int size,
                        int qos, uint64_t window) {
    uint64_t sent = 0;
    for (;;) {
        uint64_t slowest = qos ? publisher->done : count;
        for (int index = 0; index < subs && (qos == 0 || sent == count); index++)
            if (subscribers[index]->received < slowest) slowest = subscribers[index]->received;
        if (slowest == count && (qos == 0 || publisher->done == count)) {
            if (subs == 0 && qos == 0 && sent < count) slowest = sent;
            else return;
        }
        while (sent < count && sent - slowest < window && publisher->out_size < OUT_BYTES)
            put_publish(publisher, topic, sent++, size, qos, 0);
        flush_out(publisher);
        turn();
    }
}

static long option(int count, char **values, const char *name, long otherwise) {
    size_t size = strlen(name);
    for (int index = 2; index < count; index++)
        if (!strncmp(values[index], name, size) && values[index][size] == '=') return atol(values[index] + size + 1);
    return otherwise;
}

static void flow(uint64_t count, int subs, int size, int qos, long window) {
    client **subscribers = calloc(subs ? subs : 1, sizeof *subscribers);
    char id[32];
    for (int index = 0; index < subs; index++) {
        snprintf(id, sizeof id, "flow-s%d", index);
        subscribers[index] = connected(id, 1);
        subscribers[index]->is_counted = 1;
        subscribed(subscribers[index], "bench/flow", qos);
    }
    client *publisher = connected("flow-p", 1);
    double started = now_s();
    publish_all(publisher, subscribers, subs, "bench/flow", count, size, qos, window);
    double took = now_s() - started;
    printf("{\"rate\": %.1f, \"messages\": %lu}\n", count * (subs ? subs : 1) / took, count * (subs ? subs : 1));
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void latency(uint64_t count, int qos) {
    client *subscriber = connected("latency-s", 1), *publisher = connected("latency-p", 1);
    subscriber->is_counted = 1;
    subscribed(subscriber, "bench/latency", qos);
    double *times = calloc(count, sizeof *times);
    for (uint64_t number = 0; number < count; number++) {
        double started = now_s();
        put_publish(publisher, "bench/latency", number, 64, qos, 0);
        flush_out(publisher);
        while (publisher->done <= number) turn();
        times[number] = (now_s() - started) * 1e6;
        while (subscriber->received <= number) turn();
    }
    qsort(times, count, sizeof *times, by_value);
    printf("{\"p50_us\": %.1f, \"p99_us\": %.1f}\n", times[count / 2], times[count * 99 / 100]);
}

static void connections(uint64_t count, uint64_t at_once) {
    client **all = calloc(count, sizeof *all);
    uint64_t started = 0, answered = 0;
    char id[32];
    double begin = now_s();
    while (answered < count) {
        while (started < count && started - answered < at_once) {
            client *c = all[started] = opened();
            snprintf(id, sizeof id, "idle-%lu", started++);
            put_connect(c, id, 1);
            flush_out(c);
        }
        turn();
        for (; answered < started && all[answered]->is_answered; answered++) {
            free(all[answered]->in);
            all[answered]->in = NULL;
        }
    }
    printf("{\"rate\": %.1f}\n", count / (now_s() - begin));
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
}

static void retain(uint64_t count, uint64_t window) {
    client *publisher = connected("retain-p", 1);
    char topic[64];
    double started = now_s();
    uint64_t sent = 0;
    while (publisher->done < count) {
        while (sent < count && sent - publisher->done < window) {
            snprintf(topic, sizeof topic, "retained/%lu/%lu", sent % 100, sent);
            put_publish(publisher, topic, sent++, 64, 1, 1);
        }
        flush_out(publisher);
        turn();
    }
    double stored = now_s() - started;
    client *subscriber = connected("retain-s", 1);
    started = now_s();
    put_subscribe(subscriber, "retained/#", 0);
    flush_out(subscriber);
    while (subscriber->received < count) turn();
    printf("{\"store_rate\": %.1f, \"all_ms\": %.2f}\n", count / stored, (now_s() - started) * 1e3);
}

static void queue(uint64_t count, uint64_t window) {
    client *session = connected("away", 0);
    subscribed(session, "bench/away", 1);
    leave(session);
    client *publisher = connected("queue-p", 1);
    double started = now_s();
    publish_all(publisher, NULL, 0, "bench/away", count, 64, 1, window);
    printf("{\"rate\": %.1f}\n", count / (now_s() - started));
}

static void drain(uint64_t count) {
    client *session = opened();
    session->is_counted = 1;
    double started = now_s();
    put_connect(session, "away", 0);
    wait_answer(session);
    if (!session->has_session) fail("the session is gone");
    while (session->received < count) turn();
    flush_out(session);
    printf("{\"rate\": %.1f, \"messages\": %lu}\n", count / (now_s() - started), session->received);
}

int main(int argc, char **argv) {
    if (argc < 2) fail("load_mqtt MODE key=value...");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    port = option(argc, argv, "port", 1883);
    uint64_t count = option(argc, argv, "count", 1000);
    long qos = option(argc, argv, "qos", 0), window = option(argc, argv, "window", qos ? 100 : 10000);
    is_order_checked = option(argc, argv, "ordered", 1);
    const char *mode = argv[1];
    if (!strcmp(mode, "flow")) flow(count, option(argc, argv, "subs", 1), option(argc, argv, "size", 64), qos, window);
    else if (!strcmp(mode, "latency")) latency(count, qos);
    else if (!strcmp(mode, "connect")) connections(count, option(argc, argv, "at_once", 50));
    else if (!strcmp(mode, "retain")) retain(count, option(argc, argv, "window", 100));
    else if (!strcmp(mode, "queue")) queue(count, option(argc, argv, "window", 100));
    else if (!strcmp(mode, "drain")) drain(count);
    else fail("there is no mode %s", mode);
    return 0;
}
