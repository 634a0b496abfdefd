// Attention of B queries over the vocabulary, logits never written out: one walk over keys and values.
#include "common.h"
#include "pairs.h"

namespace {

constexpr int64_t TILE = 16;   // table rows whose products with one query are computed together
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

// Products of 16 / Q consecutive rows with Q queries, STREAMS rows at a time: more streams than the processor's prefetchers
// follow would stall. Each product adds its columns in the same order whatever Q is.
template <typename S, int Q>
void products_tile(const typename S::Row* rows, int64_t D, const typename S::Query* const* queries, float* const* out,
                   const char* next) {
    constexpr int R = 16 / Q;
    constexpr int STREAMS = Q == 1 ? 2 : R;
    __m512 sums[16];
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
        const char* wanted = next ? next + r0 * D * sizeof(*rows) : nullptr;
        int64_t d = 0;
        for (; d + S::COLUMNS <= D; d += S::COLUMNS) {
            if (wanted)
#pragma GCC unroll 32
                for (int i = 0; i < STREAMS; ++i) __builtin_prefetch(wanted + (d / S::COLUMNS * STREAMS + i) * 64, 0, 2);
            columns(d, [](const typename S::Row* from) { return S::load(from); });
        }
        if (d < D) columns(d, [&](const typename S::Row* from) { return S::load(from, D - d); });
#pragma GCC unroll 32
        for (int j = 0; j < Q; ++j)
#pragma GCC unroll 32
            for (int r = 0; r < STREAMS; ++r) sums[j * R + r0 + r] = part[j * STREAMS + r];
    }
    alignas(64) float found[16];
    _mm512_store_ps(found, sum_lanes(sums));
#pragma GCC unroll 32
    for (int j = 0; j < Q; ++j) std::memcpy(out[j], found + j * R, R * sizeof(float));
}

template <typename S>
void products_all(const typename S::Row* rows, int64_t D, int64_t B, const typename S::Query* queries, int64_t wide, float* out,
                  const char* next) {
    int64_t b = 0;
    for (; b + 4 <= B; b += 4) {
        const typename S::Query* from[4];
        for (int j = 0; j < 4; ++j) from[j] = queries + (b + j) * wide;
        for (int r = 0; r < TILE; r += 4) {
            float* to[4];
            for (int j = 0; j < 4; ++j) to[j] = out + (b + j) * SPAN + r;
            products_tile<S, 4>(rows + r * D, D, from, to, b || !next ? nullptr : next + r * D * sizeof(*rows));
        }
    }
    for (; b < B; ++b) {
        const typename S::Query* from = queries + b * wide;
        float* to = out + b * SPAN;
        products_tile<S, 1>(rows, D, &from, &to, b ? nullptr : next);
    }
}
#endif

// out[b * SPAN + r] = rows[r] . query b, for `count` <= TILE consecutive rows; queries are padded with zeros to `wide`.
// `next` is the memory that will be wanted after these rows, or null.
void products(const float* rows, int64_t count, int64_t D, int64_t B, const float* hidden, const Bf16*, int64_t wide, float* out,
              const char* next) {
#if HAS_AVX512
    if (count == TILE) return products_all<WideStep>(rows, D, B, hidden, wide, out, next);
#endif
    (void)next;
    for (int64_t b = 0; b < B; ++b) products_plain(rows, count, D, hidden + b * wide, out + b * SPAN);
}

