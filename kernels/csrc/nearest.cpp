// The row with the largest cosine, exactly: bounds from an 8-bit copy of the table choose the candidates, float64 decides.
#include <utility>

#include "common.h"

namespace {

constexpr int64_t ROWS = 16;     // table rows interleaved in one tile
constexpr int64_t QUERIES = 16;  // vectors compared with a tile at once
constexpr double SLACK = 1e-5;   // covers the float32 arithmetic on scores of size one

struct Candidate {
    int32_t id;
    float upper;
};

// The two largest lower bounds seen, and whoever may still beat the second. `known`: two rows are known to reach that cosine.
struct Shortlist {
    float known = -std::numeric_limits<float>::infinity();
    float first = -std::numeric_limits<float>::infinity();
    float second = -std::numeric_limits<float>::infinity();
    std::vector<Candidate> candidates;

    float least() const { return std::max(known, second); }

    void offer(int32_t id, float lower, float upper) {
        if (upper < least()) return;
        candidates.push_back({id, upper});
        if (lower > first) {
            second = first;
            first = lower;
        } else if (lower > second) {
            second = lower;
        }
    }
};

template <typename T>
double dot(const float* a, const T* b, int64_t D) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < D; ++d) sum += static_cast<double>(a[d]) * static_cast<double>(widen(b[d]));
    return sum;
}

template <typename T>
double norm(const T* row, int64_t D) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < D; ++d) sum += static_cast<double>(widen(row[d])) * static_cast<double>(widen(row[d]));
    return std::sqrt(sum);
}

// The table's rows, their norms, and the 8-bit copy that pack() makes of them.
template <typename T>
struct Rows {
    const T* table;
    int64_t V, D;
    const float* mean;  // [D] the direction of the mean of unit rows, a unit vector or 0
    const uint8_t* packed;
    const float *shares, *scales, *errors;
    const double* norms;

    double cosine(const float* vector, double length, int64_t id) const {
        const double scale = length * norms[id];
        return scale > 0 ? dot(vector, table + id * D, D) / scale : 0;
    }
};

inline int64_t padded(int64_t D) { return (D + 3) / 4 * 4; }

// x - share * mean, and the share: most of a language model's rows have most of their length in common.
inline float without_mean(const double* x, const float* mean, int64_t D, double* rest) {
    double sum = 0;
    for (int64_t d = 0; d < D; ++d) sum += x[d] * mean[d];
    const float share = static_cast<float>(sum);
    for (int64_t d = 0; d < D; ++d) rest[d] = x[d] - static_cast<double>(share) * mean[d];
    return share;
}

// Threads own columns, so that no sum depends on how many there are.
template <typename T>
void mean_direction(const T* table, int64_t V, int64_t D, const double* norms, float* mean, int threads) {
    std::vector<double> sum(D, 0.0);
#pragma omp parallel num_threads(threads)
    {
        int64_t c0, c1;
        column_slice(D, omp_get_thread_num(), omp_get_num_threads(), &c0, &c1);
        for (int64_t v = 0; v < V; ++v)
            if (norms[v] > 0)
                for (int64_t d = c0; d < c1; ++d) sum[d] += widen(table[v * D + d]) / norms[v];
    }
    double squares = 0;
    for (double x : sum) squares += x * x;
    for (int64_t d = 0; d < D; ++d) mean[d] = squares > 0 ? static_cast<float>(sum[d] / std::sqrt(squares)) : 0;
}

// A vector in 8 bits: the step from one level to the next, the length of what is held, and how far off that is.
struct Levels {
    float scale = 0, length = 0, error = 0;
};

Levels quantise(const double* vector, int64_t D, int8_t* levels) {
    double largest = 0, missed = 0, squares = 0;
    for (int64_t d = 0; d < D; ++d) largest = std::max(largest, std::abs(vector[d]));
    const float scale = static_cast<float>(largest / 127);
    std::fill(levels, levels + padded(D), 0);
    for (int64_t d = 0; d < D; ++d) {
        const int level = scale > 0 ? std::max(-127, std::min(127, static_cast<int>(std::lrint(vector[d] / scale)))) : 0;
        const double held = static_cast<double>(scale) * level;
        levels[d] = static_cast<int8_t>(level);
        squares += held * held;
        missed += (vector[d] - held) * (vector[d] - held);
    }
    return {scale, static_cast<float>(std::sqrt(squares)), static_cast<float>(std::sqrt(missed) * (1 + 1e-6))};
}

