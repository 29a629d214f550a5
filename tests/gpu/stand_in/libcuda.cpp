// A libcuda.so.1 for machines without a GPU: the calls of edgepose/backends/cuda/bindings.py, on host memory, with the
// kernels emulated. What cuda-bindings makes of our arguments arrives here as it would at the driver. A stream's work
// is done at once. Signatures are cuda.h's, with plain types in place of its own.
#include <dlfcn.h>
#include <stdlib.h>

#include <chrono>

#include "launch.cpp"

#define EP_EXPORT extern "C" __attribute__((visibility("default"))) int

namespace {

enum Code {
    success = 0,
    invalid_value = 1,
    out_of_memory = 2,
    invalid_context = 201,
    not_found = 500,
    launch_failed = 719
};
constexpr uintptr_t kContext = 0x1000, kModule = 0x3000;
constexpr size_t kMemory = size_t{1} << 34;  // more than that is refused

struct Stream {
    bool open = true;
};
struct Event {
    std::chrono::steady_clock::time_point at;
};

}  // namespace

inline int retained = 0;  // `inline`: not in .bss, which is the kernels' shared memory
inline thread_local uintptr_t current = 0;

EP_EXPORT cuInit(unsigned flags) { return flags ? invalid_value : success; }
EP_EXPORT cuDriverGetVersion(int* version) { return *version = 13000, success; }
EP_EXPORT cuDeviceGet(int* device, int ordinal) { return *device = ordinal, ordinal ? 101 : success; }
EP_EXPORT cuDeviceGetName(char* name, int length, int) {
    snprintf(name, static_cast<size_t>(length), "stand-in");
    return success;
}
EP_EXPORT cuDeviceGetAttribute(int* value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, success; }

EP_EXPORT cuDevicePrimaryCtxRetain(uintptr_t* context, int) { return ++retained, *context = kContext, success; }
EP_EXPORT cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? success : invalid_context; }
EP_EXPORT cuCtxSetCurrent(uintptr_t context) { return current = context, success; }

EP_EXPORT cuStreamCreate(Stream** stream, unsigned) { return *stream = new Stream, success; }
EP_EXPORT cuStreamDestroy_v2(Stream* stream) { return delete stream, success; }
EP_EXPORT cuStreamSynchronize(Stream*) { return current == kContext ? success : invalid_context; }

EP_EXPORT cuMemAlloc_v2(uintptr_t* address, size_t bytes) {
    if (current != kContext) return invalid_context;
    if (bytes == 0) return invalid_value;
    if (bytes > kMemory) return out_of_memory;
    *address = reinterpret_cast<uintptr_t>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    return success;
}
EP_EXPORT cuMemFree_v2(uintptr_t address) { return free(reinterpret_cast<void*>(address)), success; }

namespace {

int copied(void* to, const void* from, size_t bytes, Stream* stream) {
    if (current != kContext) return invalid_context;
    if (!stream || !stream->open) return invalid_value;
    memcpy(to, from, bytes);
    return success;
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
    if (current != kContext) return invalid_context;
    if (shared || extra || !parameters || !stream) return invalid_value;
    const char* error = cuda_host::launch(kernel->run, parameters[0], {gx, gy, gz}, {bx, by, bz}, 0);
    if (error) fprintf(stderr, "%s: %s\n", kernel->name, error);
    return error ? launch_failed : success;
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
