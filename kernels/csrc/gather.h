// The weighted sum of the table rows that several beliefs keep, each read once for all of them.
//
// A bf16 dot product adds the pair's second product to the sum and then the first, each with a rounding of its own. Pairs hold
// the earlier token second, so a belief's tokens are added one after the other however they were paired, and one of no weight
// changes nothing: bits depend neither on which other beliefs share a pair nor on the way a sum is taken.
#pragma once

#include "pairs.h"
#include "weights.h"

constexpr int64_t TILE = 512;  // tokens weighed at once

#if HAS_BF16_PAIRS

constexpr int64_t CHUNK = 64;  // tokens added at once
constexpr int64_t PAIRS = CHUNK / 2;
// A belief that uses so many of a chunk's pairs is added with all of them, six beliefs at a time; one that uses fewer, by those.
constexpr int DENSE_USES = 8;

// Some columns of the table rows to come, asked for line by line while others are added: evenly, for asking in bursts, or while
// pairs are laid out, takes longer.
struct RowsAhead {
    const Bf16* const* row;
    const Bf16* const* end;
    int64_t column;
    int lines, line = 0, due = 0;

    RowsAhead(const Bf16* const* rows, int64_t count, int64_t c, int64_t columns)
        : row(rows), end(rows + count), column(c), lines(static_cast<int>(columns / 32)) {}

    // Sixteenths of a line.
    void ask(int n) {
        for (due += n; due >= 16 && row < end; due -= 16) {
            __builtin_prefetch(*row + column + 32 * line, 0, 2);
            if (++line == lines) line = 0, ++row;
        }
    }
};

// The pairs that one belief uses and 16 * R columns: the sums stay in registers.
template <int R>
static inline void add_used_pairs(const Bf16* const* rows, int64_t c, uint32_t used, const int32_t* words, float* acc,
                                  RowsAhead& wanted, int each) {
    RowsAhead ahead = wanted;
    __m512 sums[R];
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) sums[r] = _mm512_loadu_ps(acc + 16 * r);
    for (; used; used &= used - 1) {
        const int i = __builtin_ctz(used);
        ahead.ask(each);
        const __m512bh w = (__m512bh)_mm512_set1_epi32(words[i]);
        const Bf16 *first = rows[2 * i] + c, *second = rows[2 * i + 1] + c;
#pragma GCC unroll 32
        for (int r = 0; r < R; r += 2) {
            const __m512i a = _mm512_loadu_si512(first + 16 * r), b = _mm512_loadu_si512(second + 16 * r);
            sums[r] = _mm512_dpbf16_ps(sums[r], (__m512bh)_mm512_unpacklo_epi16(b, a), w);
            sums[r + 1] = _mm512_dpbf16_ps(sums[r + 1], (__m512bh)_mm512_unpackhi_epi16(b, a), w);
        }
    }
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) _mm512_storeu_ps(acc + 16 * r, sums[r]);
    wanted = ahead;
}

// All pairs for Q beliefs and 16 * R columns. Laying pairs out once for all beliefs took longer than unpacking them for every
// six.
template <int Q, int R>
static inline void add_all_pairs(const Bf16* const* rows, int64_t c, int64_t pairs, const int32_t* const* words,
                                 float* const* acc, RowsAhead& wanted, int each) {
    RowsAhead ahead = wanted;
    PairSums<Q, R> sums(acc);
    for (int64_t i = 0; i < pairs; ++i) {
        ahead.ask(each);
        const Bf16 *first = rows[2 * i] + c, *second = rows[2 * i + 1] + c;
        __m512i x[R];
#pragma GCC unroll 32
        for (int r = 0; r < R; r += 2) {
            const __m512i a = _mm512_loadu_si512(first + 16 * r), b = _mm512_loadu_si512(second + 16 * r);
            x[r] = _mm512_unpacklo_epi16(b, a);
            x[r + 1] = _mm512_unpackhi_epi16(b, a);
        }
        sums.add(x, [&](int q) { return words[q][i]; });
    }
    sums.store(acc);
    wanted = ahead;
}

// Tokens that at least one of B beliefs keeps, ascending, with the weights of all, on their way into the beliefs' sums.
class Gathering {
   public:
    // sums [B, columns], columns a multiple of 32, for the columns [c0, c0 + columns) of the table; they come out in the order
    // that interleaving leaves: see straighten.
    Gathering(const Bf16* table, int64_t D, int64_t c0, int64_t columns, int64_t B, float* sums)
        : table_(table + c0),
          D_(D),
          columns_(columns),
          B_(B),
          room_(TILE + 2 * CHUNK + 16),
          sums_(sums),
          ids_(room_),
          weights_(B * room_),
          words_(B * PAIRS + 16),
          used_(B) {
        dense_.reserve(B);
        sparse_.reserve(B);
    }

