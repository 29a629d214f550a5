// Splits a range of work into equal slices, one per thread. Threads end with the call, so calls share no state and a
// process may fork (training's loaders do) without a thread pool to lose. Starting a thread takes about 20 us.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

namespace ep {

// Calls work(begin, end) for slices of [0, count), on at most `threads` threads with at least `least` items each. The
// calling thread does a slice for which no thread can be started. Throws std::bad_alloc if a slice found no memory.
template <class Work>
void in_threads(int threads, int64_t count, int64_t least, Work work) {
    const int64_t slices = std::max<int64_t>(1, std::min<int64_t>(threads, count / least));
    std::atomic<bool> exhausted{false};
    const auto slice = [&](int64_t i) {  // An exception must not leave a thread or pass one that still runs.
        try {
            work(count * i / slices, count * (i + 1) / slices);
        } catch (const std::bad_alloc&) {
            exhausted = true;
        }
    };
    std::vector<std::thread> others;
    others.reserve(static_cast<size_t>(slices - 1));
    for (int64_t i = 1; i < slices; ++i) {
        try {
            others.emplace_back(slice, i);
        } catch (const std::exception&) {  // The thread could not be started.
            slice(i);
        }
    }
    slice(0);
    for (auto& other : others) other.join();
    if (exhausted) throw std::bad_alloc();
}

}  // namespace ep
