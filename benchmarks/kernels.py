"""Compare the operations of `edgepose.kernels` with OpenCV, numpy and rtmlib in one interleaved run.

    python benchmarks/kernels.py [--rounds 200]

The result of every implementation is checked before it is timed. The input is a 1280x720 BGR frame, one 256x192 crop
(or eight), 17 heatmaps of 64x48, and SimCC vectors with 384 and 512 bins. Everything runs on one thread, except for one
row with two threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from records import write_csv, write_machine

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.codecs import grids, heatmap, simcc
from edgepose.kernels import WarpOptions, heatmap_peak, implementation, simcc_peak, warp_normalize
from edgepose.measure.latency import percentiles, ratio, time_interleaved
from edgepose.pose.geometry import crop_affine, invert_affine

SPEC = InputSpec()
CROP = SPEC.size
SPLIT = 2.0
CALLS = 10  # calls per time; a single call is too short to be timed
Subjects = dict[str, Callable[[], Any]]

# operation -> (the edgepose implementation, the implementations it is compared with)
RATIOS = {
    "warp_normalize": ("edgepose", ("opencv warpAffine + blobFromImage", "opencv warpAffine + numpy", "rtmlib")),
    "heatmap_peak quarter": ("edgepose", ("numpy codec", "numpy, joint by joint")),
    "heatmap_peak dark": ("edgepose", ("numpy codec", "numpy + OpenCV, as published")),
    "heatmap_peak udp": ("edgepose", ("numpy codec", "rtmlib")),
    "simcc_peak": ("edgepose", ("numpy codec", "rtmlib")),
}


def frame() -> Array:
    """Return a [720, 1280, 3] uint8 image of blurred noise, with similar neighboring pixels, as in a photograph."""
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX))


def rtmpose() -> Any:
    """Return rtmlib's RTMPose without its network, for its pre- and post-processing."""
    from rtmlib import RTMPose

    made = RTMPose.__new__(RTMPose)
    made.model_input_size, made.mean, made.std = (CROP[1], CROP[0]), SPEC.mean, SPEC.std
    return made


def warp_subjects(image: Array, box: Array) -> Subjects:
    matrix = crop_affine(box, CROP)
    matrices, size = matrix[None], (CROP[1], CROP[0])
    out = np.empty((1, 3, *CROP), np.float32)
    mean, scale = np.array(SPEC.mean, np.float32), 1 / np.array(SPEC.std, np.float32)
    peer = rtmpose()

    def blob() -> Array:
        """Use blobFromImage. It divides all channels by one number, for which its users take the mean of the stds."""
        crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
        return np.asarray(cv2.dnn.blobFromImage(crop, 1 / float(np.mean(SPEC.std)), size, SPEC.mean, swapRB=True))

    def plain() -> Array:
        crop = cv2.cvtColor(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        return np.ascontiguousarray(((crop - mean) * scale).transpose(2, 0, 1))[None]

    def rtmlib() -> Array:
        crop, _, _ = peer.preprocess(image, box)
        return np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32)[None]

    ours = {"edgepose": lambda: warp_normalize(image, matrices, SPEC, out=out)}
    subjects = {**ours, "opencv warpAffine + blobFromImage": blob, "opencv warpAffine + numpy": plain, "rtmlib": rtmlib}
    close = 0.6 / min(SPEC.std)  # the others round pixels to integers
    assert np.abs(subjects["edgepose"]() - plain()).max() < close
    spread = np.mean(SPEC.std) / np.array(SPEC.std, np.float32)[:, None, None]
    assert np.abs(subjects["edgepose"]() - blob() * spread).max() < close
    bgr = warp_normalize(image, matrices, replace(SPEC, color="bgr"))  # rtmlib does not convert BGR to RGB
    assert np.abs(bgr - rtmlib()).mean() < 0.3  # its crop is shifted by half a pixel
    return subjects


def crowd_subjects(image: Array, box: Array) -> Subjects:
    boxes = box + np.arange(8)[:, None] * (40, 10, 40, 10)
    matrices = np.stack([crop_affine(each, CROP) for each in boxes])
    out = np.empty((8, 3, *CROP), np.float32)
    two = WarpOptions(threads=2)
    assert np.array_equal(warp_normalize(image, matrices, SPEC), warp_normalize(image, matrices, SPEC, two))
    return {
        "edgepose": lambda: warp_normalize(image, matrices, SPEC, out=out),
        "edgepose, one crop": lambda: warp_normalize(image, matrices[:1], SPEC, out=out[:1]),
        "edgepose, two threads": lambda: warp_normalize(image, matrices, SPEC, two, out=out),
    }


