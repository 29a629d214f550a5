// CUDA C++ for g++: what the kernels of csrc/cuda use of the language, so that a machine without a GPU compiles and
// runs them. A block's threads are fibers of one thread of the process. A fiber runs until it ends or meets a barrier
// or an exchange between lanes; those are carried out once all that take part have arrived. A warp runs as far as it
// can before the next one does, in an order that the caller chooses: results that depend on it lack a barrier. What is
// refused: threads that wait for each other at different places, exchanges with lanes that have ended, blocks and grids
// larger than a GPU takes. Shared memory is filled with NaN before every block.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static

// tests/cuda_emulation.py renames .bss of the object: statics of the kernels are all it holds, for everything here is
// `inline` and so has sections of its own. (g++ 12 ignores a section attribute on statics of templates.)
extern "C" char __start_cuda_host_shared[], __stop_cuda_host_shared[];

namespace cuda_host {

struct Index {
    unsigned x, y, z;
};

enum Wait { running, ended, syncthreads, syncthreads_or, syncthreads_and, syncwarp, shuffle, ballot };

inline bool of_block(Wait wait) { return wait >= syncthreads && wait <= syncthreads_and; }
inline bool of_warp(Wait wait) { return wait >= syncwarp; }

enum { kWarp = 32, kMostThreads = 1024 };
constexpr size_t kStack = 256 * 1024;

struct Fiber {
    ucontext_t context;
    Index thread;
    Wait wait;
    uint32_t given;         // to an exchange
    uint32_t taken[kWarp];  // from it: what every lane of the warp gave, or the block's answer in [0]
};

struct Block {
    Fiber fibers[kMostThreads];
    unsigned count;
    ucontext_t scheduler;
    Fiber* current;
    void (*kernel)(const void* args);
    const void* args;
    const char* error;
};

inline Block block;

}  // namespace cuda_host

