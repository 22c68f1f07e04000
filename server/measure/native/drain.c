/* A client that receives what a broadcast server sends, faster than any server sends it, and measures.
 *
 * It opens connections, subscribes, publishes by phases, and prints a line of JSON for the setup and for each
 * phase. It is one thread that never sleeps, so it belongs on a processor of its own; `idle` says what share
 * of the time it had nothing to do: a drain that is never idle is what was measured.
 *
 * Exit status: 0 measured; 2 usage; 3 the server did not do its part.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "drain.h"

struct phase {
    char name[32];
    int publishers;   /* connections that publish; 0: nothing is published, `expect` is awaited */
    int batch;        /* events of a request */
    int window;       /* events that may be under way to receivers; 0: any number */
    double rate;      /* events a second, whatever becomes of them; 0: as many as `window` allows */
    double warmup;    /* seconds before anything counts */
    double seconds;
    double grace;     /* seconds at the end for what is under way */
    int expect;       /* events that each connection is to get */
    int stalled;      /* connections beside the others that read nothing */
};

struct options options = {.host = "127.0.0.1", .prefix = "topic", .topics = 1, .each = 1, .extra = ""};
int epoll;

static uint64_t published; /* events, in all phases */
static uint64_t delivered; /* deliveries before the present tally */
static uint64_t idle;      /* nanoseconds */

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

_Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(3);
}

int dial(int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    /* Reset at the end: thousands of ports would otherwise wait for a minute. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (fd < 0)
        fail("a socket: %s (see ulimit -n)", strerror(errno));
    inet_pton(AF_INET, options.host, &address.sin_addr);
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("%s port %d: %s", options.host, options.port, strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            poll(&full, 1, 1000);
        } else if (sent < 0) {
            if (errno != EINTR)
                fail("the server ended a connection: %s", strerror(errno));
        } else {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
}

void watch(int fd, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll: %s", strerror(errno));
}

size_t upgrade_request(char *out, size_t size, const char *client_id, bool deflate)
{
    return (size_t)snprintf(out, size,
        "GET /ws/%s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        client_id, options.host, options.port,
        deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
}

size_t text_frame(char *out, const char *text, size_t length, unsigned char opcode)
{
    unsigned char *head = (unsigned char *)out;
    size_t used = 2;
    head[0] = opcode;
    if (length < 126) {
        head[1] = (unsigned char)(0x80 | length);
    } else if (length < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(length >> 8);
        head[3] = (unsigned char)length;
        used = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
        used = 10;
    }
    memset(out + used, 0, 4);
    memcpy(out + used + 4, text, length);
    return used + 4 + length;
}

/* Read what came, and return at once. */
static void turn(void)
{
    struct epoll_event ready[512];
    uint64_t began = now();
    int count = epoll_wait(epoll, ready, 512, 0);
    for (int i = 0; i < count; i++) {
        uint32_t number = ready[i].data.u32;
        if (number >= PUBLISHERS)
            answered(number);
        else
            receive(number);
    }
    if (count == 0)
        idle += now() - began;
}

/* Processor time of the server in seconds, in user mode and in the system. */
static void processor_time(double *user, double *system)
{
    char path[64], line[1024];
    unsigned long in_user, in_system;
    *user = *system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", options.pid);
    FILE *file = options.pid ? fopen(path, "r") : NULL;
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) && strrchr(line, ')') &&
        sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &in_user,
               &in_system) == 2) {
        double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
        *user = tick * (double)in_user;
        *system = tick * (double)in_system;
    }
    fclose(file);
}

/* Seconds in which a process was ready to run and had no processor. */
static double waiting_time(const char *process)
{
    char path[64];
    unsigned long long waited = 0;
    snprintf(path, sizeof path, "/proc/%s/schedstat", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &waited) != 1)
        waited = 0;
    fclose(file);
    return 1e-9 * (double)waited;
}

/* Deliveries of one event. */
static double receivers_of_event(void)
{
    return (double)options.connections * options.each / options.topics;
}

