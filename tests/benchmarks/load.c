/* A load generator for NATS servers that costs a few nanoseconds per message, so that the server is the bottleneck.
 *
 * One thread, one epoll. Outgoing messages lie in prebuilt batches of which only the changing bytes (sequence number,
 * digits of a subject) are rewritten; incoming ones of known length are checked at fixed distances: every message is
 * counted, its publisher and sequence number compared with what must come next. How much it could generate is measured
 * against reflector.c, see tests/benchmarks/generator.py.
 *
 *   load MODE port=4222 key=value...      prints one JSON object; exit 1 with a text on stderr when anything is wrong
 *
 *   flow     pubs= subs= size= count=     count messages per publisher, each to every subscriber
 *            subjects= used= unique=      so many subscriptions of one subscriber, of which `used` get messages; with
 *                                         unique=1 each ends in a wildcard and no subject is ever used twice
 *   requests size= count= window= subject= keys= responder= seconds=   requests with so many unanswered at a time,
 *                                        at most count and for at most so long; each latency is kept
 *   fetch    stream= consumer= batch= count= acks=            a pull consumer's messages, acknowledged one by one
 *   collect  subject= count= start= body=                     what a push consumer delivers once `start` was requested
 *   connect  count=                                           so many clients; holds them until stdin ends
 *
 * Not here: starting servers, choosing scenarios, statistics over rounds (the Python files beside this).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
    READ_BYTES = 1 << 20,
    BATCH_BYTES = 1 << 16,
    /* Bytes a subscriber may be behind: far below the 64 MiB at which servers drop a slow consumer. */
    WINDOW_BYTES = 8 << 20,
    STALLED_MS = 20000,
    INTEREST_US = 500000, /* for the interest of subscribers elsewhere to reach the publishers' server */
    PUBLISHERS_MAX = 64,
    EVENTS_MAX = 256,
    LINE_MAX_BYTES = 4096,
};

typedef struct connection connection;
typedef void (*message_handler)(connection *c, const char *line, size_t line_size, const char *body, size_t body_size);

struct connection {
    int fd;
    char *in;
    size_t in_size;
    char *out; /* what must still be written: out[out_at..out_size) */
    size_t out_at, out_size, out_capacity;
    char *batch; /* a publisher's messages, written before `out` and never mixed with it */
    size_t batch_at, batch_size;
    uint64_t count;                   /* messages built (publisher) or received (subscriber) */
    uint32_t number;                  /* which publisher */
    uint64_t next[PUBLISHERS_MAX];    /* sequence number expected of each publisher */
    int pongs, wants_write, publishes, asked;
    message_handler on_message;
};

static struct {
    const char *host, *subject, *stream, *consumer, *start, *body, *acks;
    int port, sub_port, pubs, subs, size, subjects, used, unique, window, keys, responder, batch, seconds;
    uint64_t count;
} options = {.host = "127.0.0.1", .subject = "bench.load", .stream = "", .consumer = "", .start = "", .body = "",
             .acks = "none", .port = 4222, .pubs = 1, .subs = 1, .size = 16, .subjects = 0, .window = 1, .batch = 100,
             .count = 1000, .seconds = 3600};

static int epoll;
static uint64_t errors;
static char first_error[256];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory) fail("out of memory");
    return memory;
}

/* ---- connections ---- */

static void append(connection *c, const char *data, size_t size) {
    if (c->out_at == c->out_size) c->out_at = c->out_size = 0;
    if (c->out_size + size > c->out_capacity) {
        c->out_capacity = (c->out_size + size) * 2;
        c->out = realloc(c->out, c->out_capacity);
        if (!c->out) fail("out of memory");
    }
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

static void append_text(connection *c, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof text) fail("line too long");
    append(c, text, size);
}