inline cuda_host::Index threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_host {

// Called by a fiber: wait until all that take part have come to the same.
inline const uint32_t* meet(Wait wait, uint32_t given) {
    Fiber& mine = *block.current;
    mine.wait = wait;
    mine.given = given;
    swapcontext(&mine.context, &block.scheduler);
    return mine.taken;
}

inline void fiber_main() {
    block.kernel(block.args);
    block.current->wait = ended;
    swapcontext(&block.current->context, &block.scheduler);
}

inline void resume(Fiber& fiber) {
    block.current = &fiber;
    fiber.wait = running;
    threadIdx = fiber.thread;
    swapcontext(&block.scheduler, &fiber.context);
}

inline bool all_wait(const Fiber* fibers, unsigned count, Wait wait) {
    return std::all_of(fibers, fibers + count, [wait](const Fiber& f) { return f.wait == wait || f.wait == ended; });
}

// The warp's exchange, if all of its lanes have come to it.
inline bool exchange(Fiber* lanes, unsigned count) {
    const Wait wait = lanes[0].wait;
    if (!of_warp(wait) || !std::all_of(lanes, lanes + count, [wait](const Fiber& f) { return f.wait == wait; }))
        return false;
    for (unsigned to = 0; to < count; ++to)
        for (unsigned from = 0; from < kWarp; ++from) lanes[to].taken[from] = from < count ? lanes[from].given : 0;
    for (unsigned lane = 0; lane < count; ++lane) lanes[lane].wait = running;
    return true;
}

// The block's barrier, if all of its threads have come to it or ended.
inline bool barrier() {
    const Fiber* first =
        std::find_if(block.fibers, block.fibers + block.count, [](const Fiber& fiber) { return fiber.wait != ended; });
    const Wait wait = first->wait;
    if (!of_block(wait) || !all_wait(block.fibers, block.count, wait)) return false;
    bool any = false, all = true;
    for (unsigned i = 0; i < block.count; ++i) {
        if (block.fibers[i].wait == ended) continue;
        any = any || block.fibers[i].given;
        all = all && block.fibers[i].given;
    }
    for (unsigned i = 0; i < block.count; ++i) {
        if (block.fibers[i].wait == ended) continue;
        block.fibers[i].taken[0] = wait == syncthreads_or ? any : all;
        block.fibers[i].wait = running;
    }
    return true;
}

inline char* stack(unsigned fiber) {
    static char* stacks = static_cast<char*>(mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    return stacks + kStack * fiber;
}

inline void start_fiber(Fiber& fiber, unsigned i) {
    getcontext(&fiber.context);
    fiber.context.uc_stack = {stack(i), 0, kStack};
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
    fiber.thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    fiber.wait = running;
}

inline void start_block() {
    memset(__start_cuda_host_shared, 0xff, static_cast<size_t>(__stop_cuda_host_shared - __start_cuda_host_shared));
    for (unsigned i = 0; i < block.count; ++i) start_fiber(block.fibers[i], i);
}

// One warp as far as it comes by itself: to its end, or to a barrier of the block.
inline void run_warp(Fiber* lanes, unsigned count, const std::vector<unsigned>& order) {
    do {
        for (const unsigned lane : order)
            if (lane < count && lanes[lane].wait == running) resume(lanes[lane]);
    } while (!block.error && exchange(lanes, count));
}

// seed: 0 runs lanes and warps in order, 1 from the last to the first, others shuffled anew after every barrier.
inline const char* run_block(unsigned seed) {
    start_block();
    std::vector<unsigned> lanes(kWarp), warps((block.count + kWarp - 1) / kWarp);
    std::mt19937 random(seed);
    for (auto* order : {&lanes, &warps}) {
        std::iota(order->begin(), order->end(), 0u);
        if (seed == 1) std::reverse(order->begin(), order->end());
    }
    for (;;) {
        if (seed > 1)
            std::shuffle(lanes.begin(), lanes.end(), random), std::shuffle(warps.begin(), warps.end(), random);
        for (const unsigned warp : warps)
            run_warp(block.fibers + warp * kWarp, std::min<unsigned>(kWarp, block.count - warp * kWarp), lanes);
        if (block.error) return block.error;
        if (all_wait(block.fibers, block.count, ended)) return nullptr;
        if (!barrier()) return "threads wait for each other at different places";
    }
}

inline const char* refused(const Index& grid, const Index& threads) {
    const uint64_t count = uint64_t{threads.x} * threads.y * threads.z;
    if (count == 0 || count > kMostThreads || threads.z > 64) return "invalid block";
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return "invalid grid: no blocks";
    if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return "invalid grid: too many blocks";
    return nullptr;
}

// Null, or what is wrong.
inline const char* launch(void (*kernel)(const void*), const void* args, Index grid, Index threads, unsigned seed) {
    if (const char* error = refused(grid, threads)) return error;
    gridDim = grid, blockDim = threads;
    block.count = threads.x * threads.y * threads.z;
    block.kernel = kernel, block.args = args, block.error = nullptr;
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                blockIdx = {x, y, z};
                if (const char* error = run_block(seed)) return error;
            }
    return nullptr;
}

inline unsigned lane() { return static_cast<unsigned>(block.current - block.fibers) % kWarp; }

inline void check_mask(unsigned mask) {
    if (mask != 0xffffffffu) block.error = "an exchange between some lanes is not emulated";
}

// Arrays, if any were named: a word that reaches beyond one by some bytes meets no forbidden page.
struct Array {
    uintptr_t begin, end;
};
inline std::vector<Array> arrays;

inline void check_read(const void* at, size_t bytes) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(at), end = begin + bytes;
    if (!arrays.empty() &&
        std::none_of(arrays.begin(), arrays.end(), [=](const Array& a) { return a.begin <= begin && end <= a.end; }))
        block.error = "a word is read that lies in no array, or only in part";
}

}  // namespace cuda_host

inline void __syncthreads() { cuda_host::meet(cuda_host::syncthreads, 0); }
inline int __syncthreads_or(int given) { return cuda_host::meet(cuda_host::syncthreads_or, given != 0)[0] != 0; }
inline int __syncthreads_and(int given) { return cuda_host::meet(cuda_host::syncthreads_and, given != 0)[0] != 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    cuda_host::check_mask(mask);
    cuda_host::meet(cuda_host::syncwarp, 0);
}

inline unsigned __ballot_sync(unsigned mask, int given) {
    cuda_host::check_mask(mask);
    const uint32_t* taken = cuda_host::meet(cuda_host::ballot, given != 0);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < cuda_host::kWarp; ++lane) bits |= taken[lane] << lane;
    return bits;
}

template <class T>
T __shfl_down_sync(unsigned mask, T given, unsigned away) {
    static_assert(sizeof(T) == 4, "lanes exchange 32 bits");
    cuda_host::check_mask(mask);
    uint32_t bits;
    memcpy(&bits, &given, 4);
    const unsigned lane = cuda_host::lane(), from = lane + away < cuda_host::kWarp ? lane + away : lane;
    const uint32_t* taken = cuda_host::meet(cuda_host::shuffle, bits);
    T got;
    memcpy(&got, taken + from, 4);
    return got;
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }

inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}

inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = uint64_t{high} << 32 | low;
    unsigned made = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned chosen = selector >> (4 * i) & 0xf, byte = bytes >> (8 * (chosen & 7)) & 0xff;
        made |= (chosen & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << (8 * i);  // bit 3: the sign, repeated
    }
    return made;
}

inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

template <class T>
T __ldg(const T* at) {
    T value;
    cuda_host::check_read(at, sizeof value);
    memcpy(&value, at, sizeof value);  // the kernels read bytes as words
    return value;
}
