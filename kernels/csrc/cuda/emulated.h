// What hopper.h says in instructions, on a CPU: every thread of a cluster is a fiber, and one at a time runs until it waits.
//
// Whom a wait lets pass, and when a copy or a message that was sent arrives, is drawn anew for each launch from a seed, with warps
// of very different speeds; memory begins as NaN. So a tile that is read before it came or overwritten while it is read shows as a
// wrong result, and a barrier on which nobody arrives as `stuck`. Matrix products follow the fragments that the instructions are
// documented with. Not shown: that memory may be seen in another order than it was written in, how numbers are rounded within
// a product, and time.
#pragma once
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <ucontext.h>

#define DEVICE static inline

struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

namespace sm {

// A phase ends when everyone has arrived and all bytes have come.
struct Barrier {
    int16_t arrivals, missing;
    int32_t bytes;
    int64_t phase;

    void settle() {
        if (missing == 0 && bytes == 0) ++phase, missing = arrivals;
    }
};

struct Warp {
    // What the lanes bring to a product or an exchange; lanes that are one step ahead write the other half.
    struct Step {
        const void* rows[32];
        uint32_t a[32][4], b[32][2];
        int64_t value[32];
    } steps[2];
    int come = 0;
    int64_t number = 0;
    // A warp runs in one of `pace` rounds, from `awake` on.
    int pace = 1;
    int64_t awake = 0;
};

constexpr int STACK_BYTES = 1 << 15;
// One in so many warps that wait for others stands still for so many rounds when it could go on: others take less for two tiles.
constexpr int RESTING = 64, REST = 500;

struct Fiber {
    int thread = 0, rank = 0;
    Warp* warp = nullptr;
    unsigned char* stack = nullptr;
    jmp_buf at;
    bool begun = false, done = false;
};

struct Machine {
    std::function<void()> kernel;
    int cluster = 1, block = 0;
    std::vector<std::vector<unsigned char>> memory;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    // Copies and messages under way.
    std::vector<std::function<void()>> under_way;
    std::vector<int> come_to_block;
    std::vector<int64_t> blocks_number;
    int come_to_cluster = 0;
    int64_t clusters_number = 0;
    Fiber* current = nullptr;
    jmp_buf scheduler;
    ucontext_t home;
    int64_t round = 0;
    bool moved = false;
    std::minstd_rand random;
};

inline Machine*& machine() {
    static Machine* running = nullptr;
    return running;
}

inline Fiber& self() { return *machine()->current; }

__attribute__((noinline)) inline void pause() {
    if (!_setjmp(self().at)) _longjmp(machine()->scheduler, 1);
}

template <typename Condition>
void wait_until(Condition met) {
    while (!met()) pause();
    machine()->moved = true;
}

DEVICE int thread() { return self().thread; }
DEVICE int block() { return machine()->block + self().rank; }
DEVICE int rank() { return self().rank; }
DEVICE int cluster_size() { return machine()->cluster; }

DEVICE unsigned char* shared_memory() {
    const auto at = reinterpret_cast<uintptr_t>(machine()->memory[self().rank].data());
    return reinterpret_cast<unsigned char*>((at + 127) / 128 * 128);
}

// The same place in the shared memory of another block.
template <typename T>
T* over_there(T* here, int rank) {
    const auto offset = reinterpret_cast<unsigned char*>(here) - shared_memory();
    const auto at = (reinterpret_cast<uintptr_t>(machine()->memory[rank].data()) + 127) / 128 * 128;
    return reinterpret_cast<T*>(at + offset);
}

// Before a wait for other warps.
inline void rest() {
    Machine& here = *machine();
    if (self().thread % 32 == 0 && here.random() % RESTING == 0) self().warp->awake = here.round + REST;
}

inline void meet(int& come, int64_t& number, int all) {
    const int64_t mine = number;
    if (++come == all) come = 0, ++number;
    wait_until([&] { return number > mine; });
}

DEVICE void sync_block() {
    rest();
    Machine& here = *machine();
    meet(here.come_to_block[rank()], here.blocks_number[rank()], static_cast<int>(here.fibers.size()) / here.cluster);
}

DEVICE void sync_cluster() {
    Machine& here = *machine();
    meet(here.come_to_cluster, here.clusters_number, static_cast<int>(here.fibers.size()));
}

DEVICE void barrier_init(Barrier* barrier, int arrivals) {
    *barrier = Barrier{static_cast<int16_t>(arrivals), static_cast<int16_t>(arrivals), 0, 0};
}

DEVICE void barriers_initialised() {}

DEVICE void barrier_expect(Barrier* barrier, int bytes) {
    barrier->bytes += bytes;
    --barrier->missing;
    barrier->settle();
}

DEVICE void barrier_wait(Barrier* barrier, int parity) {
    rest();
    wait_until([=] { return barrier->phase % 2 != parity; });
}

DEVICE void copy_bulk(void* shared, const void* global, int bytes, Barrier* barrier) {
    machine()->under_way.push_back([=] {
        std::memcpy(shared, global, bytes);
        barrier->bytes -= bytes;
        barrier->settle();
    });
}

DEVICE void send(float4* shared, const float4& values, Barrier* barrier, int to) {
    float4* there = over_there(shared, to);
    Barrier* its_barrier = over_there(barrier, to);
    machine()->under_way.push_back([=] {
        *there = values;
        its_barrier->bytes -= static_cast<int>(sizeof(float4));
        its_barrier->settle();
    });
}

// All lanes of the warp bring something to a step and then see what the others brought.
template <typename Bring>
Warp::Step& together(Bring bring) {
    Warp& warp = *self().warp;
    Warp::Step& step = warp.steps[warp.number % 2];
    bring(step, thread() % 32);
    meet(warp.come, warp.number, 32);
    return step;
}

DEVICE uint32_t element(const void* row, int column) { return static_cast<const uint16_t*>(row)[column]; }

DEVICE void load_matrices(uint32_t (&found)[4], const void* row) {
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) { mine.rows[lane] = row; });
    const int g = thread() % 32 / 4, q = thread() % 4;
    for (int i = 0; i < 4; ++i) found[i] = element(step.rows[8 * i + g], 2 * q) | element(step.rows[8 * i + g], 2 * q + 1) << 16;
}

