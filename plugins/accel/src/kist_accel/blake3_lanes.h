/* BLAKE3's compression of as many blocks at once as a vector has lanes. Included by blake3_many.h once for each width, with

     LANES   how many
     TARGET  the attribute that lets the compiler use the vectors of a processor
     NAMED   makes a name of this width
     EVENS, ODDS  the positions of the lower and the upper halves of two vectors, in turns

   A block of any buffer goes into any lane: that is what makes many small buffers fast. */

typedef uint32_t NAMED(Vector) __attribute__((vector_size(LANES * 4)));
#define Vector NAMED(Vector)

#define ALL(value) ((Vector){0} + (uint32_t)(value))
#define ROTATED(x, by) (((x) >> (by)) | ((x) << (32 - (by))))
#define MIX(a, b, c, d, x, y)                                                                                          \
    a += b + (x), d = ROTATED(d ^ a, 16), c += d, b = ROTATED(b ^ c, 12);                                              \
    a += b + (y), d = ROTATED(d ^ a, 8), c += d, b = ROTATED(b ^ c, 7)
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                    \
    MIX(v0, v4, v8, v12, m[s0], m[s1]);                                                                                \
    MIX(v1, v5, v9, v13, m[s2], m[s3]);                                                                                \
    MIX(v2, v6, v10, v14, m[s4], m[s5]);                                                                               \
    MIX(v3, v7, v11, v15, m[s6], m[s7]);                                                                               \
    MIX(v0, v5, v10, v15, m[s8], m[s9]);                                                                               \
    MIX(v1, v6, v11, v12, m[s10], m[s11]);                                                                             \
    MIX(v2, v7, v8, v13, m[s12], m[s13]);                                                                              \
    MIX(v3, v4, v9, v14, m[s14], m[s15])

/* Turn LANES vectors of LANES words by their diagonal: each stage puts those that are half apart into each other. */
TARGET static inline void
NAMED(turn)(Vector *rows)
{
    for (int stage = 1; stage < LANES; stage *= 2) {
        Vector next[LANES];
        for (int at = 0; at < LANES / 2; at++) {
            next[2 * at] = SHUFFLED(Vector, rows[at], rows[at + LANES / 2], EVENS);
            next[2 * at + 1] = SHUFFLED(Vector, rows[at], rows[at + LANES / 2], ODDS);
        }
        memcpy(rows, next, sizeof next);
    }
}

/* Mix a block of each lane into the chaining values. */
TARGET static inline void
NAMED(mix)(Vector *chain, const uint8_t *const *from, const Vector *counters, Vector lengths, Vector flags)
{
    Vector m[16];
    for (int part = 0; part < 16; part += LANES) {
        for (int lane = 0; lane < LANES; lane++)
            memcpy(&m[part + lane], from[lane] + part * 4, sizeof(Vector));
        NAMED(turn)(m + part);
    }
    Vector v0 = chain[0], v1 = chain[1], v2 = chain[2], v3 = chain[3];
    Vector v4 = chain[4], v5 = chain[5], v6 = chain[6], v7 = chain[7];
    Vector v8 = ALL(START[0]), v9 = ALL(START[1]), v10 = ALL(START[2]), v11 = ALL(START[3]);
    Vector v12 = counters[0], v13 = counters[1], v14 = lengths, v15 = flags;
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
    chain[0] = v0 ^ v8, chain[1] = v1 ^ v9, chain[2] = v2 ^ v10, chain[3] = v3 ^ v11;
    chain[4] = v4 ^ v12, chain[5] = v5 ^ v13, chain[6] = v6 ^ v14, chain[7] = v7 ^ v15;
}

TARGET static void
NAMED(compress)(const Piece *pieces, int count)
{
    static const uint8_t zeros[BLOCK];
    uint8_t ends[LANES][BLOCK]; /* last blocks, which zeros fill up */
    const uint8_t *from[LANES];
    uint32_t firsts[LANES], low[LANES], high[LANES];
    Vector chain[8], counters[2], flags;
    uint32_t least = UINT32_MAX, most = 0;
    for (int at = 0; at < 8; at++)
        chain[at] = ALL(START[at]);
    for (int lane = 0; lane < LANES; lane++) {
        const Piece *piece = &pieces[lane < count ? lane : 0];
        least = piece->blocks < least ? piece->blocks : least;
        most = piece->blocks > most ? piece->blocks : most;
        from[lane] = piece->data;
        firsts[lane] = piece->first;
        low[lane] = (uint32_t)piece->counter;
        high[lane] = (uint32_t)(piece->counter >> 32);
    }
    memcpy(&flags, firsts, sizeof(Vector));
    memcpy(&counters[0], low, sizeof(Vector));
    memcpy(&counters[1], high, sizeof(Vector));
    uint32_t block = 0;
    for (; block + 1 < least; block++) { /* whole blocks in all lanes, with more to come */
        NAMED(mix)(chain, from, counters, ALL(BLOCK), flags);
        flags = ALL(0);
        for (int lane = 0; lane < LANES; lane++)
            from[lane] += BLOCK;
    }
    for (; block < most; block++) {
        uint32_t sizes[LANES], marks[LANES], on[LANES];
        Vector lengths, active, before[8];
        for (int lane = 0; lane < LANES; lane++) {
            const Piece *piece = &pieces[lane < count ? lane : 0];
            uint32_t left = block < piece->blocks ? piece->length - block * BLOCK : 0;
            from[lane] = left ? piece->data + (size_t)block * BLOCK : zeros;
            if (left && left < BLOCK) {
                memset(ends[lane], 0, BLOCK);
                memcpy(ends[lane], from[lane], left);
                from[lane] = ends[lane];
            }
            sizes[lane] = left < BLOCK ? left : BLOCK;
            marks[lane] = (block == 0 ? piece->first : 0) | (block + 1 == piece->blocks ? piece->last : 0);
            on[lane] = block < piece->blocks ? UINT32_MAX : 0;
        }
        memcpy(&lengths, sizes, sizeof(Vector));
        memcpy(&flags, marks, sizeof(Vector));
        memcpy(&active, on, sizeof(Vector));
        memcpy(before, chain, sizeof before);
        NAMED(mix)(chain, from, counters, lengths, flags);
        for (int at = 0; at < 8; at++)
            chain[at] = (chain[at] & active) | (before[at] & ~active);
    }
    uint32_t words[8][LANES];
    memcpy(words, chain, sizeof words);
    for (int lane = 0; lane < count; lane++)
        for (int at = 0; at < 8; at++)
            memcpy(pieces[lane].out + at * 4, &words[at][lane], 4);
}

#undef Vector
#undef ALL
#undef ROTATED
#undef MIX
#undef ROUND
#undef LANES
#undef TARGET
#undef NAMED
#undef EVENS
#undef ODDS
