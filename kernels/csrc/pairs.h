// Sums of bf16 table rows two at a time, with weights rounded to bf16: what processors with bf16 dot products do at twice the
// rate of float32, without widening the table.
#pragma once

#include "common.h"

#if HAS_AVX512 && defined(__AVX512VL__) && defined(__AVX512BF16__)
#define HAS_BF16_PAIRS 1
#endif

constexpr int64_t PAIR_SPAN = 64;  // most table rows added by one call

// Whether sums are taken over pairs of rows with weights in bf16, as the processor's instruction for it does: for whole
// registers only. It does not depend on the number of batch rows, so a row's result does not either.
static inline bool in_pairs(const float*, int64_t) { return false; }

static inline bool in_pairs(const Bf16*, int64_t W) {
#if HAS_BF16_PAIRS
    return W % 32 == 0;
#else
    (void)W;
    return false;
#endif
}

#if HAS_BF16_PAIRS
// Q batch rows by 16 * R sums that stay in registers.
template <int Q, int R>
struct PairSums {
    __m512 sums[Q][R];

    explicit PairSums(const float* const* acc) {
#pragma GCC unroll 32
        for (int q = 0; q < Q; ++q)
#pragma GCC unroll 32
            for (int r = 0; r < R; ++r) sums[q][r] = _mm512_loadu_ps(acc[q] + 16 * r);
    }

    // A pair of table rows, and both weights of it in bf16 for each batch row.
    template <typename Weights>
    void add(const __m512i (&x)[R], Weights both) {
#pragma GCC unroll 32
        for (int q = 0; q < Q; ++q) {
            const __m512bh w = (__m512bh)_mm512_set1_epi32(both(q));
#pragma GCC unroll 32
            for (int r = 0; r < R; ++r) sums[q][r] = _mm512_dpbf16_ps(sums[q][r], (__m512bh)x[r], w);
        }
    }

    void store(float* const* acc) const {
#pragma GCC unroll 32
        for (int q = 0; q < Q; ++q)
#pragma GCC unroll 32
            for (int r = 0; r < R; ++r) _mm512_storeu_ps(acc[q] + 16 * r, sums[q][r]);
    }
};

// Q batch rows by 16 * R sums stay in registers; `wide` registers of the tile from one pair to the next. Meanwhile so many lines
// are asked for, a few with each pair: more at once than the processor has on its way would stall.
template <int Q, int R>
static inline void add_pairs_tile(const __m512i* tile, int64_t wide, int64_t pairs, const Bf16* const* weights, float* const* acc,
                                  Ahead& wanted, int64_t lines) {
    Ahead ahead = wanted;
    const int each = static_cast<int>(lines / pairs);
    PairSums<Q, R> sums(acc);
    for (int64_t i = 0; i < pairs; ++i) {
        ahead.ask(each);
        __m512i x[R];
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) x[r] = _mm512_load_si512(tile + wide * i + r);
        sums.add(x, [&](int q) {
            int32_t two;
            std::memcpy(&two, weights[q] + 2 * i, sizeof two);
            return two;
        });
    }
    sums.store(acc);
    ahead.ask(static_cast<int>(lines - each * pairs));
    wanted = ahead;
}

// The same for one batch row and 32 * R columns, from the rows themselves.
template <int R>
static inline void add_pairs_direct(const Bf16* rows, int64_t count, int64_t W, const Bf16* weights, float* acc, Ahead& wanted,
                                    int lines) {
    Ahead ahead = wanted;
    __m512 sums[2 * R];
#pragma GCC unroll 32
    for (int r = 0; r < 2 * R; ++r) sums[r] = _mm512_loadu_ps(acc + 16 * r);
    for (int64_t i = 0; i < count; i += 2) {
        int32_t two;
        std::memcpy(&two, weights + i, sizeof two);
        if (!two) {
            ahead.ask(lines * R);
            continue;
        }
        const __m512bh w = (__m512bh)_mm512_set1_epi32(two);
        const Bf16* first = rows + i * W;
        const Bf16* second = i + 1 < count ? first + W : first;
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) {
            const __m512i a = _mm512_loadu_si512(first + 32 * r), b = _mm512_loadu_si512(second + 32 * r);
            ahead.ask(lines);
            sums[2 * r] = _mm512_dpbf16_ps(sums[2 * r], (__m512bh)_mm512_unpacklo_epi16(a, b), w);
            sums[2 * r + 1] = _mm512_dpbf16_ps(sums[2 * r + 1], (__m512bh)_mm512_unpackhi_epi16(a, b), w);
        }
    }