DEVICE void load_transposed(uint32_t (&found)[4], const void* row) {
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) { mine.rows[lane] = row; });
    const int g = thread() % 32 / 4, q = thread() % 4;
    for (int i = 0; i < 4; ++i) found[i] = element(step.rows[8 * i + 2 * q], g) | element(step.rows[8 * i + 2 * q + 1], g) << 16;
}

DEVICE float widen(uint32_t bf16) {
    const uint32_t bits = bf16 << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

DEVICE uint32_t rounded(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value != value) return 0x7FFF;
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

DEVICE uint32_t pack(float first, float second) { return rounded(first) | rounded(second) << 16; }

DEVICE void multiply(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) {
        std::memcpy(mine.a[lane], a, sizeof a);
        mine.b[lane][0] = b0;
        mine.b[lane][1] = b1;
    });
    const int g = thread() % 32 / 4, q = thread() % 4;
    for (int i = 0; i < 4; ++i) {
        const int upper = i / 2, column = 2 * q + i % 2;  // row g + 8 upper
        for (int k = 0; k < 16; ++k) {
            // Row or column k of a fragment: its lane of the quad, its register, its half of that.
            const int lane = k % 8 / 2, beyond = k / 8, shift = k % 2 * 16;
            const uint32_t x = step.a[4 * g + lane][upper + 2 * beyond] >> shift, y = step.b[4 * column + lane][beyond] >> shift;
            sum[i] += widen(x & 0xFFFF) * widen(y & 0xFFFF);
        }
    }
}

DEVICE float shuffle_xor(float value, int mask) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) { mine.value[lane] = bits; });
    bits = static_cast<uint32_t>(step.value[thread() % 32 ^ mask]);
    std::memcpy(&value, &bits, sizeof bits);
    return value;
}

DEVICE int shuffle_xor(int value, int mask) {
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) { mine.value[lane] = value; });
    return static_cast<int>(step.value[thread() % 32 ^ mask]);
}

DEVICE bool any(bool value) {
    const Warp::Step& step = together([&](Warp::Step& mine, int lane) { mine.value[lane] = value; });
    for (int lane = 0; lane < 32; ++lane)
        if (step.value[lane]) return true;
    return false;
}

DEVICE float exp2(float x) { return std::exp2(x); }

inline void begin() {
    machine()->kernel();
    self().done = true;
    _longjmp(machine()->scheduler, 1);
}

__attribute__((noinline)) inline void resume(Machine& here, Fiber& fiber) {
    if (_setjmp(here.scheduler)) return;
    here.current = &fiber;
    if (fiber.begun) _longjmp(fiber.at, 1);
    fiber.begun = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, reinterpret_cast<void (*)()>(begin), 0);
    swapcontext(&here.home, &context);
}

// One cluster of a launch; false where everybody waits for what nobody does.
inline bool run_cluster(const std::function<void()>& kernel, int cluster, int threads, int shared_bytes, int block, uint32_t seed) {
    Machine here;
    here.kernel = kernel;
    here.cluster = cluster;
    here.block = block;
    here.random.seed(seed + 1);
    // Every byte 0xFF: NaN as float and as bf16.
    here.memory.assign(cluster, std::vector<unsigned char>(shared_bytes + 128, 0xFF));
    here.come_to_block.assign(cluster, 0);
    here.blocks_number.assign(cluster, 0);
    // Kept from launch to launch: fresh pages cost more than the rest.
    static std::unique_ptr<unsigned char[]> stacks;
    static size_t room = 0;
    if (room < static_cast<size_t>(cluster) * threads) {
        room = static_cast<size_t>(cluster) * threads;
        stacks.reset(new unsigned char[room * STACK_BYTES]);
    }
    here.fibers.resize(cluster * threads);
    here.warps.resize(cluster * threads / 32);
    for (size_t i = 0; i < here.fibers.size(); ++i) {
        Fiber& fiber = here.fibers[i];
        fiber.thread = static_cast<int>(i) % threads;
        fiber.rank = static_cast<int>(i) / threads;
        fiber.warp = &here.warps[i / 32];
        fiber.stack = stacks.get() + i * STACK_BYTES;
    }
    machine() = &here;
    size_t running = here.fibers.size();
    for (int64_t idle = 0; running > 0; ++here.round) {
        here.moved = false;
        if (here.round % 256 == 0)
            for (Warp& warp : here.warps) warp.pace = 1 + here.random() % 2;
        for (size_t i = 0; i < here.under_way.size();) {
            if (here.random() % 4) {
                ++i;
                continue;
            }
            std::swap(here.under_way[i], here.under_way.back());
            here.under_way.back()();
            here.under_way.pop_back();
            here.moved = true;
        }
        for (size_t i = 0; i < here.warps.size(); ++i) {
            if (here.warps[i].awake > here.round || here.random() % here.warps[i].pace) continue;
            for (int lane = 0; lane < 32; ++lane) {
                Fiber& fiber = here.fibers[32 * i + lane];
                if (fiber.done) continue;
                resume(here, fiber);
                if (fiber.done) --running, here.moved = true;
            }
        }
        idle = here.moved ? 0 : idle + 1;
        if (idle > 2 * REST) break;
    }
    machine() = nullptr;
    return running == 0;
}

}  // namespace sm
