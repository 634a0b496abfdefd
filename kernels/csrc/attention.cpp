// Attention of B queries over the vocabulary, logits never written out: one walk over keys and values.
#include "common.h"
#include "pairs.h"

namespace {

constexpr int64_t TILE = 16;          // table rows whose products with one query are computed together
constexpr int64_t SPAN = DENSE_SPAN;  // table rows between two looks at the running maximum

#if HAS_AVX512
inline __m512 sum_lanes(const __m512* a) {
    __m512 u[4];
    for (int i = 0; i < 4; ++i) {
        const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a[4 * i], a[4 * i + 1]), _mm512_unpackhi_ps(a[4 * i], a[4 * i + 1]));
        const __m512 cd =
            _mm512_add_ps(_mm512_unpacklo_ps(a[4 * i + 2], a[4 * i + 3]), _mm512_unpackhi_ps(a[4 * i + 2], a[4 * i + 3]));
        const __m512d x = _mm512_castps_pd(ab), y = _mm512_castps_pd(cd);
        u[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    const __m512 p = _mm512_add_ps(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xDD));
    const __m512 q = _mm512_add_ps(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(p, q, 0x88), _mm512_shuffle_f32x4(p, q, 0xDD));
}
#endif

// The queries in float32, and in bf16 where the keys are: padded with zeros to `wide` columns, a multiple of 32.
struct Queries {
    int64_t wide;
    std::vector<float> full;
    std::vector<Bf16> narrow;

    Queries(const void* hidden, bool hidden_is_bf16, bool keys_are_bf16, int64_t B, int64_t D)
        : wide((D + 31) / 32 * 32), full(B * wide), narrow(hidden_is_bf16 && keys_are_bf16 ? B * wide : 0) {
        for (int64_t b = 0; b < B; ++b)
            for (int64_t d = 0; d < D; ++d) {
                const int64_t at = b * wide + d;
                if (hidden_is_bf16) {
                    const Bf16 x = static_cast<const Bf16*>(hidden)[b * D + d];
                    full[at] = widen(x);
                    if (keys_are_bf16) narrow[at] = x;
                } else {
                    full[at] = static_cast<const float*>(hidden)[b * D + d];
                }
            }
    }
};

// out[r] = rows[r] . query for the TILE rows at `rows`, of which `count` exist; query is padded with zeros to 32 columns.
template <typename T>
void products_plain(const T* rows, int64_t count, int64_t D, const float* query, float* out) {
    for (int64_t r = 0; r < count; ++r) {
        const T* __restrict row = rows + r * D;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t d = 0; d < D; ++d) sum += widen(row[d]) * query[d];
        out[r] = sum;
    }
}

#if HAS_AVX512
// One multiply-add of a register's worth of columns, and how many columns that is.
struct WideStep {
    static constexpr int64_t COLUMNS = 16;
    using Row = float;
    using Query = float;
    using Register = __m512;
    static Register load(const float* from) { return _mm512_loadu_ps(from); }
    static Register load(const float* from, int64_t n) {
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from);
    }
    static __m512 step(__m512 sum, Register a, Register b) { return _mm512_fmadd_ps(a, b, sum); }
};

#ifdef __AVX512BF16__
struct NarrowStep {
    static constexpr int64_t COLUMNS = 32;
    using Row = Bf16;
    using Query = Bf16;
    using Register = __m512i;
    static Register load(const Bf16* from) { return _mm512_loadu_si512(from); }
    static Register load(const Bf16* from, int64_t n) {
        return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1ull << n) - 1), from);
    }
    static __m512 step(__m512 sum, Register a, Register b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};
#endif

