/* An MCP server that costs almost nothing, so that what is measured is the proxy in front of it.
 *
 * One thread, epoll, HTTP/1.1 keep-alive, any number of ports; or one session on stdin and stdout (--stdio) for
 * proxies that only start commands. It answers with canned results and copies nothing but the request's id, so it
 * is no example of how to write an MCP server: it trusts its one client, the load generator behind a proxy.
 *
 * --listen N        open N ports on 127.0.0.1 and print them on one line (default 1)
 * --tools N         how many tools each port lists: echo, big, progress, tool_0, tool_1, ... (default 20, at least 3)
 * --big BYTES       size of the text in the result of `big` (default 1024)
 * --era E           both | modern (2026-07-28 only) | legacy (initialize and sessions only)
 * --drip-ms N       the first port answers a tools/call byte by byte, one in so many milliseconds, without an end
 * --delay-ms N      how long every port waits before each answer; --first-delay-ms N: the first port instead
 *
 * `GET /stats` answers what arrived so far over all ports: connections, posts, keyed (posts that carried X-Api-Key),
 * calls (tools/call).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { IN_SIZE = 65536, HEAD_SIZE = 8192, MAX_PORTS = 1024, MAX_ID = 128, PROGRESS_EVENTS = 10, DRIPPED = 1000000 };
enum era { BOTH, MODERN, LEGACY };

typedef struct { const char *at; size_t len; } text;
#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

/* One per listening port (fd only) and one per connection. */
typedef struct peer {
    int fd, listens, busy, closing, delay_ms, drip_ms;
    size_t used, head_len, sent;         /* bytes read and not yet answered; of the answer: its head, what is sent */
    text tail;                           /* the shared, canned rest of the answer */
    int drips;                           /* this answer leaves byte by byte */
    long long due;                       /* when a delayed answer, or its next byte, may leave, 0: at once */
    struct peer *next;                   /* the list of delayed answers */
    char in[IN_SIZE + 1], head[HEAD_SIZE];
} peer;

/* What a request body asks for, found without parsing it. */
typedef struct { text id, method, tool, progress; int modern; } question;
typedef struct { int status, opens_session, events; text tail; } answer;

static enum era era = BOTH;
static unsigned long long connections, posts, keyed, calls, sessions;
static int epoll;
static peer *delayed;

/* Every canned result, once per era: [0] legacy, [1] modern. */
static text echo_result[2], big_result[2], tools_result[2], resources_result[2], templates_result[2], prompts_result[2];

static text printed(const char *format, const char *a, const char *b, const char *c) {
    char *out;
    int n = asprintf(&out, format, a, b, c);
    if (n < 0) abort();
    return (text){out, (size_t)n};
}

static void can_results(int tools, size_t big) {
    static const char *const modern[2] = {"", "\"resultType\":\"complete\","};
    static const char *const cached[2] = {"", "\"resultType\":\"complete\",\"ttlMs\":3600000,\"cacheScope\":\"public\","};
    char *filler = malloc(big + 1), *list = NULL;
    size_t list_len;
    FILE *out = open_memstream(&list, &list_len);
    if (!filler || !out) abort();
    memset(filler, 'x', big);
    filler[big] = 0;
    for (int i = 0; i < tools; i++) {
        static const char *const first[] = {"echo", "big", "progress"};
        char name[32];
        if (i < 3) strcpy(name, first[i]);
        else snprintf(name, sizeof name, "tool_%d", i - 3);
        fprintf(out, "%s{\"name\":\"%s\",\"description\":\"Tool number %d of the benchmark's server. It says what it is "
                "given, as many real tools do in about as many words.\",\"inputSchema\":{\"type\":\"object\","
                "\"properties\":{\"text\":{\"type\":\"string\",\"description\":\"What to say\"},\"times\":{\"type\":"
                "\"integer\",\"description\":\"How often\"}}}}", i ? "," : "", name, i);
    }
    fclose(out);
    for (int m = 0; m < 2; m++) {
        static const char *const call = "\"result\":{%s\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"isError\":false}}%s";
        echo_result[m] = printed(call, modern[m], "hello", "");
        big_result[m] = printed(call, modern[m], filler, "");
        tools_result[m] = printed("\"result\":{%s\"tools\":[%s]}}%s", cached[m], list, "");
        resources_result[m] = printed("\"result\":{%s\"resources\":[]}}%s%s", cached[m], "", "");
        templates_result[m] = printed("\"result\":{%s\"resourceTemplates\":[]}}%s%s", cached[m], "", "");
        prompts_result[m] = printed("\"result\":{%s\"prompts\":[]}}%s%s", cached[m], "", "");
    }
    free(filler);
    free(list);
}

