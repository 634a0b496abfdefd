// One pass over logits for everything a step wants to know of a belief, and the expectation over its heavy part.
#include "common.h"
#include "pairs.h"

namespace {

constexpr int64_t BLOCK = 512;
constexpr int BINS = 256;
constexpr float BINS_PER_NAT = 4.0f;

enum Status : int32_t { GOOD = 0, HAS_NAN = 1, HAS_INF = 2, EMPTY = 3 };

// The bin of a token by how far its scaled logit lies below the largest; both passes must agree on it.
inline int bin_of(float s) { return static_cast<int>(std::min(-s * BINS_PER_NAT, static_cast<float>(BINS - 1))); }

inline void scaled_block(const float* z, int64_t n, float m, float inverse, float* s, float* w) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
        const float x = (z[i] - m) * inverse;
        s[i] = x < -1e30f ? -1e30f : x;
        w[i] = exp_nonpositive(x);
    }
}

struct Sums {
    double total = 0, energy = 0;
};

// `low`: the first bin that is not told apart from those after it; their mass together is added to histogram[low].
Sums sums(const float* z, int64_t V, float m, float inverse, double* histogram, int low) {
    constexpr int64_t GROUP = 16;
    float s[BLOCK], w[BLOCK];
    Sums result;
    for (int64_t v = 0; v < V; v += BLOCK) {
        const int64_t n = std::min(BLOCK, V - v);
        scaled_block(z + v, n, m, inverse, s, w);
        float total = 0, energy = 0;
#pragma omp simd reduction(+ : total, energy)
        for (int64_t i = 0; i < n; ++i) {
            total += w[i];
            energy += w[i] * s[i];
        }
        result.total += total;
        result.energy += energy;
        if (!histogram) continue;
        for (int64_t g = 0; g < n; g += GROUP) {
            const int64_t end = std::min(g + GROUP, n);
            float highest = s[g], mass = 0;
#pragma omp simd reduction(max : highest) reduction(+ : mass)
            for (int64_t i = g; i < end; ++i) {
                highest = std::max(highest, s[i]);
                mass += w[i];
            }
            if (bin_of(highest) >= low) {
                histogram[low] += mass;
                continue;
            }
            for (int64_t i = g; i < end; ++i) histogram[std::min(bin_of(s[i]), low)] += w[i];
        }
    }
    return result;
}

void top_tokens(const float* z, int64_t V, int64_t k, float* values, int64_t* ids) {
    int64_t have = 0;
    for (int64_t v = 0; v < V; v += 64) {
        const int64_t n = std::min<int64_t>(64, V - v);
        float best = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : best)
        for (int64_t i = 0; i < n; ++i) best = std::max(best, z[v + i]);
        if (have == k && !(best > values[k - 1])) continue;
        for (int64_t i = 0; i < n; ++i) {
            const float x = z[v + i];
            if (have == k && !(x > values[k - 1])) continue;
            int64_t at = have < k ? have++ : k - 1;
            for (; at > 0 && values[at - 1] < x; --at) {
                values[at] = values[at - 1];
                ids[at] = ids[at - 1];
            }
            values[at] = x;
            ids[at] = v + i;
        }
    }
}

}  // namespace

