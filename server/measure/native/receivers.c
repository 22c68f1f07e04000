/* Connections that receive: they count, and do as little else as can be. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "drain.h"

#define IN_FLIGHT 64 /* handshakes at a time: fewer than the least backlog of a server */
#define BUFFER (1 << 20)
#define MAX_STALLED 16
#define STAMP 19     /* digits of a time, which is the last member of an event */

struct receiver {
    int fd;
    bool is_open;     /* the handshake is done */
    char *rest;       /* the beginning of a frame whose end has not come */
    size_t rest_size;
};

struct tally tally;

static struct receiver *receivers;
static int opened;
static int stalled[MAX_STALLED];
static int stalled_count;
static char buffer[BUFFER];

static void send_text(int fd, const char *text)
{
    char frame[4096];
    size_t length = strlen(text);
    if (length > sizeof frame - 16)
        fail("a message of %zu bytes is too long", length);
    write_all(fd, frame, text_frame(frame, text, length, 0x81));
}

static void subscribe(int fd, const char *investigation_id)
{
    char text[3072];
    snprintf(text, sizeof text, "{\"type\":\"subscribe_investigation\",\"investigation_id\":\"%s\"%s}",
             investigation_id, options.extra);
    send_text(fd, text);
}

void open_receivers(void)
{
    struct epoll_event ready[256];
    receivers = calloc((size_t)options.connections, sizeof *receivers);
    for (int started = 0; opened < options.connections;) {
        while (started < options.connections && started - opened < IN_FLIGHT) {
            char request[1024], name[64];
            snprintf(name, sizeof name, "drain-%d", started);
            int fd = receivers[started].fd = dial(0);
            write_all(fd, request, upgrade_request(request, sizeof request, name, options.deflate));
            watch(fd, RECEIVERS + (uint32_t)started++);
        }
        int count = epoll_wait(epoll, ready, 256, 20000);
        if (count == 0)
            fail("no handshake in 20 s: %d of %d connections are open", opened, options.connections);
        for (int i = 0; i < count; i++)
            receive(ready[i].data.u32);
    }
}

void subscribe_receivers(void)
{
    for (int i = 0; i < options.connections; i++) {
        if (options.hello)
            send_text(receivers[i].fd, options.hello);
        for (int j = 0; j < options.each; j++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%d", options.prefix, (i * options.each + j) % options.topics);
            subscribe(receivers[i].fd, name);
        }
    }
}

static unsigned bucket(uint64_t microseconds)
{
    if (microseconds < 32)
        return (unsigned)microseconds;
    unsigned power = 63 - (unsigned)__builtin_clzll(microseconds);
    unsigned index = (power - 4) * 32 + (unsigned)((microseconds >> (power - 5)) & 31);
    return index < BUCKETS ? index : BUCKETS - 1;
}

uint64_t percentile(double share)
{
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        all += tally.latency[i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += tally.latency[i];
        if (seen && (double)seen >= share * (double)all)
            return i < 32 ? i : (33ull + i % 32) << (i / 32 - 1);
    }
    return 0;
}

/* An event ends in "at":"…"}} whatever a server puts around it, so nothing has to be searched. */
static bool read_stamp(const char *payload, size_t length, uint64_t *at)
{
    if (length < STAMP + 16 || memcmp(payload + length - 3, "\"}}", 3) != 0)
        return false;
    const char *digits = payload + length - 3 - STAMP;
    if (digits[-1] != '"')
        return false;
    uint64_t value = 0;
    for (int i = 0; i < STAMP; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = 10 * value + (uint64_t)(digits[i] - '0');
    }
    *at = value;
    return true;
}

static void take_message(const char *payload, size_t length, uint64_t time)
{
    uint64_t at;
    if (options.deflate) { /* what cannot be read: after the setup all messages are events */
        tally.events++;
    } else if (read_stamp(payload, length, &at)) {
        tally.events++;
        if (at >= tally.since)
            tally.latency[bucket(time > at ? (time - at) / 1000 : 0)]++;
    } else {
        tally.answers++;
    }
}