    // A tile of tokens from v on, of which `keeps` [TILE / 16] marks those that some belief keeps. weights [B, TILE], aligned,
    // are 0 where a belief does not keep the token, and are taken to be 0 in the looks that `in_looks` [B] does not mark.
    void add(int64_t v, const uint16_t* keeps, const float* weights, const uint32_t* in_looks) {
        const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        int32_t groups[TILE / 16], counts[TILE / 16];
        int64_t filled = 0, count = 0;
        for (int64_t g = 0; g < TILE / 16; ++g) {
            if (!keeps[g]) continue;
            const __m512i id = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(v + 16 * g)), lanes);
            _mm512_storeu_si512(&ids_[have_ + count], _mm512_maskz_compress_epi32(keeps[g], id));
            groups[filled] = static_cast<int32_t>(g);
            counts[filled++] = static_cast<int32_t>(count);
            count += __builtin_popcount(keeps[g]);
        }
        if (!count) return;
        for (int64_t b = 0; b < B_; ++b) {
            Bf16* const to = &weights_[b * room_ + have_];
            std::memset(to, 0, count * sizeof *to);
            if (!in_looks[b]) continue;
            for (int64_t k = 0; k < filled; ++k) {
                const int32_t g = groups[k];
                const auto written = static_cast<__mmask16>(-(in_looks[b] >> (16 * g / LOOK) & 1));
                const __m512 w = _mm512_maskz_load_ps(written, weights + b * TILE + 16 * g);
                const __m512 x = _mm512_maskz_compress_ps(keeps[g], w);
                // The rest of the 16 is 0, or written over by what follows.
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + counts[k]), (__m256i)_mm512_cvtneps_pbh(x));
            }
        }
        have_ += count;
        if (have_ >= 2 * CHUNK) flush(false);
    }

    void finish() { flush(true); }

   private:
    void flush(bool all) {
        int64_t at = 0;
        for (; have_ - at >= 2 * CHUNK; at += CHUNK) add_chunk(at, CHUNK, CHUNK);
        if (all) {
            if (have_ - at > CHUNK) {
                add_chunk(at, CHUNK, have_ - at - CHUNK);
                at += CHUNK;
            }
            if (have_ > at) add_chunk(at, have_ - at, 0);
            at = have_;
        }
        have_ -= at;
        std::copy(ids_.begin() + at, ids_.begin() + at + have_, ids_.begin());
        for (int64_t b = 0; b < B_; ++b) {
            const auto row = weights_.begin() + b * room_;
            std::copy(row + at, row + at + have_, row);
        }
    }

    // The `count` tokens from `at` on; of those after them `next` are asked for.
    void add_chunk(int64_t at, int64_t count, int64_t next) {
        for (int64_t i = 0; i < count + next; ++i) rows_[i] = table_ + ids_[at + i] * D_;
        if (count % 2) rows_[count] = rows_[count - 1];
        const int64_t pairs = (count + 1) / 2;
        int64_t entries = 0;
        dense_.clear();
        sparse_.clear();
        for (int64_t b = 0; b < B_; ++b) {
            Bf16* const w = &weights_[b * room_ + at];
            if (count < CHUNK) std::fill(w + count, w + CHUNK, Bf16{0});
            used_[b] = take(w, words(b));
            const int own = __builtin_popcount(used_[b]);
            if (!own) continue;
            const bool dense = own * PAIRS >= DENSE_USES * pairs;
            entries += dense ? pairs : own;
            (dense ? dense_ : sparse_).push_back(b);
        }
        if (!entries) return;
        // Sixteenths of a line to ask for with every register of products.
        const float rate = 8 * static_cast<float>(next) / static_cast<float>(entries);
        int64_t c = 0;
        auto walk = [&](auto width) {
            constexpr int R = decltype(width)::value;
            for (; c + 16 * R <= columns_; c += 16 * R) add_columns<R>(c, pairs, rate, count, next);
        };
        walk(std::integral_constant<int, 12>());
        walk(std::integral_constant<int, 4>());
        walk(std::integral_constant<int, 2>());
    }

    // 64 weights as words of two, the earlier one in the upper half; returns which are not 0.
    static uint32_t take(const Bf16* w, int32_t* words) {
        uint32_t used = 0;
        for (int half = 0; half < 2; ++half) {
            const __m512i x = _mm512_rol_epi32(_mm512_loadu_si512(w + 32 * half), 16);
            _mm512_storeu_si512(words + 16 * half, x);
            used |= static_cast<uint32_t>(_mm512_test_epi32_mask(x, x)) << (16 * half);
        }
        return used;
    }

    template <int R>
    void add_columns(int64_t c, int64_t pairs, float rate, int64_t count, int64_t next) {
        // These columns of the next chunk: whole rows, one after the other, took longer.
        RowsAhead ahead(rows_ + count, next, c, 16 * R);
        constexpr int PART = R < 4 ? R : 4;
        for (int r = 0; r < R; r += PART) {
            size_t k = 0;
            auto add = [&](auto queries) {
                constexpr int Q = decltype(queries)::value;
                const int32_t* w[Q];
                float* to[Q];
                for (int q = 0; q < Q; ++q) {
                    w[q] = words(dense_[k + q]);
                    to[q] = sums_ + dense_[k + q] * columns_ + c + 16 * r;
                }
                const int each = static_cast<int>(std::ceil(rate * Q * PART));
                add_all_pairs<Q, PART>(rows_, c + 16 * r, pairs, w, to, ahead, each);
                k += Q;
            };
            // As many as leave registers for the pairs, and then no lone one.
            while (dense_.size() - k >= 6 && dense_.size() - k != 8) add(std::integral_constant<int, 6>());
            while (dense_.size() - k >= 4) add(std::integral_constant<int, 4>());
            while (dense_.size() - k >= 2) add(std::integral_constant<int, 2>());
            if (dense_.size() - k) add(std::integral_constant<int, 1>());
        }
        const int each = static_cast<int>(std::ceil(rate * R));
        for (int64_t b : sparse_) add_used_pairs<R>(rows_, c, used_[b], words(b), sums_ + b * columns_ + c, ahead, each);
    }

    int32_t* words(int64_t b) { return &words_[b * PAIRS]; }

    const Bf16* table_;
    int64_t D_, columns_, B_, room_, have_ = 0;
    float* sums_;
    std::vector<int32_t> ids_;
    std::vector<Bf16> weights_;
    std::vector<int32_t> words_;
    std::vector<uint32_t> used_;
    std::vector<int64_t> dense_, sparse_;
    const Bf16* rows_[2 * CHUNK + 1];
};

#endif
