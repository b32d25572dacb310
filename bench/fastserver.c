/* An S3 server that costs almost nothing, so that in a measurement the client is what is seen.

   One thread, one epoll. It checks no signature and keeps no body: of a blob it knows key and size, and answers its content from a pattern,
   from a place that follows from the last part of the key. So whoever knows the pattern knows every content. Asked to (`/_bench/check`), it
   compares what is uploaded with that content too, and counts what differs.

   fastserver PORT PATTERN [--delay-us N] [--cert FILE --key FILE]

   Beside S3:  PUT  /_bench/blobs          lines of "size key", key with its bucket first: they are there from now on
               POST /_bench/drop?prefix=P  they are not any more
               POST /_bench/check?on=1     compare the bodies of uploads from now on
               GET  /_bench/count?prefix=P {"blobs", "bytes", "wrong", "stored", "requests"}, the last three since the start */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES 65536
#define SLICE_BYTES (1 << 20)
#define PAGE_KEYS 1000
#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void die(const char *what) { perror(what); exit(1); }

static void *need(void *memory) { if (!memory) die("memory"); return memory; }

/* ---- text that grows ---- */

typedef struct { char *at; size_t length, room; } Text;

static void add(Text *text, const void *from, size_t n) {
    if (text->length + n + 1 > text->room) {
        text->room = (text->length + n + 1) * 2;
        text->at = need(realloc(text->at, text->room));
    }
    memcpy(text->at + text->length, from, n);
    text->at[text->length += n] = 0;
}

static void adds(Text *text, const char *string) { add(text, string, strlen(string)); }

static void addf(Text *text, const char *format, ...) {
    char line[8192];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    add(text, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static void add_number(Text *text, uint64_t number) {
    char digits[24], *at = digits + sizeof digits;
    do *--at = '0' + number % 10; while (number /= 10);
    add(text, at, digits + sizeof digits - at);
}

/* A key in a listing with encoding-type=url; without, the keys of a benchmark need no escaping in XML. */
static void add_key(Text *text, const char *key, size_t n, bool encoded) {
    static const char hex[] = "0123456789ABCDEF";
    if (!encoded) { add(text, key, n); return; }
    for (size_t i = 0, from = 0; i <= n; i++) {
        unsigned char c = i < n ? key[i] : 0;
        if (i < n && ((c | 32) - 'a' < 26u || c - '0' < 10u || strchr("-_.~/", c))) continue;
        add(text, key + from, i - from);
        if (i < n) { char escaped[3] = {'%', hex[c >> 4], hex[c & 15]}; add(text, escaped, 3); }
        from = i + 1;
    }
}

/* ---- contents ---- */

static char *pattern;  /* mapped twice in a row: no content that is no longer than it wraps */
static size_t pattern_bytes;
static int pattern_file;

static uint64_t fnv(uint64_t hash, const void *data, size_t n) {
    const unsigned char *at = data;
    for (size_t i = 0; i < n; i++) hash = (hash ^ at[i]) * 1099511628211u;
    return hash;
}
#define FNV_BEGIN 14695981039346656037u

static uint64_t place_of(const char *key) {
    const char *slash = strrchr(key, '/'), *name = slash ? slash + 1 : key;
    return fnv(FNV_BEGIN, name, strlen(name)) % pattern_bytes;
}

static uint64_t content_hash(const char *key, uint64_t from, uint64_t size) {
    uint64_t hash = FNV_BEGIN, place = place_of(key) + from;
    while (size) {
        uint64_t n = size < pattern_bytes ? size : pattern_bytes;
        hash = fnv(hash, pattern + place % pattern_bytes, n);
        place += n, size -= n;
    }
    return hash;
}

static void load_pattern(const char *path) {
    struct stat status;
    if ((pattern_file = open(path, O_RDONLY)) < 0 || fstat(pattern_file, &status)) die(path);
    pattern_bytes = status.st_size;
    pattern = mmap(0, 2 * pattern_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2; i++)
        if (mmap(pattern + i * pattern_bytes, pattern_bytes, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, pattern_file, 0) == MAP_FAILED)
            die("mmap");
}

/* ---- blobs: a table to find one, a sorted array to list them ---- */

typedef struct { uint32_t number; uint64_t size, hash; } Part;
typedef struct { char *key; uint64_t size; time_t modified; bool live; } Blob;
typedef struct Upload { uint64_t id; char *key; Part *parts; size_t count; struct Upload *next; } Upload;

static Blob **table, **sorted, **fresh;
static size_t table_room, known, sorted_count, fresh_count;
static Upload *uploads;
static uint64_t last_upload, wrong, stored, requests;
static bool checking;

static size_t slot_of(const char *key) {
    size_t slot = fnv(FNV_BEGIN, key, strlen(key)) & (table_room - 1);
    while (table[slot] && strcmp(table[slot]->key, key)) slot = (slot + 1) & (table_room - 1);
    return slot;
}

static Blob *find(const char *key) {
    Blob *blob = table[slot_of(key)];
    return blob && blob->live ? blob : NULL;
}

static void grow(void) {
    Blob **old = table;
    size_t old_room = table_room;
    table_room = old_room ? old_room * 2 : 1 << 16;
    table = need(calloc(table_room, sizeof *table));
    sorted = need(realloc(sorted, table_room * sizeof *sorted));
    fresh = need(realloc(fresh, table_room * sizeof *fresh));
    for (size_t i = 0; i < old_room; i++) if (old[i]) table[slot_of(old[i]->key)] = old[i];
    free(old);
}

static void put(const char *key, uint64_t size) {
    if (known * 2 >= table_room) grow();
    size_t slot = slot_of(key);
    Blob *blob = table[slot];
    if (!blob) {
        blob = table[slot] = need(calloc(1, sizeof *blob));
        blob->key = need(strdup(key));
        fresh[fresh_count++] = blob, known++;
    }
    blob->size = size, blob->live = true, blob->modified = time(NULL);
}

static int by_key(const void *one, const void *other) { return strcmp((*(Blob **)one)->key, (*(Blob **)other)->key); }

static void sort_blobs(void) {
    if (!fresh_count) return;
    qsort(fresh, fresh_count, sizeof *fresh, by_key);
    size_t i = sorted_count, j = fresh_count, to = i + j;
    sorted_count = to;
    while (j) sorted[--to] = i && by_key(&sorted[i - 1], &fresh[j - 1]) > 0 ? sorted[--i] : fresh[--j];
    fresh_count = 0;
}

/* The first blob whose key is `key` or after it. */
static size_t first_from(const char *key) {
    size_t low = 0, high = sorted_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(sorted[middle]->key, key) < 0) low = middle + 1; else high = middle;
    }
    return low;
}

