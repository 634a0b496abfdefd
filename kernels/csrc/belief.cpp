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

// The weights of a row's tokens and what it costs to leave each out, and of every LOOK of them the largest weight and both sums.
// Looks whose weights are all negligible have none of the first two. Filled up with zeros.
struct Weighed {
    std::vector<float> weights, costs, look_highest, look_masses, look_costs;

    explicit Weighed(int64_t V)
        : weights(looks_of(V) * LOOK),
          costs(weights.size()),
          look_highest((looks_of(V) + 15) / 16 * 16),
          look_masses(look_highest.size()),
          look_costs(look_highest.size()) {}

    // The sum of costs, or of masses, over the tokens whose weight is not above `floor`, of one look in `every`.
    double cost_up_to(float floor, int64_t every = 1) const { return sum_up_to(floor, costs, look_costs, every); }
    double mass_up_to(float floor) const { return sum_up_to(floor, weights, look_masses, 1); }

   private:
    double sum_up_to(float floor, const std::vector<float>& x, const std::vector<float>& look_x, int64_t every) const {
        double result = 0;
#if HAS_AVX512
        const __m512 most = _mm512_set1_ps(floor);
        const auto chosen = static_cast<__mmask16>(every == SAMPLED ? 0x0101 : 0xFFFF);
        for (size_t first = 0; first < look_x.size(); first += 16) {
            const __mmask16 whole = _mm512_mask_cmp_ps_mask(chosen, _mm512_loadu_ps(&look_highest[first]), most, _CMP_LE_OQ);
            __m512 sums[2] = {_mm512_maskz_loadu_ps(whole, &look_x[first]), _mm512_setzero_ps()};
            for (uint32_t in_part = chosen & ~whole; in_part; in_part &= in_part - 1) {
                const size_t look = (first + __builtin_ctz(in_part)) * LOOK;
                for (int k = 0; k < 4; ++k) {
                    const __mmask16 under = _mm512_cmp_ps_mask(_mm512_loadu_ps(&weights[look + 16 * k]), most, _CMP_LE_OQ);
                    sums[k % 2] = _mm512_mask_add_ps(sums[k % 2], under, sums[k % 2], _mm512_loadu_ps(&x[look + 16 * k]));
                }
            }
            result += _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
        }
#else
        for (size_t look = 0; look < look_x.size(); look += every) {
            float sum = look_x[look];
            if (look_highest[look] > floor) {
                sum = 0;
                for (size_t v = look * LOOK; v < (look + 1) * LOOK; ++v) sum += weights[v] <= floor ? x[v] : 0.0f;
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

// Sums of w and of w * s over a row. What it costs to leave a token out is w * shares, or w where `shares` is null.
Sums sums(const float* z, int64_t V, const float* looks, float m, float inverse, const float* shares, Weighed* row) {
    Sums result;
#if HAS_AVX512
    __m512 energies = _mm512_setzero_ps();
#endif
    for (int64_t v = 0; v < V; v += LOOK) {
        const float highest = (looks[v / LOOK] - m) * inverse;
        row->look_highest[v / LOOK] = row->look_masses[v / LOOK] = row->look_costs[v / LOOK] = 0;
        if (highest < NEGLIGIBLE) continue;
        const int64_t n = std::min(LOOK, V - v);
        float* const w = &row->weights[v];
        float* const costs = &row->costs[v];
        float total = 0, energy = 0, cost = 0;
        int64_t i = 0;
#if HAS_AVX512
        __m512 totals = _mm512_setzero_ps(), all_costs = totals;
        for (; i + 16 <= n; i += 16) {
            const __m512 s = scaled(z + v + i, 16, m, inverse), x = exp_nonpositive(s);
            const __m512 c = shares ? _mm512_mul_ps(x, _mm512_loadu_ps(shares + v + i)) : x;
            _mm512_storeu_ps(w + i, x);
            _mm512_storeu_ps(costs + i, c);
            totals = _mm512_add_ps(totals, x);
            all_costs = _mm512_add_ps(all_costs, c);
            // A masked token's s is -inf, and its weight 0.
            energies = _mm512_fmadd_ps(x, _mm512_max_ps(s, _mm512_set1_ps(-1e30f)), energies);
        }
        total = _mm512_reduce_add_ps(totals);
        cost = _mm512_reduce_add_ps(all_costs);
#endif
        weigh(z + v + i, n - i, m, inverse, w + i);
        for (; i < n; ++i) {
            total += w[i];
            energy += w[i] * std::max((z[v + i] - m) * inverse, -1e30f);
            cost += costs[i] = shares ? w[i] * shares[v + i] : w[i];
        }
        row->look_highest[v / LOOK] = exp_nonpositive(highest);
        row->look_masses[v / LOOK] = total;
        row->look_costs[v / LOOK] = cost;
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

struct Tail {
    float floor = 0;
    double mass = 0, cost = 0;
};

// The largest floor exp(-k / 4), k >= 1, that leaves out at most delta of the total of V tokens, by cost. No cost is above its
// weight.
Tail tail(const Weighed& row, int64_t V, double total, double delta) {
    if (!(delta > 0)) return {};
    auto floor_of = [](int k) { return exp_nonpositive(-static_cast<float>(k) / STEPS_PER_NAT); };
    // So low a floor costs at most delta even if all V tokens are under it.
    int low = static_cast<int>(STEPS_PER_NAT * std::log(V / delta)) + 1, high = 0;
    // Bisection over a part of the weights guesses; from there, in growing steps, the whole sums find out.
    int k = low;
    for (int below = high; k - below > 1;) {
        const int middle = (k + below) / 2;
        (SAMPLED * row.cost_up_to(floor_of(middle), SAMPLED) <= delta * total ? k : below) = middle;
    }
    double cost = -1;
    k = std::min(k, low - 1);
    for (int step = 1; low - high > 1; step *= 2) {
        const double at = row.cost_up_to(floor_of(k));
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
    return {floor, row.mass_up_to(floor), cost < 0 ? row.cost_up_to(floor) : cost};
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
//   floor, kept, dropped, cost  tokens with w <= floor are left out, both masses, and what that costs: the sum of w * shares over
//                  what is left out, at most delta of the total; shares [V] are in [0, 1], or null where all are 1
//   top_values, top_weights, top_ids  [B, k] the largest logits with their w, equal ones by ascending id
extern "C" void belief_scan(const float* logits, int64_t B, int64_t V, int64_t stride, const float* temperature, double delta,
                            const float* shares, int64_t k, int32_t* status, float* looks, float* maximum, int64_t* argmax,
                            double* total, float* entropy, float* max_probability, float* plain_entropy,
                            float* plain_max_probability, float* floor, double* kept, double* dropped, double* cost,
                            float* top_values, float* top_weights, int64_t* top_ids, int32_t threads) {
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
                entropy[b] = dropped[b] = cost[b] = floor[b] = 0;
            } else {
                const Sums at = sums(z, V, look, m, 1.0f / temperature[b], shares, &row);
                const Tail left_out = tail(row, V, at.total, delta);
                total[b] = at.total;
                entropy[b] = at.entropy();
                max_probability[b] = static_cast<float>(1 / at.total);
                floor[b] = left_out.floor;
                kept[b] = at.total - left_out.mass;
                dropped[b] = left_out.mass;
                cost[b] = left_out.cost;
            }
            if (plain_entropy) {
                const Sums at = sums(z, V, look, m, 1.0f, nullptr, &row);
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
