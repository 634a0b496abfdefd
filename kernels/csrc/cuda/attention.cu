// Attention over a tied vocabulary by clusters: what Python calls. nvcc makes a library for Hopper of it, a C++ compiler one that
// emulates the device (emulated.h).
#ifdef __CUDACC__
#include <cuda_runtime.h>

#include "hopper.h"
#else
#include "emulated.h"
#endif

#include "attend.h"
#include "merge.h"

namespace {

using namespace cluster_attention;

constexpr int MERGE_BYTES = MOST_PARTS * (2 * sizeof(double) + sizeof(float));

#ifdef __CUDACC__

__global__ void __launch_bounds__(THREADS, 1) attend_kernel(const __grid_constant__ Call call) { attend(call); }

__global__ void __launch_bounds__(MERGED_COLUMNS) merge_kernel(const __grid_constant__ Merge call) { merge(call); }

struct Launch {
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute cluster_of = {};

    Launch(int cluster, int blocks, void* stream) {
        cluster_of.id = cudaLaunchAttributeClusterDimension;
        cluster_of.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
        config.gridDim = dim3(blocks);
        config.blockDim = dim3(THREADS);
        config.dynamicSmemBytes = shared_bytes(most_stages(cluster), cluster);
        config.stream = static_cast<cudaStream_t>(stream);
        config.attrs = &cluster_of;
        config.numAttrs = 1;
    }
};

cudaError_t prepare(int device, int cluster) {
    const cudaError_t chosen = cudaSetDevice(device);
    if (chosen != cudaSuccess) return chosen;
    return cudaFuncSetAttribute(attend_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                shared_bytes(most_stages(cluster), cluster));
}

const char* complaint(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

const char* launch(const Call& call, const Merge& merging, int cluster, int device, void* stream, uint32_t) {
    const cudaError_t prepared = prepare(device, cluster);
    if (prepared != cudaSuccess) return complaint(prepared);
    Launch attending(cluster, call.parts * cluster, stream);
    const cudaError_t launched = cudaLaunchKernelEx(&attending.config, attend_kernel, call);
    if (launched != cudaSuccess) return complaint(launched);
    const int blocks = call.rows * (merging.width / MERGED_COLUMNS);
    merge_kernel<<<blocks, MERGED_COLUMNS, MERGE_BYTES, static_cast<cudaStream_t>(stream)>>>(merging);
    return complaint(cudaGetLastError());
}

#else

const char* launch(const Call& call, const Merge& merging, int cluster, int, void*, uint32_t seed) {
    const int bytes = shared_bytes(call.stages, cluster);
    for (int part = 0; part < call.parts; ++part)
        if (!sm::run_cluster([&] { attend(call); }, cluster, THREADS, bytes, part * cluster, seed + part)) return "stuck in attend";
    for (int block = 0; block < call.rows * (merging.width / MERGED_COLUMNS); ++block)
        if (!sm::run_cluster([&] { merge(merging); }, 1, MERGED_COLUMNS, MERGE_BYTES, block, seed)) return "stuck in merge";
    return nullptr;
}

#endif

}  // namespace

// How many clusters of so many blocks run at once on a device, or 0 where it runs none. More than MOST_PARTS cannot be merged.
extern "C" int32_t cluster_attention_parts(int32_t device, int32_t cluster) {
#ifdef __CUDACC__
    int count = 0;
    if (prepare(device, cluster) != cudaSuccess) return 0;
    Launch attending(cluster, cluster, nullptr);
    if (cudaOccupancyMaxActiveClusters(&count, attend_kernel, &attending.config) != cudaSuccess) return 0;
    return count < MOST_PARTS ? count : MOST_PARTS;
#else
    (void)device, (void)cluster;
    return 3;
#endif
}

// The bytes of shared memory that each of a cluster's so many blocks asks for.
extern "C" int32_t cluster_attention_shared_bytes(int32_t cluster) { return shared_bytes(most_stages(cluster), cluster); }

// hidden [B, D] and table [V, D] bf16, D = 1024 times the cluster's blocks, B <= 16; temperature [B]; bias [V] or null.
// Scratch: statistics [4, parts, B] (the last an int32) and sums [parts, B, D]. What comes out is described at Merge. Returns null,
// or what the device complains of. `seed` orders what an emulation does at once.
extern "C" const char* cluster_attention_run(const void* hidden, const void* table, int64_t B, int64_t V, int64_t D,
                                             const float* temperature, const float* bias, float scale, float softcap,
                                             int64_t parts, float* statistics, float* sums, float* maximum, int64_t* argmax,
                                             double* total, double* energy, float* accumulator, float* facts, void* mean,
                                             int32_t device, void* stream, uint32_t seed) {
    const int cluster = static_cast<int>(D / COLUMNS);
    const int64_t each = parts * B;
    const Call call = {static_cast<const uint16_t*>(hidden),
                       static_cast<const uint16_t*>(table),
                       temperature,
                       bias,
                       scale,
                       softcap,
                       static_cast<int>(B),
                       static_cast<int>(V),
                       static_cast<int>(parts),
                       most_stages(cluster),
                       statistics,
                       statistics + each,
                       statistics + 2 * each,
                       reinterpret_cast<int32_t*>(statistics + 3 * each),
                       sums};
    const Merge merging = {call.maxima,     call.totals, call.energies,          call.argmaxes, sums,    call.table,
                           temperature,     call.parts,  call.rows,              static_cast<int>(D),    maximum, argmax,
                           total,           energy,      accumulator,            facts,
                           static_cast<uint16_t*>(mean)};
    return launch(call, merging, cluster, device, stream, seed);
}
