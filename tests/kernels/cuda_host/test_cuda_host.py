"""The emulation itself: kernels that a GPU would compute wrongly are found out."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from cuda_emulation import compile_emulation

KERNELS = r"""
#include "cuda_host.h"
struct Job { float* out; };

template <bool barrier>
static inline void reversed(const Job& job) {
    __shared__ float shared[64];
    shared[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (barrier) __syncthreads();
    job.out[threadIdx.x] = shared[63 - threadIdx.x];
}
static void with_barrier(const void* job) { reversed<true>(*static_cast<const Job*>(job)); }
static void without_barrier(const void* job) { reversed<false>(*static_cast<const Job*>(job)); }

static void running_ahead(const void* job) {  // a second barrier is missing: a warp may write before another has read
    __shared__ float first;
    for (int i = 0; i < 3; ++i) {
        if (threadIdx.x == 0) first = static_cast<float>(i);
        __syncthreads();
        static_cast<const Job*>(job)->out[threadIdx.x] += first;
    }
}

static void divergent(const void*) {
    if (threadIdx.x % 2) __syncthreads();
    else __syncwarp();
}
static void lanes_gone(const void* job) {
    if (threadIdx.x % 2) return;
    static_cast<const Job*>(job)->out[0] = __shfl_down_sync(0xffffffffu, 1.0f, 1);
}
static void some_threads_ended(const void* job) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    static_cast<const Job*>(job)->out[threadIdx.x] = static_cast<float>(__syncthreads_or(threadIdx.x == 3));
}
static void exchanges(const void* job) {
    float* out = static_cast<const Job*>(job)->out;
    const float here = static_cast<float>(threadIdx.x);
    out[threadIdx.x] = __shfl_down_sync(0xffffffffu, here, 5);
    out[64 + threadIdx.x] = static_cast<float>(__popc(__ballot_sync(0xffffffffu, threadIdx.x % 3 == 0)));
    const int all = __syncthreads_and(threadIdx.x < 64), not_all = __syncthreads_and(threadIdx.x);
    out[128 + threadIdx.x] = static_cast<float>(all + 2 * not_all);
}

static void (*const kernels[])(const void*) = {with_barrier, without_barrier, running_ahead, divergent, lanes_gone,
                                               some_threads_ended, exchanges};
extern "C" __attribute__((visibility("default"))) const char* run(int kernel, float* out, unsigned threads,
                                                                  unsigned seed) {
    const Job job = {out};
    return cuda_host::launch(kernels[kernel], &job, {1, 1, 1}, {threads, 1, 1}, seed);
}
"""
NAMES = [
    "with_barrier",
    "without_barrier",
    "running_ahead",
    "divergent",
    "lanes_gone",
    "some_threads_ended",
    "exchanges",
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cpp").write_text(KERNELS)
    compile_emulation(folder / "kernels.cpp", folder / "kernels.so")
    loaded = ctypes.CDLL(str(folder / "kernels.so"))
    loaded.run.restype = ctypes.c_char_p
    return loaded


def run(library: ctypes.CDLL, name: str, seed: int = 0, threads: int = 64) -> tuple[np.ndarray, str | None]:
    out = np.zeros(192, np.float32)
    error = library.run(NAMES.index(name), ctypes.c_void_p(out.ctypes.data), threads, seed)
    return out, error and error.decode()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_barrier_orders_memory(library: ctypes.CDLL, seed: int) -> None:
    out, error = run(library, "with_barrier", seed)
    assert error is None and out[:64].tolist() == list(range(63, -1, -1))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_missing_barrier_shows(library: ctypes.CDLL, seed: int) -> None:
    assert np.isnan(run(library, "without_barrier", seed)[0][:64]).any()  # what shared memory held


def test_missing_second_barrier_shows(library: ctypes.CDLL) -> None:
    assert set(run(library, "running_ahead")[0][:64]) == {0.0 + 1 + 2, 1.0 + 2 + 2}


@pytest.mark.parametrize("name", ["divergent", "lanes_gone"])
def test_waiting_at_different_places_is_refused(library: ctypes.CDLL, name: str) -> None:
    assert run(library, name)[1] == "threads wait for each other at different places"


def test_ended_threads_are_not_waited_for(library: ctypes.CDLL) -> None:
    out, error = run(library, "some_threads_ended")
    assert error is None and out[:32].tolist() == [1.0] * 32


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_exchanges(library: ctypes.CDLL, seed: int) -> None:
    out, error = run(library, "exchanges", seed)
    lanes = np.arange(64) % 32
    assert error is None
    assert out[:64].tolist() == np.where(lanes + 5 < 32, np.arange(64) + 5, np.arange(64)).tolist()
    assert out[64:128].tolist() == [11.0] * 64
    assert out[128:192].tolist() == [1.0] * 64


@pytest.mark.parametrize("threads", [0, 1025])
def test_blocks_no_gpu_takes(library: ctypes.CDLL, threads: int) -> None:
    assert run(library, "with_barrier", threads=threads)[1] == "invalid block"