static void want_write(connection *c, int wanted) {
    if (c->wants_write == wanted) return;
    c->wants_write = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

static void write_some(connection *c, const char *data, size_t *at, size_t size) {
    while (*at < size) {
        ssize_t n = write(c->fd, data + *at, size - *at);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) fail("write: %s", strerror(errno));
        *at += n;
    }
}

/* Write what is there; the rest goes out when the socket has room. */
static void flush(connection *c) {
    write_some(c, c->batch, &c->batch_at, c->batch_size);
    if (c->batch_at == c->batch_size) write_some(c, c->out, &c->out_at, c->out_size);
    want_write(c, c->batch_at < c->batch_size || c->out_at < c->out_size);
}

static void handle_line(connection *c, const char *line, size_t size) {
    if (!memcmp(line, "PING", 4)) { append_text(c, "PONG\r\n"); flush(c); }
    else if (!memcmp(line, "PONG", 4)) c->pongs++;
    else if (!memcmp(line, "-ERR", 4)) fail("server says %.*s", (int)size, line);
    else if (memcmp(line, "INFO", 4) && memcmp(line, "+OK", 3)) fail("unexpected %.*s", (int)size, line);
}

/* Handle every whole operation in data; returns the bytes used. */
static size_t handle_operations(connection *c, const char *data, size_t size) {
    size_t at = 0;
    while (at < size) {
        const char *line = data + at, *end = memchr(line, '\n', size - at);
        if (!end) break;
        size_t line_size = end - line - 1;
        if (line_size > 4 && (line[0] == 'M' || line[0] == 'H')) {
            const char *digit = end - 1;
            size_t body_size = 0, unit = 1;
            while (*--digit != ' ') { body_size += (*digit - '0') * unit; unit *= 10; }
            if ((size_t)(data + size - end - 1) < body_size + 2) break;
            if (!c->on_message) fail("message on a connection without subscription");
            c->on_message(c, line, line_size, end + 1, body_size);
            at = end + 1 + body_size + 2 - data;
        } else {
            handle_line(c, line, line_size);
            at = end + 1 - data;
        }
    }
    return at;
}

/* Read once and hand all of it to `consume`; the unfinished rest stays in front of the buffer. */
static void receive(connection *c, size_t (*consume)(connection *, const char *, size_t)) {
    ssize_t n = read(c->fd, c->in + c->in_size, READ_BYTES - c->in_size);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("server closed the connection");
    c->in_size += n;
    size_t used = consume(c, c->in, c->in_size);
    memmove(c->in, c->in + used, c->in_size - used);
    c->in_size -= used;
    if (c->in_size == READ_BYTES) fail("operation larger than the buffer");
}

