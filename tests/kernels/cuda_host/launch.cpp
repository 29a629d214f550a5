// The kernels of csrc/cuda as a library for ctypes. tests/cuda_emulation.py writes entries.inc, EP_ENTRY(name)
// for each kernel that edgepose.kernels.cuda knows, and layout.inc, static_asserts that hold its structures to those of
// core/jobs.h.
#include "cuda_host.h"

#include "edgepose.cu"

#include "layout.inc"

namespace {

struct Entry {
    const char* name;
    size_t bytes;
    void (*run)(const void* args);
};

template <class Job>
size_t bytes_of(void (*)(const Job)) {
    return sizeof(Job);
}

template <auto kernel>
struct Run;
template <class Job, void (*kernel)(Job)>
struct Run<kernel> {
    static void run(const void* args) {
        Job job;
        memcpy(&job, args, sizeof job);
        kernel(job);
    }
};

#define EP_ENTRY(NAME) {#NAME, bytes_of(NAME), Run<NAME>::run},
const Entry entries[] = {
#include "entries.inc"
};

const Entry* find(const char* name) {
    for (const Entry& entry : entries)
        if (strcmp(entry.name, name) == 0) return &entry;
    return nullptr;
}

}  // namespace

// Name an array: words are read within arrays from then on. None: forget them all.
extern "C" __attribute__((visibility("default"))) void cuda_host_array(uintptr_t begin, size_t bytes) {
    if (begin == 0)
        cuda_host::arrays.clear();
    else
        cuda_host::arrays.push_back({begin, begin + bytes});
}

// Null, or what is wrong. `args` are the bytes of the kernel's job.
extern "C" __attribute__((visibility("default"))) const char* cuda_host_launch(const char* name, const unsigned* grid,
                                                                               const unsigned* threads,
                                                                               const void* args, size_t bytes,
                                                                               unsigned seed) {
    const Entry* entry = find(name);
    if (!entry) return "no such kernel";
    if (entry->bytes != bytes) return "the job has another size";
    return cuda_host::launch(entry->run, args, {grid[0], grid[1], grid[2]}, {threads[0], threads[1], threads[2]}, seed);
}