#pragma GCC unroll 32
    for (int r = 0; r < 2 * R; ++r) _mm512_storeu_ps(acc + 16 * r, sums[r]);
    wanted = ahead;
}
#endif

// acc[b][c] += sum_i weights[b][i] * rows[i][c] over pairs of `count` <= PAIR_SPAN consecutive table rows and the columns
// [0, columns), a multiple of 32; W from one table row to the next. The 32 columns of a register lie in the order that
// interleaving leaves. Weights of the row after an odd last one must be 0. Meanwhile as many rows after these are asked for,
// `lines` of every two cache lines.
static inline void add_pairs(const float*, int64_t, int64_t, int64_t, int64_t, const Bf16* const*, float* const*, int) {}

static inline void add_pairs(const Bf16* rows, int64_t count, int64_t W, int64_t columns, int64_t B, const Bf16* const* weights,
                             float* const* acc, int lines) {
#if HAS_BF16_PAIRS
    Ahead ahead(rows + count * W);
    if (B < 4) {
        for (int64_t b = 0; b < B; ++b) {
            int64_t c = 0;
            auto walk = [&](auto width) {
                constexpr int R = decltype(width)::value;
                for (; c + 32 * R <= columns; c += 32 * R)
                    add_pairs_direct<R>(rows + c, count, W, weights[b], acc[b] + c, ahead, b ? 0 : lines);
            };
            walk(std::integral_constant<int, 9>());
            walk(std::integral_constant<int, 4>());
            walk(std::integral_constant<int, 1>());
        }
        return;
    }
    const int64_t pairs = (count + 1) / 2;
    alignas(64) __m512i tile[PAIR_SPAN / 2 * 12];
    int64_t c = 0;
    auto walk = [&](auto width) {
        constexpr int R = decltype(width)::value;
        for (; c + 16 * R <= columns; c += 16 * R) {
            // With few rows making the tile takes as long as using it, so half of what is wanted is asked for here.
            const bool early = B < 6;
            for (int64_t i = 0; i < pairs; ++i)
                for (int64_t half = 0; half < R / 2; ++half) {
                    if (early && (lines > 1 || half % 2)) ahead.ask(1);
                    const Bf16* first = rows + 2 * i * W + c + 32 * half;
                    const __m512i a = _mm512_loadu_si512(first);
                    const __m512i b = _mm512_loadu_si512(2 * i + 1 < count ? first + W : first);
                    tile[R * i + 2 * half] = _mm512_unpacklo_epi16(a, b);
                    tile[R * i + 2 * half + 1] = _mm512_unpackhi_epi16(a, b);
                }
            const int64_t wanted = count * lines * R / (early ? 8 : 4);
            int64_t b = 0, asked = 0;
            auto add = [&](auto queries) {
                constexpr int Q = decltype(queries)::value, PART = R < 4 ? R : 4;
                for (int r = 0; r < R; r += PART) {
                    const int64_t by_now = wanted * (b * R + r * Q + Q * PART) / (B * R);
                    float* at[Q];
                    for (int q = 0; q < Q; ++q) at[q] = acc[b + q] + c + 16 * r;
                    add_pairs_tile<Q, PART>(tile + r, R, pairs, weights + b, at, ahead, by_now - asked);
                    asked = by_now;
                }
                b += Q;
            };
            // As many as leave registers for the tile's rows, and then no lone one.
            while (B - b >= 6 && B - b != 8) add(std::integral_constant<int, 6>());
            while (B - b >= 4) add(std::integral_constant<int, 4>());
            while (B - b >= 2) add(std::integral_constant<int, 2>());
            if (B - b) add(std::integral_constant<int, 1>());
        }
    };
    walk(std::integral_constant<int, 12>());
    walk(std::integral_constant<int, 4>());
    walk(std::integral_constant<int, 2>());
#else
    (void)rows, (void)count, (void)W, (void)columns, (void)B, (void)weights, (void)acc, (void)lines;
#endif
}

// Undo the order that add_pairs left the columns in.
static inline void straighten(float* row, int64_t W) {
    float block[32];
    for (int64_t c = 0; c < W; c += 32) {
        std::memcpy(block, row + c, sizeof block);
        for (int lane = 0; lane < 4; ++lane)
            for (int k = 0; k < 4; ++k) {
                row[c + 8 * lane + k] = block[4 * lane + k];
                row[c + 8 * lane + 4 + k] = block[16 + 4 * lane + k];
            }
    }
}
