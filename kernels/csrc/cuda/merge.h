// The parts that attend.h leaves behind, merged in one launch: merge_stacked and finish of kernels/attention/partial.py.
#pragma once
#include <cmath>
#include <cstdint>

namespace cluster_attention {

constexpr int MOST_PARTS = 256;
// Columns of one block, one a thread.
constexpr int MERGED_COLUMNS = 256;

struct Merge {
    const float* maxima;       // [parts, rows], and so on: Call of attend.h
    const float* totals;
    const float* energies;
    const int32_t* argmaxes;
    const float* sums;         // [parts, rows, width]
    const uint16_t* table;     // [vocabulary, width] bf16
    const float* temperature;  // [rows]
    int parts, rows, width;
    float* maximum;            // [rows], with argmax in any case
    int64_t* argmax;
    double* total;             // [rows], with energy and accumulator: the part that all of them are; or null
    double* energy;
    float* accumulator;        // [rows, width]
    float* facts;              // [3, rows]: log-sum-exp of z / T, largest probability, entropy; with mean, or null
    uint16_t* mean;            // [rows, width] bf16
};

DEVICE void merge(const Merge& call) {
    struct Scales {
        double total[MOST_PARTS], energy[MOST_PARTS];
        float factor[MOST_PARTS];
    };
    Scales& shared = *reinterpret_cast<Scales*>(sm::shared_memory());
    const int chunks = call.width / MERGED_COLUMNS, row = sm::block() / chunks;
    const int column = sm::block() % chunks * MERGED_COLUMNS + sm::thread();
    const float temperature = call.temperature[row];
    float maximum = -INFINITY;
    int argmax = -1;
    bool bad = false;
    // Parts come in the order of their ids: of equal maxima the first has the lowest.
    for (int part = 0; part < call.parts; ++part) {
        const float top = call.maxima[part * call.rows + row];
        bad |= top != top;
        if (top > maximum) maximum = top, argmax = call.argmaxes[part * call.rows + row];
    }
    const bool frozen = temperature == 0;
    if (sm::thread() < call.parts) {
        const int at = sm::thread() * call.rows + row;
        // Of a part without any token nothing counts, and nothing was added either.
        const bool empty = call.argmaxes[at] < 0;
        const double shift = empty || frozen ? 0.0 : (static_cast<double>(call.maxima[at]) - maximum) / temperature;
        const double factor = empty || frozen ? 0.0 : exp(shift);
        shared.factor[sm::thread()] = static_cast<float>(factor);
        shared.total[sm::thread()] = factor * call.totals[at];
        shared.energy[sm::thread()] = factor > 0 ? factor * (call.energies[at] + shift * call.totals[at]) : 0.0;
    }
    sm::sync_block();
    double total = 0, energy = 0;
    float sum = 0;
#pragma unroll 8
    for (int part = 0; part < call.parts; ++part) {
        const float factor = shared.factor[part];
        total += shared.total[part];
        energy += shared.energy[part];
        const float more = call.sums[(static_cast<int64_t>(part) * call.rows + row) * call.width + column];
        sum += factor > 0 ? more * factor : 0.0f;
    }
    // At temperature 0 the token with the largest logit takes all.
    if (frozen && argmax >= 0) {
        total = 1;
        sum = sm::widen(call.table[argmax * static_cast<int64_t>(call.width) + column]);
    }
    const int64_t to = static_cast<int64_t>(row) * call.width + column;
    if (call.mean) call.mean[to] = static_cast<uint16_t>(sm::pack(sum / static_cast<float>(total), 0.0f) & 0xFFFF);
    if (call.accumulator) call.accumulator[to] = sum;
    if (column > 0) return;
    call.maximum[row] = bad ? NAN : maximum;
    call.argmax[row] = argmax;
    if (call.total) call.total[row] = total, call.energy[row] = energy;
    if (!call.facts) return;
    const double log_total = log(total);
    call.facts[row] = frozen ? INFINITY : static_cast<float>(maximum / static_cast<double>(temperature) + log_total);
    call.facts[call.rows + row] = static_cast<float>(1 / total);
    call.facts[2 * call.rows + row] = static_cast<float>(fmax(log_total - energy / total, 0.0));
}

}  // namespace cluster_attention