// Tiles of ROWS rows: for each four columns the four bytes of every row, so that one register holds a step of all rows.
template <typename T>
void pack(const T* table, int64_t V, int64_t D, float* mean, uint8_t* packed, float* shares, float* scales, float* errors,
          double* norms, int threads) {
    const int64_t wide = padded(D), tiles = (V + ROWS - 1) / ROWS;
    std::memset(packed, 128, tiles * ROWS * wide);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t v = 0; v < V; ++v) norms[v] = norm(table + v * D, D);
    mean_direction(table, V, D, norms, mean, threads);
#pragma omp parallel num_threads(threads)
    {
        std::vector<double> unit(D), rest(D);
        std::vector<int8_t> levels(wide);
#pragma omp for schedule(static)
        for (int64_t v = 0; v < V; ++v) {
            shares[v] = scales[v] = errors[v] = 0;
            if (!(norms[v] > 0)) continue;
            for (int64_t d = 0; d < D; ++d) unit[d] = widen(table[v * D + d]) / norms[v];
            shares[v] = without_mean(unit.data(), mean, D, rest.data());
            const Levels made = quantise(rest.data(), D, levels.data());
            for (int64_t d = 0; d < D; ++d)
                packed[(v / ROWS * wide + d / 4 * 4) * ROWS + v % ROWS * 4 + d % 4] = static_cast<uint8_t>(levels[d] + 128);
            scales[v] = made.scale;
            errors[v] = made.error;
        }
    }
}

struct Query {
    float share;     // of the mean
    Levels rest;     // of what is left
    int32_t offset;  // 128 times the sum of its levels, to undo the table's unsigned bytes
};

// sums[q][r] = levels of query q . bytes of row r, for Q queries whose levels lie four columns of each query side by side: one
// function for each Q, so that the sums stay in registers.
template <int Q>
void tile_products(const uint8_t* tile, const int8_t* levels, int64_t wide, int32_t (*sums)[ROWS]) {
#if defined(__AVX512VNNI__) && HAS_AVX512
    // A lone query's products would wait for each other in one sum.
    constexpr int SUMS = Q == 1 ? 2 : 1;
    __m512i acc[Q][SUMS];
#pragma GCC unroll 32
    for (int q = 0; q < Q; ++q)
        for (int k = 0; k < SUMS; ++k) acc[q][k] = _mm512_setzero_si512();
    auto step = [&](int64_t d, int k) {
        const __m512i rows = _mm512_loadu_si512(tile + d * ROWS);
        _mm_prefetch(reinterpret_cast<const char*>(tile + (d + wide) * ROWS), _MM_HINT_T0);
#pragma GCC unroll 32
        for (int q = 0; q < Q; ++q) {
            int32_t four;
            std::memcpy(&four, levels + d * Q + 4 * q, 4);
            acc[q][k] = _mm512_dpbusd_epi32(acc[q][k], rows, _mm512_set1_epi32(four));
        }
    };
    int64_t d = 0;
    for (; d + 4 * SUMS <= wide; d += 4 * SUMS)
        for (int k = 0; k < SUMS; ++k) step(d + 4 * k, k);
    for (; d < wide; d += 4) step(d, 0);
#pragma GCC unroll 32
    for (int q = 0; q < Q; ++q) {
        for (int k = 1; k < SUMS; ++k) acc[q][0] = _mm512_add_epi32(acc[q][0], acc[q][k]);
        _mm512_storeu_si512(sums[q], acc[q][0]);
    }
#else
    for (int q = 0; q < Q; ++q) {
        for (int64_t r = 0; r < ROWS; ++r) sums[q][r] = 0;
        for (int64_t d = 0; d < wide; d += 4)
            for (int64_t r = 0; r < ROWS; ++r)
                for (int64_t i = 0; i < 4; ++i)
                    sums[q][r] +=
                        static_cast<int32_t>(tile[d * ROWS + r * 4 + i]) * static_cast<int32_t>(levels[d * Q + 4 * q + i]);
    }
#endif
}