// Products of 16 / Q consecutive rows with Q queries, STREAMS rows at a time, each in the same order whatever Q and STREAMS are.
// One at a time is what memory delivers fastest, several spare waiting for sums. `lines` of what is wanted next are asked for
// whenever every stream moves on by a register.
template <typename S, int Q, int STREAMS>
void products_tile(const typename S::Row* rows, int64_t D, const typename S::Query* const* queries, float* const* out,
                   Ahead& wanted, int lines) {
    constexpr int R = 16 / Q;
    __m512 sums[16];
    Ahead ahead = wanted;
    for (int r0 = 0; r0 < R; r0 += STREAMS) {
        __m512 part[Q * STREAMS];
#pragma GCC unroll 32
        for (int i = 0; i < Q * STREAMS; ++i) part[i] = _mm512_setzero_ps();
        const typename S::Row* first = rows + r0 * D;
        auto columns = [&](int64_t d, auto load) {
            typename S::Register q[Q];
#pragma GCC unroll 32
            for (int j = 0; j < Q; ++j) q[j] = S::load(queries[j] + d);
#pragma GCC unroll 32
            for (int r = 0; r < STREAMS; ++r) {
                const typename S::Register row = load(first + r * D + d);
#pragma GCC unroll 32
                for (int j = 0; j < Q; ++j) part[j * STREAMS + r] = S::step(part[j * STREAMS + r], row, q[j]);
            }
        };
        int64_t d = 0;
        for (; d + S::COLUMNS <= D; d += S::COLUMNS) {
            ahead.ask(lines);
            columns(d, [](const typename S::Row* from) { return S::load(from); });
        }
        if (d < D) columns(d, [&](const typename S::Row* from) { return S::load(from, D - d); });
#pragma GCC unroll 32
        for (int j = 0; j < Q; ++j)
#pragma GCC unroll 32
            for (int r = 0; r < STREAMS; ++r) sums[j * R + r0 + r] = part[j * STREAMS + r];
    }
    wanted = ahead;
    alignas(64) float found[16];
    _mm512_store_ps(found, sum_lanes(sums));
#pragma GCC unroll 32
    for (int j = 0; j < Q; ++j) std::memcpy(out[j], found + j * R, R * sizeof(float));
}

template <typename S>
void products_all(const typename S::Row* rows, int64_t D, int64_t B, const typename S::Query* queries, int64_t wide, float* out,
                  Ahead ahead) {
    int64_t b = 0;
    for (; b + 4 <= B; b += 4) {
        const typename S::Query* from[4];
        for (int j = 0; j < 4; ++j) from[j] = queries + (b + j) * wide;
        for (int r = 0; r < TILE; r += 4) {
            float* to[4];
            for (int j = 0; j < 4; ++j) to[j] = out + (b + j) * SPAN + r;
            products_tile<S, 4, 4>(rows + r * D, D, from, to, ahead, b ? 0 : 4);
        }
    }
    for (; b < B; ++b) {
        const typename S::Query* from = queries + b * wide;
        float* to = out + b * SPAN;
        if (b)
            products_tile<S, 1, 4>(rows, D, &from, &to, ahead, 0);
        else
            products_tile<S, 1, 1>(rows, D, &from, &to, ahead, 1);
    }
}
#endif

// out[b * SPAN + r] = rows[r] . query b, for `count` <= TILE consecutive rows; as many are asked for from `ahead` on.
void products(const float* rows, int64_t count, int64_t D, int64_t B, const Queries& queries, float* out, Ahead ahead) {
    const float* const hidden = queries.full.data();
#if HAS_AVX512
    if (count == TILE) return products_all<WideStep>(rows, D, B, hidden, queries.wide, out, ahead);
#endif
    (void)ahead;
    for (int64_t b = 0; b < B; ++b) products_plain(rows, count, D, hidden + b * queries.wide, out + b * SPAN);
}

void products(const Bf16* rows, int64_t count, int64_t D, int64_t B, const Queries& queries, float* out, Ahead ahead) {
#if HAS_AVX512 && defined(__AVX512BF16__)
    if (count == TILE && !queries.narrow.empty())
        return products_all<NarrowStep>(rows, D, B, queries.narrow.data(), queries.wide, out, ahead);
#endif
    (void)ahead;
    for (int64_t b = 0; b < B; ++b) products_plain(rows, count, D, &queries.full[b * queries.wide], out + b * SPAN);
}

