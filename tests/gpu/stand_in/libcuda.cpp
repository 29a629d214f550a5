// A libcuda.so.1 for machines without a GPU: the calls of edgepose/backends/cuda/_bindings.py and device.py, on host
// memory, with the kernels emulated. What cuda-bindings makes of our arguments arrives here as it would at the driver.
// A stream's work is done at once. Signatures are cuda.h's, with plain types in place of its own.
#include <dlfcn.h>
#include <stdlib.h>

#include <chrono>
#include <functional>
#include <vector>

#include "launch.cpp"

#define EP_EXPORT extern "C" __attribute__((visibility("default"))) int

namespace {

enum Code {
    success = 0,
    invalid_value = 1,
    out_of_memory = 2,
    invalid_context = 201,
    capture_unsupported = 900,
    not_found = 500,
};
constexpr uintptr_t kContext = 0x1000, kModule = 0x3000;
constexpr size_t kMemory = size_t{1} << 34;  // more than that is refused

struct Stream {
    bool capturing = false;
    std::vector<std::function<void()>> captured;
};
struct Event {
    std::chrono::steady_clock::time_point at;
};

}  // namespace

inline int retained = 0;  // `inline`: not in .bss, which is the kernels' shared memory
inline thread_local std::vector<uintptr_t> contexts;

namespace {

bool current() { return !contexts.empty() && contexts.back() == kContext; }

// A stream's work is done at once, or kept while it is captured.
int give(Stream* stream, std::function<void()> work) {
    if (!current()) return invalid_context;
    if (!stream) return invalid_value;
    stream->capturing ? stream->captured.push_back(work) : work();
    return success;
}

}  // namespace

EP_EXPORT cuInit(unsigned flags) { return flags ? invalid_value : success; }
EP_EXPORT cuDriverGetVersion(int* version) { return *version = 13000, success; }
EP_EXPORT cuDeviceGet(int* device, int ordinal) { return *device = ordinal, ordinal ? 101 : success; }
EP_EXPORT cuDeviceGetName(char* name, int length, int) {
    snprintf(name, static_cast<size_t>(length), "stand-in");
    return success;
}
EP_EXPORT cuDeviceGetAttribute(int* value, int attribute, int) {
    const char* integrated = getenv("STAND_IN_INTEGRATED");
    *value = attribute == 75 ? 9 : attribute == 18 && integrated && *integrated == '1';
    return success;
}

EP_EXPORT cuDevicePrimaryCtxRetain(uintptr_t* context, int) { return ++retained, *context = kContext, success; }
EP_EXPORT cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? success : invalid_context; }
EP_EXPORT cuCtxPushCurrent_v2(uintptr_t context) { return contexts.push_back(context), success; }
EP_EXPORT cuCtxPopCurrent_v2(uintptr_t* context) {
    if (contexts.empty()) return invalid_context;
    if (context) *context = contexts.back();
    return contexts.pop_back(), success;
}

EP_EXPORT cuStreamCreate(Stream** stream, unsigned) { return *stream = new Stream, success; }
EP_EXPORT cuStreamDestroy_v2(Stream* stream) { return delete stream, success; }
EP_EXPORT cuStreamSynchronize(Stream* stream) {
    return !current() ? invalid_context : stream->capturing ? capture_unsupported : success;
}
EP_EXPORT cuStreamWaitEvent(Stream* stream, Event*, unsigned) {
    return give(stream, [] {});
}

// A captured graph is what was given; an executable one a copy of it.
using Graph = std::vector<std::function<void()>>;
EP_EXPORT cuStreamBeginCapture_v2(Stream* stream, int mode) {
    if (stream->capturing || mode != 1) return invalid_value;  // 1: THREAD_LOCAL
    return stream->capturing = true, success;
}
EP_EXPORT cuStreamEndCapture(Stream* stream, Graph** graph) {
    if (!stream->capturing) return invalid_value;
    *graph = new Graph(std::move(stream->captured));
    stream->captured.clear();
    return stream->capturing = false, success;
}
EP_EXPORT cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, unsigned long long) {
    return *executable = new Graph(*graph), success;
}
EP_EXPORT cuGraphDestroy(Graph* graph) { return delete graph, success; }
EP_EXPORT cuGraphExecDestroy(Graph* graph) { return delete graph, success; }
EP_EXPORT cuGraphLaunch(Graph* graph, Stream* stream) {
    return give(stream, [graph] {
        for (auto& work : *graph) work();
    });
}

