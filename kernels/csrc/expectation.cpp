// The mean of table rows under each belief, where what is left out counts as one given vector or not at all, and sums of listed
// rows.
#include "pairs.h"
#include "weights.h"

namespace {

constexpr int64_t SPAN = 2048;
constexpr int64_t TILE = 512;

// What the tokens that a belief leaves out count as: `mean` [D] for their mass `dropped` [B], or nothing where it is null.
struct LeftOut {
    const double* dropped;
    const float* mean;

    // sums [columns], from column c of row b on, whose weights sum to `mass`, become the mean.
    void finish(int64_t b, int64_t c, int64_t columns, double mass, float* __restrict sums) const {
        // Without this a belief in one token would lose the signs of its zeros.
        if (!mean || !(dropped[b] > 0)) {
            const float norm = static_cast<float>(mass);
            for (int64_t i = 0; i < columns; ++i) sums[i] /= norm;
            return;
        }
        const float lost = static_cast<float>(dropped[b]), norm = static_cast<float>(mass + dropped[b]);
        for (int64_t i = 0; i < columns; ++i) sums[i] = (sums[i] + lost * mean[c + i]) / norm;
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
// A row's tile of tokens is added in pairs if at least one in so many is kept.
constexpr int64_t SPARSE = 4;
// Pairs of a tile are added for several rows at once, with those of no weight, if the rows use this share of them; else by lists.
// Both add a row's pairs in the same order, and a weight of 0 changes nothing.
constexpr double DENSE_SHARE = 0.5;

#if HAS_BF16_PAIRS
// The tokens from v on whose weights w [n] are above `large`, n a multiple of 16: ids and weights. Returns how many; 15 more
// entries may be written over.
int64_t list_above(const float* w, int64_t n, int64_t v, float large, int32_t* ids, float* weights) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 x = _mm512_load_ps(w + i);
        const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(large), _CMP_GT_OQ);
        if (!above) continue;
        const __m512i id = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(v + i)), lanes);
        _mm512_storeu_si512(ids + count, _mm512_maskz_compress_epi32(above, id));
        _mm512_storeu_ps(weights + count, _mm512_maskz_compress_ps(above, x));
        count += __builtin_popcount(above);
    }
    return count;
}

// The same mean where a row's tile of tokens that keeps enough of them is added in pairs of table rows with weights rounded to
// bf16, and any other tile token by token in float32. Which of the two does not depend on the batch. The mean is over the
// weights as they were used, so it stays in the table's hull.
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
        // Sums that straddled cache lines would be slow to load and store.
        std::vector<float> room(B * columns + 16, -0.0f);
        float* const paired = room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64) % 64 / sizeof(float);
        std::vector<double> mass(B, 0.0);
        std::vector<uint8_t> has_pairs(B, 0);
        std::vector<PairList> lists(B);
        std::vector<int64_t> owners;
        std::vector<const Bf16*> weights(B);
        std::vector<float*> sums(B);
        alignas(64) float w[TILE];
        // Tokens that are added one by one wait until there are enough of them to ask for rows before they are needed.
        constexpr int64_t ENOUGH = 8 * PREFETCH, ROOM = ENOUGH + TILE + 16;
        std::vector<int32_t> listed_ids(B * ROOM);
        std::vector<float> listed_weights(B * ROOM);
        std::vector<int64_t> listed(B, 0);
        auto add_listed_rows = [&](int64_t b) {
            add_rows(table, D, &listed_ids[b * ROOM], &listed_weights[b * ROOM], listed[b], acc + b * D, c0, c0 + columns);
            listed[b] = 0;
        };
        for (int64_t v = 0; v < V && (columns > 0 || thread == 0); v += TILE) {
            const int64_t n = std::min(TILE, V - v);
            owners.clear();
            for (int64_t b = 0; b < B; ++b) {
                int32_t* const ids = &listed_ids[b * ROOM];
                float* const lone = &listed_weights[b * ROOM];
                if (temperature[b] == 0) {
                    if (argmax[b] < v || argmax[b] >= v + n) continue;
                    ids[0] = static_cast<int32_t>(argmax[b]);
                    lone[0] = 1;
                    listed[b] = 1;
                    mass[b] = 1;
                    if (thread == 0) rows[b] = 1;
                    continue;
                }
                const float* const z = logits + b * stride + v;
                const int64_t count =
                    weigh_kept(z, n, looks + b * looks_of(V) + v / LOOK, maximum[b], 1.0f / temperature[b], floor[b], w);
                if (!count) continue;
                // This row's next tile: the processor, who sees the rows' tiles in turn, does not foresee it.
                if (v + 2 * TILE <= V) prefetch(z + TILE, TILE);
                if (thread == 0) rows[b] += count;
                const bool pairs = SPARSE * count >= n;
                const float large = pairs ? static_cast<float>(kept[b] * LARGE_SHARE) : 0.0f;
                const int64_t before = listed[b];
                std::fill(w + n, w + TILE, 0.0f);
                const int64_t at = before + list_above(w, TILE, v, large, ids + before, lone + before);
                for (int64_t i = before; i < at; ++i) mass[b] += lone[i];
                listed[b] = at;
                if (at >= ENOUGH) add_listed_rows(b);
                if (!pairs) continue;
                mass[b] += lists[b].fill(w, large);
                has_pairs[b] = 1;
                owners.push_back(b);
            }
            if (owners.empty()) continue;
            int64_t entries = 0;
            for (int64_t b : owners) entries += lists[b].begin[LIST_TOKENS / 2 / LIST_SPAN];
            const int64_t count = static_cast<int64_t>(owners.size());
            if (count < 4 || entries < DENSE_SHARE * count * n / 2) {
                add_pair_lists(table + v * D + c0, n, D, columns, lists.data(), owners, paired);
                continue;
            }
            for (int64_t u = 0; u < n; u += PAIR_SPAN) {
                for (int64_t i = 0; i < count; ++i) {
                    weights[i] = lists[owners[i]].all + u;
                    sums[i] = paired + owners[i] * columns;
                }
                add_pairs(table + (v + u) * D + c0, std::min(PAIR_SPAN, n - u), D, columns, count, weights.data(), sums.data(),
                          2);
            }
        }
        for (int64_t b = 0; b < B; ++b) {
            if (listed[b]) add_listed_rows(b);
            float* const out = acc + b * D + c0;
            const float* const more = &paired[b * columns];
            if (has_pairs[b]) straighten(&paired[b * columns], columns);
            if (has_pairs[b])
                for (int64_t c = 0; c < columns; ++c) out[c] += more[c];
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

// acc [B, D] float32 = the mean of table rows under each belief, with `mean` [D] for the mass `dropped` that is left out, or the mean
// under the rest of the belief where `mean` is null; rows [B] = how many rows that took.
extern "C" void belief_expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* looks,
                                   const float* temperature, const float* maximum, const int64_t* argmax, const float* floor,
                                   const double* kept, const double* dropped, const float* mean, const void* table,
                                   int32_t is_bf16, int64_t D, float* acc, int64_t* rows, int32_t threads) {
    const LeftOut left_out = {dropped, mean};
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
