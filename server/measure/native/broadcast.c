/* The limit that a broadcast server is held against: one epoll loop that sends ready bytes, and no more.
 *
 * It takes upgrades, confirms subscribes and publishes, as far as the benchmark needs it: every subscriber
 * gets every event, whatever its investigation. What was published in one read is joined and sent at once.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 65536
#define BUFFER (1 << 20)

struct connection {
    bool is_open, is_subscribed;
    char *rest;
    size_t rest_size;
};

static struct connection connections[MAX_FDS];
static int subscribers[MAX_FDS];
static int subscriber_count;
static char buffer[BUFFER], due[2 * BUFFER];
static size_t due_size;

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

/* SHA-1 (RFC 3174) of up to 119 bytes. */
static void sha1(const unsigned char *bytes, size_t length, unsigned char digest[20])
{
    unsigned char blocks[128] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t count = length + 9 > 64 ? 128 : 64;
    memcpy(blocks, bytes, length);
    blocks[length] = 0x80;
    blocks[count - 2] = (unsigned char)(length >> 5);
    blocks[count - 1] = (unsigned char)(length << 3);
    for (size_t block = 0; block < count; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (size_t i = 0; i < 80; i++) {
            const unsigned char *at = blocks + block + 4 * i;
            w[i] = i < 16 ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]
                          : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
            uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t next = rotate(a, 5) + f + e + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void accept_key(const char *key, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char text[64], digest[21] = {0};
    memcpy(text, key, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(text, 60, digest);
    for (int i = 0; i < 21; i += 3) {
        uint32_t three = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        for (int j = 0; j < 4; j++)
            *out++ = alphabet[three >> (18 - 6 * j) & 63];
    }
    out[-1] = '=';
    *out = 0;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            poll(&full, 1, 1000);
        } else {
            return;
        }
    }
}

static size_t frame(char *out, const char *text, size_t length)
{
    size_t header = 2;
    out[0] = (char)0x81;
    if (length < 126) {
        out[1] = (char)length;
    } else {
        out[1] = 126;
        out[2] = (char)(length >> 8);
        out[3] = (char)length;
        header = 4;
    }
    memcpy(out + header, text, length);
    return header + length;
}

static void take_message(int fd, const char *text, size_t length)
{
    char answer[65536 + 64];
    const char *id = memmem(text, length, "\"investigation_id\":\"", 20);
    const char *data = memmem(text, length, ",\"data\":", 8);
    size_t size;
    if (id == NULL)
        return;
    id += 20;
    int id_length = (int)((char *)memchr(id, '"', length - (size_t)(id - text)) - id);
    if (memmem(text, length, "\"subscribe_", 11)) {
        size = (size_t)sprintf(answer, "{\"type\":\"subscription_confirmed\",\"investigation_id\":\"%.*s\"}",
                               id_length, id);
        if (!connections[fd].is_subscribed)
            subscribers[subscriber_count++] = fd;
        connections[fd].is_subscribed = true;
        char out[512];
        send_all(fd, out, frame(out, answer, size));
    } else if (data != NULL) {
        size = (size_t)sprintf(answer, "{\"type\":\"investigation_update\",\"investigation_id\":\"%.*s\"%.*s",
                               id_length, id, (int)(length - (size_t)(data - text)), data);
        due_size += frame(due + due_size, answer, size);
    }
}

static size_t take_frames(int fd, char *bytes, size_t size)
{
    size_t used = 0;
    while (size - used >= 6) {
        unsigned char *head = (unsigned char *)bytes + used;
        size_t header = 6, length = head[1] & 127;
        if (length == 126) {
            header = 8;
            length = (size_t)head[2] << 8 | head[3];
        }
        if (size - used < header + length || length == 127)
            break;
        char *text = bytes + used + header;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(text[i] ^ (char)head[header - 4 + i % 4]);
        take_message(fd, text, length);
        used += header + length;
    }
    return used;
}

static void upgrade(int fd, const char *request)
{
    char key[64], answer[256];
    const char *at = strcasestr(request, "\r\nsec-websocket-key: ");
    if (at == NULL)
        return;
    accept_key(at + 21, key);
    send_all(fd, answer, (size_t)sprintf(answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n", key));
    connections[fd].is_open = true;
}

static void leave(int fd)
{
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i] == fd)
            subscribers[i] = subscribers[--subscriber_count];
    free(connections[fd].rest);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

static void take(int fd)
{
    struct connection *one = &connections[fd];
    size_t size = one->rest_size, used = 0;
    memcpy(buffer, one->rest, size);
    ssize_t got = recv(fd, buffer + size, BUFFER / 2 - size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        leave(fd);
        return;
    }
    size += (size_t)got;
    if (!one->is_open) {
        buffer[size] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (end != NULL) {
            upgrade(fd, buffer);
            used = (size_t)(end - buffer) + 4;
        }
    }
    if (one->is_open)
        used += take_frames(fd, buffer + used, size - used);
    one->rest_size = size - used;
    if (one->rest_size) {
        one->rest = realloc(one->rest, one->rest_size);
        memcpy(one->rest, buffer + used, one->rest_size);
    }
    if (due_size) {
        for (int i = 0; i < subscriber_count; i++)
            send_all(subscribers[i], due, due_size);
        due_size = 0;
    }
}

int main(void)
{
    struct rlimit files;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0)
        return perror("listen"), 1;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd != listener) {
                take(ready[i].data.fd);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                if (fd >= MAX_FDS)
                    return fprintf(stderr, "too many connections\n"), 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