using TileProducts = void (*)(const uint8_t*, const int8_t*, int64_t, int32_t (*)[ROWS]);

template <int... Q>
TileProducts tile_products_of(int64_t count, std::integer_sequence<int, Q...>) {
    static constexpr TileProducts of[] = {tile_products<Q + 1>...};
    return of[count - 1];
}

// Up to QUERIES vectors that are compared with a tile at once.
struct Group {
    int64_t first, count;
    std::vector<int8_t> levels;
    TileProducts products;
};

// Offer a tile's rows to the lists of some queries; `exist` has a bit for each row that there is.
void offer_tile(const int32_t (*sums)[ROWS], uint32_t exist, int32_t id, const float* shares, const float* scales,
                const float* errors, const Query* queries, int64_t count, Shortlist* lists) {
    for (int64_t q = 0; q < count; ++q) {
        const Query& query = queries[q];
        const float slack = query.rest.error + static_cast<float>(SLACK);
        float lower[ROWS], upper[ROWS];
#if HAS_AVX512
        const __m512 level = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums[q]), _mm512_set1_epi32(query.offset)));
        const __m512 common = _mm512_mul_ps(_mm512_set1_ps(query.share), _mm512_loadu_ps(shares));
        const __m512 score =
            _mm512_fmadd_ps(level, _mm512_mul_ps(_mm512_set1_ps(query.rest.scale), _mm512_loadu_ps(scales)), common);
        const __m512 error = _mm512_fmadd_ps(_mm512_set1_ps(query.rest.length), _mm512_loadu_ps(errors), _mm512_set1_ps(slack));
        const __m512 most = _mm512_add_ps(score, error);
        const __mmask16 wanted =
            _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(exist), most, _mm512_set1_ps(lists[q].least()), _CMP_GE_OQ);
        if (!wanted) continue;
        _mm512_storeu_ps(upper, most);
        _mm512_storeu_ps(lower, _mm512_sub_ps(score, error));
#else
        const uint32_t wanted = exist;
        for (int64_t r = 0; r < ROWS; ++r) {
            const float level = static_cast<float>(sums[q][r] - query.offset);
            const float score = level * (query.rest.scale * scales[r]) + query.share * shares[r];
            const float error = query.rest.length * errors[r] + slack;
            lower[r] = score - error;
            upper[r] = score + error;
        }
#endif
        for (uint32_t left = wanted; left; left &= left - 1) {
            const int r = __builtin_ctz(left);
            lists[q].offer(id + r, lower[r], upper[r]);
        }
    }
}

// What a search finds of a vector: the nearest row, its cosine, and the cosine of the next (-2 if there is none).
struct Found {
    int64_t id = -1;
    double best = -2, second = -2;
};