/* The value after `"key":` as raw JSON (a string keeps its quotes); empty if there is none. */
static text member(text body, const char *key, size_t key_len) {
    const char *end = body.at + body.len, *at = memmem(body.at, body.len, key, key_len);
    if (!at) return (text){"", 0};
    for (at += key_len; at < end && (*at == ' ' || *at == ':'); at++) {}
    const char *stop = at;
    if (stop < end && *stop == '"') {
        for (stop++; stop < end && *stop != '"'; stop++) {}
        if (stop < end) stop++;
    } else {
        while (stop < end && *stop != ',' && *stop != '}') stop++;
    }
    return (text){at, (size_t)(stop - at)};
}
#define MEMBER(body, key) member(body, "\"" key "\"", sizeof(key) + 1)

static int is(text value, const char *word) { return value.len == strlen(word) && !memcmp(value.at, word, value.len); }
static int holds(text body, const char *word) { return memmem(body.at, body.len, word, strlen(word)) != NULL; }

static question read_question(text body) {
    question q = {.id = MEMBER(body, "id"), .method = MEMBER(body, "method")};
    if (q.id.len > MAX_ID) q.id.len = 0;
    q.modern = holds(body, "io.modelcontextprotocol/protocolVersion");
    if (is(q.method, "\"tools/call\"")) {
        calls++;
        q.tool = holds(body, "\"big\"") ? TEXT("big") : holds(body, "\"progress\"") ? TEXT("progress") : TEXT("echo");
        q.progress = MEMBER(body, "progressToken");
    }
    return q;
}