def one_by_one(maps: Array, inverse: Array) -> Array:
    """Decode heatmaps as published code does: a loop over joints, with a quarter pixel toward the higher neighbor."""
    found = np.empty((*maps.shape[:2], 3), np.float32)
    for n, person in enumerate(maps):
        for k, values in enumerate(person):
            y, x = np.unravel_index(values.argmax(), values.shape)
            at = np.array([x, y], np.float64)
            if 0 < x < values.shape[1] - 1 and 0 < y < values.shape[0] - 1:
                step = (values[y, x + 1] - values[y, x - 1], values[y + 1, x] - values[y - 1, x])
                at += 0.25 * np.sign(step)
            crop = (at + 0.5) * (CROP[1] / values.shape[1], CROP[0] / values.shape[0]) - 0.5
            found[n, k] = *(inverse[n] @ (*crop, 1)), values[y, x]
    return found


def published_dark(maps: Array, inverse: Array) -> Array:
    """Decode heatmaps with DARK as its authors publish it: OpenCV blur, logarithm, and one Newton step per joint."""
    at, scores = heatmap.decode(maps, "argmax")
    for n, k in np.ndindex(*maps.shape[:2]):
        blurred = cv2.GaussianBlur(maps[n, k], (11, 11), 0)
        log = np.log(np.maximum(blurred * (maps[n, k].max() / blurred.max()), 1e-10))
        x, y = at[n, k].astype(int)
        if not (1 < x < log.shape[1] - 2 and 1 < y < log.shape[0] - 2):
            continue
        dx, dy = 0.5 * (log[y, x + 1] - log[y, x - 1]), 0.5 * (log[y + 1, x] - log[y - 1, x])
        dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
        dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
        dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
        hessian = np.array([[dxx, dxy], [dxy, dyy]])
        if np.linalg.det(hessian) != 0:
            at[n, k] -= np.linalg.inv(hessian) @ (dx, dy)
    crop = (at + 0.5) * (CROP[1] / maps.shape[3], CROP[0] / maps.shape[2]) - 0.5
    moved = np.einsum("nij,nkj->nki", inverse[:, :, :2], crop) + inverse[:, None, :, 2]
    return np.concatenate([moved, scores[..., None]], axis=2)


def maps_of_people() -> Array:
    """Return [1, 17, 64, 48] float32 heatmaps: Gaussians of sigma 2 with noise."""
    rng = np.random.default_rng(1)
    xy = rng.uniform((8, 8), (40, 56), (1, 17, 2))
    maps = heatmap.encode(xy, np.ones((1, 17), bool), (64, 48), 2.0)
    return (maps + rng.normal(0, 0.01, maps.shape)).astype(np.float32)


def peak_subjects(method: str, inverse: Array) -> Subjects:
    maps = maps_of_people()
    out = np.empty((1, 17, 3), np.float32)
    ours = lambda: heatmap_peak(maps, inverse, CROP, method, out=out)  # noqa: E731
    subjects: Subjects = {
        "edgepose": ours,
        "numpy codec": lambda: heatmap.decode_to_image(maps, inverse, CROP, method),
    }
    if method == "quarter":
        subjects["numpy, joint by joint"] = lambda: one_by_one(maps, inverse)
        assert np.abs(ours() - one_by_one(maps, inverse)).max() < 1e-3
    if method == "dark":
        subjects["numpy + OpenCV, as published"] = lambda: published_dark(maps, inverse)
        assert np.abs(ours() - published_dark(maps, inverse)).max() < 0.05
    if method == "udp":
        from rtmlib.tools.pose_estimation.post_processings import post_dark_udp

        # rtmlib modifies its input, so it gets a copy. The argmax before it and the mapping to the image after it are
        # not part of its time.
        at, _ = heatmap.decode(maps, "argmax")
        subjects["rtmlib"] = lambda: post_dark_udp(at.copy(), maps.copy(), 11)
        grid = grids.grid("udp", maps.shape[2:], CROP)
        crop = subjects["rtmlib"]() @ grid[:, :2].T + grid[:, 2]
        moved = np.einsum("nij,nkj->nki", inverse[:, :, :2], crop) + inverse[:, None, :, 2]
        assert np.median(np.abs(ours()[..., :2] - moved)) < 0.05  # rtmlib blurs with another sigma and clips at 0.001
    assert np.allclose(ours()[..., :2], subjects["numpy codec"]()[0], atol=1e-2)
    return subjects


