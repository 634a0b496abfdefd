// What a step wants to know of a belief: its sums, its likeliest tokens, which of the others may be left out.
#include "weights.h"

namespace {

constexpr int64_t BLOCK = 512;
constexpr float STEPS_PER_NAT = 4.0f;
constexpr int64_t SAMPLED = 8;  // one look in so many is enough for a guess

enum Status : int32_t { GOOD = 0, HAS_NAN = 1, HAS_INF = 2, EMPTY = 3 };

// The largest of a look's n logits; sets `bad` if there is a NaN.
float highest_logit(const float* z, int64_t n, bool* bad) {
#if HAS_AVX512
    if (n == LOOK) {
        const __m512 a = _mm512_loadu_ps(z), b = _mm512_loadu_ps(z + 16), c = _mm512_loadu_ps(z + 32),
                     d = _mm512_loadu_ps(z + 48);
        *bad |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c, d, _CMP_UNORD_Q);
        return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d)));
    }
#endif
    for (int64_t i = 0; i < n; ++i) *bad |= z[i] != z[i];
    return highest_of(z, n);
}

// The largest logit of every LOOK tokens goes to `looks`.
Status find_maximum(const float* z, int64_t V, float* looks, float* maximum, int64_t* argmax) {
    constexpr float INF = std::numeric_limits<float>::infinity();
    float m = -INF;
    int64_t first = 0;
    bool bad = false;
    for (int64_t v = 0; v < V; v += LOOK) {
        const float highest = *looks++ = highest_logit(z + v, std::min(LOOK, V - v), &bad);
        if (highest > m) m = highest, first = v;
    }
    if (bad) return HAS_NAN;
    if (m == INF) return HAS_INF;
    if (m == -INF) return EMPTY;
    *maximum = m;
    *argmax = std::find(z + first, z + V, m) - z;
    return GOOD;
}

// The weights of a row's tokens, and of every LOOK of them the largest, their sum and that of their squares. Looks whose weights
// are all negligible have no weights, and sums of 0. Filled up with zeros.
struct Weighed {
    std::vector<float> weights, look_highest, look_masses, look_squares;

    explicit Weighed(int64_t V)
        : weights(looks_of(V) * LOOK),
          look_highest((looks_of(V) + 15) / 16 * 16),
          look_masses(look_highest.size()),
          look_squares(look_highest.size()) {}

    // Over the tokens whose weight is not above `floor`, of one look in `every`: the sum of weights, and that of their squares.
    double mass_up_to(float floor, int64_t every = 1) const { return sum_up_to<false>(floor, look_masses, every); }
    double squares_up_to(float floor, int64_t every = 1) const { return sum_up_to<true>(floor, look_squares, every); }

   private:
    template <bool SQUARED>
    double sum_up_to(float floor, const std::vector<float>& look_sums, int64_t every) const {
        double result = 0;
#if HAS_AVX512
        const __m512 most = _mm512_set1_ps(floor);
        const auto chosen = static_cast<__mmask16>(every == SAMPLED ? 0x0101 : 0xFFFF);
        for (size_t first = 0; first < look_sums.size(); first += 16) {
            const __mmask16 whole = _mm512_mask_cmp_ps_mask(chosen, _mm512_loadu_ps(&look_highest[first]), most, _CMP_LE_OQ);
            __m512 sums[2] = {_mm512_maskz_loadu_ps(whole, &look_sums[first]), _mm512_setzero_ps()};
            for (uint32_t in_part = chosen & ~whole; in_part; in_part &= in_part - 1) {
                const size_t look = (first + __builtin_ctz(in_part)) * LOOK;
                for (int k = 0; k < 4; ++k) {
                    const __m512 w = _mm512_loadu_ps(&weights[look + 16 * k]);
                    const __mmask16 under = _mm512_cmp_ps_mask(w, most, _CMP_LE_OQ);
                    if (SQUARED)
                        sums[k % 2] = _mm512_mask3_fmadd_ps(w, w, sums[k % 2], under);
                    else
                        sums[k % 2] = _mm512_mask_add_ps(sums[k % 2], under, sums[k % 2], w);
                }
            }
            result += _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
        }
#else
        for (size_t look = 0; look < look_sums.size(); look += every) {
            float sum = look_sums[look];
            if (look_highest[look] > floor) {
                sum = 0;
                for (size_t v = look * LOOK; v < (look + 1) * LOOK; ++v)
                    if (weights[v] <= floor) sum += SQUARED ? weights[v] * weights[v] : weights[v];
            }
            result += sum;
        }
#endif
        return result;
    }
};

struct Sums {
    double total = 0, energy = 0;

    float entropy() const { return static_cast<float>(std::max(std::log(total) - energy / total, 0.0)); }
};