static answer decide(question q, int has_session) {
    static const text discovered = TEXT("\"result\":{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],"
        "\"capabilities\":{\"tools\":{}},\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"bench\","
        "\"version\":\"1\"}},\"ttlMs\":3600000,\"cacheScope\":\"public\"}}");
    static const text initialized = TEXT("\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
        "\"serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}");
    static const text no_session = TEXT("\"error\":{\"code\":-32000,\"message\":\"Bad Request: no valid session\"}}");
    static const text no_version = TEXT("\"error\":{\"code\":-32022,\"message\":\"Unsupported protocol version\","
        "\"data\":{\"supported\":[\"2026-07-28\"],\"requested\":\"2025-11-25\"}}}");
    static const text no_method = TEXT("\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
    int m = q.modern, opens = is(q.method, "\"initialize\"");
    if (era == MODERN && !m) return (answer){.status = 400, .tail = no_version};
    if (era == LEGACY && (m || (!opens && !has_session))) return (answer){.status = 400, .tail = no_session};
    if (is(q.method, "\"tools/call\"")) {
        text tail = is(q.tool, "big") ? big_result[m] : echo_result[m];
        return (answer){.status = 200, .tail = tail, .events = is(q.tool, "progress") && q.progress.len};
    }
    if (is(q.method, "\"tools/list\"")) return (answer){.status = 200, .tail = tools_result[m]};
    if (is(q.method, "\"resources/list\"")) return (answer){.status = 200, .tail = resources_result[m]};
    if (is(q.method, "\"resources/templates/list\"")) return (answer){.status = 200, .tail = templates_result[m]};
    if (is(q.method, "\"prompts/list\"")) return (answer){.status = 200, .tail = prompts_result[m]};
    if (is(q.method, "\"server/discover\"") && m) return (answer){.status = 200, .tail = discovered};
    if (opens) return (answer){.status = 200, .tail = initialized, .opens_session = 1};
    if (is(q.method, "\"ping\"")) return (answer){.status = 200, .tail = TEXT("\"result\":{}}")};
    return (answer){.status = m ? 404 : 200, .tail = no_method};
}

/* ---- HTTP ---- */

static void plain(peer *c, int status, const char *extra, text body) {
    c->head_len = (size_t)snprintf(c->head, HEAD_SIZE, "HTTP/1.1 %d -\r\n%sContent-Length: %zu\r\n\r\n%.*s", status, extra,
                                   body.len, (int)body.len, body.at);
    c->tail = TEXT("");
}

static void json(peer *c, question q, answer a) {
    char session[64] = "";
    if (a.opens_session) snprintf(session, sizeof session, "Mcp-Session-Id: session-%llu\r\n", ++sessions);
    size_t opening = sizeof("{\"jsonrpc\":\"2.0\",\"id\":,") - 1;
    c->head_len = (size_t)snprintf(c->head, HEAD_SIZE, "HTTP/1.1 %d -\r\nContent-Type: application/json\r\n%s"
        "Content-Length: %zu\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":%.*s,", a.status, session, opening + q.id.len + a.tail.len,
        (int)q.id.len, q.id.at);
    c->tail = a.tail;
}

static size_t event(char *out, size_t room, const char *format, text a, int number, text b) {
    char data[2048], frame[2304];
    snprintf(data, sizeof data, format, (int)a.len, a.at, number, (int)b.len, b.at);
    int n = snprintf(frame, sizeof frame, "event: message\r\ndata: %s\r\n\r\n", data);
    return (size_t)snprintf(out, room, "%x\r\n%s\r\n", (unsigned)n, frame);
}

static void stream(peer *c, question q, answer a) {
    size_t n = (size_t)snprintf(c->head, HEAD_SIZE, "HTTP/1.1 200 -\r\nContent-Type: text/event-stream\r\n"
                                "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 1; i <= PROGRESS_EVENTS; i++)
        n += event(c->head + n, HEAD_SIZE - n, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                   "{\"progressToken\":%.*s,\"progress\":%d,\"total\":10%.*s}}", q.progress, i, TEXT(""));
    n += event(c->head + n, HEAD_SIZE - n, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,%.0d%.*s", q.id, 0, a.tail);
    c->head_len = n;
    c->tail = TEXT("0\r\n\r\n");
}

/* An answer that is announced as large as it may be, and never gets there. */
static void drip(peer *c) {
    c->head_len = (size_t)snprintf(c->head, HEAD_SIZE, "HTTP/1.1 200 -\r\nContent-Type: application/json\r\n"
                                   "Content-Length: %d\r\n\r\n", DRIPPED);
    c->drips = 1;
}

static void stats(peer *c) {
    char body[256];
    int n = snprintf(body, sizeof body, "{\"connections\":%llu,\"posts\":%llu,\"keyed\":%llu,\"calls\":%llu}", connections, posts,
                     keyed, calls);
    plain(c, 200, "Content-Type: application/json\r\n", (text){body, (size_t)n});
}

typedef struct { size_t length; int key, session, close, chunked; } fields;

static fields read_fields(char *head, char *end) {
    fields f = {0};
    for (char *line = strstr(head, "\r\n"); line && line < end; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) f.length = strtoul(line + 15, NULL, 10);
        else if (!strncasecmp(line, "x-api-key:", 10)) f.key = 1;
        else if (!strncasecmp(line, "mcp-session-id:", 15)) f.session = 1;
        else if (!strncasecmp(line, "connection: close", 17)) f.close = 1;
        else if (!strncasecmp(line, "transfer-encoding:", 18)) f.chunked = 1;
    }
    return f;
}

static void answer_post(peer *c, fields f, text body) {
    question q = read_question(body);
    posts++;
    keyed += (unsigned)f.key;
    if (!q.id.len) { plain(c, 202, "", TEXT("")); return; }
    answer a = decide(q, f.session);
    if (c->drip_ms && q.tool.len) drip(c);
    else if (a.events) stream(c, q, a);
    else json(c, q, a);
}

/* Answers the request at the start of the buffer if all of it is there: 1, else 0 (-1: drop the connection). */
static int take_request(peer *c) {
    c->in[c->used] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return c->used == IN_SIZE ? -1 : 0;
    fields f = read_fields(c->in, end);
    size_t size = (size_t)(end - c->in) + 4 + f.length;
    if (f.chunked || size > IN_SIZE) return -1;
    if (c->used < size) return 0;
    if (!strncmp(c->in, "POST ", 5)) answer_post(c, f, (text){end + 4, f.length});
    else if (!strncmp(c->in, "GET /stats", 10)) stats(c);
    else if (!strncmp(c->in, "DELETE ", 7)) plain(c, 200, "", TEXT(""));
    else plain(c, 405, "Allow: POST\r\n", TEXT(""));
    memmove(c->in, c->in + size, c->used - size);
    c->used -= size;
    c->closing |= f.close;
    c->sent = 0;
    c->busy = 1;
    return 1;
}

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void hang_up(peer *c) {
    for (peer **p = &delayed; *p; p = &(*p)->next)
        if (*p == c) { *p = c->next; break; }
    close(c->fd);
    free(c);
}

static void listen_for(peer *c, uint32_t events) {
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){.events = events, .data.ptr = c});
}

static void wait_until(peer *c, int ms) {
    c->due = now_ms() + ms;
    c->next = delayed;
    delayed = c;
}

/* The head and then a byte at a time: 0 there is more to come, -1 the other side is gone. */
static int flush_drop(peer *c) {
    size_t size = c->sent ? 1 : c->head_len;
    const char *at = c->sent ? " " : c->head;
    if (send(c->fd, at, size, 0) < 0 && errno != EAGAIN) return -1;
    c->sent += size;
    wait_until(c, c->drip_ms);
    return 0;
}

