/* Connections that publish, as the server's protocol has it. They never wait. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "drain.h"

#define MAX_PUBLISHERS 64
#define WAITING (1 << 19) /* bytes: more than a request has */

struct publisher {
    int fd;
    int asked;         /* events of the request that is not answered; 0: none */
    char out[WAITING]; /* what the socket did not take */
    size_t out_size;
    char in[16384];
    size_t in_size;
};

uint64_t accepted;

static struct publisher *publishers[MAX_PUBLISHERS];
static int open_count;
static uint64_t numbers;

/* Words of which messages are made, so that they compress as messages do. */
static const char *const WORDS[] = {
    "looking", "up", "the", "registration", "of", "example.org", "and", "all", "domains", "that", "share",
    "its", "name", "servers,", "found", "17", "accounts", "with", "this", "address", "203.0.113.7", "since",
    "2019,", "archived", "pages", "mention", "a", "phone", "number", "in", "Rotterdam;", "certificate",
};

void open_publishers(int count)
{
    for (; open_count < count && open_count < MAX_PUBLISHERS; open_count++) {
        struct publisher *one = publishers[open_count] = calloc(1, sizeof *one);
        one->fd = dial(0);
        if (options.protocol == PUBLISH_WS) {
            char request[1024], name[64];
            snprintf(name, sizeof name, "publisher-%d", open_count);
            write_all(one->fd, request, upgrade_request(request, sizeof request, name, false));
            while (memmem(one->in, one->in_size, "\r\n\r\n", 4) == NULL) {
                ssize_t got = recv(one->fd, one->in + one->in_size, sizeof one->in - one->in_size, 0);
                if (got < 0 && (errno == EAGAIN || errno == EINTR))
                    continue;
                if (got <= 0)
                    fail("the server ended a publisher's connection");
                one->in_size += (size_t)got;
            }
        }
        watch(one->fd, PUBLISHERS + (uint32_t)open_count);
    }
}

static void flush(struct publisher *one)
{
    ssize_t sent = send(one->fd, one->out, one->out_size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail("the server ended a publisher's connection: %s", strerror(errno));
        return;
    }
    one->out_size -= (size_t)sent;
    memmove(one->out, one->out + sent, one->out_size);
}

int idle_publisher(void)
{
    static int last;
    for (int i = 1; i <= open_count; i++) {
        int number = (last + i) % open_count;
        struct publisher *one = publishers[number];
        if (one->out_size)
            flush(one);
        if (one->out_size == 0 && one->asked == 0)
            return last = number;
    }
    return -1;
}

bool are_publishers_idle(void)
{
    for (int i = 0; i < open_count; i++)
        if (publishers[i]->out_size || publishers[i]->asked)
            return false;
    return true;
}

static size_t write_event(char *out, uint64_t at)
{
    static uint32_t chance = 1;
    char message[160];
    size_t length = 0;
    while (length < 120) {
        chance = chance * 1664525 + 1013904223;
        length += (size_t)sprintf(message + length, "%s ", WORDS[chance >> 27]);
    }
    return (size_t)sprintf(out,
        "{\"type\":\"task_started\",\"task_id\":\"task-%06llu\",\"name\":\"Domain lookup\",\"status\":\"running\","
        "\"progress\":0.5,\"message\":\"%s\",\"at\":\"%019llu\"}",
        (unsigned long long)(numbers++ % 1000000), message, (unsigned long long)at);
}

static void post(struct publisher *one, const char *id, const char *type, const char *body, size_t length)
{
    one->out_size += (size_t)sprintf(one->out + one->out_size,
        "POST /investigations/%s/events HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: %s\r\n"
        "Content-Length: %zu\r\n\r\n", id, options.host, options.port, type, length);
    memcpy(one->out + one->out_size, body, length);
    one->out_size += length;
}

static void post_ws(struct publisher *one, const char *id, const char *event, size_t length)
{
    static char text[WAITING];
    size_t size = (size_t)sprintf(text, "{\"type\":\"publish\",\"investigation_id\":\"%s\",\"data\":%.*s}", id,
                                  (int)length, event);
    one->out_size += text_frame(one->out + one->out_size, text, size, 0x81);
}

void publish(int number, int topic, int count, uint64_t at)
{
    static char body[WAITING / 2];
    struct publisher *one = publishers[number];
    size_t length = 0;
    char id[64];
    snprintf(id, sizeof id, "%s-%d", options.prefix, topic);
    if (options.protocol == PUBLISH_WS) {
        for (int i = 0; i < count; i++)
            post_ws(one, id, body, write_event(body, at));
    } else {
        for (int i = 0; i < count; i++) {
            length += write_event(body + length, at);
            if (count > 1)
                body[length++] = '\n';
        }
        post(one, id, count > 1 ? "application/x-ndjson" : "application/json", body, length);
        one->asked = count;
    }
    flush(one);
}

void publish_large(int number, size_t bytes)
{
    static char body[WAITING / 2];
    size_t head = (size_t)sprintf(body, "{\"type\":\"note\",\"message\":\"");
    memset(body + head, 'x', bytes);
    memcpy(body + head + bytes, "\"}", 2);
    if (options.protocol == PUBLISH_WS) {
        post_ws(publishers[number], "stalled", body, head + bytes + 2);
    } else {
        post(publishers[number], "stalled", "application/json", body, head + bytes + 2);
        publishers[number]->asked = 1;
    }
    flush(publishers[number]);
}

void answered(uint32_t number)
{
    struct publisher *one = publishers[number - PUBLISHERS];
    if (options.protocol == PUBLISH_WS)
        one->in_size = 0; /* nothing is expected; servers may greet */
    ssize_t got = recv(one->fd, one->in + one->in_size, sizeof one->in - one->in_size - 1, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        fail("the server ended a publisher's connection");
    if (options.protocol == PUBLISH_WS)
        return;
    one->in_size += (size_t)got;
    one->in[one->in_size] = 0;
    char *end = strstr(one->in, "\r\n\r\n");
    if (end == NULL)
        return;
    char *length = strcasestr(one->in, "\r\ncontent-length:");
    if (length == NULL || length > end)
        fail("an answer without a length: %s", one->in);
    if (one->in_size < (size_t)(end + 4 - one->in) + strtoul(length + 17, NULL, 10))
        return;
    if (memcmp(one->in + 9, "202", 3) != 0)
        fail("a publish was refused: %s", one->in);
    accepted += (uint64_t)one->asked;
    one->asked = 0;
    one->in_size = 0;
}
