// The mean of table rows under each belief, where what is left out counts as combinations of a few rows or not at all, and sums
// of listed rows.
#include "gather.h"

namespace {

constexpr int64_t SPAN = 2048;

// What the tokens that a belief leaves out count as: for their mass `dropped` [B], rest [B, rank] of the rows basis [rank, D], or
// nothing where there are none of these.
struct LeftOut {
    const double *dropped, *rest;
    const float* basis;
    int64_t rank, D;

    // sums [columns], from column c of row b on, whose weights sum to `mass`, become the mean.
    void finish(int64_t b, int64_t c, int64_t columns, double mass, float* __restrict sums) const {
        // Without the second, a belief in one token would lose the signs of its zeros.
        const bool counts = rank && dropped[b] > 0;
        for (int64_t j = 0; counts && j < rank; ++j) {
            const float share = static_cast<float>(rest[b * rank + j]);
            for (int64_t i = 0; i < columns; ++i) sums[i] += share * basis[j * D + c + i];
        }
        const float norm = static_cast<float>(counts ? mass + dropped[b] : mass);
        for (int64_t i = 0; i < columns; ++i) sums[i] /= norm;
    }
};

template <typename T>
void expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* looks, const float* temperature,
                 const float* maximum, const int64_t* argmax, const float* floor, const double* kept, LeftOut left_out,
                 const T* table, int64_t D, float* acc, int64_t* rows, int threads) {
    // -0 is the neutral element of addition: a single row with weight 1 comes out bit for bit.
    std::fill(acc, acc + B * D, -0.0f);
    std::fill(rows, rows + B, 0);
    // Every thread works out all weights for its own columns: cheaper than to wait for each other at every span, which on a
    // busy machine costs a time slice each.
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num();
        int64_t c0, c1;
        column_slice(D, thread, omp_get_num_threads(), &c0, &c1);
        std::vector<int32_t> ids(B * (SPAN + 1));
        std::vector<float> weights(B * (SPAN + 1));
        std::vector<int64_t> counts(B), at(B), from(B);
        std::vector<float> dense(B * DENSE_SPAN);
        std::vector<const float*> dense_rows(B);
        std::vector<float*> acc_rows(B);
        for (int64_t b = 0; b < B; ++b) {
            dense_rows[b] = &dense[b * DENSE_SPAN];
            acc_rows[b] = acc + b * D;
        }
        for (int64_t v0 = 0; v0 < V && (c0 < c1 || thread == 0); v0 += SPAN) {
            const int64_t v1 = std::min(V, v0 + SPAN);
            for (int64_t b = 0; b < B; ++b) {
                counts[b] = list_kept(logits + b * stride, v0, v1, looks + b * looks_of(V), maximum[b], temperature[b], argmax[b],
                                      floor[b], &ids[b * (SPAN + 1)], &weights[b * (SPAN + 1)]);
                if (thread == 0) rows[b] += counts[b];
            }
            std::fill(at.begin(), at.end(), 0);
            for (int64_t v = v0; v < v1; v += TILE) {
                const int64_t end = std::min(v1, v + TILE);
                from = at;
                int64_t pairs = 0;
                for (int64_t b = 0; b < B; ++b) {
                    while (at[b] < counts[b] && ids[b * (SPAN + 1) + at[b]] < end) ++at[b];
                    pairs += at[b] - from[b];
                }
                if (B < 4 || 2 * pairs < B * (end - v)) {
                    for (int64_t b = 0; b < B; ++b)
                        add_rows(table, D, &ids[b * (SPAN + 1) + from[b]], &weights[b * (SPAN + 1) + from[b]], at[b] - from[b],
                                 acc + b * D, c0, c1);
                    continue;
                }
                for (int64_t u = v; u < end; u += DENSE_SPAN) {
                    const int64_t stop = std::min(end, u + DENSE_SPAN);
                    std::fill(dense.begin(), dense.end(), 0.0f);
                    for (int64_t b = 0; b < B; ++b)
                        for (; from[b] < at[b] && ids[b * (SPAN + 1) + from[b]] < stop; ++from[b])
                            dense[b * DENSE_SPAN + ids[b * (SPAN + 1) + from[b]] - u] = weights[b * (SPAN + 1) + from[b]];
                    add_span(table + u * D, stop - u, D, B, dense_rows.data(), acc_rows.data(), c0, c1);
                }
            }
        }
        for (int64_t b = 0; b < B; ++b) left_out.finish(b, c0, c1 - c0, kept[b], acc + b * D + c0);
    }
}