/* Take all whole frames; return how many bytes that were. */
static size_t take_frames(struct receiver *receiver, const char *bytes, size_t size, uint64_t time)
{
    size_t used = 0;
    while (size - used >= 2) {
        const unsigned char *head = (const unsigned char *)bytes + used;
        size_t header = 2, length = head[1] & 127;
        if (length == 126) {
            header = 4;
            if (size - used < header)
                break;
            length = (size_t)head[2] << 8 | head[3];
        } else if (length == 127) {
            header = 10;
            if (size - used < header)
                break;
            length = 0;
            for (int i = 2; i < 10; i++)
                length = length << 8 | head[i];
        }
        if (size - used < header + length)
            break;
        const char *payload = bytes + used + header;
        switch (head[0] & 15) {
        case 8:
            tally.ended++;
            break;
        case 9: { /* a ping, whose payload is at most 125 bytes */
            char pong[192];
            write_all(receiver->fd, pong, text_frame(pong, payload, length, 0x8a));
            break;
        }
        case 10:
            break;
        default:
            take_message(payload, length, time);
        }
        used += header + length;
    }
    return used;
}

static size_t take_handshake(struct receiver *receiver, size_t size)
{
    char *end = memmem(buffer, size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    if (size < 12 || memcmp(buffer + 9, "101", 3) != 0)
        fail("the upgrade was refused: %.*s", (int)strcspn(buffer, "\r"), buffer);
    if (options.deflate && memmem(buffer, size, "permessage-deflate", 18) == NULL)
        fail("the server does not compress");
    receiver->is_open = true;
    opened++;
    return (size_t)(end - buffer) + 4;
}

void receive(uint32_t number)
{
    struct receiver *receiver = &receivers[number - RECEIVERS];
    size_t size = receiver->rest_size, used = 0;
    memcpy(buffer, receiver->rest, size);
    ssize_t got = recv(receiver->fd, buffer + size, BUFFER - size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        if (!receiver->is_open)
            fail("the server ended a handshake");
        tally.ended++;
        close(receiver->fd);
        return;
    }
    size += (size_t)got;
    tally.bytes += (uint64_t)got;
    tally.reads++;
    if (!receiver->is_open)
        used = take_handshake(receiver, size);
    if (receiver->is_open)
        used += take_frames(receiver, buffer + used, size - used, now());
    if (size - used == BUFFER)
        fail("a message is too long");
    if (size != used) {
        receiver->rest = realloc(receiver->rest, size - used);
        memcpy(receiver->rest, buffer + used, size - used);
    }
    receiver->rest_size = size - used;
}

void open_stalled(int count)
{
    for (stalled_count = 0; stalled_count < count && stalled_count < MAX_STALLED; stalled_count++) {
        int fd = stalled[stalled_count] = dial(4096);
        char request[1024], answer[4096];
        size_t size = 0;
        int confirmed = 0;
        write_all(fd, request, upgrade_request(request, sizeof request, "stalled", false));
        char topic[64];
        snprintf(topic, sizeof topic, "%s-0", options.prefix);
        subscribe(fd, topic);
        subscribe(fd, "stalled");
        while (confirmed < 2) { /* the last that is read */
            ssize_t got = recv(fd, answer + size, sizeof answer - 1 - size, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR))
                continue;
            if (got <= 0)
                fail("the server ended a stalled connection too early");
            size += (size_t)got;
            answer[size] = 0;
            confirmed = 0;
            for (char *at = answer; (at = memmem(at, size - (size_t)(at - answer), "_confirmed", 10)); at++)
                confirmed++;
        }
    }
}

void close_stalled(void)
{
    while (stalled_count)
        close(stalled[--stalled_count]);
}

bool is_stalled_ended(void)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    for (int i = 0; i < stalled_count; i++) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(stalled[i], SOL_SOCKET, SO_ERROR, &error, &length);
        if (error || getpeername(stalled[i], (struct sockaddr *)&peer, &size) < 0)
            return true;
    }
    return false;
}

long stalled_backlog(void)
{
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    char line[512];
    long backlog = 0;
    getsockname(stalled[0], (struct sockaddr *)&own, &size);
    FILE *table = fopen("/proc/net/tcp", "r");
    if (table == NULL)
        fail("/proc/net/tcp cannot be read");
    while (fgets(line, sizeof line, table)) {
        unsigned local, remote;
        unsigned long queued;
        if (sscanf(line, " %*d: %*x:%x %*x:%x %*x %lx", &local, &remote, &queued) == 3 &&
            remote == ntohs(own.sin_port) && (int)local == options.port)
            backlog = (long)queued;
    }
    fclose(table);
    return backlog;
}
