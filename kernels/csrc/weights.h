// The weights of a belief: w = exp((z - max) / T), 1 for its likeliest token. What is left out is left out by weight: a token is
// kept where w > floor.
#pragma once

#include "common.h"

constexpr int64_t LOOK = 64;  // tokens that are passed over together where all of them are left out

static inline void weigh(const float* z, int64_t n, float m, float inverse, float* w) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) w[i] = exp_nonpositive((z[i] - m) * inverse);
}

// w[i] = the weight of each kept token, 0 of the others. Returns how many are kept.
static inline int64_t weigh_kept(const float* z, int64_t n, float m, float inverse, float floor, float* w) {
    // Scaled logits under this one are left out whatever exp rounds to.
    const float low = floor > 0 ? std::log(floor) - 1e-3f : -std::numeric_limits<float>::infinity();
    int64_t count = 0;
    for (int64_t v = 0; v < n; v += LOOK) {
        const int64_t size = std::min(LOOK, n - v);
        if ((highest_of(z + v, size) - m) * inverse < low) {
            std::fill(w + v, w + v + size, 0.0f);
            continue;
        }
        weigh(z + v, size, m, inverse, w + v);
        int32_t here = 0;
#pragma omp simd reduction(+ : here)
        for (int64_t i = 0; i < size; ++i) {
            const bool keep = w[v + i] > floor;
            w[v + i] = keep ? w[v + i] : 0.0f;
            here += keep;
        }
        count += here;
    }
    return count;
}

// The kept tokens in [v0, v1) as a list: ids, ascending, and weights. Returns how many.
static inline int64_t list_kept(const float* z, int64_t v0, int64_t v1, float m, float temperature, int64_t argmax, float floor,
                                int32_t* ids, float* weights) {
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
        if (!weigh_kept(z + v, n, m, inverse, floor, w)) continue;
        for (int64_t i = 0; i < n; ++i) {
            ids[count] = static_cast<int32_t>(v + i);
            weights[count] = w[i];
            count += w[i] > 0;
        }
    }
    return count;
}