static uint64_t under_way(void)
{
    double fan_out = receivers_of_event();
    uint64_t done = fan_out > 0 ? (uint64_t)((double)(delivered + tally.events) / fan_out) : accepted;
    return published > done ? published - done : 0;
}

static void begin_tally(void)
{
    delivered += tally.events;
    memset(&tally, 0, sizeof tally);
    tally.since = now();
    idle = 0;
}

/* Publish what is due until `end`; events are numbered from `began` on at the phase's rate. */
static void run_until(const struct phase *phase, uint64_t began, uint64_t *due, uint64_t end)
{
    static unsigned topic;
    for (uint64_t time; (time = now()) < end; turn()) {
        for (;;) {
            uint64_t at = time;
            if (phase->window && under_way() + (uint64_t)phase->batch > (uint64_t)phase->window)
                break;
            if (phase->rate > 0) {
                at = began + (uint64_t)(1e9 * (double)*due / phase->rate);
                if (at > time)
                    break;
            }
            int number = idle_publisher();
            if (number < 0)
                break;
            publish(number, (int)(topic++ % (unsigned)options.topics), phase->batch, at);
            published += (uint64_t)phase->batch;
            *due += (uint64_t)phase->batch;
            if (phase->rate == 0 && phase->window == 0 && options.protocol == PUBLISH_WS)
                break;
        }
    }
}

/* Fill all buffers of the system between the server and a stalled client. */
static void stall(int count)
{
    open_stalled(count);
    int still = 0;
    for (long before = 0; still < 3;) {
        int number = idle_publisher();
        if (number >= 0)
            publish_large(number, 60000);
        uint64_t end = now() + 20000000;
        while (now() < end || !are_publishers_idle())
            turn();
        long backlog = stalled_backlog();
        still = backlog > before ? 0 : still + 1;
        before = backlog;
    }
}

static void run(const struct phase *phase)
{
    uint64_t began = now(), due = 0;
    double user, system, user_end, system_end;
    char server[16];
    snprintf(server, sizeof server, "%d", options.pid);
    if (phase->expect == 0)
        open_publishers(phase->publishers);
    if (phase->stalled)
        stall(phase->stalled);
    began = now();
    if (phase->expect)
        subscribe_receivers();
    else
        run_until(phase, began, &due, began + (uint64_t)(1e9 * phase->warmup));
    begin_tally();
    uint64_t accepted_before = accepted, published_before = published, start = now();
    if (phase->expect)
        start = began;
    double waited = waiting_time(server), drain_waited = waiting_time("self");
    processor_time(&user, &system);
    if (phase->expect) {
        uint64_t all = (uint64_t)phase->expect * (uint64_t)options.connections;
        for (uint64_t end = start + (uint64_t)(1e9 * phase->seconds); tally.events < all && now() < end;)
            turn();
    } else {
        run_until(phase, began, &due, start + (uint64_t)(1e9 * phase->seconds));
    }
    double seconds = (double)(now() - start) * 1e-9;
    processor_time(&user_end, &system_end);
    waited = waiting_time(server) - waited;
    drain_waited = waiting_time("self") - drain_waited;
    uint64_t events = tally.events, bytes = tally.bytes, reads = tally.reads;
    double idle_share = (double)idle * 1e-9 / seconds;
    uint64_t last = published - published_before;
    for (uint64_t end = now() + (uint64_t)(1e9 * phase->grace); now() < end;) {
        if (under_way() == 0 && are_publishers_idle())
            break;
        turn();
    }
    printf("{\"phase\":\"%s\",\"seconds\":%.6f,\"published\":%llu,\"accepted\":%llu,\"deliveries\":%llu,"
           "\"bytes\":%llu,\"reads\":%llu,\"user\":%.3f,\"system\":%.3f,\"waited\":%.3f,"
           "\"drain_waited\":%.3f,\"idle\":%.3f,\"p50_us\":%llu,"
           "\"p99_us\":%llu,\"under_way\":%llu,\"ended\":%llu,\"stalled_ended\":%s}\n",
           phase->name, seconds, (unsigned long long)last, (unsigned long long)(accepted - accepted_before),
           (unsigned long long)events, (unsigned long long)bytes, (unsigned long long)reads, user_end - user,
           system_end - system, waited, drain_waited, idle_share, (unsigned long long)percentile(0.5),
           (unsigned long long)percentile(0.99), (unsigned long long)under_way(),
           (unsigned long long)tally.ended, phase->stalled && is_stalled_ended() ? "true" : "false");
    fflush(stdout);
    close_stalled();
}

