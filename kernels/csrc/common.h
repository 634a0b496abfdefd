// What the compiled operators share: number formats, exp, and the weighted sum of table rows.
// B rows of a batch, V tokens, D embedding width.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#define HAS_AVX512 1
#endif

struct Bf16 {
    uint16_t bits;
};

static inline float widen(float x) { return x; }

static inline float widen(Bf16 x) {
    uint32_t wide = static_cast<uint32_t>(x.bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

// Not NaN, to nearest even as torch rounds.
static inline Bf16 narrowed(float x) {
    uint32_t wide;
    std::memcpy(&wide, &x, sizeof wide);
    return {static_cast<uint16_t>((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16)};
}

// exp(x) for x <= 0, about one unit in the last place, exactly 1 at 0 and exactly 0 below -87.
static inline float exp_nonpositive(float x) {
    const float shifted = x * 1.44269504f + 12582912.0f;
    const float n = shifted - 12582912.0f;
    float r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits, exponent;
    std::memcpy(&bits, &p, sizeof bits);
    std::memcpy(&exponent, &shifted, sizeof exponent);
    bits += static_cast<int32_t>(static_cast<uint32_t>(exponent) << 23);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return x < -87.0f ? 0.0f : value;
}

// A weight under exp(-44) of the largest, for any vocabulary there is, adds less than float32 resolves.
constexpr float NEGLIGIBLE = -44.0f;

// The largest of n numbers, of which none is NaN; -inf if there are none.
static inline float highest_of(const float* x, int64_t n) {
    float highest = -std::numeric_limits<float>::infinity();
    int64_t i = 0;
#if HAS_AVX512
    if (n >= 64) {
        __m512 most[4];
        for (int k = 0; k < 4; ++k) most[k] = _mm512_loadu_ps(x + 16 * k);
        for (i = 64; i + 64 <= n; i += 64)
            for (int k = 0; k < 4; ++k) most[k] = _mm512_max_ps(most[k], _mm512_loadu_ps(x + i + 16 * k));
        highest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3])));
    }
#endif
    for (; i < n; ++i) highest = std::max(highest, x[i]);
    return highest;
}

// Rows are asked for so many entries of a list before they are needed.
constexpr int64_t PREFETCH = 16;

// Into the second cache: the first is too small for what is on its way, and asking for it there stalls the walk.
template <typename T>
static inline void prefetch(const T* from, int64_t count) {
    const char* line = reinterpret_cast<const char*>(from);
    for (const char* end = reinterpret_cast<const char*>(from + count); line < end; line += 64) __builtin_prefetch(line, 0, 2);
}

// Memory that will be wanted, and is asked for line by line while something else is computed.
struct Ahead {
    const char* at;

    template <typename T>
    explicit Ahead(const T* from) : at(reinterpret_cast<const char*>(from)) {}

    void ask(int lines) {
        for (int i = 0; i < lines; ++i) __builtin_prefetch(at + 64 * i, 0, 2);
        at += 64 * lines;
    }
};

#if HAS_AVX512
static inline __m512 load16(const float* from) { return _mm512_loadu_ps(from); }

static inline __m512 load16(const Bf16* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// 16 * R columns of sums stay in registers while a list of rows is walked.
template <int R, typename T>
static inline void add_listed(const T* table, int64_t D, const int32_t* ids, const float* weights, int64_t count, float* acc,
                              int64_t ahead, int64_t columns) {
    __m512 sums[R];
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) sums[r] = _mm512_set1_ps(-0.0f);
    for (int64_t i = 0; i < count; ++i) {
        const T* row = table + ids[i] * D;
        if (i < ahead) prefetch(table + ids[i + PREFETCH] * D, columns);
        const __m512 w = _mm512_set1_ps(weights[i]);
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) sums[r] = _mm512_fmadd_ps(w, load16(row + 16 * r), sums[r]);
    }
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) _mm512_storeu_ps(acc + 16 * r, _mm512_add_ps(_mm512_loadu_ps(acc + 16 * r), sums[r]));
}
#endif

constexpr int64_t DENSE_SPAN = 64;     // consecutive table rows added together
constexpr int64_t DENSE_COLUMNS = 64;  // columns of them widened at a time