struct Running {
    float maximum = -std::numeric_limits<float>::infinity();
    int64_t argmax = -1;
    double total = 0, energy = 0;  // sums of w and of w * s, s relative to the maximum
    double mass = 0;               // sum of w as rounded for add_pairs
    bool bad = false;
    std::vector<float> values;
    std::vector<int64_t> ids;
};

void keep_top(Running& run, int64_t k, float value, int64_t id) {
    if (static_cast<int64_t>(run.values.size()) == k) {
        if (!(value > run.values.back())) return;
        run.values.pop_back();
        run.ids.pop_back();
    }
    size_t at = run.values.size();
    while (at > 0 && run.values[at - 1] < value) --at;
    run.values.insert(run.values.begin() + at, value);
    run.ids.insert(run.ids.begin() + at, id);
}

struct Logits {
    float scale, softcap;
    const float* bias;
};

// What the queries found in one part of the vocabulary.
struct Part {
    std::vector<Running> running;
    std::vector<float> acc;
};

template <typename H, typename E>
void attend(const Queries& queries, int64_t B, int64_t D, const H* head, const E* table, int64_t W, int64_t v0, int64_t v1,
            const float* temperature, const Logits& form, int64_t k, Part& part) {
    part.running.resize(B);
    part.acc.assign(B * W, -0.0f);
    Running* const running = part.running.data();
    float* const acc = part.acc.data();
    std::vector<float> weights(B * SPAN);
    std::vector<uint8_t> busy(B);
    std::vector<float*> heavy;
    std::vector<float*> sums;
    std::vector<int64_t> owners;
    const bool paired = in_pairs(table, W);
    std::vector<Bf16> rounded(B * SPAN);
    std::vector<const Bf16*> rounded_rows(B);
    for (int64_t b = 0; b < B; ++b) rounded_rows[b] = &rounded[b * SPAN];
    int32_t ids[SPAN + 1];
    float lone[SPAN + 1];
    for (int64_t v = v0; v < v1; v += SPAN) {
        const int64_t n = std::min(SPAN, v1 - v);
        for (int64_t r = 0; r < n; r += TILE) {
            const H* rows = head + (v + r) * D;
            products(rows, std::min(TILE, n - r), D, B, queries, &weights[r], Ahead(rows + TILE / 2 * D));
        }
        for (int64_t b = 0; b < B; ++b) {
            float* z = &weights[b * SPAN];
            Running& run = running[b];
            float highest = -std::numeric_limits<float>::infinity();
            int bad = 0;
            if (form.softcap > 0)
                for (int64_t r = 0; r < n; ++r) z[r] = form.softcap * std::tanh(z[r] * form.scale / form.softcap);
            const float scale = form.softcap > 0 ? 1 : form.scale;
#pragma omp simd reduction(max : highest) reduction(| : bad)
            for (int64_t r = 0; r < n; ++r) {
                const float x = z[r] * scale + (form.bias ? form.bias[v + r] : 0.0f);
                z[r] = x;
                bad |= x != x;
                highest = std::max(highest, x);
            }
            run.bad |= bad != 0;
            if (k && (static_cast<int64_t>(run.values.size()) < k || highest > run.values.back()))
                for (int64_t r = 0; r < n; ++r) keep_top(run, k, z[r], v + r);
            const float inverse = temperature[b] > 0 ? 1.0f / temperature[b] : 0;
            if (highest > run.maximum) {
                if (run.argmax >= 0) {
                    const float down = (run.maximum - highest) * inverse;
                    const float shrink = temperature[b] > 0 ? exp_nonpositive(down) : 0;
                    run.energy = shrink > 0 ? shrink * (run.energy + down * run.total) : 0;
                    run.total *= shrink;
                    run.mass *= shrink;
                    for (int64_t c = 0; c < W; ++c) acc[b * W + c] = shrink > 0 ? acc[b * W + c] * shrink : -0.0f;
                }
                run.maximum = highest;
                for (int64_t r = n; r-- > 0;)
                    if (z[r] == highest) run.argmax = v + r;
            }
            if (run.argmax < 0) {
                busy[b] = 0;
                continue;
            }
            float total = 0, energy = 0;
            if (temperature[b] == 0) {
                for (int64_t r = 0; r < n; ++r) total += z[r] = v + r == run.argmax ? 1.0f : 0.0f;
            } else {
#pragma omp simd reduction(+ : total, energy)
                for (int64_t r = 0; r < n; ++r) {
                    float s = (z[r] - run.maximum) * inverse;
                    const float w = s < NEGLIGIBLE ? 0.0f : exp_nonpositive(s);
                    s = s < NEGLIGIBLE ? 0.0f : s;
                    total += w;
                    energy += w * s;
                    z[r] = w;
                }
            }
            run.total += total;
            run.energy += energy;
            busy[b] = total > 0;
        }
        heavy.clear();
        sums.clear();
        owners.clear();
        for (int64_t b = 0; b < B; ++b)
            if (busy[b]) {
                heavy.push_back(&weights[b * SPAN]);
                sums.push_back(acc + b * W);
                owners.push_back(b);
            }
        const int64_t active = static_cast<int64_t>(heavy.size());
        if (paired) {
            for (int64_t i = 0; i < active; ++i) {
                // Two neighbouring weights in bf16 are what a pair of rows is multiplied with.
                Bf16* narrow_weights = &rounded[i * SPAN];
                float mass = 0;
                std::fill(heavy[i] + n, heavy[i] + SPAN, 0.0f);
#pragma omp simd reduction(+ : mass)
                for (int64_t r = 0; r < SPAN; ++r) {
                    const Bf16 w = narrowed(heavy[i][r]);
                    narrow_weights[r] = w;
                    mass += widen(w);
                }
                running[owners[i]].mass += mass;
            }
            add_pairs(table + v * W, n, W, W, active, rounded_rows.data(), sums.data(), 1);
            continue;
        }
        if (active >= 4) {
            add_span(table + v * W, n, W, active, const_cast<const float* const*>(heavy.data()), sums.data(), 0, W);
            continue;
        }
        for (int64_t i = 0; i < active; ++i) {
            int64_t count = 0;
            for (int64_t r = 0; r < n; ++r) {
                ids[count] = static_cast<int32_t>(r);
                lone[count] = heavy[i][r];
                count += lone[count] > 0;
            }
            add_rows(table + v * W, W, ids, lone, count, sums[i], 0, W);
        }
    }
    if (!paired) return;
    for (int64_t b = 0; b < B; ++b) {
        straighten(acc + b * W, W);
        // The weights as rounded sum to `mass`: what they averaged has to weigh `total`.
        const double share = running[b].mass > 0 ? running[b].total / running[b].mass : 1;
        for (int64_t c = 0; c < W; ++c) acc[b * W + c] = static_cast<float>(acc[b * W + c] * share);
    }
}

