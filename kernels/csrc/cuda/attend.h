// Attention over a tied vocabulary by clusters of blocks: each cluster walks a part of the vocabulary, each block of it COLUMNS
// columns of the table, which it reads once. The same source runs on a GPU (hopper.h) and on a CPU (emulated.h).
//
// ROWS queries with COLUMNS sums each are 64 registers a thread. A tile of TOKENS tokens lies in shared memory from when its
// bulk copy arrives until its values were added; a warp takes the same OWN columns of it as keys and as values. What a block
// knows of a tile's logits is summed over its warps and sent to every block of the cluster, which adds these parts in one
// order: all blocks then hold the same logits and weights, bit for bit, and decide alike. One tile's logits travel while the
// next one's are computed.
//
// Fragments of matrix products are those of `multiply`: with g = lane / 4 and q = lane % 4 a lane holds rows g and g + 8 and
// tokens 2q, 2q + 1, 2q + 8, 2q + 9 of a tile's logits and, in the same registers, of its weights.
#pragma once
#include <cmath>
#include <cstdint>

namespace cluster_attention {

constexpr int WARPS = 8, THREADS = 32 * WARPS;
constexpr int ROWS = 16, TOKENS = 16, COLUMNS = 1024;
constexpr int OWN = COLUMNS / WARPS;
constexpr int ROW_BYTES = 2 * COLUMNS;
// 16 bytes more, so that eight rows of a matrix lie in different banks.
constexpr int PITCH = ROW_BYTES + 16;
constexpr int TILE_BYTES = TOKENS * PITCH;
constexpr int LOGITS = ROWS * TOKENS;
// What a block sends of tile t overwrites what it sent of tile t - SLOTS. It sends it after the logits of tile t - 2 have come
// from every block, each of which had by then read those of tile t - 4.
constexpr int SLOTS = 4;
constexpr int MOST_STAGES = 6;
constexpr int LARGEST_CLUSTER = 8;
// A block's shared memory on Hopper.
constexpr int SHARED_BYTES = 227 * 1024;
// Sums are scaled down only when a row's largest logit has risen by this over what they are relative to, in powers of two: until
// then weights are as large as 2^8, which costs no precision.
constexpr float LAZY = 8.0f;

struct Call {
    const uint16_t* hidden;    // [rows, D] bf16
    const uint16_t* table;     // [vocabulary, D] bf16
    const float* temperature;  // [rows]
    const float* bias;         // [vocabulary] or null
    float scale, softcap;      // 0 leaves the tanh out
    int rows, vocabulary;
    int parts, stages;
    // Of each part; sums are relative to its largest logit.
    float* maxima;             // [parts, rows]: NaN where a logit is
    float* totals;             // [parts, rows]: of w
    float* energies;           // [parts, rows]: of w s, in natural units
    int32_t* argmaxes;         // [parts, rows]
    float* sums;               // [parts, rows, D]: of w E
};

constexpr int shared_bytes(int stages, int cluster) {
    return stages * TILE_BYTES + (2 * WARPS + SLOTS * cluster) * LOGITS * static_cast<int>(sizeof(float)) +
           (stages + SLOTS) * static_cast<int>(sizeof(sm::Barrier));
}

constexpr int most_stages(int cluster) {
    int stages = MOST_STAGES;
    while (shared_bytes(stages, cluster) > SHARED_BYTES) --stages;
    return stages;
}

// Where things lie in a block's shared memory.
struct Shared {
    unsigned char* tiles;   // [stages, TOKENS, PITCH]
    float4* by_warp;        // [2, WARPS, LOGITS]: what each warp knows of a tile's logits
    float4* by_block;       // [SLOTS, cluster, LOGITS]: what each block knows
    sm::Barrier* loaded;    // [stages]
    sm::Barrier* arrived;   // [SLOTS]

    DEVICE Shared of(unsigned char* memory, int stages, int cluster) {
        Shared here;
        here.tiles = memory;
        here.by_warp = reinterpret_cast<float4*>(memory + stages * TILE_BYTES);
        here.by_block = here.by_warp + 2 * WARPS * LOGITS / 4;
        here.loaded = reinterpret_cast<sm::Barrier*>(here.by_block + SLOTS * cluster * LOGITS / 4);
        here.arrived = here.loaded + stages;
        return here;
    }
};

// The stage of a tile, tile after tile, and the parity of its barrier's phase.
struct Ring {
    int stage = 0, parity = 0;