/* ---- a connection ---- */

/* The framing of `Transfer-Encoding: chunked` and of `Content-Encoding: aws-chunked`, which is the same. */
typedef struct { enum { SIZE, EXTENSION, DATA, DATA_END, LINE_BEGIN, LINE } at; uint64_t left; bool done; } Frames;

typedef struct Connection {
    int socket;
    SSL *tls;
    enum { READ_HEAD, READ_BODY, WAIT, ANSWER } state;
    uint32_t events;
    size_t in_length;
    Text out;
    size_t out_sent;
    uint64_t content_place, content_left;
    bool framed, aws_framed, close_after;
    Frames frames, aws_frames;
    uint64_t body_left, size, declared, hash;
    Text text;  /* the body of a request that is read */
    bool wants_text;
    char method[8], key[4096], query[8192];
    uint64_t range_first, range_last;
    bool has_range;
    struct timespec due;
    struct Connection *next, *previous;
    char in[HEAD_BYTES + 1];
} Connection;

static int poller;
static long delay_us;
static Connection waiting;  /* a ring, in the order of `due`, since all wait equally long */
static SSL_CTX *tls_context;
static char scratch[SLICE_BYTES];

static void listen_for(Connection *c, uint32_t events) {
    if (c->events == events) return;
    c->events = events;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->socket, &event);
}

static void forget(Connection *c) {
    if (c->state == WAIT) c->previous->next = c->next, c->next->previous = c->previous;
    if (c->tls) SSL_free(c->tls);
    close(c->socket);
    free(c->out.at);
    free(c->text.at);
    free(c);
}