// acc[c] += sum_i weights[i] * table[ids[i]][c] for columns [c0, c1): the terms of a span of ids one after the other, then
// the span's sum. Added one by one to a large sum, the many small terms of a flat belief would vanish. The order depends
// neither on the other rows of the batch nor on the number of threads. Sums begin with -0, which adds nothing to a -0.
template <typename T>
static inline void add_rows(const T* table, int64_t D, const int32_t* ids, const float* weights, int64_t count,
                            float* __restrict acc, int64_t c0, int64_t c1) {
    for (int64_t i0 = 0, n = 0; i0 < count; i0 += n) {
        for (n = 1; i0 + n < count && ids[i0 + n] / DENSE_SPAN == ids[i0] / DENSE_SPAN; ++n) {
        }
        int64_t c = c0;
#if HAS_AVX512
        // The first columns of a group ask for all columns of the next one.
        int64_t ahead = std::min(n, count - i0 - PREFETCH);
        auto walk = [&](auto width) {
            constexpr int R = decltype(width)::value;
            for (; c + 16 * R <= c1; c += 16 * R) {
                add_listed<R>(table + c, D, ids + i0, weights + i0, n, acc + c, ahead, c1 - c0);
                ahead = 0;
            }
        };
        walk(std::integral_constant<int, 18>());
        walk(std::integral_constant<int, 9>());
        walk(std::integral_constant<int, 4>());
        walk(std::integral_constant<int, 1>());
#endif
        for (; c < c1; c += 16) {
            const int64_t end = std::min<int64_t>(c + 16, c1) - c;
            float sums[16];
            std::fill(sums, sums + 16, -0.0f);
            for (int64_t i = i0; i < i0 + n; ++i) {
                const T* __restrict row = table + ids[i] * D + c;
                const float w = weights[i];
#pragma omp simd
                for (int64_t j = 0; j < end; ++j) sums[j] += w * widen(row[j]);
            }
            for (int64_t j = 0; j < end; ++j) acc[c + j] += sums[j];
        }
    }
}

#if HAS_AVX512
// Q batch rows by 16 * R columns of sums stay in registers while the span is walked.
template <int Q, int R>
static inline void add_tile(const float* tile, int64_t count, const float* const* weights, float* const* acc) {
    __m512 sums[Q][R];
#pragma GCC unroll 32
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) sums[q][r] = _mm512_set1_ps(-0.0f);
    for (int64_t i = 0; i < count; ++i) {
        __m512 x[R];
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r) x[r] = _mm512_load_ps(tile + i * DENSE_COLUMNS + 16 * r);
#pragma GCC unroll 32
        for (int q = 0; q < Q; ++q) {
            const __m512 w = _mm512_set1_ps(weights[q][i]);
#pragma GCC unroll 32
            for (int r = 0; r < R; ++r) sums[q][r] = _mm512_fmadd_ps(w, x[r], sums[q][r]);
        }
    }
#pragma GCC unroll 32
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r)
            _mm512_storeu_ps(acc[q] + 16 * r, _mm512_add_ps(_mm512_loadu_ps(acc[q] + 16 * r), sums[q][r]));
}

template <int Q>
static inline void add_tile(int64_t columns, const float* tile, int64_t count, const float* const* weights, float* const* acc) {
    if (columns == 64) return add_tile<Q, 4>(tile, count, weights, acc);
    if (columns == 48) return add_tile<Q, 3>(tile, count, weights, acc);
    if (columns == 32) return add_tile<Q, 2>(tile, count, weights, acc);
    return add_tile<Q, 1>(tile, count, weights, acc);
}
#endif

// acc[q][c] += sum_i weights[q][i] * rows[i][c] for columns [c0, c1) of `count` <= DENSE_SPAN consecutive rows and B batch
// rows; the same order of the same operations as add_rows, where a weight of zero changes nothing.
template <typename T>
static inline void add_span(const T* rows, int64_t count, int64_t D, int64_t B, const float* const* weights, float* const* acc,
                            int64_t c0, int64_t c1) {
    alignas(64) float tile[DENSE_SPAN * DENSE_COLUMNS];
    for (int64_t c = c0; c < c1; c += DENSE_COLUMNS) {
        const int64_t n = std::min(DENSE_COLUMNS, c1 - c);
        for (int64_t i = 0; i < count; ++i) {
#pragma omp simd
            for (int64_t j = 0; j < n; ++j) tile[i * DENSE_COLUMNS + j] = widen(rows[i * D + c + j]);
        }
        int64_t b = 0;
#if HAS_AVX512
        float* at[4];
        if (n % 16 == 0) {
            for (; b + 4 <= B; b += 4) {
                for (int q = 0; q < 4; ++q) at[q] = acc[b + q] + c;
                add_tile<4>(n, tile, count, weights + b, at);
            }
            for (; b < B; ++b) {
                at[0] = acc[b] + c;
                add_tile<1>(n, tile, count, weights + b, at);
            }
        }
#endif
        for (; b < B; ++b) {
            float sums[DENSE_COLUMNS];
            std::fill(sums, sums + DENSE_COLUMNS, -0.0f);
            for (int64_t i = 0; i < count; ++i) {
                const float w = weights[b][i];
#pragma omp simd
                for (int64_t j = 0; j < n; ++j) sums[j] += w * tile[i * DENSE_COLUMNS + j];
            }
            for (int64_t j = 0; j < n; ++j) acc[b][c + j] += sums[j];
        }
    }
}

// The columns of thread t of n: whole cache lines of floats.
static inline void column_slice(int64_t D, int t, int n, int64_t* c0, int64_t* c1) {
    const int64_t width = ((D + n - 1) / n + 15) / 16 * 16;
    *c0 = std::min<int64_t>(D, t * width);
    *c1 = std::min<int64_t>(D, *c0 + width);
}