    DEVICE void step(Ring& ring, int stages) {
        if (++ring.stage == stages) ring.stage = 0, ring.parity ^= 1;
    }
};

// Two of the queries, as a lane knows them: the four lanes of a quad share `maximum` and `reference`, the rest is their own.
struct Row {
    float maximum = -INFINITY;    // the largest logit so far
    float reference = -INFINITY;  // what weights are relative to
    float total = 0, energy = 0;  // sums of w and of w s, s in powers of two
    float best = -INFINITY;
    int argmax = -1;
    bool bad = false;
};

// From logits to powers of two; 0 at temperature 0, where merge.h needs no sums. Not +inf, which times 0 is NaN.
DEVICE float inverse_of(float temperature) { return temperature > 0 ? fminf(1.44269504088896f / temperature, 3e38f) : 0.0f; }

DEVICE void load(const Call& call, const Shared& shared, int stage, int tile, int lane) {
    // A row that is not there is the last one, whose weight is 0: what lies in shared memory by chance may be NaN.
    const int width = sm::cluster_size() * COLUMNS;
    const int wanted = tile * TOKENS + lane;
    const int64_t token = wanted < call.vocabulary ? wanted : call.vocabulary - 1;
    if (lane == 0) sm::barrier_expect(&shared.loaded[stage], TOKENS * ROW_BYTES);
    if (lane < TOKENS)
        sm::copy_bulk(shared.tiles + stage * TILE_BYTES + lane * PITCH, call.table + token * width + sm::rank() * COLUMNS, ROW_BYTES,
                      &shared.loaded[stage]);
}

// What the warp's columns add to a tile's logits, into by_warp.
DEVICE void score(const unsigned char* tile, const uint32_t (&query)[OWN / 16][4], float4* by_warp, int warp, int lane) {
    const int token = lane % 8 + 8 * (lane / 16), column = warp * OWN + 8 * (lane / 8 % 2);
    const unsigned char* from = tile + token * PITCH + 2 * column;
    // Two chains for each half of the tokens: a product waits for the sum before it.
    float sums[2][2][4] = {};
#pragma unroll
    for (int k = 0; k < OWN / 16; ++k) {
        uint32_t keys[4];
        sm::load_matrices(keys, from + 32 * k);
        sm::multiply(sums[k % 2][0], query[k], keys[0], keys[1]);
        sm::multiply(sums[k % 2][1], query[k], keys[2], keys[3]);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const float* even = sums[0][half];
        const float* odd = sums[1][half];
        by_warp[warp * (LOGITS / 4) + half * 32 + lane] =
            float4{even[0] + odd[0], even[1] + odd[1], even[2] + odd[2], even[3] + odd[3]};
    }
}

DEVICE void add(float4& sum, const float4& more) {
    sum.x += more.x;
    sum.y += more.y;
    sum.z += more.z;
    sum.w += more.w;
}

// The block's part of a tile's logits to every block of the cluster. Each quarter of the threads sends all of it, to every
// fourth block.
DEVICE void exchange(const Shared& shared, const float4* by_warp, int slot) {
    const int place = sm::thread() % (LOGITS / 4), cluster = sm::cluster_size();
    float4 sum = by_warp[place];
#pragma unroll
    for (int warp = 1; warp < WARPS; ++warp) add(sum, by_warp[warp * (LOGITS / 4) + place]);
    float4* to = shared.by_block + (slot * cluster + sm::rank()) * (LOGITS / 4) + place;
    for (int rank = sm::thread() / (LOGITS / 4); rank < cluster; rank += THREADS / (LOGITS / 4))
        sm::send(to, sum, &shared.arrived[slot], rank);
}

// The logits as the model has them, of what the cluster's blocks know.
DEVICE void logits(const Call& call, const Shared& shared, int slot, int first, int lane, float (&z)[8]) {
    const int cluster = sm::cluster_size();
    const float4* from = shared.by_block + slot * cluster * (LOGITS / 4) + lane;
    float4 low = from[0], high = from[32];
    for (int rank = 1; rank < cluster; ++rank) {
        add(low, from[rank * (LOGITS / 4)]);
        add(high, from[rank * (LOGITS / 4) + 32]);
    }
    const float plain[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int token = first + 2 * (lane % 4) + i / 4 * 8 + i % 2;
        float logit = plain[i] * call.scale;
        if (call.softcap > 0) logit = call.softcap * tanhf(logit / call.softcap);
        if (call.bias && token < call.vocabulary) logit += call.bias[token];
        z[i] = token < call.vocabulary ? logit : -INFINITY;
    }
}

// A row's four logits of a tile into its maximum and argmax; whether the sums have to be scaled down.
DEVICE bool look(Row& row, const float (&z)[4], float inverse, int first, int lane) {
    float top = -INFINITY;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int token = first + 2 * (lane % 4) + i / 2 * 8 + i % 2;
        row.bad |= z[i] != z[i];
        top = fmaxf(top, z[i]);
        if (z[i] > row.best) row.best = z[i], row.argmax = token;
    }
    top = fmaxf(top, sm::shuffle_xor(top, 1));
    top = fmaxf(top, sm::shuffle_xor(top, 2));
    row.maximum = fmaxf(row.maximum, top);
    if (row.reference == -INFINITY) return row.maximum > -INFINITY;
    return (row.maximum - row.reference) * inverse > LAZY;
}