// `known` [N] (may be null): a cosine that at least two rows reach, which spares work.
template <typename T>
std::vector<Found> search(const Rows<T>& rows, const float* vectors, int64_t N, const double* known, int threads) {
    const int64_t D = rows.D, wide = padded(D), tiles = (rows.V + ROWS - 1) / ROWS;
    std::vector<Found> result(N);
    std::vector<Query> queries(N);
    std::vector<double> lengths(N);
    std::vector<Group> groups;
    std::vector<double> unit(D), rest(D);
    std::vector<int8_t> levels(wide);
    for (int64_t n = 0; n < N; ++n) {
        if (n % QUERIES == 0) {
            const int64_t count = std::min(QUERIES, N - n);
            groups.push_back({n, count, std::vector<int8_t>(count * wide),
                              tile_products_of(count, std::make_integer_sequence<int, QUERIES>())});
        }
        lengths[n] = norm(vectors + n * D, D);
        queries[n] = {};
        if (!(lengths[n] > 0)) continue;
        for (int64_t d = 0; d < D; ++d) unit[d] = vectors[n * D + d] / lengths[n];
        queries[n].share = without_mean(unit.data(), rows.mean, D, rest.data());
        queries[n].rest = quantise(rest.data(), D, levels.data());
        for (int8_t level : levels) queries[n].offset += 128 * level;
        Group& group = groups.back();
        for (int64_t d = 0; d < wide; d += 4) std::memcpy(&group.levels[d * group.count + 4 * (n - group.first)], &levels[d], 4);
    }
    std::vector<std::vector<Shortlist>> found(threads, std::vector<Shortlist>(N));
    if (known)
        for (auto& lists : found)
            for (int64_t n = 0; n < N; ++n) lists[n].known = static_cast<float>(known[n]) - static_cast<float>(SLACK);
#pragma omp parallel num_threads(threads)
    {
        std::vector<Shortlist>& mine = found[omp_get_thread_num()];
        int32_t sums[QUERIES][ROWS];
#pragma omp for schedule(static)
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const uint32_t exist = (1u << std::min(ROWS, rows.V - tile * ROWS)) - 1;
            for (const Group& group : groups) {
                group.products(rows.packed + tile * ROWS * wide, group.levels.data(), wide, sums);
                offer_tile(sums, exist, static_cast<int32_t>(tile * ROWS), rows.shares + tile * ROWS, rows.scales + tile * ROWS,
                           rows.errors + tile * ROWS, &queries[group.first], group.count, &mine[group.first]);
            }
        }
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t n = 0; n < N; ++n) {
        std::vector<float> bounds;
        for (auto& list : found) {
            bounds.push_back(list[n].first);
            bounds.push_back(list[n].second);
        }
        std::sort(bounds.rbegin(), bounds.rend());
        const float least = std::max(bounds[1], found[0][n].known);
        Found& at = result[n];
        std::vector<Candidate> left;
        for (auto& list : found)
            for (const Candidate& candidate : list[n].candidates)
                if (candidate.upper >= least) left.push_back(candidate);
        // The likeliest first, so that the exact second best soon rules out the rest.
        auto less_likely = [](const Candidate& a, const Candidate& b) { return a.upper < b.upper; };
        std::make_heap(left.begin(), left.end(), less_likely);
        while (!left.empty()) {
            const Candidate candidate = left.front();
            if (candidate.upper < at.second) break;
            std::pop_heap(left.begin(), left.end(), less_likely);
            left.pop_back();
            if (!left.empty()) prefetch(rows.table + left.front().id * D, D);
            const double c = rows.cosine(vectors + n * D, lengths[n], candidate.id);
            if (c > at.best || (c == at.best && candidate.id < at.id)) {
                at.second = std::max(at.second, at.best);
                at.best = c;
                at.id = candidate.id;
            } else {
                at.second = std::max(at.second, c);
            }
        }
    }
    return result;
}

// An angle computed from a float64 cosine is off by less than this, also near 0 where acos is steepest.
constexpr double ANGLE_SLACK = 1e-6;

double angle(double cosine) { return std::acos(std::min(1.0, std::max(-1.0, cosine))); }

// A vector's best candidate, and the best cosine of any other of its candidates.
struct Best {
    int64_t id;
    double cosine, other;
};

// The answers of `prove` in nearest/dispatch.py. Returns how many vectors had to be searched for, or -1 if one is not finite.
template <typename T>
int64_t prove(const Rows<T>& rows, const float* vectors, int64_t N, const int64_t* candidates, int64_t K, double* neighbours,
              int64_t* ids, double* best, double* margin, int threads) {
    const int64_t D = rows.D;
    std::vector<Best> found(N);
    std::vector<int64_t> met, rest;
    for (int64_t n = 0; n < N; ++n) {
        const double length = norm(vectors + n * D, D);
        if (!std::isfinite(length)) return -1;
        Best& at = found[n] = {rows.V, -2, -2};
        std::vector<double> cosines(K);
        for (int64_t k = 0; k < K; ++k) {
            const int64_t id = candidates[n * K + k];
            cosines[k] = rows.cosine(vectors + n * D, length, id);
            if (cosines[k] > at.cosine || (cosines[k] == at.cosine && id < at.id)) at.cosine = cosines[k], at.id = id;
        }
        for (int64_t k = 0; k < K; ++k)
            if (candidates[n * K + k] != at.id) at.other = std::max(at.other, cosines[k]);
        if (std::isnan(neighbours[at.id])) met.push_back(at.id);
    }
    std::sort(met.begin(), met.end());
    met.erase(std::unique(met.begin(), met.end()), met.end());
    auto gathered = [&](const std::vector<int64_t>& which, auto* from) {
        std::vector<float> result;
        for (int64_t row : which)
            for (int64_t d = 0; d < D; ++d) result.push_back(widen(from[row * D + d]));
        return result;
    };
    if (!met.empty()) {
        const std::vector<Found> around = search(rows, gathered(met, rows.table).data(), met.size(), nullptr, threads);
        // A row found nearer than the token's own (a duplicate with a lower id, or rounding) leaves nothing to prove with.
        for (size_t i = 0; i < met.size(); ++i) neighbours[met[i]] = around[i].id == met[i] ? around[i].second : 1.0;
    }
    std::vector<double> known;
    for (int64_t n = 0; n < N; ++n) {
        const double theta = angle(found[n].cosine), phi = angle(neighbours[found[n].id]);
        ids[n] = found[n].id;
        best[n] = found[n].cosine;
        margin[n] = best[n] - std::cos(std::max(phi - theta - ANGLE_SLACK, 0.0));
        if (theta + ANGLE_SLACK < phi - theta) continue;
        rest.push_back(n);
        known.push_back(found[n].other);
    }
    if (rest.empty()) return 0;
    const std::vector<Found> searched = search(rows, gathered(rest, vectors).data(), rest.size(), known.data(), threads);
    for (size_t i = 0; i < rest.size(); ++i) {
        ids[rest[i]] = searched[i].id;
        best[rest[i]] = searched[i].best;
        margin[rest[i]] = searched[i].best - searched[i].second;
    }
    return static_cast<int64_t>(rest.size());
}

}  // namespace