void products(const Bf16* rows, int64_t count, int64_t D, int64_t B, const float* hidden, const Bf16* narrow_hidden,
              int64_t wide, float* out, const char* next) {
#if HAS_AVX512 && defined(__AVX512BF16__)
    if (count == TILE && narrow_hidden) return products_all<NarrowStep>(rows, D, B, narrow_hidden, wide, out, next);
#endif
    (void)narrow_hidden;
    (void)next;
    for (int64_t b = 0; b < B; ++b) products_plain(rows, count, D, hidden + b * wide, out + b * SPAN);
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

template <typename H, typename E>
void attend(const float* hidden, const Bf16* narrow_hidden, int64_t B, int64_t D, const H* head, const E* table, int64_t W,
            int64_t v0, int64_t v1, const float* temperature, const Logits& form, int64_t k, Running* running, float* acc) {
    const int64_t wide = (D + 31) / 32 * 32;
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
    std::fill(acc, acc + B * W, -0.0f);
    for (int64_t v = v0; v < v1; v += SPAN) {
        const int64_t n = std::min(SPAN, v1 - v);
        for (int64_t r = 0; r < n; r += TILE) {
            const int64_t count = std::min(TILE, n - r);
            const H* rows = head + (v + r) * D;
            const bool last = v + r + 2 * TILE > v1;
            products(rows, count, D, B, hidden, narrow_hidden, wide, &weights[r],
                     last ? nullptr : reinterpret_cast<const char*>(rows + TILE * D));
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
                    const Bf16 w = rounded_weight(heavy[i][r]);
                    narrow_weights[r] = w;
                    mass += widen(w);
                }
                running[owners[i]].mass += mass;
            }
            add_pairs(table + v * W, n, W, W, active, rounded_rows.data(), sums.data());
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

template <typename H, typename E>
void run_parts(const float* hidden, const Bf16* narrow_hidden, int64_t B, int64_t V, int64_t D, const H* head, const E* table,
               int64_t W, const float* temperature, const Logits& form, int64_t k, int64_t parts, float* maximum, double* total,
               double* energy, int64_t* argmax, float* acc, float* top_values, int64_t* top_ids, int32_t* bad, int threads) {
    const int64_t step = ((V + parts - 1) / parts + SPAN - 1) / SPAN * SPAN;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t part = 0; part < parts; ++part) {
        std::vector<Running> running(B);
        const int64_t v0 = std::min(V, part * step), v1 = std::min(V, v0 + step);
        attend(hidden, narrow_hidden, B, D, head, table, W, v0, v1, temperature, form, k, running.data(), acc + part * B * W);
        for (int64_t b = 0; b < B; ++b) {
            const int64_t at = part * B + b;
            const Running& run = running[b];
            maximum[at] = run.maximum;
            total[at] = run.total;
            energy[at] = run.energy;
            argmax[at] = run.argmax;
            bad[at] = run.bad;
            for (int64_t i = 0; i < k; ++i) {
                const bool have = i < static_cast<int64_t>(run.values.size());
                top_values[at * k + i] = have ? run.values[i] : -std::numeric_limits<float>::infinity();
                top_ids[at * k + i] = have ? run.ids[i] : -1;
            }
        }
    }
}

}  // namespace

// hidden [B, wide] float32 and, for bf16 heads and queries, the same in bf16 (else null), padded with zeros to wide, a
// multiple of 32. head [V, D], table [V, W]. The vocabulary is cut into `parts`; every output has a leading [parts, B].
extern "C" void attention_parts(const float* hidden, const void* narrow_hidden, int64_t B, int64_t V, int64_t D, const void* head,
                                const void* table, int32_t is_bf16, int64_t W, const float* temperature, float scale,
                                float softcap, const float* bias, int64_t k, int64_t parts, float* maximum, double* total,
                                double* energy, int64_t* argmax, float* acc, float* top_values, int64_t* top_ids, int32_t* bad,
                                int32_t threads) {
    const Logits form = {scale, softcap, bias};
    const Bf16* narrow = static_cast<const Bf16*>(narrow_hidden);
    if (is_bf16)
        run_parts(hidden, narrow, B, V, D, static_cast<const Bf16*>(head), static_cast<const Bf16*>(table), W, temperature, form,
                  k, parts, maximum, total, energy, argmax, acc, top_values, top_ids, bad, threads);
    else
        run_parts(hidden, narrow, B, V, D, static_cast<const float*>(head), static_cast<const float*>(table), W, temperature,
                  form, k, parts, maximum, total, energy, argmax, acc, top_values, top_ids, bad, threads);
}