// Sums relative to `reference` are relative to the maximum afterwards; returns what they are multiplied by.
DEVICE float rebase(Row& row, float inverse) {
    const float down = row.reference > -INFINITY ? (row.reference - row.maximum) * inverse : 0.0f;
    const float shrink = sm::exp2(down);
    row.energy = shrink > 0 ? shrink * (row.energy + down * row.total) : 0.0f;
    row.total *= shrink;
    row.reference = row.maximum;
    return shrink;
}

// A row's four weights, added to its sums.
DEVICE void weigh(Row& row, const float (&z)[4], float inverse, float (&weights)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const bool masked = !(z[i] > -INFINITY);
        const float s = masked ? 0.0f : (z[i] - row.reference) * inverse;
        const float w = masked ? 0.0f : sm::exp2(s);
        row.total += w;
        row.energy += w > 0 ? w * s : 0.0f;
        weights[i] = w;
    }
}

// Weights of both rows into a fragment in two bf16 halves, whose sum has 16 bits: the table is not widened.
DEVICE void halve(const float (&upper)[4], const float (&lower)[4], uint32_t (&high)[4], uint32_t (&low)[4]) {
    const float pairs[4][2] = {{upper[0], upper[1]}, {lower[0], lower[1]}, {upper[2], upper[3]}, {lower[2], lower[3]}};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        high[i] = sm::pack(pairs[i][0], pairs[i][1]);
        low[i] = sm::pack(pairs[i][0] - sm::widen(high[i] & 0xFFFF), pairs[i][1] - sm::widen(high[i] >> 16));
    }
}

// sums += weights . values of a tile, over the warp's columns.
DEVICE void average(const unsigned char* tile, const uint32_t (&high)[4], const uint32_t (&low)[4], float (&sums)[OWN / 8][4],
                    int warp, int lane) {
    const int token = lane % 16, column = warp * OWN + 8 * (lane / 16);
    const unsigned char* from = tile + token * PITCH + 2 * column;
#pragma unroll
    for (int n = 0; n < OWN / 16; ++n) {
        uint32_t values[4];
        sm::load_transposed(values, from + 32 * n);
        sm::multiply(sums[2 * n], high, values[0], values[1]);
        sm::multiply(sums[2 * n + 1], high, values[2], values[3]);
        sm::multiply(sums[2 * n], low, values[0], values[1]);
        sm::multiply(sums[2 * n + 1], low, values[2], values[3]);
    }
}

// What the quad knows of a row, the same in its four lanes: sums relative to the maximum, which is returned with NaN where one is.
DEVICE float settle(Row& row, float inverse) {
    const float shrink = row.reference > -INFINITY ? rebase(row, inverse) : 0.0f;
    int bad = row.bad;
#pragma unroll
    for (int mask = 1; mask < 4; mask *= 2) {
        row.total += sm::shuffle_xor(row.total, mask);
        row.energy += sm::shuffle_xor(row.energy, mask);
        const float best = sm::shuffle_xor(row.best, mask);
        const int argmax = sm::shuffle_xor(row.argmax, mask);
        const bool earlier = best == row.best && static_cast<uint32_t>(argmax) < static_cast<uint32_t>(row.argmax);
        if (best > row.best || earlier) row.best = best, row.argmax = argmax;
        bad |= sm::shuffle_xor(bad, mask);
    }
    if (bad) row.maximum = NAN;
    return shrink;
}

DEVICE void store(const Call& call, const Row& row, float shrink, int number, int part, const float (&sums)[OWN / 8][4], int entry,
                  int warp, int lane) {
    if (number >= call.rows) return;
    const int64_t at = static_cast<int64_t>(part) * call.rows + number;
    if (sm::rank() == 0 && warp == 0 && lane % 4 == 0) {
        call.maxima[at] = row.maximum;
        call.totals[at] = row.total;
        call.energies[at] = row.energy * 0.693147180559945f;
        call.argmaxes[at] = row.argmax;
    }
    float* to = call.sums + at * (sm::cluster_size() * COLUMNS) + sm::rank() * COLUMNS + warp * OWN + 2 * (lane % 4);
#pragma unroll
    for (int n = 0; n < OWN / 8; ++n)
        *reinterpret_cast<float2*>(to + 8 * n) = float2{sums[n][entry] * shrink, sums[n][entry + 1] * shrink};
}