static struct phase parse_phase(char *text)
{
    struct phase phase = {.publishers = 1, .batch = 1, .warmup = 0.2, .seconds = 1, .grace = 1};
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        char *value = strchr(item, '=');
        if (value == NULL)
            fail("a phase is name=value,…, and not %s", item);
        *value++ = 0;
        double number = strtod(value, NULL);
        if (!strcmp(item, "name"))
            snprintf(phase.name, sizeof phase.name, "%s", value);
        else if (!strcmp(item, "publishers"))
            phase.publishers = (int)number;
        else if (!strcmp(item, "batch"))
            phase.batch = (int)number;
        else if (!strcmp(item, "window"))
            phase.window = (int)number;
        else if (!strcmp(item, "rate"))
            phase.rate = number;
        else if (!strcmp(item, "warmup"))
            phase.warmup = number;
        else if (!strcmp(item, "seconds"))
            phase.seconds = number;
        else if (!strcmp(item, "grace"))
            phase.grace = number;
        else if (!strcmp(item, "expect"))
            phase.expect = (int)number;
        else if (!strcmp(item, "stalled"))
            phase.stalled = (int)number;
        else
            fail("a phase has no %s", item);
    }
    return phase;
}

int main(int count, char **arguments)
{
    struct phase phases[32];
    int phase_count = 0, hold = 0;
    for (int i = 1; i + 1 < count; i += 2) {
        char *name = arguments[i], *value = arguments[i + 1];
        if (!strcmp(name, "--port"))
            options.port = atoi(value);
        else if (!strcmp(name, "--pid"))
            options.pid = atoi(value);
        else if (!strcmp(name, "--connections"))
            options.connections = atoi(value);
        else if (!strcmp(name, "--prefix"))
            options.prefix = value;
        else if (!strcmp(name, "--topics"))
            options.topics = atoi(value);
        else if (!strcmp(name, "--each"))
            options.each = atoi(value);
        else if (!strcmp(name, "--hello"))
            options.hello = value;
        else if (!strcmp(name, "--extra"))
            options.extra = value;
        else if (!strcmp(name, "--deflate"))
            options.deflate = atoi(value);
        else if (!strcmp(name, "--http"))
            options.protocol = atoi(value) ? PUBLISH_HTTP : PUBLISH_WS;
        else if (!strcmp(name, "--hold"))
            hold = atoi(value);
        else if (!strcmp(name, "--phase") && phase_count < 32)
            phases[phase_count++] = parse_phase(value);
        else
            return fprintf(stderr, "what is %s?\n", name), 2;
    }
    epoll = epoll_create1(0);
    uint64_t began = now();
    open_receivers();
    double opening = (double)(now() - began) * 1e-9;
    if (!phase_count || !phases[0].expect) {
        uint64_t answers = (uint64_t)options.connections * (uint64_t)(options.each + (options.hello != NULL));
        uint64_t end = now() + 20000000000u;
        subscribe_receivers();
        while (tally.answers + tally.events < answers) {
            if (now() > end)
                fail("%llu of %llu subscriptions were confirmed", (unsigned long long)tally.answers,
                     (unsigned long long)answers);
            turn();
        }
    }
    printf("{\"phase\":\"setup\",\"seconds\":%.6f,\"connections\":%d}\n", opening, options.connections);
    fflush(stdout);
    if (hold)
        for (char line[16]; fgets(line, sizeof line, stdin) == NULL;)
            return 0;
    begin_tally();
    delivered = 0;
    for (int i = 0; i < phase_count; i++)
        run(&phases[i]);
    return 0;
}