// The sums of a row over the whole vocabulary, in the order of its parts: merge_stacked of partial.py, a row at a time.
Running merge_row(const std::vector<Part>& parts, int64_t b, int64_t W, float temperature, int64_t k, float* acc) {
    Running whole;
    for (const Part& part : parts) {
        const Running& run = part.running[b];
        whole.bad |= run.bad;
        if (run.argmax >= 0 && run.maximum > whole.maximum) {
            whole.maximum = run.maximum;
            whole.argmax = run.argmax;
        }
        for (size_t i = 0; i < run.values.size(); ++i) keep_top(whole, k, run.values[i], run.ids[i]);
    }
    std::fill(acc, acc + W, -0.0f);
    for (const Part& part : parts) {
        const Running& run = part.running[b];
        if (run.argmax < 0) continue;
        const double shift = temperature > 0 ? (static_cast<double>(run.maximum) - whole.maximum) / temperature : 0;
        const double scale = temperature > 0 ? std::exp(shift) : run.argmax == whole.argmax;
        whole.total += run.total * scale;
        if (!(scale > 0)) continue;
        whole.energy += scale * (run.energy + shift * run.total);
        const float factor = static_cast<float>(scale);
        const float* sums = &part.acc[b * W];
        for (int64_t c = 0; c < W; ++c) acc[c] += sums[c] * factor;
    }
    return whole;
}

}  // namespace