// The fragments of the queries over the warp's columns; rows that are not there are 0.
DEVICE void read_queries(const Call& call, uint32_t (&query)[OWN / 16][4], int warp, int lane) {
    const int width = sm::cluster_size() * COLUMNS;
#pragma unroll
    for (int k = 0; k < OWN / 16; ++k)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + i % 2 * 8, column = sm::rank() * COLUMNS + warp * OWN + 16 * k + 2 * (lane % 4) + i / 2 * 8;
            query[k][i] = row < call.rows ? *reinterpret_cast<const uint32_t*>(call.hidden + row * width + column) : 0;
        }
}

DEVICE void attend(const Call& call) {
    const int warp = sm::thread() / 32, lane = sm::thread() % 32, cluster = sm::cluster_size();
    const int part = sm::block() / cluster;
    const Shared shared = Shared::of(sm::shared_memory(), call.stages, cluster);
    const int64_t tiles = (call.vocabulary + TOKENS - 1) / TOKENS;
    const int first = static_cast<int>(tiles * part / call.parts);
    const int count = static_cast<int>(tiles * (part + 1) / call.parts) - first;
    if (sm::thread() == 0) {
        for (int stage = 0; stage < call.stages; ++stage) sm::barrier_init(&shared.loaded[stage], 1);
        for (int slot = 0; slot < SLOTS; ++slot) sm::barrier_init(&shared.arrived[slot], 1);
        sm::barriers_initialised();
    }
    sm::sync_cluster();
    if (warp == 0)
        for (int stage = 0; stage < call.stages && stage < count; ++stage) load(call, shared, stage, first + stage, lane);
    uint32_t query[OWN / 16][4];
    read_queries(call, query, warp, lane);
    float inverse[2];
    for (int j = 0; j < 2; ++j) inverse[j] = lane / 4 + 8 * j < call.rows ? inverse_of(call.temperature[lane / 4 + 8 * j]) : 0.0f;
    Row rows[2];
    float sums[OWN / 8][4] = {};
    Ring scored, averaged;
    for (int t = 0; t <= count; ++t) {
        if (t < count) {
            float4* by_warp = shared.by_warp + t % 2 * (WARPS * LOGITS / 4);
            sm::barrier_wait(&shared.loaded[scored.stage], scored.parity);
            score(shared.tiles + scored.stage * TILE_BYTES, query, by_warp, warp, lane);
            if (sm::thread() == 0) sm::barrier_expect(&shared.arrived[t % SLOTS], cluster * LOGITS * static_cast<int>(sizeof(float)));
            sm::sync_block();
            // All warps have added the values of tile t - 2: its stage is free.
            const int next = t - 2 + call.stages;
            if (warp == 0 && t >= 2 && next < count) {
                const int stage = averaged.stage > 0 ? averaged.stage - 1 : call.stages - 1;
                load(call, shared, stage, first + next, lane);
            }
            exchange(shared, by_warp, t % SLOTS);
            Ring::step(scored, call.stages);
        }
        if (t > 0) {
            const int before = t - 1, token = (first + before) * TOKENS;
            sm::barrier_wait(&shared.arrived[before % SLOTS], before / SLOTS % 2);
            float z[8], weights[2][4];
            logits(call, shared, before % SLOTS, token, lane, z);
            const float mine[2][4] = {{z[0], z[1], z[4], z[5]}, {z[2], z[3], z[6], z[7]}};
            bool risen[2];
            for (int j = 0; j < 2; ++j) risen[j] = look(rows[j], mine[j], inverse[j], token, lane);
            if (sm::any(risen[0] || risen[1])) {
                float shrink[2];
                for (int j = 0; j < 2; ++j) shrink[j] = risen[j] ? rebase(rows[j], inverse[j]) : 1.0f;
#pragma unroll
                for (int n = 0; n < OWN / 8; ++n)
#pragma unroll
                    for (int i = 0; i < 4; ++i) sums[n][i] *= shrink[i / 2];
            }
            for (int j = 0; j < 2; ++j) weigh(rows[j], mine[j], inverse[j], weights[j]);
            uint32_t high[4], low[4];
            halve(weights[0], weights[1], high, low);
            average(shared.tiles + averaged.stage * TILE_BYTES, high, low, sums, warp, lane);
            Ring::step(averaged, call.stages);
        }
    }
    for (int j = 0; j < 2; ++j) {
        const float shrink = settle(rows[j], inverse[j]);
        store(call, rows[j], shrink, lane / 4 + 8 * j, part, sums, 2 * j, warp, lane);
    }
    // A block's shared memory may go when nobody sends to it any more.
    sm::sync_cluster();
}

}  // namespace cluster_attention