def simcc_subjects(inverse: Array) -> Subjects:
    rng = np.random.default_rng(2)
    xy = rng.uniform((10, 10), (180, 240), (1, 17, 2))
    x, y = simcc.encode(xy, np.ones((1, 17), bool), CROP, SPLIT, 6.0)
    out = np.empty((1, 17, 3), np.float32)
    peer = rtmpose()
    # rtmlib describes the crop by its center and its size in image pixels.
    scale = np.array([CROP[1] * inverse[0, 0, 0], CROP[0] * inverse[0, 1, 1]])
    center = inverse[0] @ (CROP[1] / 2, CROP[0] / 2, 1)
    subjects = {
        "edgepose": lambda: simcc_peak(x, y, inverse, SPLIT, out=out),
        "numpy codec": lambda: simcc.decode_to_image(x, y, inverse, SPLIT),
        "rtmlib": lambda: peer.postprocess([x, y], center, scale, SPLIT),
    }
    assert np.allclose(subjects["edgepose"]()[..., :2], subjects["rtmlib"]()[0], atol=1e-3)
    return subjects


def copy_gib_s() -> float:
    """Return the memory bandwidth of np.copyto on 256 MiB, counting reads and writes; the best of ten runs."""
    source = np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    seconds = time_interleaved({"copy": lambda: np.copyto(target, source)}, 10, 2)["copy"]
    return float(2 * source.nbytes / seconds.min() / 2**30)


def moved_bytes(box: Array) -> float:
    """Return the bytes that one crop reads from the frame (every pixel once) and writes."""
    inverse = invert_affine(crop_affine(box, CROP))
    seen = CROP[0] * inverse[1, 1] * CROP[1] * inverse[0, 0]
    return float(3 * seen + 12 * CROP[0] * CROP[1])


def time_groups(groups: dict[str, Subjects], rounds: int) -> dict[str, dict[str, Array]]:
    """Return the times [rounds] of one call of each subject in seconds; each is the mean of CALLS consecutive calls.

    The subjects of an operation take turns. The operations follow one another.
    """
    found = {}
    for op, subjects in groups.items():
        repeated = {name: partial(repeat, call) for name, call in subjects.items()}
        found[op] = {name: times / CALLS for name, times in time_interleaved(repeated, rounds, 5).items()}
    return found


def repeat(call: Callable[[], Any]) -> None:
    for _ in range(CALLS):
        call()


def latencies(seconds: dict[str, dict[str, Array]], rounds: int) -> list[list[object]]:
    return [
        [op, name, implementation(), rounds, *(f"{v:.5f}" for v in vars(percentiles(times)).values())]
        for op, subjects in seconds.items()
        for name, times in subjects.items()
    ]


def ratios(seconds: dict[str, dict[str, Array]], box: Array) -> list[list[object]]:
    rows: list[list[object]] = []

    def add(op: str, what: str, slow: Array, fast: Array) -> None:
        value = ratio(slow, fast)
        rows.append([op, what, *(f"{number:.3f}" for number in (value.value, value.low, value.high))])

    for op, (ours, peers) in RATIOS.items():
        for peer in peers:
            add(op, f"{peer} / {ours}", seconds[op][peer], seconds[op][ours])
    eight = seconds["warp_normalize 8 crops"]
    add("warp_normalize 8 crops", "eight crops / one crop", eight["edgepose"], eight["edgepose, one crop"])
    add("warp_normalize 8 crops", "one thread / two threads", eight["edgepose"], eight["edgepose, two threads"])
    bandwidth = copy_gib_s()
    share = moved_bytes(box) / float(np.median(seconds["warp_normalize"]["edgepose"])) / 2**30 / bandwidth
    rows.append(["warp_normalize", f"share of the copy bandwidth of {bandwidth:.1f} GiB/s", f"{share:.3f}", "", ""])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    image, box = frame(), np.array([420.0, 90, 800, 640])
    inverse = invert_affine(crop_affine(box, CROP))[None]
    groups = {
        "warp_normalize": warp_subjects(image, box),
        "warp_normalize 8 crops": crowd_subjects(image, box),
        **{f"heatmap_peak {method}": peak_subjects(method, inverse) for method in ("quarter", "dark", "udp")},
        "simcc_peak": simcc_subjects(inverse),
    }
    seconds = time_groups(groups, rounds)
    header = ["operation", "subject", "kernels", "rounds", "p50_ms", "p90_ms", "p95_ms", "p99_ms"]
    write_csv("kernels-latency.csv", header, latencies(seconds, rounds))
    write_csv("kernels-ratios.csv", ["operation", "what", "value", "low", "high"], ratios(seconds, box))
    write_machine("kernels")


if __name__ == "__main__":
    main()
