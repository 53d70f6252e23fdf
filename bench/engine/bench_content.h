/* The packets that content.py wrote. */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTENT_MOST_BYTES = 1275 };

typedef struct bench_packet {
    const uint8_t *bytes;
    uint32_t n;
} bench_packet;

typedef struct bench_content {
    uint32_t ticks, payload_type; /* RTP ticks in a packet */
    size_t count;
    bench_packet *packets;
} bench_content;

/* 0 if the file cannot be read or is no such one; what is read stays until the program ends. */
static int bench_content_read(bench_content *content, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return 0;
    size_t bytes = (size_t)ftell(file), at = 8;
    rewind(file);
    uint8_t *data = malloc(bytes + 1);
    if (!data || fread(data, 1, bytes, file) != bytes || bytes < at) return 0;
    fclose(file);
    memcpy(&content->ticks, data, 4);
    memcpy(&content->payload_type, data + 4, 4);
    content->packets = calloc(bytes / 4, sizeof *content->packets);
    if (!content->packets) return 0;
    while (at + 4 <= bytes) {
        bench_packet *packet = &content->packets[content->count];
        memcpy(&packet->n, data + at, 4);
        packet->bytes = data + at + 4;
        if (packet->n > CONTENT_MOST_BYTES || packet->n > bytes - at - 4) return 0;
        at += 4 + packet->n;
        content->count++;
    }
    return content->count > 0;
}

/* The next one from `position` on, which goes round. */
static const bench_packet *bench_content_next(const bench_content *content, size_t *position)
{
    const bench_packet *packet = &content->packets[*position];
    *position = (*position + 1) % content->count;
    return packet;
}

#endif