// logits [B, V] float32 with a row stride. Outputs are one entry a row unless said otherwise:
//   status         0, or 1 NaN, 2 +inf, 3 nothing but -inf; the other outputs of such a row are left alone
//   total, energy  sum of w and of w * s, with s = (z - max) / T and w = exp(s)
//   plain_*        the same at T = 1 (may be null)
//   cut, kept, dropped   the first bin of tokens that is left out so that at most delta of the mass goes, and both masses
//   top_values, top_ids  [B, k] the largest logits, equal ones by ascending id
extern "C" void belief_scan(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature, double delta,
                            int64_t k, int32_t* status, float* maximum, int64_t* argmax, double* total, double* energy,
                            double* plain_total, double* plain_energy, int32_t* cut, double* kept, double* dropped,
                            float* top_values, int64_t* top_ids, int32_t threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (B > 1)
    for (int64_t b = 0; b < B; ++b) {
        const float* z = logits + b * stride;
        float m = -std::numeric_limits<float>::infinity();
        int bad = 0;
#pragma omp simd reduction(max : m) reduction(| : bad)
        for (int64_t v = 0; v < V; ++v) {
            m = std::max(m, z[v]);
            bad |= z[v] != z[v];
        }
        status[b] = bad ? HAS_NAN : m == std::numeric_limits<float>::infinity() ? HAS_INF : std::isinf(m) ? EMPTY : GOOD;
        if (status[b] != GOOD) continue;
        maximum[b] = m;
        int64_t first = 0;
        while (z[first] != m) ++first;
        argmax[b] = first;
        if (temperature[b] == 0) {
            total[b] = kept[b] = 1;
            energy[b] = dropped[b] = 0;
            cut[b] = 0;
        } else {
            double histogram[BINS] = {0};
            // Tokens from this bin on hold at most delta even if all V are there, so that they are left out in any case.
            const double reach = delta > 0 ? BINS_PER_NAT * std::log(V / delta) + 1 : BINS;
            const int low = static_cast<int>(std::min<double>(reach, BINS - 1));
            const Sums at = sums(z, V, m, 1.0f / temperature[b], histogram, low);
            total[b] = at.total;
            energy[b] = at.energy;
            double gone = 0, rest = 0;
            int edge = BINS;
            while (edge > 1 && gone + histogram[edge - 1] <= delta * at.total) gone += histogram[--edge];
            for (int bin = 0; bin < edge; ++bin) rest += histogram[bin];
            cut[b] = edge;
            kept[b] = rest;
            dropped[b] = gone;
        }
        if (plain_total) {
            const Sums at = sums(z, V, m, 1.0f, nullptr, 0);
            plain_total[b] = at.total;
            plain_energy[b] = at.energy;
        }
        if (k) top_tokens(z, V, k, top_values + b * k, top_ids + b * k);
    }
}

namespace {

constexpr int64_t SPAN = 2048;
constexpr int64_t TILE = 512;

// What a row's tile of tokens weighs: w[i] = exp(s) of the tokens that are kept, 0 of the others. Returns how many are kept.
int64_t weigh_tile(const float* z, int64_t n, float m, float inverse, int cut, float* w) {
    constexpr int64_t LOOK = 64;
    float s[LOOK];
    int64_t count = 0;
    for (int64_t v = 0; v < n; v += LOOK) {
        const int64_t size = std::min(LOOK, n - v);
        float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
        for (int64_t i = 0; i < size; ++i) highest = std::max(highest, z[v + i]);
        if (bin_of((highest - m) * inverse) >= cut) {
            std::fill(w + v, w + v + size, 0.0f);
            continue;
        }
        scaled_block(z + v, size, m, inverse, s, w + v);
        int32_t here = 0;
#pragma omp simd reduction(+ : here)
        for (int64_t i = 0; i < size; ++i) {
            const bool keep = bin_of(s[i]) < cut && w[v + i] > 0;
            w[v + i] = keep ? w[v + i] : 0.0f;
            here += keep;
        }
        count += here;
    }
    return count;
}

// Fill one row's list of heavy tokens in [v0, v1): ids and weights, ascending.
int64_t heavy_tokens(const float* z, int64_t v0, int64_t v1, float m, float temperature, int64_t argmax, int cut,
                     int32_t* ids, float* weights) {
    if (temperature == 0) {
        if (argmax < v0 || argmax >= v1) return 0;
        ids[0] = static_cast<int32_t>(argmax);
        weights[0] = 1;
        return 1;
    }
    constexpr int64_t LOOK = 64;
    float w[LOOK];
    const float inverse = 1.0f / temperature;
    int64_t count = 0;
    for (int64_t v = v0; v < v1; v += LOOK) {
        const int64_t n = std::min(LOOK, v1 - v);
        if (!weigh_tile(z + v, n, m, inverse, cut, w)) continue;
        for (int64_t i = 0; i < n; ++i) {
            ids[count] = static_cast<int32_t>(v + i);
            weights[count] = w[i];
            count += w[i] > 0;
        }
    }
    return count;
}

template <typename T>
void expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature, const float* maximum,
                 const int64_t* argmax, const int32_t* cut, const double* kept, const T* table, int64_t D, float* acc,
                 int64_t* rows, int threads) {
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
                counts[b] = heavy_tokens(logits + b * stride, v0, v1, maximum[b], temperature[b], argmax[b], cut[b],
                                         &ids[b * (SPAN + 1)], &weights[b * (SPAN + 1)]);
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
        for (int64_t b = 0; b < B; ++b) {
            const float norm = static_cast<float>(kept[b]);
            for (int64_t c = c0; c < c1; ++c) acc[b * D + c] /= norm;
        }
    }
}

