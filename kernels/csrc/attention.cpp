// Attention of B queries over the vocabulary, logits never written out: one walk over keys and values.
#include "common.h"

namespace {

constexpr int64_t TILE = 16;   // table rows whose products with one query are computed together
constexpr int64_t SPAN = DENSE_SPAN;  // table rows between two looks at the running maximum
// A weight under exp(-44) of the largest, for any vocabulary there is, adds less than float32 resolves.
constexpr float NEGLIGIBLE = -44.0f;

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

void products(const float* rows, int64_t count, int64_t D, const float* query, const Bf16*, float* out) {
#if HAS_AVX512
    if (count == TILE) {
        __m512 acc[TILE];
        for (int r = 0; r < TILE; ++r) acc[r] = _mm512_setzero_ps();
        int64_t d = 0;
        for (; d + 16 <= D; d += 16) {
            const __m512 q = _mm512_loadu_ps(query + d);
            for (int r = 0; r < TILE; ++r) acc[r] = _mm512_fmadd_ps(_mm512_loadu_ps(rows + r * D + d), q, acc[r]);
        }
        if (d < D) {
            const __mmask16 mask = static_cast<__mmask16>((1u << (D - d)) - 1);
            const __m512 q = _mm512_loadu_ps(query + d);
            for (int r = 0; r < TILE; ++r)
                acc[r] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, rows + r * D + d), q, acc[r]);
        }
        _mm512_storeu_ps(out, sum_lanes(acc));
        return;
    }
#endif
    products_plain(rows, count, D, query, out);
}

void products(const Bf16* rows, int64_t count, int64_t D, const float* query, const Bf16* narrow_query, float* out) {
#if HAS_AVX512 && defined(__AVX512BF16__)
    if (count == TILE && narrow_query) {
        __m512 acc[TILE];
        for (int r = 0; r < TILE; ++r) acc[r] = _mm512_setzero_ps();
        int64_t d = 0;
        for (; d + 32 <= D; d += 32) {
            const __m512bh q = (__m512bh)_mm512_loadu_si512(narrow_query + d);
            for (int r = 0; r < TILE; ++r)
                acc[r] = _mm512_dpbf16_ps(acc[r], (__m512bh)_mm512_loadu_si512(rows + r * D + d), q);
        }
        if (d < D) {
            const __mmask32 mask = static_cast<__mmask32>((1ull << (D - d)) - 1);
            const __m512bh q = (__m512bh)_mm512_loadu_si512(narrow_query + d);
            for (int r = 0; r < TILE; ++r)
                acc[r] = _mm512_dpbf16_ps(acc[r], (__m512bh)_mm512_maskz_loadu_epi16(mask, rows + r * D + d), q);
        }
        _mm512_storeu_ps(out, sum_lanes(acc));
        return;
    }
#endif
    products_plain(rows, count, D, query, out);
}

struct Running {
    float maximum = -std::numeric_limits<float>::infinity();
    int64_t argmax = -1;
    double total = 0, energy = 0;  // sums of w and of w * s, s relative to the maximum
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
    std::vector<const float*> heavy;
    std::vector<float*> sums;
    int32_t ids[SPAN + 1];
    float lone[SPAN + 1];
    std::fill(acc, acc + B * W, -0.0f);
    for (int64_t v = v0; v < v1; v += SPAN) {
        const int64_t n = std::min(SPAN, v1 - v);
        for (int64_t r = 0; r < n; r += TILE) {
            const int64_t count = std::min(TILE, n - r);
            const H* rows = head + (v + r) * D;
            const char* next = reinterpret_cast<const char*>(rows + TILE * D);
            if (v + r + 2 * TILE <= v1)
                for (const char* line = next; line < next + TILE * D * static_cast<int64_t>(sizeof(H)); line += 64)
                    __builtin_prefetch(line, 0, 2);
            for (int64_t b = 0; b < B; ++b)
                products(rows, count, D, hidden + b * wide, narrow_hidden ? narrow_hidden + b * wide : nullptr,
                         &weights[b * SPAN + r]);
        }
        for (int64_t b = 0; b < B; ++b) {
            float* z = &weights[b * SPAN];
            Running& run = running[b];
            float highest = -std::numeric_limits<float>::infinity();
            int bad = 0;
            for (int64_t r = 0; r < n; ++r) {
                float x = z[r] * form.scale;
                if (form.softcap > 0) x = form.softcap * std::tanh(x / form.softcap);
                if (form.bias) x += form.bias[v + r];
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
        for (int64_t b = 0; b < B; ++b)
            if (busy[b]) {
                heavy.push_back(&weights[b * SPAN]);
                sums.push_back(acc + b * W);
            }
        const int64_t active = static_cast<int64_t>(heavy.size());
        if (active >= 4) {
            add_span(table + v * W, n, W, active, heavy.data(), sums.data(), 0, W);
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