// Whether the 8-bit products use the processor's own instruction; without it torch's matrix library is the faster scan.
extern "C" int32_t nearest_has_vnni() {
#if defined(__AVX512VNNI__) && HAS_AVX512
    return 1;
#else
    return 0;
#endif
}

extern "C" int64_t nearest_packed_bytes(int64_t V, int64_t D) { return (V + ROWS - 1) / ROWS * ROWS * padded(D) + 4096; }

extern "C" void nearest_pack(const void* table, int32_t is_bf16, int64_t V, int64_t D, float* mean, uint8_t* packed,
                             float* shares, float* scales, float* errors, double* norms, int32_t threads) {
    if (is_bf16)
        pack(static_cast<const Bf16*>(table), V, D, mean, packed, shares, scales, errors, norms, threads);
    else
        pack(static_cast<const float*>(table), V, D, mean, packed, shares, scales, errors, norms, threads);
}

// vectors [N, D] float32. ids, best, second [N]: the nearest row, its cosine, and the cosine of the next (-2 if V = 1).
extern "C" void nearest_search(const float* vectors, int64_t N, const void* table, int32_t is_bf16, int64_t V, int64_t D,
                               const float* mean, const uint8_t* packed, const float* shares, const float* scales,
                               const float* errors, const double* norms, int64_t* ids, double* best, double* second,
                               int32_t threads) {
    auto run = [&](auto* rows) {
        const Rows<std::decay_t<decltype(*rows)>> all{rows, V, D, mean, packed, shares, scales, errors, norms};
        const std::vector<Found> found = search(all, vectors, N, nullptr, threads);
        for (int64_t n = 0; n < N; ++n) ids[n] = found[n].id, best[n] = found[n].best, second[n] = found[n].second;
    };
    is_bf16 ? run(static_cast<const Bf16*>(table)) : run(static_cast<const float*>(table));
}

// The same with candidates [N, K] for a proof that spares the search; neighbours [V], NaN where unknown, are filled in as they
// are needed. margin [N]: how much smaller the second-best cosine is, or at least is.
extern "C" int64_t nearest_prove(const float* vectors, int64_t N, const int64_t* candidates, int64_t K, double* neighbours,
                                 const void* table, int32_t is_bf16, int64_t V, int64_t D, const float* mean,
                                 const uint8_t* packed, const float* shares, const float* scales, const float* errors,
                                 const double* norms, int64_t* ids, double* best, double* margin, int32_t threads) {
    auto run = [&](auto* rows) {
        const Rows<std::decay_t<decltype(*rows)>> all{rows, V, D, mean, packed, shares, scales, errors, norms};
        return prove(all, vectors, N, candidates, K, neighbours, ids, best, margin, threads);
    };
    return is_bf16 ? run(static_cast<const Bf16*>(table)) : run(static_cast<const float*>(table));
}