// A weight over this share of a belief is not rounded to bf16: what rounding the others adds to a vector's error is then at
// most 2^-9 * sqrt(1/256) of a table row where errors are independent, under bf16's own rounding of the result.
constexpr double LARGE_SHARE = 1.0 / 256;

// The same mean where a tile of a row that keeps at least half of its tokens is added in pairs of table rows with weights
// rounded to bf16, and any other tile token by token in float32. Which of the two does not depend on the batch. The mean is
// over the weights as they were used, so it stays in the table's hull.
void paired_expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature, const float* maximum,
                        const int64_t* argmax, const int32_t* cut, const double* kept, const Bf16* table, int64_t D, float* acc,
                        int64_t* rows, int threads) {
    std::fill(acc, acc + B * D, -0.0f);
    std::fill(rows, rows + B, 0);
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num(), team = omp_get_num_threads();
        const int64_t width = (D / 32 + team - 1) / team * 32;
        const int64_t c0 = std::min<int64_t>(D, thread * width), columns = std::min<int64_t>(D, c0 + width) - c0;
        std::vector<float> paired(B * columns, -0.0f);
        std::vector<double> mass(B, 0.0);
        std::vector<uint8_t> has_pairs(B, 0);
        std::vector<Bf16> rounded(B * TILE);
        std::vector<int64_t> owners;
        std::vector<const Bf16*> weights(B);
        std::vector<float*> sums(B);
        float w[TILE];
        // Tokens that are added one by one wait until there are enough of them to ask for rows before they are needed.
        constexpr int64_t ENOUGH = 8 * PREFETCH, ROOM = ENOUGH + TILE + 1;
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
                    rows[b] += thread == 0;
                    continue;
                }
                const int64_t count = weigh_tile(logits + b * stride + v, n, maximum[b], 1.0f / temperature[b], cut[b], w);
                if (!count) continue;
                if (thread == 0) rows[b] += count;
                const bool pairs = 3 * count >= n;
                const float large = pairs ? static_cast<float>(kept[b] * LARGE_SHARE) : 0.0f;
                const int64_t before = listed[b];
                int64_t at = before;
                for (int64_t g = 0; g < n; g += 16) {
                    const int64_t end = std::min<int64_t>(g + 16, n);
                    float highest = 0;
#pragma omp simd reduction(max : highest)
                    for (int64_t i = g; i < end; ++i) highest = std::max(highest, w[i]);
                    if (!(highest > large)) continue;
                    for (int64_t i = g; i < end; ++i) {
                        ids[at] = static_cast<int32_t>(v + i);
                        lone[at] = w[i];
                        at += w[i] > large;
                    }
                }
                for (int64_t i = before; i < at; ++i) mass[b] += lone[i];
                listed[b] = at;
                if (at >= ENOUGH) add_listed_rows(b);
                if (!pairs) continue;
                Bf16* const narrow = &rounded[owners.size() * TILE];
                float total = 0;
#pragma omp simd reduction(+ : total)
                for (int64_t i = 0; i < n; ++i) {
                    narrow[i] = rounded_weight(w[i] > large ? 0.0f : w[i]);
                    total += widen(narrow[i]);
                }
                std::fill(narrow + n, narrow + TILE, Bf16{0});
                mass[b] += total;
                has_pairs[b] = 1;
                owners.push_back(b);
            }
            for (int64_t u = 0; u < n && !owners.empty(); u += PAIR_SPAN) {
                for (size_t i = 0; i < owners.size(); ++i) {
                    weights[i] = &rounded[i * TILE + u];
                    sums[i] = &paired[owners[i] * columns];
                }
                add_pairs(table + (v + u) * D + c0, std::min(PAIR_SPAN, n - u), D, columns, static_cast<int64_t>(owners.size()),
                          weights.data(), sums.data());
            }
        }
        for (int64_t b = 0; b < B; ++b) {
            if (listed[b]) add_listed_rows(b);
            float* const out = acc + b * D + c0;
            const float* const more = &paired[b * columns];
            if (has_pairs[b]) straighten(&paired[b * columns], columns);
            const float norm = static_cast<float>(mass[b]);
            for (int64_t c = 0; c < columns; ++c) out[c] = (has_pairs[b] ? out[c] + more[c] : out[c]) / norm;
        }
    }
}

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