// hidden [B, D], head [V, D] and table [V, W]; products of two bf16 are taken in bf16 pairs. A part of the vocabulary yields
// maximum, total, energy [B] and acc [B, W], the whole (mean not null) facts [3, B], which are log-sum-exp of z / T, largest
// probability and entropy, and mean [B, W] in the table's dtype, as `finish` of partial.py has them; argmax [B] and the tops [B,
// k] come with either. Returns whether every maximum is finite; it is NaN where a logit is. Each thread walks its share.
extern "C" int32_t attention(const void* hidden, int32_t hidden_is_bf16, int64_t B, int64_t V, int64_t D, const void* head,
                             const void* table, int32_t is_bf16, int64_t W, const float* temperature, float scale, float softcap,
                             const float* bias, int64_t k, float* maximum, double* total, double* energy, float* acc,
                             float* facts, void* mean, int64_t* argmax, float* top_values, int64_t* top_ids, int32_t threads) {
    const Logits form = {scale, softcap, bias};
    const Queries queries(hidden, hidden_is_bf16, is_bf16, B, D);
    const int64_t step = ((V + threads - 1) / threads + SPAN - 1) / SPAN * SPAN;
    std::vector<Part> parts(threads);
    int32_t bad = 0;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < threads; ++p) {
            const int64_t v0 = std::min(V, p * step), v1 = std::min(V, v0 + step);
            auto walk = [&](auto keys, auto values) {
                attend(queries, B, D, keys, values, W, v0, v1, temperature, form, k, parts[p]);
            };
            if (is_bf16)
                walk(static_cast<const Bf16*>(head), static_cast<const Bf16*>(table));
            else
                walk(static_cast<const float*>(head), static_cast<const float*>(table));
        }
        std::vector<float> room(mean ? W : 0);
#pragma omp for schedule(static) reduction(| : bad)
        for (int64_t b = 0; b < B; ++b) {
            float* const sums = mean ? room.data() : acc + b * W;
            const Running whole = merge_row(parts, b, W, temperature[b], k, sums);
            const float highest = whole.bad ? std::numeric_limits<float>::quiet_NaN() : whole.maximum;
            bad |= !std::isfinite(highest);
            maximum[b] = highest;
            argmax[b] = whole.argmax;
            for (int64_t i = 0; i < k; ++i) {
                const bool have = i < static_cast<int64_t>(whole.values.size());
                top_values[b * k + i] = have ? whole.values[i] : -std::numeric_limits<float>::infinity();
                top_ids[b * k + i] = have ? whole.ids[i] : -1;
            }
            if (!mean) {
                total[b] = whole.total;
                energy[b] = whole.energy;
                continue;
            }
            const double log_total = std::log(whole.total);
            facts[b] = static_cast<float>(temperature[b] > 0 ? whole.maximum / static_cast<double>(temperature[b]) + log_total
                                                             : std::numeric_limits<double>::infinity());
            facts[B + b] = static_cast<float>(1 / whole.total);
            facts[2 * B + b] = static_cast<float>(std::max(log_total - whole.energy / whole.total, 0.0));
            const float norm = static_cast<float>(whole.total);
            for (int64_t c = 0; c < W; ++c) {
                if (is_bf16)
                    static_cast<Bf16*>(mean)[b * W + c] = narrowed(sums[c] / norm);
                else
                    static_cast<float*>(mean)[b * W + c] = sums[c] / norm;
            }
        }
    }
    return !bad;
}
