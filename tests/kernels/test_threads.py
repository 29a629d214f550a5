"""Threads of the extension: the interpreter runs on, a process may fork, and no memory is an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec
from edgepose.kernels import (
    WarpOptions,
    heatmap_peak,
    onestage_people,
    paf_peaks,
    paf_score,
    regress_to_image,
    simcc_peak,
    warp_normalize,
)


def identities(n):
    return np.tile(np.eye(3)[:2], (n, 1, 1))


def warp() -> Callable[[], object]:
    image, matrices = np.zeros((30, 52, 3), np.uint8), identities(40)  # beyond the frame: pixel by pixel
    spec, options = InputSpec(size=(256, 192)), WarpOptions(border="replicate")
    out = np.empty((40, 3, 256, 192), np.float32)
    return lambda: warp_normalize(image, matrices, spec, options, out=out)


def heatmaps() -> Callable[[], object]:
    maps = np.zeros((300, 17, 21, 21), np.float16)
    maps[..., 10, 10] = 1
    return lambda: heatmap_peak(maps, identities(300), (21, 21), "udp", sigma=8.0)


def vectors() -> Callable[[], object]:
    x = np.zeros((200, 17, 2000), np.float16)
    return lambda: simcc_peak(x, x, identities(200), 2.0)


def coordinates() -> Callable[[], object]:
    coords, inverse, out = np.zeros((60000, 17, 2), np.float16), identities(60000), np.empty((60000, 17, 3), np.float32)
    return lambda: regress_to_image(coords, inverse, (256, 192), out=out)


def joint_maps() -> Callable[[], object]:
    maps = np.zeros((30, 256, 256), np.float16)
    return lambda: paf_peaks(maps, -1.0, 10)


def limbs() -> Callable[[], object]:
    rng = np.random.default_rng(0)
    fields, peaks = np.ones((10, 2, 64, 64), np.float16), rng.uniform(0, 63, (10, 60, 3)).astype(np.float32)
    pairs = np.stack([np.arange(10), np.roll(np.arange(10), 1)], axis=1)
    return lambda: paf_score(fields, peaks, np.full(10, 60), pairs)


def candidates() -> Callable[[], object]:
    rows = np.zeros((20, 8400, 56), np.float16)
    rows[..., 4] = 0.5
    return lambda: onestage_people(rows, identities(20), 0.25, None, 300)


@pytest.mark.parametrize("work", [warp, heatmaps, vectors, coordinates, joint_maps, limbs, candidates])
def test_the_interpreter_runs_on(extension, work):
    """Another Python thread counts while a call computes. Had the call kept the lock, none of its middle would hold a
    count: so one try in which there is one proves it, however busy the machine.
    """
    call, beats, done = work(), [], threading.Event()
    call()  # warm: no page is touched first while it is timed

    def count():
        while not done.is_set():
            beats.append(time.perf_counter())

    counter = threading.Thread(target=count)
    counter.start()
    try:
        for _ in range(50):
            beats.clear()
            begin = time.perf_counter()
            call()
            taken = time.perf_counter() - begin
            inside = [at for at in list(beats) if begin + 0.3 * taken < at < begin + 0.7 * taken]
            if len(inside) > 2:
                return
        pytest.fail(f"no other Python thread ran during a call of {taken * 1000:.1f} ms")
    finally:
        done.set()
        counter.join()


FORK = """
import os, sys, warnings
import numpy as np
from edgepose.artifacts.spec import InputSpec
from edgepose.kernels import WarpOptions, heatmap_peak, warp_normalize

rng = np.random.default_rng(0)
image, matrices = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8), np.tile(np.eye(3)[:2], (4, 1, 1))
maps = rng.random((20, 17, 16, 12), dtype=np.float32)

def both():
    crops = warp_normalize(image, matrices, InputSpec(), WarpOptions(threads=4))
    return crops, heatmap_peak(maps, np.tile(np.eye(3)[:2], (20, 1, 1)), (16, 12), "dark", threads=4)

before = both()
warnings.simplefilter("ignore")  # Python 3.12 warns of threads, of which OpenBLAS has some
child = os.fork()
if not child:
    same = all(np.array_equal(mine, theirs) for mine, theirs in zip(both(), before))
    os._exit(0 if same else 3)
_, status = os.waitpid(child, 0)
assert all(np.array_equal(mine, theirs) for mine, theirs in zip(both(), before))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_process_may_fork_after_a_threaded_call(extension):
    """As the loaders of training do; a child that waits for threads it has not inherited would hang."""
    told = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr


EXHAUST = """
import resource, sys
import numpy as np
from edgepose.kernels import paf_peaks

maps = np.zeros((4, 4096, 2048), np.float16)  # as float32, which the loop needs: 32 MiB a thread
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), -1))
for threads in (1, 4):
    try:
        paf_peaks(maps, 0.5, 10, threads=threads)
    except MemoryError:
        continue
    sys.exit(f"{threads} threads: found memory where there was none")
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
assert paf_peaks(maps, 0.5, 10, threads=4)[1].tolist() == [0, 0, 0, 0]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a limit that Linux keeps")
@pytest.mark.skipif("EDGEPOSE_NATIVE" in os.environ, reason="AddressSanitizer ends a process without memory")
def test_no_memory_is_an_error_and_not_the_end_of_the_process(extension):
    told = subprocess.run([sys.executable, "-c", EXHAUST], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