// acc [B, D] float32 = the mean of table rows under the kept part of each belief; rows [B] = how many rows that took.
extern "C" void belief_expectation(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature,
                                   const float* maximum, const int64_t* argmax, const int32_t* cut, const double* kept,
                                   const void* table, int32_t is_bf16, int64_t D, float* acc, int64_t* rows, int32_t threads) {
    const auto narrow = static_cast<const Bf16*>(table);
    if (is_bf16 && in_pairs(narrow, D))
        paired_expectation(logits, B, V, stride, temperature, maximum, argmax, cut, kept, narrow, D, acc, rows, threads);
    else if (is_bf16)
        expectation(logits, B, V, stride, temperature, maximum, argmax, cut, kept, narrow, D, acc, rows, threads);
    else
        expectation(logits, B, V, stride, temperature, maximum, argmax, cut, kept, static_cast<const float*>(table), D, acc, rows,
                    threads);
}

// The heavy tokens of one row as a list, for encoders that give them other weights. Returns how many.
extern "C" int64_t belief_support(const float* z, int64_t V, float temperature, float maximum, int64_t argmax, int32_t cut,
                                  int32_t* ids, float* weights) {
    return heavy_tokens(z, 0, V, maximum, temperature, argmax, cut, ids, weights);
}

// ids [B]: the first token at which the running sum of weights passes uniform[b] of their total.
extern "C" void belief_sample(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature,
                              const float* maximum, const int64_t* argmax, const double* total, const double* uniform,
                              int64_t* ids, int32_t threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (B > 1)
    for (int64_t b = 0; b < B; ++b) {
        ids[b] = argmax[b];
        if (temperature[b] == 0) continue;
        const double goal = uniform[b] * total[b];
        double before = 0;
        float s[BLOCK], w[BLOCK];
        for (int64_t v = 0; v < V && before <= goal; v += BLOCK) {
            const int64_t n = std::min(BLOCK, V - v);
            scaled_block(logits + b * stride + v, n, maximum[b], 1.0f / temperature[b], s, w);
            for (int64_t i = 0; i < n && before <= goal; ++i) {
                before += w[i];
                if (w[i] > 0) ids[b] = v + i;
            }
        }
    }
}

// acc [B, D] float32 = sums of table rows, row b over entries offsets[b] to offsets[b + 1] of ids and weights.
extern "C" void mix_rows(const void* table, int32_t is_bf16, int64_t D, int64_t B, const int64_t* offsets, const int32_t* ids,
                         const float* weights, float* acc, int32_t threads) {
    if (is_bf16)
        mix(static_cast<const Bf16*>(table), D, B, offsets, ids, weights, acc, threads);
    else
        mix(static_cast<const float*>(table), D, B, offsets, ids, weights, acc, threads);
}

// out [B, V] = (z - max) / T + Gumbel noise of (key, token), the noise of noise.py; masked tokens stay masked.
extern "C" void add_gumbel(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature,
                           const float* maximum, const int64_t* keys, float* out, int32_t threads) {
    auto finalise = [](uint64_t x) {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
        return x ^ (x >> 31);
    };
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < B; ++b)
        for (int64_t v = 0; v < V; ++v) {
            const uint64_t token = static_cast<uint64_t>(v) * 0x9E3779B97F4A7C15ull + 0xBF58476D1CE4E5B9ull;
            const uint64_t bits = finalise(static_cast<uint64_t>(keys[b]) ^ finalise(token)) >> 11;
            const float u = std::min(static_cast<float>((static_cast<double>(bits) + 0.5) * 0x1p-53), 1.0f - 0x1p-24f);
            out[b * V + v] = (logits[b * stride + v] - maximum[b]) / temperature[b] - std::log(-std::log1p(-u));
        }
}