// Sums of w and of w * s over a row.
Sums sums(const float* z, int64_t V, const float* looks, float m, float inverse, Weighed* row) {
    Sums result;
#if HAS_AVX512
    __m512 energies = _mm512_setzero_ps();
#endif
    for (int64_t v = 0; v < V; v += LOOK) {
        const float highest = (looks[v / LOOK] - m) * inverse;
        row->look_highest[v / LOOK] = row->look_masses[v / LOOK] = row->look_squares[v / LOOK] = 0;
        if (highest < NEGLIGIBLE) continue;
        const int64_t n = std::min(LOOK, V - v);
        float* const w = &row->weights[v];
        float total = 0, energy = 0, squares = 0;
        int64_t i = 0;
#if HAS_AVX512
        __m512 totals = _mm512_setzero_ps(), all_squares = totals;
        for (; i + 16 <= n; i += 16) {
            const __m512 s = scaled(z + v + i, 16, m, inverse), x = exp_nonpositive(s);
            _mm512_storeu_ps(w + i, x);
            totals = _mm512_add_ps(totals, x);
            all_squares = _mm512_fmadd_ps(x, x, all_squares);
            // A masked token's s is -inf, and its weight 0.
            energies = _mm512_fmadd_ps(x, _mm512_max_ps(s, _mm512_set1_ps(-1e30f)), energies);
        }
        total = _mm512_reduce_add_ps(totals);
        squares = _mm512_reduce_add_ps(all_squares);
#endif
        weigh(z + v + i, n - i, m, inverse, w + i);
        for (; i < n; ++i) {
            total += w[i];
            squares += w[i] * w[i];
            energy += w[i] * std::max((z[v + i] - m) * inverse, -1e30f);
        }
        row->look_highest[v / LOOK] = exp_nonpositive(highest);
        row->look_masses[v / LOOK] = total;
        row->look_squares[v / LOOK] = squares;
        result.total += total;
        result.energy += energy;
#if HAS_AVX512
        // Not at every look: that takes as long as the rest.
        if (v % BLOCK == 0) result.energy += _mm512_reduce_add_ps(energies), energies = _mm512_setzero_ps();
#endif
    }
#if HAS_AVX512
    result.energy += _mm512_reduce_add_ps(energies);
#endif
    return result;
}

// A table's rows as combinations of up to two: coordinates [rank, V]. `scale` times the Euclidean norm of what is left out of a
// belief is what that may cost; rank 0: it costs the mass that is left out.
struct LowRank {
    const float* coordinates;
    int64_t rank;
    double scale;
};

struct Tail {
    float floor = 0;
    double mass = 0, cost = 0;
};

// The largest floor exp(-k / 4), k >= 1, that leaves out what costs at most delta of the total of V tokens.
Tail tail(const Weighed& row, int64_t V, double total, double delta, const LowRank& table) {
    if (!(delta > 0)) return {};
    auto floor_of = [](int k) { return exp_nonpositive(-static_cast<float>(k) / STEPS_PER_NAT); };
    auto cost_at = [&](int k, int64_t every) {
        if (!table.rank) return every * row.mass_up_to(floor_of(k), every);
        return table.scale * std::sqrt(every * row.squares_up_to(floor_of(k), every));
    };
    // So low a floor costs at most delta even if all V tokens are under it.
    const double most = table.rank ? std::sqrt(static_cast<double>(V)) * table.scale : V;
    int low = std::max(static_cast<int>(STEPS_PER_NAT * std::log(most / delta)), 0) + 1, high = 0;
    // Bisection over a part of the weights guesses; from there, in growing steps, the whole sums find out.
    int k = low;
    for (int below = high; k - below > 1;) {
        const int middle = (k + below) / 2;
        (cost_at(middle, SAMPLED) <= delta * total ? k : below) = middle;
    }
    double cost = -1;
    k = std::min(k, low - 1);
    for (int step = 1; low - high > 1; step *= 2) {
        const double at = cost_at(k, 1);
        if (at <= delta * total) {
            low = k;
            cost = at;
            k = std::max(k - step, (low + high) / 2);
        } else {
            high = k;
            k = std::min(k + step, (low + high + 1) / 2);
        }
    }
    const float floor = floor_of(low);
    return {floor, row.mass_up_to(floor), cost < 0 ? cost_at(low, 1) : cost};
}

// sums [K] = the weighted sums of coordinates over the tokens whose weight is not above `floor`.
template <int K>
void sum_coordinates(const Weighed& row, int64_t V, float floor, const float* coordinates, double* sums) {
    std::fill(sums, sums + K, 0.0);
    for (int64_t first = 0; first < V; first += BLOCK) {
        float part[K] = {};
#if HAS_AVX512
        __m512 parts[K];
#pragma GCC unroll 8
        for (int j = 0; j < K; ++j) parts[j] = _mm512_setzero_ps();
#endif
        for (int64_t v = first; v < std::min(first + BLOCK, V); v += LOOK) {
            if (row.look_masses[v / LOOK] == 0) continue;
            const int64_t end = std::min(v + LOOK, V);
            int64_t i = v;
#if HAS_AVX512
            for (; i + 16 <= end; i += 16) {
                const __m512 x = _mm512_loadu_ps(&row.weights[i]);
                const __m512 w = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(floor), _CMP_LE_OQ), x);
#pragma GCC unroll 8
                for (int j = 0; j < K; ++j) parts[j] = _mm512_fmadd_ps(w, _mm512_loadu_ps(coordinates + j * V + i), parts[j]);
            }
#endif
            for (; i < end; ++i)
                for (int j = 0; j < K; ++j) part[j] += row.weights[i] <= floor ? row.weights[i] * coordinates[j * V + i] : 0.0f;
        }
