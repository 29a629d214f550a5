"""Compare the CUDA kernels with the copy bandwidth of the same GPU, measured in the same run.

    python benchmarks/kernels_gpu.py [--rounds 100]

The input is a 1280x720 BGR frame with one or eight 256x192 crops, and 17 heatmaps of 64x48 for one or eight people.
Before anything is timed, the results are compared with those of the host, bit for bit. A time is the duration of one
launch among `--repeat` consecutive ones, measured between two events. The written arrays (and the heatmaps that are
read) rotate through 256 MiB of memory, so that no cache holds them. There is only one frame, as after an upload. The
counted bytes are the pixels of the frame under a crop, once, and the crop; or the heatmaps.

Without a GPU, the script exits with code 1 and the reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
from kernels import CROP, SPEC, frame, maps_of_people, moved_bytes
from records import write_csv, write_machine

from edgepose import kernels
from edgepose._checks import Array
from edgepose.backends.cuda import Kernels, open_driver
from edgepose.backends.cuda.device import find_device
from edgepose.errors import EngineError, MissingPackage
from edgepose.kernels import WarpOptions, cuda
from edgepose.kernels.cuda import DeviceArray, Launch
from edgepose.measure.latency import percentiles
from edgepose.pose.geometry import crop_affine, invert_affine

BEYOND_CACHES = 256 << 20
BOX = np.array([420.0, 90, 800, 640])


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Launches of the same work on different memory, and the number of bytes that one of them has to move."""

    operation: str
    launches: list[Launch]
    nbytes: float


class Gpu:
    """A driver with one stream, which orders all work."""

    def __init__(self) -> None:
        found = find_device()
        self.name = f"{found.name}, sm_{found.compute_capability.replace('.', '')}"
        self.driver = open_driver()
        self.stream, self.kernels = self.driver.make_stream(), Kernels(self.driver)

    def launch(self, launch: Launch) -> None:
        self.kernels.launch(launch, self.stream)

    def upload(self, there: DeviceArray, array: Array) -> None:
        """Copy an array to the device through page-locked memory, and wait for the copy."""
        block = self.driver.make_block(array.shape, array.dtype)
        block.host[:] = array
        self.driver.copy_in(there.address, block.host.ctypes.data, array.nbytes, self.stream)
        self.driver.finish(self.stream)
        block.free()

    def milliseconds(self, work: Callable[[], None]) -> float:
        """Return the time that the stream needs for the work that `work` enqueues."""
        begin, end = self.driver.make_event(), self.driver.make_event()
        self.driver.record(begin, self.stream)
        work()
        self.driver.record(end, self.stream)
        self.driver.finish_event(end)
        found = self.driver.elapsed_ms(begin, end)
        self.driver.drop_event(begin)
        self.driver.drop_event(end)
        return found


def on_device(gpu: Gpu, array: Array) -> DeviceArray:
    there = gpu.driver.empty(array.shape, array.dtype)
    gpu.upload(there, array)
    return there


