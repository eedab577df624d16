/* BLAKE3 of many buffers at once, after its specification: https://github.com/BLAKE3-team/BLAKE3-specs

   A library that hashes one buffer after the other has use for all lanes of a vector only where a buffer is long. Here
   pieces of different buffers share a vector: chunks of up to 1024 bytes first, then level by level the pairs of what
   they gave. No keys, no key derivation, digests of 32 bytes. Buffers must be in the order of bytes of the machine:
   where that is not little-endian, the digests are wrong, which kernel.py notices. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64
#define CHUNK 1024
#define DIGEST 32
#define WIDEST 16
#define GROUP_CHUNKS 4096 /* so many are hashed before the pairs of what they gave */

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t START[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                  0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* What goes through one lane: a chunk of a buffer, or a pair of chaining values. */
typedef struct {
    const uint8_t *data;
    uint8_t *out; /* where its chaining value goes */
    uint64_t counter;
    uint32_t length, blocks;
    uint32_t first, last; /* flags of the first and of the last block */
} Piece;

typedef void Compress(const Piece *pieces, int count);

#if defined(__clang__)
#define SHUFFLED(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(type, a, b, ...) __builtin_shuffle(a, b, (type){__VA_ARGS__})
#endif

#define LANES 4
#define TARGET
#define NAMED(name) name##_4
#define EVENS 0, 4, 1, 5
#define ODDS 2, 6, 3, 7
#include "blake3_lanes.h"

#if defined(__x86_64__)
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define NAMED(name) name##_8
#define EVENS 0, 8, 1, 9, 2, 10, 3, 11
#define ODDS 4, 12, 5, 13, 6, 14, 7, 15
#include "blake3_lanes.h"

#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512vl")))
#define NAMED(name) name##_16
#define EVENS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ODDS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#include "blake3_lanes.h"
#endif

/* Pieces that wait until as many of the same number of blocks are there as there are lanes. */
typedef struct {
    Compress *compress;
    int lanes;
    int counts[CHUNK / BLOCK + 1];
    Piece waiting[CHUNK / BLOCK + 1][WIDEST];
} Queue;

static void
choose_lanes(Queue *queue, int most)
{
    queue->compress = compress_4;
    queue->lanes = 4;
#if defined(__x86_64__)
    if (most >= 8 && __builtin_cpu_supports("avx2")) {
        queue->compress = compress_8;
        queue->lanes = 8;
    }
    if (most >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
        queue->compress = compress_16;
        queue->lanes = 16;
    }
#else
    (void)most;
#endif
}

static void
enqueue(Queue *queue, Piece piece)
{
    uint32_t blocks = piece.blocks;
    queue->waiting[blocks][queue->counts[blocks]++] = piece;
    if (queue->counts[blocks] == queue->lanes) {
        queue->compress(queue->waiting[blocks], queue->lanes);
        queue->counts[blocks] = 0;
    }
}

/* Compress what still waits, the longest first, so that those that share a vector differ little. */
static void
flush(Queue *queue)
{
    Piece together[WIDEST];
    int count = 0;
    for (int blocks = CHUNK / BLOCK; blocks > 0; blocks--) {
        for (int at = 0; at < queue->counts[blocks]; at++) {
            together[count++] = queue->waiting[blocks][at];
            if (count == queue->lanes) {
                queue->compress(together, count);
                count = 0;
            }
        }
        queue->counts[blocks] = 0;
    }
    if (count)
        queue->compress(together, count);
}

typedef struct {
    const uint8_t *data;
    size_t length;
    uint8_t *values; /* chaining values of a level, at last the digest */
    size_t count;    /* how many these are */
} Buffer;

static size_t
chunks_of(size_t length)
{
    return length ? (length - 1) / CHUNK + 1 : 1;
}

static void
hash_chunks(Queue *queue, const Buffer *buffer)
{
    for (size_t at = 0; at < buffer->count; at++) {
        size_t left = buffer->length - at * CHUNK;
        uint32_t length = (uint32_t)(left < CHUNK ? left : CHUNK);
        Piece piece = {
            .data = buffer->data + at * CHUNK,
            .out = buffer->values + at * DIGEST,
            .counter = at,
            .length = length,
            .blocks = length ? (length - 1) / BLOCK + 1 : 1,
            .first = CHUNK_START,
            .last = CHUNK_END | (buffer->count == 1 ? ROOT : 0),
        };
        enqueue(queue, piece);
    }
}

/* Put each pair of chaining values together; an odd one goes up as it is. Returns whether there are pairs left.

   A value is written where one was read before or just now: pieces of one block leave the queue in their order. */
static int
join_pairs(Queue *queue, Buffer *buffers, size_t count)
{
    int more = 0;
    for (size_t at = 0; at < count; at++) {
        const Buffer *buffer = &buffers[at];
        for (size_t pair = 0; pair < buffer->count / 2; pair++) {
            Piece piece = {
                .data = buffer->values + pair * 2 * DIGEST,
                .out = buffer->values + pair * DIGEST,
                .length = BLOCK,
                .blocks = 1,
                .first = PARENT,
                .last = buffer->count == 2 ? ROOT : 0,
            };
            enqueue(queue, piece);
        }
    }
    flush(queue);
    for (size_t at = 0; at < count; at++) {
        Buffer *buffer = &buffers[at];
        size_t pairs = buffer->count / 2, odd = buffer->count % 2;
        if (pairs && odd)
            memmove(buffer->values + pairs * DIGEST, buffer->values + pairs * 2 * DIGEST, DIGEST);
        buffer->count = pairs + odd;
        more |= buffer->count > 1;
    }
    return more;
}

/* The digests of some buffers, joined. Returns 0, or -1 where there is no memory. */
static int
blake3_hash(Buffer *buffers, size_t count, uint8_t *digests, int lanes)
{
    Queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return -1;
    choose_lanes(queue, lanes);
    uint8_t *values = NULL;
    size_t room = 0;
    for (size_t first = 0, stop; first < count; first = stop) {
        size_t chunks = 0;
        for (stop = first; stop < count && (stop == first || chunks < GROUP_CHUNKS); stop++)
            chunks += buffers[stop].count = chunks_of(buffers[stop].length);
        if (chunks > room) {
            free(values);
            values = malloc((room = chunks) * DIGEST);
            if (values == NULL)
                break;
        }
        uint8_t *next = values;
        for (size_t at = first; at < stop; at++) {
            buffers[at].values = next;
            next += buffers[at].count * DIGEST;
            hash_chunks(queue, &buffers[at]);
        }
        flush(queue);
        while (join_pairs(queue, buffers + first, stop - first))
            ;
        for (size_t at = first; at < stop; at++)
            memcpy(digests + at * DIGEST, buffers[at].values, DIGEST);
    }
    free(queue);
    if (values == NULL && count)
        return -1;
    free(values);
    return 0;
}
