// What attend.h and merge.h ask of the processor, as instructions of Hopper (sm_90). emulated.h has the same names for a CPU.
#pragma once
#include <cstdint>

#define DEVICE static __device__ __forceinline__

namespace sm {

using Barrier = uint64_t;

DEVICE int thread() { return threadIdx.x; }
DEVICE int block() { return blockIdx.x; }

DEVICE int rank() {
    uint32_t found;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(found));
    return found;
}

DEVICE int cluster_size() {
    uint32_t found;
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(found));
    return found;
}

DEVICE unsigned char* shared_memory() {
    extern __shared__ __align__(128) unsigned char memory[];
    return memory;
}

DEVICE uint32_t address(const void* shared) { return static_cast<uint32_t>(__cvta_generic_to_shared(shared)); }

DEVICE void sync_block() { __syncthreads(); }

DEVICE void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

DEVICE void barrier_init(Barrier* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address(barrier)), "r"(arrivals) : "memory");
}

// Barriers that were initialised are seen by the cluster and by bulk copies after the next sync_cluster.
DEVICE void barriers_initialised() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// One arrival; the phase ends when as many bytes have come as well.
DEVICE void barrier_expect(Barrier* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address(barrier)), "r"(bytes) : "memory");
}

// Until the phase of this parity has ended; what came with it, from whichever block of the cluster, can be read then.
DEVICE void barrier_wait(Barrier* barrier, int parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(address(barrier)),
        "r"(parity)
        : "memory");
}

// A bulk asynchronous copy of a multiple of 16 bytes into shared memory; its bytes count at the barrier when they are there.
DEVICE void copy_bulk(void* shared, const void* global, int bytes, Barrier* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(address(shared)),
                 "l"(global), "r"(bytes), "r"(address(barrier))
                 : "memory");
}

// Four floats into the shared memory of another block of the cluster, at the address that they would have in this one; their 16
// bytes count at its barrier.
DEVICE void send(float4* shared, const float4& values, Barrier* barrier, int to) {
    uint32_t there, its_barrier;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address(shared)), "r"(to));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(its_barrier) : "r"(address(barrier)), "r"(to));
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(there),
                 "f"(values.x), "f"(values.y), "f"(values.z), "f"(values.w), "r"(its_barrier)
                 : "memory");
}

// Four 8 x 8 matrices of 16-bit numbers: lane l names row l % 8 of matrix l / 8 and receives of each matrix, in one register,
// elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
DEVICE void load_matrices(uint32_t (&found)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3])
                 : "r"(address(row))
                 : "memory");
}

// The same of the transposed matrices.
DEVICE void load_transposed(uint32_t (&found)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3])
                 : "r"(address(row))
                 : "memory");
}

// sum [16, 8] += a [16, 16] b [16, 8] by a warp, of bf16 pairs into float32. With g = lane / 4 and q = lane % 4, a lane holds
// a: rows g, g + 8, g, g + 8 at columns 2q, 2q, 2q + 8, 2q + 8, each with the next column in the upper half;
// b: column g at rows (b0) 2q and (b1) 2q + 8, each with the next row in the upper half;
// sum: row g at columns 2q, 2q + 1, then row g + 8 at the same.
DEVICE void multiply(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE float shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xFFFFFFFFu, value, mask); }
DEVICE int shuffle_xor(int value, int mask) { return __shfl_xor_sync(0xFFFFFFFFu, value, mask); }
DEVICE bool any(bool value) { return __any_sync(0xFFFFFFFFu, value); }

DEVICE float exp2(float x) {
    float found;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(found) : "f"(x));
    return found;
}

// Two numbers rounded to bf16, the first in the lower half.
DEVICE uint32_t pack(float first, float second) {
    uint32_t found;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(found) : "f"(second), "f"(first));
    return found;
}

DEVICE float widen(uint32_t bf16) { return __uint_as_float(bf16 << 16); }

}  // namespace sm
