// Sums of bf16 table rows two at a time, with weights rounded to bf16: what processors with bf16 dot products do at twice the
// rate of float32, without widening the table.
#pragma once

#include "common.h"

constexpr int64_t PAIR_SPAN = 64;  // most table rows added by one call

// Whether sums are taken over pairs of rows with weights in bf16, as the processor's instruction for it does: for whole
// registers only. It does not depend on the number of batch rows, so a row's result does not either.
static inline bool in_pairs(const float*, int64_t) { return false; }

static inline bool in_pairs(const Bf16*, int64_t W) {
#if HAS_AVX512 && defined(__AVX512BF16__)
    return W % 32 == 0;
#else
    (void)W;
    return false;
#endif
}

#if HAS_AVX512 && defined(__AVX512BF16__)
// Q batch rows by 16 * R sums stay in registers.
template <int Q, int R>
static inline void add_pairs_tile(const __m512i* tile, int64_t pairs, const Bf16* const* weights, float* const* acc) {
    __m512 sums[Q][R];
    for (int q = 0; q < Q; ++q)
        for (int r = 0; r < R; ++r) sums[q][r] = _mm512_loadu_ps(acc[q] + 16 * r);
    for (int64_t i = 0; i < pairs; ++i) {
        __m512i x[R];
        for (int r = 0; r < R; ++r) x[r] = _mm512_load_si512(tile + R * i + r);
        for (int q = 0; q < Q; ++q) {
            int32_t two;
            std::memcpy(&two, weights[q] + 2 * i, sizeof two);
            const __m512bh w = (__m512bh)_mm512_set1_epi32(two);
            for (int r = 0; r < R; ++r) sums[q][r] = _mm512_dpbf16_ps(sums[q][r], (__m512bh)x[r], w);
        }
    }
    for (int q = 0; q < Q; ++q)
        for (int r = 0; r < R; ++r) _mm512_storeu_ps(acc[q] + 16 * r, sums[q][r]);
}
#endif

#if HAS_AVX512 && defined(__AVX512BF16__)
constexpr int64_t AHEAD = 16;  // so many rows before they are needed

// The same for one batch row and 32 * R columns, from the rows themselves.
template <int R>
static inline void add_pairs_direct(const Bf16* rows, int64_t count, int64_t W, const Bf16* weights, float* acc) {
    __m512 sums[2 * R];
    for (int r = 0; r < 2 * R; ++r) sums[r] = _mm512_loadu_ps(acc + 16 * r);
    for (int64_t i = 0; i < count; i += 2) {
        int32_t two;
        std::memcpy(&two, weights + i, sizeof two);
        if (!two) continue;
        const __m512bh w = (__m512bh)_mm512_set1_epi32(two);
        const Bf16* first = rows + i * W;
        const Bf16* second = i + 1 < count ? first + W : first;
        for (int r = 0; r < R; ++r) {
            const __m512i a = _mm512_loadu_si512(first + 32 * r), b = _mm512_loadu_si512(second + 32 * r);
            __builtin_prefetch(first + AHEAD * W + 32 * r, 0, 2);
            __builtin_prefetch(first + (AHEAD + 1) * W + 32 * r, 0, 2);
            sums[2 * r] = _mm512_dpbf16_ps(sums[2 * r], (__m512bh)_mm512_unpacklo_epi16(a, b), w);
            sums[2 * r + 1] = _mm512_dpbf16_ps(sums[2 * r + 1], (__m512bh)_mm512_unpackhi_epi16(a, b), w);
        }
    }
    for (int r = 0; r < 2 * R; ++r) _mm512_storeu_ps(acc + 16 * r, sums[r]);
}
#endif

// acc[b][c] += sum_i weights[b][i] * rows[i][c] over pairs of `count` <= PAIR_SPAN consecutive table rows and the columns
// [0, columns), a multiple of 32; W from one table row to the next. The 32 columns of a register lie in the order that
// interleaving leaves. Weights of the row after an odd last one must be 0.
static inline void add_pairs(const float*, int64_t, int64_t, int64_t, int64_t, const Bf16* const*, float* const*) {}

static inline void add_pairs(const Bf16* rows, int64_t count, int64_t W, int64_t columns, int64_t B, const Bf16* const* weights,
                             float* const* acc) {
#if HAS_AVX512 && defined(__AVX512BF16__)
    if (B < 4) {
        for (int64_t b = 0; b < B; ++b) {
            int64_t c = 0;
            auto walk = [&](auto width) {
                constexpr int R = decltype(width)::value;
                for (; c + 32 * R <= columns; c += 32 * R) add_pairs_direct<R>(rows + c, count, W, weights[b], acc[b] + c);
            };
            walk(std::integral_constant<int, 9>());
            walk(std::integral_constant<int, 4>());
            walk(std::integral_constant<int, 1>());
        }
        return;
    }
    const int64_t pairs = (count + 1) / 2;
    alignas(64) __m512i tile[PAIR_SPAN / 2 * 4];
    int64_t c = 0;
    auto walk = [&](auto width) {
        constexpr int R = decltype(width)::value;
        for (; c + 16 * R <= columns; c += 16 * R) {
            for (int64_t i = 0; i < pairs; ++i)
                for (int64_t half = 0; half < R / 2; ++half) {
                    const Bf16* first = rows + 2 * i * W + c + 32 * half;
                    const __m512i a = _mm512_loadu_si512(first);
                    const __m512i b = _mm512_loadu_si512(2 * i + 1 < count ? first + W : first);
                    // The rows of the next span: a row is too short for the processor to foresee the one after it.
                    __builtin_prefetch(first + PAIR_SPAN * W, 0, 2);
                    __builtin_prefetch(first + (PAIR_SPAN + 1) * W, 0, 2);
                    tile[R * i + 2 * half] = _mm512_unpacklo_epi16(a, b);
                    tile[R * i + 2 * half + 1] = _mm512_unpackhi_epi16(a, b);
                }
            float* at[4];
            int64_t b = 0;
            for (; b + 4 <= B; b += 4) {
                for (int q = 0; q < 4; ++q) at[q] = acc[b + q] + c;
                add_pairs_tile<4, R>(tile, pairs, weights + b, at);
            }
            for (; b < B; ++b) {
                at[0] = acc[b] + c;
                add_pairs_tile<1, R>(tile, pairs, weights + b, at);
            }
        }
    };
    walk(std::integral_constant<int, 4>());
    walk(std::integral_constant<int, 2>());
#else
    (void)rows, (void)count, (void)W, (void)columns, (void)B, (void)weights, (void)acc;
#endif
}

// A weight in [0, 1] to bf16, to nearest even as torch rounds.
static inline Bf16 rounded_weight(float w) {
    uint32_t wide;
    std::memcpy(&wide, &w, sizeof wide);
    return {static_cast<uint16_t>((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16)};
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