// A weight over this share of a belief is not rounded to bf16: what rounding the others adds to a vector's error is then at
// most 2^-9 * sqrt(1/256) of a table row where errors are independent, under bf16's own rounding of the result.
constexpr double LARGE_SHARE = 1.0 / 256;

#if HAS_BF16_PAIRS
// What one belief keeps of a tile.
struct KeptTile {
    int64_t count = 0;     // of tokens
    uint32_t looks = 0;    // which looks have light ones: elsewhere the weights are not written
    float light_mass = 0;  // the sum of the light weights, as rounded to bf16
};

// The weights of the tokens that a belief keeps of a tile, z [n], n <= TILE. Those of light ones are written to `light` [TILE],
// with 0 for the others of their look, and marked in `keeps` [TILE / 16]; those above `least` are listed as tokens from v on,
// `have` so far, and 15 more entries of the lists may be written over.
KeptTile keep(const float* z, int64_t v, int64_t n, const float* looks, float m, float inverse, float floor, float least,
              float* light, uint16_t* keeps, int32_t* ids, float* large, int64_t* have) {
    const float low = lowest_kept(floor);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 floors = _mm512_set1_ps(floor), most = _mm512_set1_ps(least);
    KeptTile tile;
    __m512 mass = _mm512_setzero_ps();
    int64_t found = *have;
    for (int64_t i = 0; i < n; i += LOOK) {
        if ((looks[i / LOOK] - m) * inverse < low) continue;
        uint32_t any = 0;
        for (int64_t j = i; j < i + LOOK; j += 16) {
            // Of a look that ends before, the last of 16 that there are.
            const int64_t left = std::min<int64_t>(std::max<int64_t>(n - j, 0), 16);
            const uint32_t here = (1u << left) - 1;
            const __m512 w = exp_nonpositive(scaled(z + j, left, m, inverse));
            const uint32_t some = here & _mm512_cmp_ps_mask(w, floors, _CMP_GT_OQ);
            const uint32_t above = some & _mm512_cmp_ps_mask(w, most, _CMP_GT_OQ), under = some & ~above;
            tile.count += __builtin_popcount(some);
            if (above) {
                const __m512i id = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(v + j)), lanes);
                _mm512_storeu_si512(ids + found, _mm512_maskz_compress_epi32(above, id));
                _mm512_storeu_ps(large + found, _mm512_maskz_compress_ps(above, w));
                found += __builtin_popcount(above);
            }
            const __m512 x = _mm512_maskz_mov_ps(under, w);
            const __m512i narrow = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
            mass = _mm512_add_ps(mass, _mm512_castsi512_ps(_mm512_slli_epi32(narrow, 16)));
            _mm512_store_ps(light + j, x);
            keeps[j / 16] |= under;
            any |= under;
        }
        if (any) tile.looks |= 1u << (i / LOOK);
    }
    *have = found;
    tile.light_mass = _mm512_reduce_add_ps(mass);
    return tile;
}

