/* The drain client's parts: receivers that count events, publishers that make them, and what both share. */

#ifndef DRAIN_H
#define DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How publishers reach the server. */
enum protocol {
    PUBLISH_HTTP, /* POST /investigations/{id}/events, answered when it was accepted: the reference server */
    PUBLISH_WS,   /* a message {"type": "publish", …} over a WebSocket, not answered: the peers */
};

struct options {
    const char *host;
    int port;
    int pid;             /* the server's process, whose processor time is told; 0: none */
    int connections;     /* that receive */
    const char *prefix;  /* investigations are named {prefix}-0, {prefix}-1, … */
    int topics;          /* how many there are */
    int each;            /* subscriptions of a connection */
    const char *hello;   /* a first message, or NULL */
    const char *extra;   /* members that are added to each subscribe, beginning with a comma, or "" */
    bool deflate;        /* offer permessage-deflate: then messages are counted, and not looked into */
    enum protocol protocol;
};

extern struct options options;
extern int epoll;

/* Nanoseconds of a clock that never goes back. */
uint64_t now(void);

/* Say what is wrong on standard error, and end with status 3. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A connected TCP socket without delay; `receive_buffer` in bytes, 0 for the system's choice. */
int dial(int receive_buffer);

/* Write all, waiting where the socket is full. For what is small. */
void write_all(int fd, const char *bytes, size_t size);

/* Have `epoll_wait` report `fd` as readable, with `number`. */
void watch(int fd, uint32_t number);

/* The opening handshake as one request; returns its length. */
size_t upgrade_request(char *out, size_t size, const char *client_id, bool deflate);

/* A masked text frame (RFC 6455, section 5.3) with a mask of zeros; returns its length. */
size_t text_frame(char *out, const char *text, size_t length, unsigned char opcode);

/* --- receivers.c --- */

#define RECEIVERS 0u            /* numbers that epoll reports: receivers from here */
#define PUBLISHERS 0x40000000u  /* and publishers from here */

/* Latencies in buckets of 1/32 of a power of two, in microseconds: read as the upper edge. */
#define BUCKETS 1024

struct tally {
    uint64_t events;       /* deliveries */
    uint64_t bytes;        /* of all that came, headers included */
    uint64_t reads;        /* calls that brought them */
    uint64_t answers;      /* data frames that are no events */
    uint64_t ended;        /* connections that the server ended */
    uint64_t latency[BUCKETS];
    uint64_t since;        /* events made before count, but not as latency */
};

extern struct tally tally;

void open_receivers(void);              /* handshakes only */
void subscribe_receivers(void);         /* sends the subscribes; answers are counted */
void receive(uint32_t number);          /* read what came for one */
uint64_t percentile(double share);      /* microseconds, of the present tally */
void open_stalled(int count);           /* subscribed to topic-0 and to `stalled`, and never read again */
void close_stalled(void);
bool is_stalled_ended(void);            /* whether the server has ended one of them */
long stalled_backlog(void);             /* bytes in the system's buffers of the server for the first of them */

/* --- publishers.c --- */

void open_publishers(int count);
void answered(uint32_t number);         /* read a publisher's answer */
int idle_publisher(void);               /* the number of one that may publish, or -1 */
void publish(int number, int topic, int count, uint64_t at); /* `at`: when the events were due */
void publish_large(int number, size_t bytes);               /* one event for `stalled` */
bool are_publishers_idle(void);
extern uint64_t accepted;               /* events in requests that were answered */

#endif