EP_EXPORT cuMemAlloc_v2(uintptr_t* address, size_t bytes) {
    if (!current()) return invalid_context;
    if (bytes == 0) return invalid_value;
    if (bytes > kMemory) return out_of_memory;
    *address = reinterpret_cast<uintptr_t>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    return success;
}
EP_EXPORT cuMemFree_v2(uintptr_t address) { return free(reinterpret_cast<void*>(address)), success; }
EP_EXPORT cuMemHostAlloc(uintptr_t* host, size_t bytes, unsigned flags) {
    return flags == 3 ? cuMemAlloc_v2(host, bytes) : invalid_value;  // PORTABLE | DEVICEMAP
}
EP_EXPORT cuMemHostGetDevicePointer_v2(uintptr_t* address, uintptr_t host, unsigned) {
    return *address = host, success;
}
EP_EXPORT cuMemFreeHost(uintptr_t host) { return cuMemFree_v2(host); }
EP_EXPORT cuMemGetInfo_v2(size_t* left, size_t* total) { return *left = *total = kMemory, success; }

namespace {

int copied(void* to, const void* from, size_t bytes, Stream* stream) {
    return give(stream, [=] { memcpy(to, from, bytes); });
}

}  // namespace

EP_EXPORT cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, Stream* stream) {
    return copied(reinterpret_cast<void*>(to), from, bytes, stream);
}
EP_EXPORT cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, Stream* stream) {
    return copied(to, reinterpret_cast<void*>(from), bytes, stream);
}
EP_EXPORT cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, Stream* stream) {
    return copied(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes, stream);
}

EP_EXPORT cuModuleLoadData(uintptr_t* module, const void* image) {
    uint32_t magic;
    memcpy(&magic, image, 4);
    if (magic != 0xba55ed50) return 200;  // CUDA_ERROR_INVALID_IMAGE
    return *module = kModule, success;
}
EP_EXPORT cuModuleUnload(uintptr_t module) { return module == kModule ? success : invalid_value; }
EP_EXPORT cuModuleGetFunction(const Entry** function, uintptr_t module, const char* name) {
    if (module != kModule) return invalid_value;
    *function = find(name);
    return *function ? success : not_found;
}
EP_EXPORT cuLaunchKernel(const Entry* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                         unsigned bz, unsigned shared, Stream* stream, void** parameters, void** extra) {
    if (shared || extra || !parameters || !stream) return invalid_value;
    const char* job = static_cast<const char*>(parameters[0]);  // copied: it may be gone when a graph is replayed
    return give(stream, [=, args = std::vector<char>(job, job + kernel->bytes)] {
        const char* found = cuda_host::launch(kernel->run, args.data(), {gx, gy, gz}, {bx, by, bz}, 0);
        if (found) fprintf(stderr, "%s: %s\n", kernel->name, found), abort();
    });
}

EP_EXPORT cuEventCreate(Event** event, unsigned) { return *event = new Event, success; }
EP_EXPORT cuEventRecord(Event* event, Stream*) { return event->at = std::chrono::steady_clock::now(), success; }
EP_EXPORT cuEventSynchronize(Event*) { return success; }
EP_EXPORT cuEventElapsedTime(float* milliseconds, Event* start, Event* end) {
    *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
    return success;
}
EP_EXPORT cuEventDestroy_v2(Event* event) { return delete event, success; }

// cuda-bindings asks here for every function it knows; those that are not above it must not need.
EP_EXPORT cuGetProcAddress_v2(const char* symbol, void** function, int, uint64_t, int* status) {
    char name[128];
    snprintf(name, sizeof name, "%s_v2", symbol);
    *function = dlsym(RTLD_DEFAULT, name);
    if (!*function) *function = dlsym(RTLD_DEFAULT, symbol);
    if (status) *status = *function ? 0 : 1;
    return *function ? success : not_found;
}
EP_EXPORT cuGetProcAddress(const char* symbol, void** function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}
