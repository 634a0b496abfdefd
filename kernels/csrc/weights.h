// The weights of a belief: w = exp((z - max) / T), 1 for its likeliest token. What is left out is left out by weight: a token is
// kept where w > floor.
#pragma once

#include "common.h"

constexpr int64_t LOOK = 64;  // tokens that are passed over together where all of them are left out

static inline int64_t looks_of(int64_t V) { return (V + LOOK - 1) / LOOK; }

#if HAS_AVX512
// exp_nonpositive, operation by operation, of 16 numbers.
static inline __m512 exp_nonpositive(__m512 x) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504f), magic);
    const __m512 n = _mm512_sub_ps(shifted, magic);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r), _mm512_set1_ps(1.0f));
    const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
    const __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
    return _mm512_castsi512_ps(_mm512_maskz_mov_epi32(some, bits));
}

static inline __m512 scaled(const float* z, int64_t n, float m, float inverse) {
    const __mmask16 some = n < 16 ? static_cast<__mmask16>((1u << n) - 1) : static_cast<__mmask16>(-1);
    return _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(some, z), _mm512_set1_ps(m)), _mm512_set1_ps(inverse));
}
#endif

static inline void weigh(const float* z, int64_t n, float m, float inverse, float* w) {
    int64_t i = 0;
#if HAS_AVX512
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(w + i, exp_nonpositive(scaled(z + i, 16, m, inverse)));
    if (i < n) {
        const __m512 last = exp_nonpositive(scaled(z + i, n - i, m, inverse));
        _mm512_mask_storeu_ps(w + i, static_cast<__mmask16>((1u << (n - i)) - 1), last);
        i = n;
    }
#endif
    for (; i < n; ++i) w[i] = exp_nonpositive((z[i] - m) * inverse);
}

// Tokens whose scaled logit is under this one are left out whatever exp rounds to.
static inline float lowest_kept(float floor) {
    return floor > 0 ? std::log(floor) - 1e-3f : -std::numeric_limits<float>::infinity();
}

// w[i] = the weight of each kept token, 0 of the others; `looks` has the largest logit of every LOOK tokens. Returns how many are
// kept.
static inline int64_t weigh_kept(const float* z, int64_t n, const float* looks, float m, float inverse, float floor, float* w) {
    const float low = lowest_kept(floor);
    int64_t count = 0;
    for (int64_t v = 0; v < n; v += LOOK) {
        const int64_t end = std::min(v + LOOK, n);
        if ((*looks++ - m) * inverse < low) {
            std::fill(w + v, w + end, 0.0f);
            continue;
        }
        int64_t i = v;
#if HAS_AVX512
        for (; i + 16 <= end; i += 16) {
            const __m512 x = exp_nonpositive(scaled(z + i, 16, m, inverse));
            const __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(floor), _CMP_GT_OQ);
            _mm512_storeu_ps(w + i, _mm512_maskz_mov_ps(keep, x));
            count += __builtin_popcount(keep);
        }
#endif
        weigh(z + i, end - i, m, inverse, w + i);
        for (; i < end; ++i) {
            const bool keep = w[i] > floor;
            w[i] = keep ? w[i] : 0.0f;
            count += keep;
        }
    }
    return count;
}

// The kept tokens in [v0, v1) as a list: ids, ascending, and weights; v0 is a multiple of LOOK. Returns how many.
static inline int64_t list_kept(const float* z, int64_t v0, int64_t v1, const float* looks, float m, float temperature,
                                int64_t argmax, float floor, int32_t* ids, float* weights) {
    if (temperature == 0) {
        if (argmax < v0 || argmax >= v1) return 0;
        ids[0] = static_cast<int32_t>(argmax);
        weights[0] = 1;
        return 1;
    }
    float w[LOOK];
    const float inverse = 1.0f / temperature;
    int64_t count = 0;
    for (int64_t v = v0; v < v1; v += LOOK) {
        const int64_t n = std::min(LOOK, v1 - v);
        if (!weigh_kept(z + v, n, looks + v / LOOK, m, inverse, floor, w)) continue;
        for (int64_t i = 0; i < n; ++i) {
            ids[count] = static_cast<int32_t>(v + i);
            weights[count] = w[i];
            count += w[i] > 0;
        }
    }
    return count;
}