static connection *open_connection(void) {
    connection *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    inet_pton(AF_INET, options.host, &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c;
}

/* Wait for PONGs with blocking reads, then switch to non-blocking. */
static void finish_handshake(connection *c, const char *after_connect) {
    if (!c->in) c->in = allocate(READ_BYTES);
    append_text(c, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"
                   "\"lang\":\"c\",\"version\":\"1\",\"name\":\"load\"}\r\n");
    append(c, after_connect, strlen(after_connect));
    append_text(c, "PING\r\n");
    for (size_t at = 0; at < c->out_size;) {
        ssize_t n = write(c->fd, c->out + at, c->out_size - at);
        if (n <= 0) fail("write: %s", strerror(errno));
        at += n;
    }
    c->out_at = c->out_size = 0;
    while (!c->pongs) receive(c, handle_operations);
    c->pongs = 0;
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static connection *open_client(const char *after_connect, message_handler on_message) {
    connection *c = open_connection();
    c->on_message = on_message;
    finish_handshake(c, after_connect);
    return c;
}

static int wait_events(struct epoll_event *events) {
    int n = epoll_wait(epoll, events, EVENTS_MAX, STALLED_MS);
    if (n == 0) fail("nothing happened for %d s", STALLED_MS / 1000);
    if (n < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
    return n;
}

/* ---- flow: publishers to subscribers ---- */

static char line_out[256], line_in[256]; /* the fixed forms of `PUB ...` and `MSG ...` */
static size_t line_out_size, line_in_size, number_at, unique_at;

static void put_digits(char *at, uint64_t value, int digits) {
    while (digits--) { at[digits] = '0' + value % 10; value /= 10; }
}

static void set_flow_lines(void) {
    const char *spread = options.subjects ? (options.unique ? "bench.00000.00000000" : "bench.00000") : options.subject;
    line_out_size = sprintf(line_out, "PUB %s %d\r\n", spread, options.size);
    line_in_size = sprintf(line_in, "MSG %s %s %d\r\n", spread, options.subjects ? "10000" : "1", options.size);
    number_at = strlen("PUB bench.");
    unique_at = strlen("PUB bench.00000.");
}

static void build_batch(connection *c) {
    size_t stride = line_out_size + options.size + 2, fits = BATCH_BYTES / stride;
    uint64_t left = options.count - c->count, messages = fits ? fits : 1;
    if (!c->batch) {
        c->batch = allocate(stride * messages);
        memset(c->batch, 'x', stride * messages);
        for (uint64_t i = 0; i < messages; i++) {
            memcpy(c->batch + i * stride, line_out, line_out_size);
            memcpy(c->batch + (i + 1) * stride - 2, "\r\n", 2);
        }
    }
    if (messages > left) messages = left;
    for (uint64_t i = 0; i < messages; i++) {
        char *at = c->batch + i * stride;
        /* A step coprime to the number of subjects visits them all, far apart. */
        if (options.subjects) put_digits(at + number_at, c->count * 7919 % options.used, 5);
        if (options.unique) put_digits(at + unique_at, c->count, 8);
        if (options.size >= 16) {
            memcpy(at + line_out_size, &c->number, 4);
            memcpy(at + line_out_size + 8, &c->count, 8);
        }
        c->count++;
    }
    c->batch_at = 0;
    c->batch_size = messages * stride;
}

static size_t check_messages(connection *c, const char *data, size_t size) {
    size_t stride = line_in_size + options.size + 2, at = 0, fixed = options.subjects ? 4 : line_in_size;
    while (size - at >= stride && !memcmp(data + at, line_in, fixed)) {
        const char *body = data + at + line_in_size;
        if (body[-1] != '\n' || body[options.size] != '\r') fail("message of another length");
        if (options.size >= 16) {
            uint32_t publisher;
            uint64_t sequence;
            memcpy(&publisher, body, 4);
            memcpy(&sequence, body + 8, 8);
            if (publisher >= (uint32_t)options.pubs || sequence != c->next[publisher]++) fail("lost, doubled or out of order");
        }
        c->count++;
        at += stride;
    }
    if (at < size && memcmp(data + at, "MSG ", size - at < 4 ? size - at : 4)) {
        const char *end = memchr(data + at, '\n', size - at);
        if (end) { handle_line(c, data + at, end - data - at - 1); return end + 1 - data; }
    }
    return at;
}

static size_t consume_flow(connection *c, const char *data, size_t size) {
    size_t at = 0, used;
    while ((used = check_messages(c, data + at, size - at))) at += used;
    return at;
}

static connection *open_subscriber_here(void) {
    if (!options.subjects) {
        char sub[300];
        snprintf(sub, sizeof sub, "SUB %s 1\r\n", options.subject);
        return open_client(sub, NULL);
    }
    char *subs = allocate(options.subjects * 40 + 1), *at = subs;
    for (int i = 0; i < options.subjects; i++) at += sprintf(at, "SUB bench.%05d%s %d\r\n", i, options.unique ? ".*" : "", 10000 + i);
    connection *c = open_client(subs, NULL);
    free(subs);
    return c;
}

/* Subscribers may be at another server than publishers (`sub_port`): what lies between is measured. */
static connection *open_subscriber(void) {
    int port = options.port;
    if (options.sub_port) options.port = options.sub_port;
    connection *c = open_subscriber_here();
    options.port = port;
    return c;
}

static uint64_t slowest(connection **subs) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < options.subs; i++)
        if (subs[i]->count < least) least = subs[i]->count;
    return least;
}

/* Whether the slowest subscriber is near enough that publishers may go on. */
static int window_is_open(connection **pubs, connection **subs) {
    uint64_t sent = 0, message = line_in_size + options.size + 2;
    for (int i = 0; i < options.pubs; i++) sent += pubs[i]->count;
    return !options.subs || sent - slowest(subs) < (WINDOW_BYTES + (uint64_t)options.pubs * BATCH_BYTES) / message + 1;
}

/* Give a publisher whose batch is out its next one, or after the last a PING; returns whether that was answered. */
static int publish_on(connection *c, int may_publish) {
    if (c->batch_at < c->batch_size) return 0;
    if (c->count < options.count) {
        if (may_publish) {
            build_batch(c);
            flush(c);
        }
        /* Called again when there is room; with a closed window, when a subscriber has read. */
        want_write(c, may_publish || c->out_at < c->out_size);
    } else if (!c->asked) {
        c->asked = 1;
        append_text(c, "PING\r\n");
        flush(c);
    }
    return c->pongs > 0;
}

static void run_flow(void) {
    connection *pubs[PUBLISHERS_MAX], **subs = allocate(sizeof *subs * (options.subs + 1));
    struct epoll_event events[EVENTS_MAX];
    if (options.pubs > PUBLISHERS_MAX) fail("too many publishers");
    if (!options.used) options.used = options.subjects;
    set_flow_lines();
    for (int i = 0; i < options.subs; i++) subs[i] = open_subscriber();
    if (options.sub_port) usleep(INTEREST_US);
    for (int i = 0; i < options.pubs; i++) {
        pubs[i] = open_client("", NULL);
        pubs[i]->number = i;
        pubs[i]->publishes = 1;
    }
    uint64_t total = options.count * options.pubs;
    double start = now_s();
    for (;;) {
        int may_publish = window_is_open(pubs, subs), answered = 0;
        for (int i = 0; i < options.pubs; i++) answered += publish_on(pubs[i], may_publish);
        if (answered == options.pubs && (!options.subs || slowest(subs) == total)) break;
        int n = wait_events(events);
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & ~EPOLLOUT) receive(c, c->publishes ? handle_operations : consume_flow);
        }
    }
    double seconds = now_s() - start;
    uint64_t counted = options.subs ? total * options.subs : total;
    printf("{\"messages\": %lu, \"seconds\": %.6f, \"rate\": %.1f}\n", counted, seconds, counted / seconds);
}