/* As recv and send do: -1 with EAGAIN when it would block, 0 at the end. */
static ssize_t receive(Connection *c, void *to, size_t n) {
    if (!c->tls) return recv(c->socket, to, n, 0);
    int got = SSL_read(c->tls, to, (int)n);
    if (got > 0) return got;
    int error = SSL_get_error(c->tls, got);
    ERR_clear_error();
    errno = EAGAIN;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t transmit(Connection *c, const void *from, size_t n, bool more) {
    if (!c->tls) return send(c->socket, from, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    int sent = SSL_write(c->tls, from, (int)n);
    if (sent > 0) return sent;
    int error = SSL_get_error(c->tls, sent);
    ERR_clear_error();
    errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
    return -1;
}

/* ---- answers ---- */

static void answer(Connection *c, const char *status, const char *headers, const char *body, size_t n) {
    addf(&c->out, "HTTP/1.1 %s\r\nServer: fastserver\r\nx-amz-request-id: 0123456789ABCDEF\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n%s",
         status, headers);
    if (n) adds(&c->out, "Content-Type: application/xml\r\n");
    addf(&c->out, "Content-Length: %zu\r\n\r\n", n);
    if (strcmp(c->method, "HEAD")) add(&c->out, body, n);
}

static void answer_xml(Connection *c, Text *xml) { answer(c, "200 OK", "", xml->at, xml->length); xml->length = 0; }

static void refuse(Connection *c, const char *status, const char *code) {
    char body[200];
    int n = snprintf(body, sizeof body, XML "<Error><Code>%s</Code><Message>%s</Message></Error>", code, status);
    answer(c, status, "", body, n);
}

static int unhex(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

static size_t decode(char *to, size_t room, const char *from, size_t n, bool plus) {
    size_t length = 0;
    for (size_t i = 0; i < n && length + 1 < room; i++) {
        if (from[i] == '%' && i + 2 < n) to[length++] = unhex(from[i + 1]) << 4 | unhex(from[i + 2]), i += 2;
        else to[length++] = plus && from[i] == '+' ? ' ' : from[i];
    }
    to[length] = 0;
    return length;
}

/* Whether the query has `name`; its value, decoded, in `value`. */
static bool asked(const Connection *c, const char *name, char *value, size_t room) {
    size_t n = strlen(name);
    value[0] = 0;
    for (const char *at = c->query; *at;) {
        size_t length = strcspn(at, "&");
        if (length >= n && !strncmp(at, name, n) && (length == n || at[n] == '=')) {
            if (length > n) decode(value, room, at + n + 1, length - n - 1, true);
            return true;
        }
        at += length + (at[length] == '&');
    }
    return false;
}

static const char *iso_time(time_t when) {
    static time_t last;
    static char text[40];
    if (when != last) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", gmtime(&when)), last = when;
    return text;
}

static void etag_of(char *to, const Blob *blob) {
    uint64_t hash = fnv(blob->size + FNV_BEGIN, blob->key, strlen(blob->key));
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) to[i] = hex[hash >> (i & 15) * 4 & 15];
    memcpy(to + 32, "-1", 3);
}

static void list(Connection *c, const char *bucket) {
    static Text xml, rows;
    char prefix[4096], delimiter[16], token[4096], number[16], encoding[16], version[8], full[8400], last[4096] = "", group[8400] = "";
    asked(c, "prefix", prefix, sizeof prefix);
    asked(c, "delimiter", delimiter, sizeof delimiter);
    asked(c, "list-type", version, sizeof version);
    bool after = asked(c, "continuation-token", token, sizeof token) || asked(c, "marker", token, sizeof token) ||
                 asked(c, "start-after", token, sizeof token);
    bool encoded = asked(c, "encoding-type", encoding, sizeof encoding);
    int wanted = asked(c, "max-keys", number, sizeof number) ? atoi(number) : PAGE_KEYS;
    if (wanted < 0 || wanted > PAGE_KEYS) wanted = PAGE_KEYS;
    size_t bucket_length = strlen(bucket) + 1, prefix_length = snprintf(full, sizeof full, "%s/%s", bucket, prefix), group_length = 0;
    char start[8400];
    snprintf(start, sizeof start, "%s/%s", bucket, after && strcmp(token, prefix) > 0 ? token : prefix);
    sort_blobs();
    size_t i = first_from(start), start_length = strlen(start);
    if (after && *token && delimiter[0] && start[start_length - 1] == delimiter[0]) memcpy(group, start, group_length = start_length);
    int found = 0;
    bool more = false;
    rows.length = xml.length = 0;
    for (; i < sorted_count && !strncmp(sorted[i]->key, full, prefix_length); i++) {
        const Blob *blob = sorted[i];
        if (!blob->live || (after && !strcmp(blob->key, start))) continue;
        if (group_length && !strncmp(blob->key, group, group_length)) continue;
        if (found == wanted) { more = true; break; }
        const char *key = blob->key + bucket_length, *cut = delimiter[0] ? strchr(blob->key + prefix_length, delimiter[0]) : NULL;
        found++;
        if (cut) {
            group_length = cut + 1 - blob->key;
            memcpy(group, blob->key, group_length);
            adds(&rows, "<CommonPrefixes><Prefix>");
            add_key(&rows, key, cut + 1 - key, encoded);
            adds(&rows, "</Prefix></CommonPrefixes>");
            snprintf(last, sizeof last, "%.*s", (int)(cut + 1 - key), key);
            continue;
        }
        char etag[40];
        etag_of(etag, blob);
        adds(&rows, "<Contents><Key>");
        add_key(&rows, key, strlen(key), encoded);
        adds(&rows, "</Key><LastModified>");
        adds(&rows, iso_time(blob->modified));
        adds(&rows, "</LastModified><ETag>&quot;");
        add(&rows, etag, 34);
        adds(&rows, "&quot;</ETag><Size>");
        add_number(&rows, blob->size);
        adds(&rows, "</Size><StorageClass>STANDARD</StorageClass></Contents>");
        if (found == wanted) snprintf(last, sizeof last, "%s", key);
    }
    addf(&xml, XML "<ListBucketResult" XMLNS "><Name>%s</Name><MaxKeys>%d</MaxKeys><Prefix>", bucket, wanted);
    add_key(&xml, prefix, strlen(prefix), encoded);
    adds(&xml, "</Prefix>");
    if (delimiter[0]) addf(&xml, "<Delimiter>%s</Delimiter>", delimiter);
    if (encoded) adds(&xml, "<EncodingType>url</EncodingType>");
    if (version[0]) addf(&xml, "<KeyCount>%d</KeyCount>", found);
    addf(&xml, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
    if (more) {
        const char *name = version[0] ? "NextContinuationToken" : "NextMarker";
        addf(&xml, "<%s>", name);
        add_key(&xml, last, strlen(last), encoded && !version[0]);
        addf(&xml, "</%s>", name);
    }
    add(&xml, rows.at, rows.length);
    adds(&xml, "</ListBucketResult>");
    answer_xml(c, &xml);
}

static void get(Connection *c) {
    const Blob *blob = find(c->key);
    if (!blob) { refuse(c, "404 Not Found", "NoSuchKey"); return; }
    uint64_t first = 0, end = blob->size;
    if (c->has_range) {
        if (c->range_first == UINT64_MAX) first = end > c->range_last ? end - c->range_last : 0;  /* the last so many */
        else {
            first = c->range_first;
            if (c->range_last < end) end = c->range_last + 1;
        }
        if (first >= blob->size) { refuse(c, "416 Range Not Satisfiable", "InvalidRange"); return; }
    }
    char etag[40], date[64];
    etag_of(etag, blob);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&blob->modified));
    addf(&c->out,
         "HTTP/1.1 %s\r\nServer: fastserver\r\nx-amz-request-id: 0123456789ABCDEF\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
         "Content-Type: application/octet-stream\r\nLast-Modified: %s\r\nETag: \"%s\"\r\nContent-Length: %lu\r\n",
         c->has_range ? "206 Partial Content" : "200 OK", date, etag, end - first);
    if (c->has_range) addf(&c->out, "Content-Range: bytes %lu-%lu/%lu\r\n", first, end - 1, blob->size);
    adds(&c->out, "\r\n");
    if (c->method[0] == 'H') return;
    uint64_t place = (place_of(blob->key) + first) % pattern_bytes;
    if (end - first <= 65536) add(&c->out, pattern + place, end - first);
    else c->content_place = place, c->content_left = end - first;
}

/* ---- uploads in parts ---- */

static Upload *upload_of(const Connection *c) {
    char id[40];
    asked(c, "uploadId", id, sizeof id);
    for (Upload *upload = uploads; upload; upload = upload->next)
        if (upload->id == strtoull(id, NULL, 10) && !strcmp(upload->key, c->key)) return upload;
    return NULL;
}

static void drop_upload(Upload *upload) {
    for (Upload **at = &uploads; *at; at = &(*at)->next)
        if (*at == upload) { *at = upload->next; break; }
    free(upload->key);
    free(upload->parts);
    free(upload);
}

static void begin_upload(Connection *c, const char *bucket, const char *key) {
    static Text xml;
    Upload *upload = need(calloc(1, sizeof *upload));
    upload->id = ++last_upload, upload->key = need(strdup(c->key)), upload->next = uploads, uploads = upload;
    addf(&xml, XML "<InitiateMultipartUploadResult" XMLNS "><Bucket>%s</Bucket><Key>%s</Key><UploadId>%lu</UploadId></InitiateMultipartUploadResult>",
         bucket, key, upload->id);
    answer_xml(c, &xml);
}

static void put_part(Connection *c, uint32_t number) {
    Upload *upload = upload_of(c);
    if (!upload) { refuse(c, "404 Not Found", "NoSuchUpload"); return; }
    size_t i = 0;
    while (i < upload->count && upload->parts[i].number < number) i++;
    if (i == upload->count || upload->parts[i].number != number) {
        upload->parts = need(realloc(upload->parts, (upload->count + 1) * sizeof(Part)));
        memmove(upload->parts + i + 1, upload->parts + i, (upload->count++ - i) * sizeof(Part));
    }
    upload->parts[i] = (Part){number, c->size, c->hash};
    char etag[64];
    snprintf(etag, sizeof etag, "ETag: \"%032x\"\r\n", number);
    answer(c, "200 OK", etag, "", 0);
}

static void complete_upload(Connection *c, const char *bucket, const char *key) {
    static Text xml;
    Upload *upload = upload_of(c);
    if (!upload) { refuse(c, "404 Not Found", "NoSuchUpload"); return; }
    uint64_t size = 0;
    for (size_t i = 0; i < upload->count; size += upload->parts[i++].size)
        if (checking && upload->parts[i].hash != content_hash(c->key, size, upload->parts[i].size)) { wrong++; break; }
    put(c->key, size);
    drop_upload(upload);
    char etag[40];
    etag_of(etag, find(c->key));
    addf(&xml, XML "<CompleteMultipartUploadResult" XMLNS "><Location>/%s</Location><Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
         c->key, bucket, key, etag);
    answer_xml(c, &xml);
}

/* ---- the other requests ---- */

static void delete_many(Connection *c, const char *bucket) {
    static Text xml;
    char key[8400];
    bool quiet = strcasestr(c->text.at, "<Quiet>true");
    adds(&xml, XML "<DeleteResult" XMLNS ">");
    for (char *at = c->text.at; (at = strstr(at, "<Key>"));) {
        char *end = strstr(at += 5, "</Key>");
        if (!end) break;
        snprintf(key, sizeof key, "%s/%.*s", bucket, (int)(end - at), at);
        Blob *blob = find(key);
        if (blob) blob->live = false;
        if (!quiet) addf(&xml, "<Deleted><Key>%.*s</Key></Deleted>", (int)(end - at), at);
        at = end;
    }
    adds(&xml, "</DeleteResult>");
    answer_xml(c, &xml);
}

static void bench(Connection *c, const char *what) {
    char prefix[4096], on[8], body[300];
    asked(c, "prefix", prefix, sizeof prefix);
    uint64_t count = 0, bytes = 0;
    sort_blobs();
    if (!strcmp(what, "blobs")) {
        char *at = c->text.at;
        for (char *line; at && *at && (line = strsep(&at, "\n"));) {
            char *key;
            uint64_t size = strtoull(line, &key, 10);
            if (*key == ' ') put(key + 1, size);
        }
    } else if (!strcmp(what, "check")) {
        checking = asked(c, "on", on, sizeof on) && on[0] == '1';
    } else {
        for (size_t i = first_from(prefix); i < sorted_count && !strncmp(sorted[i]->key, prefix, strlen(prefix)); i++) {
            count += sorted[i]->live, bytes += sorted[i]->live ? sorted[i]->size : 0;
            if (!strcmp(what, "drop")) sorted[i]->live = false;
        }
    }
    int n = snprintf(body, sizeof body, "{\"blobs\": %lu, \"bytes\": %lu, \"wrong\": %lu, \"stored\": %lu, \"requests\": %lu}", count, bytes, wrong, stored, requests);
    answer(c, "200 OK", "", body, n);
}

static void respond(Connection *c) {
    static Text xml;
    char value[4096], bucket[256];
    requests++;
    char *slash = strchr(c->key, '/');
    snprintf(bucket, sizeof bucket, "%.*s", (int)(slash ? slash - c->key : (long)strlen(c->key)), c->key);
    const char *key = slash ? slash + 1 : "", *method = c->method;
    if (!strcmp(bucket, "_bench")) { bench(c, key); return; }
    if (!strcmp(method, "GET") || !strcmp(method, "HEAD")) {
        if (*key && asked(c, "uploadId", value, sizeof value)) refuse(c, "404 Not Found", "NoSuchUpload");
        else if (*key) get(c);
        else if (!*bucket) {
            adds(&xml, XML "<ListAllMyBucketsResult" XMLNS "><Owner><ID>o</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>");
            answer_xml(c, &xml);
        } else if (*method == 'H') answer(c, "200 OK", "x-amz-bucket-region: us-east-1\r\n", "", 0);
        else if (asked(c, "location", value, sizeof value)) {
            adds(&xml, XML "<LocationConstraint" XMLNS ">us-east-1</LocationConstraint>");
            answer_xml(c, &xml);
        } else if (asked(c, "uploads", value, sizeof value)) {
            addf(&xml, XML "<ListMultipartUploadsResult" XMLNS "><Bucket>%s</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>", bucket);
            answer_xml(c, &xml);
        } else if (asked(c, "versioning", value, sizeof value)) {
            adds(&xml, XML "<VersioningConfiguration" XMLNS "/>");
            answer_xml(c, &xml);
        } else list(c, bucket);
    } else if (!strcmp(method, "PUT") && *key) {
        if (c->declared != UINT64_MAX) c->size = c->declared;
        if (asked(c, "partNumber", value, sizeof value)) { put_part(c, atoi(value)); return; }
        stored++;
        wrong += checking && c->hash != content_hash(c->key, 0, c->size);
        put(c->key, c->size);
        char etag[40], header[60];
        etag_of(etag, find(c->key));
        snprintf(header, sizeof header, "ETag: \"%s\"\r\n", etag);
        answer(c, "200 OK", header, "", 0);
    } else if (!strcmp(method, "DELETE") && *key) {
        Upload *upload = asked(c, "uploadId", value, sizeof value) ? upload_of(c) : NULL;
        Blob *blob = value[0] ? NULL : find(c->key);
        if (upload) drop_upload(upload);
        if (blob) blob->live = false;
        adds(&c->out, "HTTP/1.1 204 No Content\r\nServer: fastserver\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n");
    } else if (!strcmp(method, "POST") && asked(c, "delete", value, sizeof value)) delete_many(c, bucket);
    else if (!strcmp(method, "POST") && asked(c, "uploads", value, sizeof value)) begin_upload(c, bucket, key);
    else if (!strcmp(method, "POST") && asked(c, "uploadId", value, sizeof value)) complete_upload(c, bucket, key);
    else if (!strcmp(method, "PUT")) answer(c, "200 OK", "", "", 0);
    else refuse(c, "501 Not Implemented", "NotImplemented");
}

/* ---- requests ---- */

static const char *header(const char *head, const char *name) {
    char line[80];
    snprintf(line, sizeof line, "\n%s:", name);
    const char *at = strcasestr(head, line);
    return at ? at + strlen(line) + strspn(at + strlen(line), " ") : NULL;
}

static bool says(const char *head, const char *name, const char *value) {
    const char *at = header(head, name);
    size_t n = at ? strcspn(at, "\r") : 0;
    for (size_t i = 0; i + strlen(value) <= n; i++) if (!strncasecmp(at + i, value, strlen(value))) return true;
    return false;
}

static void payload(Connection *c, const char *data, size_t n) {
    c->size += n;
    if (c->wants_text) add(&c->text, data, n);
    else if (checking) c->hash = fnv(c->hash, data, n);
}

static size_t unframe(Connection *c, Frames *frames, const char *data, size_t n) {
    size_t i = 0;
    while (i < n && !frames->done) {
        if (frames->at == DATA) {
            size_t part = n - i < frames->left ? n - i : frames->left;
            if (frames == &c->frames && c->aws_framed) unframe(c, &c->aws_frames, data + i, part);
            else payload(c, data + i, part);
            i += part;
            if (!(frames->left -= part)) frames->at = DATA_END;
            continue;
        }
        char byte = data[i++];
        bool line_ends = byte == '\n';
        switch (frames->at) {
            case SIZE: case EXTENSION:
                if (line_ends) frames->at = frames->left ? DATA : LINE_BEGIN;
                else if (byte == ';') frames->at = EXTENSION;
                else if (frames->at == SIZE && byte != '\r') frames->left = frames->left * 16 + unhex(byte);
                break;
            case DATA_END: if (line_ends) frames->at = SIZE; break;
            case LINE_BEGIN: if (line_ends) frames->done = true; else if (byte != '\r') frames->at = LINE; break;
            default: if (line_ends) frames->at = LINE_BEGIN;
        }
    }
    return i;
}

/* Take in what arrived of the body; returns how much of it belongs to it. */
static size_t take(Connection *c, const char *data, size_t n) {
    if (c->framed) return unframe(c, &c->frames, data, n);
    if (n > c->body_left) n = c->body_left;
    c->body_left -= n;
    if (c->aws_framed) unframe(c, &c->aws_frames, data, n); else payload(c, data, n);
    return n;
}

static bool has_body_left(const Connection *c) { return c->framed ? !c->frames.done : c->body_left > 0; }

static void parse(Connection *c, char *head) {
    char *target = strchr(head, ' ');
    snprintf(c->method, sizeof c->method, "%.*s", (int)(target - head), head);
    target += 2;  /* the first slash too */
    char *end = strpbrk(target, " \r"), *query = memchr(target, '?', end - target);
    decode(c->key, sizeof c->key, target, (query ? query : end) - target, false);
    snprintf(c->query, sizeof c->query, "%.*s", query ? (int)(end - query - 1) : 0, query ? query + 1 : "");
    const char *length = header(head, "content-length"), *declared = header(head, "x-amz-decoded-content-length"), *range = header(head, "range");
    c->framed = !length && says(head, "transfer-encoding", "chunked");
    c->aws_framed = says(head, "content-encoding", "aws-chunked") || says(head, "x-amz-content-sha256", "STREAMING-");
    c->body_left = length ? strtoull(length, NULL, 10) : 0;
    c->declared = declared ? strtoull(declared, NULL, 10) : UINT64_MAX;
    c->frames = c->aws_frames = (Frames){0};
    c->size = 0, c->hash = FNV_BEGIN, c->text.length = 0;
    c->wants_text = !strcmp(c->method, "POST") || !strncmp(c->key, "_bench/", 7);
    add(&c->text, "", 0);
    c->close_after = says(head, "connection", "close");
    c->has_range = range && !strncasecmp(range, "bytes=", 6);
    if (c->has_range) {
        char *dash = strchr(range, '-');
        c->range_first = range[6] == '-' ? UINT64_MAX : strtoull(range + 6, NULL, 10);
        c->range_last = dash[1] >= '0' && dash[1] <= '9' ? strtoull(dash + 1, NULL, 10) : UINT64_MAX - 1;
    }
}

/* -1: the connection has ended. 0: nothing more for now. 1: go on. */
static int read_head(Connection *c) {
    c->in[c->in_length] = 0;
    char *end = c->in_length ? memmem(c->in, c->in_length, "\r\n\r\n", 4) : NULL;
    if (!end) {
        if (c->in_length == HEAD_BYTES) return -1;
        ssize_t n = receive(c, c->in + c->in_length, HEAD_BYTES - c->in_length);
        if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
        c->in_length += n;
        return 1;
    }
    end[2] = 0;
    size_t length = end + 4 - c->in;
    if (!strstr(c->in, " /")) return -1;
    parse(c, c->in);
    bool expects = says(c->in, "expect", "100-continue");
    c->in_length -= length;
    memmove(c->in, c->in + length, c->in_length);
    c->state = READ_BODY;
    if (expects && !c->in_length && has_body_left(c) && transmit(c, "HTTP/1.1 100 Continue\r\n\r\n", 25, false) != 25) return -1;
    return 1;
}

static int read_body(Connection *c) {
    if (has_body_left(c) && c->in_length) {
        size_t taken = take(c, c->in, c->in_length);
        c->in_length -= taken;
        memmove(c->in, c->in + taken, c->in_length);
    }
    while (has_body_left(c)) {
        /* What nobody looks at is not even copied. */
        bool unseen = !c->framed && !c->tls && !checking && !c->wants_text && (!c->aws_framed || c->declared != UINT64_MAX);
        size_t room = c->framed ? HEAD_BYTES : sizeof scratch;
        if (!c->framed && c->body_left < room) room = c->body_left;
        ssize_t n = unseen ? recv(c->socket, NULL, c->body_left > (64 << 20) ? 64 << 20 : c->body_left, MSG_TRUNC) : receive(c, scratch, room);
        if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
        if (unseen) { c->body_left -= n, c->size += n; continue; }
        size_t taken = take(c, scratch, n);
        memcpy(c->in, scratch + taken, n - taken);  /* of the next request; only a framed body can have some */
        c->in_length = n - taken;
    }
    respond(c);
    c->state = ANSWER;
    if (delay_us) {
        clock_gettime(CLOCK_MONOTONIC, &c->due);
        c->due.tv_nsec += delay_us * 1000;
        c->due.tv_sec += c->due.tv_nsec / 1000000000, c->due.tv_nsec %= 1000000000;
        c->state = WAIT, c->next = &waiting, c->previous = waiting.previous;
        waiting.previous->next = c, waiting.previous = c;
        listen_for(c, 0);
        return 0;
    }
    return 1;
}

static int write_answer(Connection *c) {
    while (c->out_sent < c->out.length) {
        ssize_t n = transmit(c, c->out.at + c->out_sent, c->out.length - c->out_sent, c->content_left > 0);
        if (n < 0) return errno == EAGAIN ? (listen_for(c, EPOLLOUT), 0) : -1;
        c->out_sent += n;
    }
    while (c->content_left) {
        uint64_t n = c->content_left < SLICE_BYTES ? c->content_left : SLICE_BYTES;
        off_t place = c->content_place;
        if (!c->tls && place + n > pattern_bytes) n = pattern_bytes - place;
        ssize_t sent = c->tls ? transmit(c, pattern + place, n, false) : sendfile(c->socket, pattern_file, &place, n);
        if (sent <= 0) return sent < 0 && errno == EAGAIN ? (listen_for(c, EPOLLOUT), 0) : -1;
        c->content_left -= sent;
        c->content_place = (c->content_place + sent) % pattern_bytes;
    }
    c->out.length = c->out_sent = 0;
    if (c->close_after) return -1;
    c->state = READ_HEAD;
    listen_for(c, EPOLLIN);
    return 1;
}

static void serve(Connection *c) {
    int go_on = 1;
    while (go_on > 0) go_on = c->state == READ_HEAD ? read_head(c) : c->state == READ_BODY ? read_body(c) : c->state == ANSWER ? write_answer(c) : 0;
    if (go_on < 0) forget(c);
}

/* ---- the loop ---- */

static void accept_all(int listener) {
    int one = 1, socket;
    while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = need(malloc(sizeof *c));
        memset(c, 0, offsetof(Connection, in));
        c->socket = socket, c->events = EPOLLIN;
        if (tls_context) {
            c->tls = need(SSL_new(tls_context));
            SSL_set_fd(c->tls, socket);
            SSL_set_accept_state(c->tls);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event);
    }
}