def round_of(gpu: Gpu, shape: tuple[int, ...], dtype: str, most: int) -> list[DeviceArray]:
    """Return device arrays that together fill BEYOND_CACHES, but at most `most` of them."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    count = min(most, -(-BEYOND_CACHES // nbytes))
    return [gpu.driver.empty(shape, dtype) for _ in range(count)]


def check(gpu: Gpu, launch: Launch, out: DeviceArray, expected: Array) -> None:
    block = gpu.driver.make_block(out.shape, out.dtype)
    gpu.launch(launch)
    gpu.driver.copy_out(block.host.ctypes.data, out.address, out.nbytes, gpu.stream)
    gpu.driver.finish(gpu.stream)
    assert np.array_equal(block.host, expected), f"{launch.name} differs from the host"
    block.free()


def warp(gpu: Gpu, image: Array, count: int, dtype: str, most: int) -> Subject:
    boxes = BOX + np.arange(count)[:, None] * (40, 10, 40, 10)
    matrices, options = np.stack([crop_affine(box, CROP) for box in boxes]), WarpOptions(dtype=dtype)
    there, maps = on_device(gpu, image), on_device(gpu, cuda.fixed_affines(matrices, CROP))
    outs = round_of(gpu, (count, 3, *CROP), dtype, most)
    launches = [cuda.warp_normalize(there, maps, SPEC, options, out) for out in outs]
    check(gpu, launches[0], outs[0], kernels.warp_normalize(image, matrices, SPEC, options))
    written = 3 * CROP[0] * CROP[1]
    nbytes = moved_bytes(BOX) + (np.dtype(dtype).itemsize - 4) * written  # `moved_bytes` assumes float32
    return Subject(operation=f"warp_normalize {dtype}, {count} crops", launches=launches, nbytes=count * nbytes)


def peak(gpu: Gpu, people: int, method: str, most: int) -> Subject:
    maps = np.repeat(maps_of_people(), people, axis=0)
    inverse = np.repeat(invert_affine(crop_affine(BOX, CROP))[None], people, axis=0)
    affines = on_device(gpu, cuda.heatmap_affines(inverse, (maps.shape[2], maps.shape[3]), CROP, method))
    out = gpu.driver.empty((people, 17, 3), np.float32)
    inputs = round_of(gpu, maps.shape, "float32", most)
    for there in inputs:
        gpu.upload(there, maps)
    launches = [cuda.heatmap_peak(there, affines, out, method) for there in inputs]
    check(gpu, launches[0], out, kernels.heatmap_peak(maps, inverse, CROP, method))
    return Subject(operation=f"heatmap_peak {method}, {people} people", launches=launches, nbytes=maps.nbytes)


def copy_bytes_s(gpu: Gpu, rounds: int) -> float:
    """Return the bytes per second, read and written, of a 256 MiB copy on the device; the best of `rounds`."""
    source, target = gpu.driver.allocate(BEYOND_CACHES), gpu.driver.allocate(BEYOND_CACHES)
    copy = partial(gpu.driver.copy, target, source, BEYOND_CACHES, gpu.stream)
    copy()
    best = min(gpu.milliseconds(copy) for _ in range(rounds))
    gpu.driver.free(source)
    gpu.driver.free(target)
    return 2e3 * BEYOND_CACHES / best


def milliseconds(gpu: Gpu, subject: Subject, rounds: int, repeat: int) -> Array:
    """Return the times [rounds] of one launch."""
    launches = cycle(subject.launches)

    def several() -> None:
        for _ in range(repeat):
            gpu.launch(next(launches))

    several()
    return np.array([gpu.milliseconds(several) / repeat for _ in range(rounds)])


def fetched_milliseconds(gpu: Gpu, subject: Subject, rounds: int) -> Array:
    """Return the times [rounds] on the host clock: launch, wait, joints in host memory. Heatmaps stay on the device."""
    joints = gpu.driver.make_block((8, 17, 3), np.float32)

    def once() -> float:
        start = time.perf_counter()
        gpu.launch(subject.launches[0])
        joints.fetch(gpu.stream)
        gpu.driver.finish(gpu.stream)
        return 1e3 * (time.perf_counter() - start)

    return np.array([once() for _ in range(rounds + 3)][3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--most", type=int, default=1000, help="maximum number of arrays to rotate through")
    parser.add_argument("--dry", action="store_true", help="do not write results")
    given = parser.parse_args()
    try:
        gpu = Gpu()
    except (EngineError, MissingPackage) as error:
        sys.exit(str(error))
    with gpu.driver:
        rows = measure(gpu, given.rounds, given.repeat, given.most)
    if not given.dry:
        columns = ["operation", "gpu", "rounds", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "gib_s", "share_of_copy"]
        write_csv("kernels-gpu.csv", columns, rows)
        write_machine("kernels-gpu")


def measure(gpu: Gpu, rounds: int, repeat: int, most: int) -> list[list[object]]:
    bandwidth, image, rows = copy_bytes_s(gpu, min(rounds, 20)), frame(), []

    def add(operation: str, times: Array, nbytes: float | None) -> None:
        rate = None if nbytes is None else nbytes / float(np.median(times)) * 1e3
        numbers = ["", ""] if rate is None else [f"{rate / 2**30:.1f}", f"{rate / bandwidth:.3f}"]
        rows.append(
            [operation, gpu.name, rounds, *(f"{v:.5f}" for v in vars(percentiles(times / 1e3)).values()), *numbers]
        )

    makers: list[Callable[[], Subject]] = [
        *(partial(warp, gpu, image, count, dtype, most) for dtype in ("float32", "float16") for count in (1, 8)),
        *(partial(peak, gpu, people, method, most) for method in ("quarter", "dark") for people in (1, 8)),
    ]
    for make in makers:
        subject = make()
        add(subject.operation, milliseconds(gpu, subject, rounds, repeat), subject.nbytes)
    add("heatmap_peak dark, 8 people, joints on the host", fetched_milliseconds(gpu, subject, rounds), None)
    rows.append(["copy within the device", gpu.name, min(rounds, 20), "", "", "", "", f"{bandwidth / 2**30:.1f}", "1"])
    return rows


if __name__ == "__main__":
    main()