/* ---- requests ---- */

static double *started_s, *latency_s;
static uint64_t answered_count;

static void note_error(const char *text, size_t size) {
    if (!errors++) snprintf(first_error, sizeof first_error, "%.*s", (int)(size < 120 ? size : 120), text);
}

static void on_reply(connection *c, const char *line, size_t line_size, const char *body, size_t body_size) {
    /* MSG _INBOX.load.00000000 1 ...: the digits say which request this answers. */
    (void)c, (void)line_size;
    const char *digits = memchr(line, '_', 8) + strlen("_INBOX.load.");
    uint64_t id = strtoull(digits, NULL, 10);
    if (id >= options.count) fail("answer to nothing: %.*s", 60, line);
    latency_s[answered_count++] = now_s() - started_s[id];
    if (memmem(body, body_size < 200 ? body_size : 200, "\"error\"", 7) || (line[0] == 'H' && !memcmp(body, "NATS/1.0 ", 9)))
        note_error(body, body_size);
}

static void on_request(connection *c, const char *line, size_t line_size, const char *body, size_t body_size) {
    (void)body, (void)body_size;
    const char *reply = memmem(line, line_size, " _INBOX", 7), *end = reply + 1 + strlen("_INBOX.load.00000000");
    append_text(c, "PUB %.*s 2\r\nok\r\n", (int)(end - reply - 1), reply + 1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void append_request(connection *c, uint64_t id, const char *body) {
    started_s[id] = now_s();
    if (options.keys) append_text(c, "PUB %s%05lu _INBOX.load.%08lu %d\r\n", options.subject, id % options.keys, id, options.size);
    else append_text(c, "PUB %s _INBOX.load.%08lu %d\r\n", options.subject, id, options.size);
    append(c, body, options.size + 2);
}

static void run_requests(void) {
    struct epoll_event events[EVENTS_MAX];
    char sub[300];
    snprintf(sub, sizeof sub, "SUB %s 1\r\n", options.subject);
    if (options.responder) open_client(sub, on_request);
    connection *c = open_client("SUB _INBOX.load.* 1\r\n", on_reply);
    started_s = allocate(options.count * sizeof(double));
    latency_s = allocate(options.count * sizeof(double));
    char *body = allocate(options.size + 2);
    memset(body, 'x', options.size);
    memcpy(body + options.size, "\r\n", 2);
    double start = now_s();
    uint64_t asked = 0, limit = options.count;
    while (answered_count < limit) {
        if (limit == options.count && now_s() - start > options.seconds) limit = asked;
        if (answered_count == limit) break; /* Nothing is on its way: there would be nothing to wait for. */
        while (asked < limit && asked - answered_count < (uint64_t)options.window) append_request(c, asked++, body);
        flush(c);
        int n = wait_events(events);
        for (int i = 0; i < n; i++) {
            connection *ready = events[i].data.ptr;
            if (events[i].events & EPOLLIN) receive(ready, handle_operations);
            flush(ready);
        }
    }
    double seconds = now_s() - start;
    qsort(latency_s, answered_count, sizeof(double), by_value);
    printf("{\"messages\": %lu, \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"errors\": %lu, \"first_error\": \"",
           answered_count, seconds, answered_count / seconds, latency_s[answered_count / 2] * 1e6,
           latency_s[answered_count * 99 / 100] * 1e6, errors);
    for (char *at = first_error; *at; at++) putchar(*at == '"' || *at == '\\' || *at < ' ' ? '\'' : *at);
    puts("\"}");
}

/* ---- fetch and collect: JetStream consumers ---- */

static uint64_t consumed, pull_left;

static void on_stream_message(connection *c, const char *line, size_t line_size, const char *body, size_t body_size) {
    if (line[0] == 'H' && !memcmp(body, "NATS/1.0 ", 9)) {
        if (!memcmp(body + 9, "100", 3)) { /* flow control wants an answer, a heartbeat does not */
            const char *reply = memmem(line, line_size, " $JS.FC.", 8);
            if (reply) append_text(c, "PUB %.*s 0\r\n\r\n", (int)(strcspn(reply + 1, " ")), reply + 1);
            return;
        }
        if (memcmp(body + 9, "40", 2)) note_error(body, body_size);
        pull_left = 0;
        return;
    }
    const char *reply = memmem(line, line_size, " $JS.ACK.", 9);
    if (!reply) return; /* the answer to `start` */
    consumed++;
    if (pull_left) pull_left--;
    if (!strcmp(options.acks, "explicit")) append_text(c, "PUB %.*s 4\r\n+ACK\r\n", (int)(strcspn(reply + 1, " ")), reply + 1);
}

static void pull_more(connection *c) {
    char body[128];
    uint64_t wanted = options.count - consumed < (uint64_t)options.batch ? options.count - consumed : (uint64_t)options.batch;
    int size = sprintf(body, "{\"batch\":%lu,\"expires\":5000000000}", wanted);
    append_text(c, "PUB $JS.API.CONSUMER.MSG.NEXT.%s.%s _INBOX.load.1 %d\r\n%s\r\n", options.stream, options.consumer, size, body);
    pull_left = wanted;
}

static void run_consumer(int pulls) {
    struct epoll_event events[EVENTS_MAX];
    char subs[600];
    snprintf(subs, sizeof subs, "SUB _INBOX.load.* 1\r\nSUB %s 2\r\n", options.subject);
    connection *c = open_client(subs, on_stream_message);
    double start = now_s();
    if (!pulls) append_text(c, "PUB %s _INBOX.load.0 %zu\r\n%s\r\n", options.start, strlen(options.body), options.body);
    while (consumed < options.count) {
        if (pulls && !pull_left) pull_more(c);
        flush(c);
        int n = wait_events(events);
        for (int i = 0; i < n; i++)
            if (events[i].events & EPOLLIN) receive(c, handle_operations);
    }
    append_text(c, "PING\r\n"); /* Its answer proves that every acknowledgement was read. */
    while (!c->pongs) {
        flush(c);
        wait_events(events);
        receive(c, handle_operations);
    }
    double seconds = now_s() - start;
    printf("{\"messages\": %lu, \"seconds\": %.6f, \"rate\": %.1f, \"errors\": %lu}\n", consumed, seconds, consumed / seconds, errors);
}

/* ---- connect ---- */

static void run_connect(void) {
    connection **clients = allocate(sizeof *clients * options.count);
    char *buffer = allocate(READ_BYTES);
    double start = now_s();
    for (uint64_t i = 0; i < options.count; i++) {
        clients[i] = open_connection();
        clients[i]->in = buffer; /* One at a time, so one buffer will do. */
        clients[i]->in_size = 0;
        finish_handshake(clients[i], "");
    }
    double seconds = now_s() - start;
    printf("{\"messages\": %lu, \"seconds\": %.6f, \"rate\": %.1f}\n", options.count, seconds, options.count / seconds);
    fflush(stdout);
    while (getchar() != EOF) {}
}

/* ---- the command line ---- */

static void set_option(const char *argument) {
    const char *value = strchr(argument, '=');
    if (!value) fail("%s: key=value wanted", argument);
    size_t size = value++ - argument;
    struct { const char *name; int *number; const char **text; } known[] = {
        {"port", &options.port, NULL}, {"sub_port", &options.sub_port, NULL}, {"pubs", &options.pubs, NULL}, {"subs", &options.subs, NULL}, {"size", &options.size, NULL},
        {"subjects", &options.subjects, NULL}, {"used", &options.used, NULL}, {"unique", &options.unique, NULL}, {"window", &options.window, NULL},
        {"keys", &options.keys, NULL}, {"responder", &options.responder, NULL}, {"batch", &options.batch, NULL}, {"seconds", &options.seconds, NULL},
        {"host", NULL, &options.host}, {"subject", NULL, &options.subject}, {"stream", NULL, &options.stream},
        {"consumer", NULL, &options.consumer}, {"start", NULL, &options.start}, {"body", NULL, &options.body}, {"acks", NULL, &options.acks},
    };
    if (size == 5 && !memcmp(argument, "count", 5)) { options.count = strtoull(value, NULL, 10); return; }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == size && !memcmp(known[i].name, argument, size)) {
            if (known[i].number) *known[i].number = atoi(value);
            else *known[i].text = value;
            return;
        }
    fail("unknown option %s", argument);
}

int main(int argc, char **argv) {
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc < 2) fail("mode wanted");
    for (int i = 2; i < argc; i++) set_option(argv[i]);
    epoll = epoll_create1(0);
    if (!strcmp(argv[1], "flow")) run_flow();
    else if (!strcmp(argv[1], "requests")) run_requests();
    else if (!strcmp(argv[1], "fetch")) run_consumer(1);
    else if (!strcmp(argv[1], "collect")) run_consumer(0);
    else if (!strcmp(argv[1], "connect")) run_connect();
    else fail("unknown mode %s", argv[1]);
    return 0;
}