/* Sends what is left of the answer: 1 done, 0 the socket is full, -1 the other side is gone. */
static int flush(peer *c) {
    if (c->drips) return flush_drop(c);
    while (c->sent < c->head_len + c->tail.len) {
        size_t skip = c->sent > c->head_len ? c->sent - c->head_len : 0;
        struct iovec parts[2] = {{c->head + (c->sent - skip), c->head_len - (c->sent - skip)},
                                 {(char *)c->tail.at + skip, c->tail.len - skip}};
        ssize_t n = writev(c->fd, parts, 2);
        if (n < 0 && errno == EAGAIN) { listen_for(c, EPOLLOUT); return 0; }
        if (n < 0) return -1;
        if ((c->sent += (size_t)n) < c->head_len + c->tail.len) continue;
    }
    c->busy = 0;
    return c->closing ? -1 : 1;
}

/* Answers whatever is complete, one request after the other; 0: the connection is gone. */
static int serve(peer *c) {
    for (;;) {
        int got = c->busy ? 1 : take_request(c);
        if (got == 0) return 1;
        if (got > 0 && c->delay_ms && !c->due) {
            wait_until(c, c->delay_ms);
            return 1;
        }
        int sent = got < 0 ? -1 : flush(c);
        if (sent < 0) { hang_up(c); return 0; }
        if (sent == 0) return 1;
        c->due = 0;
    }
}

static void release_due(void) {
    long long now = now_ms();
    for (peer **p = &delayed; *p;) {
        peer *c = *p;
        if (c->due > now) { p = &c->next; continue; }
        *p = c->next;
        if (!serve(c)) p = &delayed;
    }
}

static int wait_ms(void) {
    long long first = -1, now = delayed ? now_ms() : 0;
    for (peer *c = delayed; c; c = c->next)
        if (first < 0 || c->due - now < first) first = c->due > now ? c->due - now : 0;
    return (int)first;
}

static peer *watch(int fd, int listens, int delay_ms, int drip_ms) {
    peer *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->fd = fd;
    c->listens = listens;
    c->delay_ms = delay_ms;
    c->drip_ms = drip_ms;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
    return c;
}

static void accept_all(peer *listener) {
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(fd, 0, listener->delay_ms, listener->drip_ms);
        connections++;
    }
}

static void readable(peer *c) {
    ssize_t n = read(c->fd, c->in + c->used, IN_SIZE - c->used);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { hang_up(c); return; }
    if (n > 0) c->used += (size_t)n;
    if (!c->busy) serve(c);
}

static void open_ports(int count, int delay_ms, int first_delay_ms, int drip_ms) {
    for (int i = 0; i < count; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&at, size) || listen(fd, 1024) || getsockname(fd, (struct sockaddr *)&at, &size)) {
            perror("listen");
            exit(1);
        }
        watch(fd, 1, i == 0 && first_delay_ms >= 0 ? first_delay_ms : delay_ms, i == 0 ? drip_ms : 0);
        printf("%s%d", i ? " " : "", ntohs(at.sin_port));
    }
    printf("\n");
    fflush(stdout);
}

static void serve_http(void) {
    struct epoll_event ready[64];
    for (;;) {
        int n = epoll_wait(epoll, ready, 64, wait_ms());   /* serving one peer never frees another */
        for (int i = 0; i < n; i++) {
            peer *c = ready[i].data.ptr;
            if (c->listens) accept_all(c);
            else if (ready[i].events & EPOLLOUT) { listen_for(c, EPOLLIN); serve(c); }
            else readable(c);
        }
        if (delayed) release_due();
    }
}

static void serve_stdio(void) {
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        question q = read_question((text){line, (size_t)n});
        if (!q.id.len) continue;
        answer a = decide(q, 1);
        printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,", (int)q.id.len, q.id.at);
        fwrite(a.tail.at, 1, a.tail.len, stdout);
        putchar('\n');
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"listen", 1, 0, 'l'}, {"tools", 1, 0, 't'}, {"big", 1, 0, 'b'}, {"era", 1, 0, 'e'},
        {"delay-ms", 1, 0, 'd'}, {"first-delay-ms", 1, 0, 'f'}, {"drip-ms", 1, 0, 'r'}, {"stdio", 0, 0, 's'}, {0}};
    int ports = 1, tools = 20, delay = 0, first_delay = -1, drip_ms = 0, stdio = 0, option;
    size_t big = 1024;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') ports = atoi(optarg);
        else if (option == 't') tools = atoi(optarg);
        else if (option == 'b') big = strtoul(optarg, NULL, 10);
        else if (option == 'd') delay = atoi(optarg);
        else if (option == 'f') first_delay = atoi(optarg);
        else if (option == 'r') drip_ms = atoi(optarg);
        else if (option == 's') stdio = 1;
        else if (option == 'e') era = !strcmp(optarg, "modern") ? MODERN : !strcmp(optarg, "legacy") ? LEGACY : BOTH;
        else return 2;
    }
    if (ports < 1 || ports > MAX_PORTS || tools < 3) return 2;
    can_results(tools, big);
    if (stdio) { serve_stdio(); return 0; }
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(0);
    open_ports(ports, delay, first_delay, drip_ms);
    serve_http();
}
