// A range of work in equal slices, one a thread. Threads live as long as the call: nothing is shared between calls,
// and a process may fork (training's loaders do) without leaving a pool behind. Starting one costs about 20 us.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace ep {

// work(begin, end) for slices of [0, count), on at most `threads` threads with at least `least` items each. A slice
// that no thread can be had for is done in the caller's.
template <class Work>
void in_threads(int threads, int64_t count, int64_t least, Work work) {
    const int64_t slices = std::max<int64_t>(1, std::min<int64_t>(threads, count / least));
    std::vector<std::thread> others;
    for (int64_t i = 1; i < slices; ++i) {
        const int64_t begin = count * i / slices, end = count * (i + 1) / slices;
        try {
            others.emplace_back(work, begin, end);
        } catch (const std::system_error&) {
            work(begin, end);
        }
    }
    work(int64_t{0}, count / slices);
    for (auto& other : others) other.join();
}

}  // namespace ep