#if HAS_AVX512
#pragma GCC unroll 8
        for (int j = 0; j < K; ++j) part[j] += _mm512_reduce_add_ps(parts[j]);
#endif
        for (int j = 0; j < K; ++j) sums[j] += part[j];
    }
}

void sum_coordinates(const Weighed& row, int64_t V, float floor, const LowRank& table, double* sums) {
    if (table.rank == 1) sum_coordinates<1>(row, V, floor, table.coordinates, sums);
    if (table.rank == 2) sum_coordinates<2>(row, V, floor, table.coordinates, sums);
}

void top_tokens(const float* z, int64_t V, const float* looks, int64_t k, float* values, int64_t* ids) {
    int64_t have = 0;
    for (int64_t v = 0; v < V; v += LOOK) {
        const int64_t n = std::min(LOOK, V - v);
        const float best = *looks++;
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
//   looks          [B, V / 64 rounded up] the largest logit of every 64 tokens
//   total          sum of w = exp((z - max) / T)
//   entropy, max_probability  of the belief; plain_*: the same at T = 1 (may be null)
//   floor, kept, dropped, cost  tokens with w <= floor are left out, both masses, and what that costs, at most delta of the total
//   rest           [B, rank] the sums of w * coordinates over what is left out
//   top_values, top_weights, top_ids  [B, k] the largest logits with their w, equal ones by ascending id
extern "C" void belief_scan(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature, double delta,
                            const float* coordinates, int64_t rank, double scale, int64_t k, int32_t* status, float* looks,
                            float* maximum, int64_t* argmax, double* total, float* entropy, float* max_probability,
                            float* plain_entropy, float* plain_max_probability, float* floor, double* kept, double* dropped,
                            double* cost, double* rest, float* top_values, float* top_weights, int64_t* top_ids,
                            int32_t threads) {
    const LowRank table = {coordinates, rank, scale};
#pragma omp parallel num_threads(threads) if (B > 1)
    {
        Weighed row(V);
#pragma omp for schedule(dynamic, 1)
        for (int64_t b = 0; b < B; ++b) {
            const float* z = logits + b * stride;
            float* const look = looks + b * looks_of(V);
            status[b] = find_maximum(z, V, look, maximum + b, argmax + b);
            if (status[b] != GOOD) continue;
            const float m = maximum[b];
            if (temperature[b] == 0) {
                total[b] = kept[b] = max_probability[b] = 1;
                std::fill(rest + b * rank, rest + (b + 1) * rank, 0.0);
                entropy[b] = dropped[b] = cost[b] = floor[b] = 0;
            } else {
                const Sums at = sums(z, V, look, m, 1.0f / temperature[b], &row);
                const Tail left_out = tail(row, V, at.total, delta, table);
                sum_coordinates(row, V, left_out.floor, table, rest + b * rank);
                total[b] = at.total;
                entropy[b] = at.entropy();
                max_probability[b] = static_cast<float>(1 / at.total);
                floor[b] = left_out.floor;
                kept[b] = at.total - left_out.mass;
                dropped[b] = left_out.mass;
                cost[b] = left_out.cost;
            }
            if (plain_entropy) {
                const Sums at = sums(z, V, look, m, 1.0f, &row);
                plain_entropy[b] = at.entropy();
                plain_max_probability[b] = static_cast<float>(1 / at.total);
            }
            if (!k) continue;
            top_tokens(z, V, look, k, top_values + b * k, top_ids + b * k);
            for (int64_t i = b * k; i < (b + 1) * k; ++i)
                top_weights[i] = temperature[b] == 0 ? top_ids[i] == argmax[b]
                                                     : exp_nonpositive((top_values[i] - m) * (1.0f / temperature[b]));
        }
    }
}

// The kept tokens of one row as a list, for encoders that give them other weights. Returns how many.
extern "C" int64_t belief_support(const float* z, int64_t V, const float* looks, float temperature, float maximum, int64_t argmax,
                                  float floor, int32_t* ids, float* weights) {
    return list_kept(z, 0, V, looks, maximum, temperature, argmax, floor, ids, weights);
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
        float w[BLOCK];
        for (int64_t v = 0; v < V && before <= goal; v += BLOCK) {
            const int64_t n = std::min(BLOCK, V - v);
            weigh(logits + b * stride + v, n, maximum[b], 1.0f / temperature[b], w);
            for (int64_t i = 0; i < n && before <= goal; ++i) {
                before += w[i];
                if (w[i] > 0) ids[b] = v + i;
            }
        }
    }
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