/* Answer those that have waited long enough; returns how long the next one has to, or NULL for ever. */
static struct timespec *wake(void) {
    static struct timespec left;
    struct timespec now;
    while (waiting.next != &waiting) {
        Connection *c = waiting.next;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t ns = (c->due.tv_sec - now.tv_sec) * 1000000000LL + c->due.tv_nsec - now.tv_nsec;
        if (ns > 0) { left = (struct timespec){ns / 1000000000, ns % 1000000000}; return &left; }
        c->previous->next = c->next, c->next->previous = c->previous;
        c->state = ANSWER;
        serve(c);
    }
    return NULL;
}

static void set_up_tls(const char *certificate, const char *key) {
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(tls_context, (const unsigned char *)"bench", 5);
    SSL_CTX_set_options(tls_context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 || SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

int main(int count, char **arguments) {
    const char *certificate = NULL, *key = NULL;
    if (count < 3) { fprintf(stderr, "fastserver PORT PATTERN [--delay-us N] [--cert FILE --key FILE]\n"); return 2; }
    for (int i = 3; i + 1 < count; i += 2) {
        if (!strcmp(arguments[i], "--delay-us")) delay_us = atol(arguments[i + 1]);
        if (!strcmp(arguments[i], "--cert")) certificate = arguments[i + 1];
        if (!strcmp(arguments[i], "--key")) key = arguments[i + 1];
    }
    signal(SIGPIPE, SIG_IGN);
    load_pattern(arguments[2]);
    grow();
    waiting.next = waiting.previous = &waiting;
    if (certificate) set_up_tls(certificate, key);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (void *)&address, length) || listen(listener, 4096) || getsockname(listener, (void *)&address, &length)) die("listen");
    printf("%d\n", ntohs(address.sin_port));  /* port 0 is any */
    fflush(stdout);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[256], event = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_pwait2(poller, events, 256, wake(), NULL);
        for (int i = 0; i < n; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) accept_all(listener);
            else if (c->state == WAIT) forget(c);  /* only an end is told of while it waits */
            else serve(c);
        }
    }
}