// The same mean with weights rounded to bf16, but for large ones, whose rows are added in float32. The mean is over the weights
// as they were used.
void paired_expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* looks, const float* temperature,
                        const float* maximum, const int64_t* argmax, const float* floor, const double* kept, LeftOut left_out,
                        const Bf16* table, int64_t D, float* acc, int64_t* rows, int threads) {
    std::fill(acc, acc + B * D, -0.0f);
    std::fill(rows, rows + B, 0);
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num(), team = omp_get_num_threads();
        const int64_t width = (D / 32 + team - 1) / team * 32;
        const int64_t c0 = std::min<int64_t>(D, thread * width), columns = std::min<int64_t>(D, c0 + width) - c0;
        // What straddled cache lines would be slow to load and store.
        std::vector<float> room(B * (columns + TILE) + 16, -0.0f);
        float* const paired = room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64) % 64 / sizeof(float);
        float* const weights = paired + B * columns;
        Gathering gathering(table, D, c0, columns, B, paired);
        std::vector<double> mass(B, 0.0);
        std::vector<uint8_t> in_pairs(B, 0);
        std::vector<uint32_t> in_looks(B);
        // No belief has more large weights than this, and 16 may be written at once.
        constexpr int64_t ROOM = static_cast<int64_t>(1 / LARGE_SHARE) + 16;
        std::vector<int32_t> large_ids(B * ROOM);
        std::vector<float> large_weights(B * ROOM);
        std::vector<int64_t> have(B, 0);
        for (int64_t v = 0; v < V && (columns > 0 || thread == 0); v += TILE) {
            const int64_t n = std::min(TILE, V - v);
            uint16_t keeps[TILE / 16] = {};
            for (int64_t b = 0; b < B; ++b) {
                int32_t* const ids = &large_ids[b * ROOM];
                float* const large = &large_weights[b * ROOM];
                in_looks[b] = 0;
                if (temperature[b] == 0) {
                    if (argmax[b] < v || argmax[b] >= v + n) continue;
                    ids[0] = static_cast<int32_t>(argmax[b]);
                    large[0] = 1;
                    have[b] = 1;
                    mass[b] = 1;
                    if (thread == 0) rows[b] = 1;
                    continue;
                }
                const float* const z = logits + b * stride + v;
                const float least = static_cast<float>(kept[b] * LARGE_SHARE);
                const int64_t before = have[b];
                const KeptTile tile = keep(z, v, n, looks + b * looks_of(V) + v / LOOK, maximum[b], 1.0f / temperature[b],
                                           floor[b], least, weights + b * TILE, keeps, ids, large, &have[b]);
                if (!tile.count) continue;
                // This row's next tile: the processor, who sees the rows' tiles in turn, does not foresee it.
                if (v + 2 * TILE <= V) prefetch(z + TILE, TILE);
                if (thread == 0) rows[b] += tile.count;
                for (int64_t i = before; i < have[b]; ++i) mass[b] += large[i];
                mass[b] += tile.light_mass;
                in_looks[b] = tile.looks;
                in_pairs[b] |= tile.looks != 0;
            }
            gathering.add(v, keeps, weights, in_looks.data());
        }
        gathering.finish();
        for (int64_t b = 0; b < B; ++b) {
            float* const out = acc + b * D + c0;
            add_rows(table, D, &large_ids[b * ROOM], &large_weights[b * ROOM], have[b], acc + b * D, c0, c0 + columns);
            float* const more = paired + b * columns;
            if (in_pairs[b]) {
                straighten(more, columns);
                for (int64_t c = 0; c < columns; ++c) out[c] += more[c];
            }
            left_out.finish(b, c0, columns, mass[b], out);
        }
    }
}
#endif

template <typename T>
void mix(const T* table, int64_t D, int64_t B, const int64_t* offsets, const int32_t* ids, const float* weights, float* acc,
         int threads) {
    std::fill(acc, acc + B * D, -0.0f);
#pragma omp parallel num_threads(threads)
    {
        int64_t c0, c1;
        column_slice(D, omp_get_thread_num(), omp_get_num_threads(), &c0, &c1);
        for (int64_t b = 0; b < B; ++b)
            add_rows(table, D, ids + offsets[b], weights + offsets[b], offsets[b + 1] - offsets[b], acc + b * D, c0, c1);
    }
}

}  // namespace

// acc [B, D] float32 = the mean of table rows under each belief, with rest [B, rank] times basis [rank, D] for the mass `dropped`
// that is left out, or where the rank is 0 the mean under the rest of the belief; rows [B] = how many rows that took.
extern "C" void belief_expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* looks,
                                   const float* temperature, const float* maximum, const int64_t* argmax, const float* floor,
                                   const double* kept, const double* dropped, const double* rest, const float* basis,
                                   const void* table, int64_t rank, int32_t is_bf16, int64_t D, float* acc, int64_t* rows,
                                   int32_t threads) {
    const LeftOut left_out = {dropped, rest, basis, rank, D};
    auto run = [&](auto* sums, auto* typed) {
        sums(logits, B, V, stride, looks, temperature, maximum, argmax, floor, kept, left_out, typed, D, acc, rows, threads);
    };
    const auto narrow = static_cast<const Bf16*>(table);
#if HAS_BF16_PAIRS
    if (is_bf16 && in_pairs(narrow, D)) return run(paired_expectation, narrow);
#endif
    if (is_bf16)
        run(expectation<Bf16>, narrow);
    else
        run(expectation<float>, static_cast<const float*>(table));
}

// acc [B, D] float32 = sums of table rows, row b over entries offsets[b] to offsets[b + 1] of ids and weights.
extern "C" void mix_rows(const void* table, int32_t is_bf16, int64_t D, int64_t B, const int64_t* offsets, const int32_t* ids,
                         const float* weights, float* acc, int32_t threads) {
    if (is_bf16)
        mix(static_cast<const Bf16*>(table), D, B, offsets, ids, weights, acc, threads);
    else
        mix(static_cast<const float*>(table), D, B, offsets, ids, weights, acc, threads);
}
