"""Observe: run the float ONNX over photographs and keep what each tensor's values did, never the values.

ONNX Runtime is only the observer. Images go through one at a time (or as many as a fixed batch axis asks
for), so memory is that of one image's activations plus a fixed histogram a tensor, whatever the number of
images. `calibrate` is the verb; which tensors are watched is the placement's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from edgepose._checks import Array, check_array
from edgepose._files import sha256_file, sha256_json
from edgepose._optional import optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.onnxruntime import failures
from edgepose.errors import CalibrationError, ModelError, one_line
from edgepose.graph.lookup import Graph, copied, graph_of, load_onnx
from edgepose.graph.prepare import prepare
from edgepose.quantize.placement import observed_tensors
from edgepose.quantize.ranges import METHODS, CalibrationOptions, choose

MIN_IMAGES = 32
BINS = 2048
_PIECE = 1 << 20  # values histogrammed at once


class CalibrationFeed(Protocol):
    """Images to calibrate with, ready for the network; iterated once, from the start.

    count: how many images it yields. image_list_sha256: what identifies them, in their order.
    """

    image_list_sha256: str
    count: int

    def __iter__(self) -> Iterator[tuple[Array, list[str]]]:
        """Batches [B, 3, H, W] float32 and the B names that errors call the images by."""
        ...


class Statistics:
    """Running min, max and a histogram of absolute values of one tensor, in fixed memory.

    counts: [BINS] int64 over [0, limit). limit is a power of two; when a larger value comes, pairs of bins
    are merged and limit doubles, so the counts are always those of a histogram made over the final limit
    at once: the edges stay exact binary fractions.
    """

    def __init__(self, histogram: bool = True) -> None:
        self.low, self.high = math.inf, -math.inf
        self.limit = 0.0
        self.total = 0
        self.counts = np.zeros(BINS if histogram else 0, np.int64)

    def add(self, values: Array) -> None:
        """Count `values` [any shape] float32. ValueError, and nothing counted, where one is not finite."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("holds values that are not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += values.size
        if self.counts.size:
            self._count(values.reshape(-1), max(-low, high))

    @property
    def magnitude(self) -> float:
        """The largest absolute value seen."""
        return max(-self.low, self.high, 0.0)

    def _count(self, flat: Array, largest: float) -> None:
        self._grow(largest)
        if self.limit == 0.0:  # only zeros so far
            self.counts[0] += flat.size
            return
        for start in range(0, flat.size, _PIECE):
            piece = np.abs(flat[start : start + _PIECE]).reshape(1, -1)
            counts = cv2.calcHist([piece], [0], None, [BINS], [0.0, self.limit])
            self.counts += counts.reshape(-1).astype(np.int64)

    def _grow(self, largest: float) -> None:
        """Make limit the smallest power of two above `largest`, unless it is larger already."""
        wanted = math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 0.0
        if self.limit == 0.0:
            self.limit = wanted
        while self.limit < wanted:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.limit *= 2


def calibrate(
    onnx_path: Path,
    feed: CalibrationFeed,
    spec: ModelSpec,
    options: CalibrationOptions | None = None,
    track: Track = quiet,
) -> Scales:
    """Observe the float ONNX over `feed` and choose a scale for every tensor quantization may need.

    options: None takes the contract's method. Raises CalibrationError for fewer than 32 images, a blank image, or
    activations that are not finite; ModelError for a graph that cannot be quantized.
    """
    _refuse_few(feed.count)
    options = options or CalibrationOptions(method=spec.quantize.method)
    model = prepare(load_onnx(onnx_path))
    read_options = METHODS[options.method].parameters
    statistics = observe(model, feed, spec, observed_tensors(model), options.method != "minmax", track)
    return Scales(
        onnx_sha256=sha256_file(onnx_path),
        preprocessing_sha256=sha256_json(spec.preprocessing()),
        image_list_sha256=feed.image_list_sha256,
        method=options.method,
        parameters={key: value for key, value in asdict(options).items() if key in read_options},
        images=feed.count,
        tensors={name: choose(item, options) for name, item in statistics.items()},
    )


def observe(
    model: Any,  # onnx.ModelProto, prepared
    feed: CalibrationFeed,
    spec: ModelSpec,
    tensors: tuple[str, ...],
    histogram: bool = True,
    track: Track = quiet,
) -> dict[str, Statistics]:
    """Tensor name -> its statistics over every image of `feed`."""
    graph = graph_of(model)
    session, chunk = _session(model, graph, tensors)
    _refuse_size(session.get_inputs()[0].shape, spec)
    statistics = {name: Statistics(histogram) for name in tensors}
    seen = 0
    for batch, names in track(feed, "calibrate", None):
        check_array("batch", batch, (len(names), *spec.input.shape), spec.input.dtype)
        _refuse_blank(batch, names, spec, seen)
        for start in range(0, len(names), chunk):
            part = slice(start, start + chunk)
            _observe_chunk(session, graph.inputs[0], batch[part], chunk, names[part], statistics)
        seen += len(names)
    _refuse_few(seen)
    return statistics


def _observe_chunk(
    session: Any,
    input_name: str,
    images: Array,  # [up to chunk, 3, H, W]
    chunk: int,
    names: list[str],
    statistics: dict[str, Statistics],
) -> None:
    count = len(images)
    if count < chunk:  # a fixed batch axis: repeat the last image, and count it once
        images = np.concatenate([images, np.repeat(images[-1:], chunk - count, axis=0)])
    watched = [name for name in statistics if name != input_name]
    values = _run(session, watched, {input_name: images}) if watched else {}
    if input_name in statistics:
        values[input_name] = images
    for name, value in values.items():
        try:
            statistics[name].add(value[:count] if value.shape[0] == chunk else value)
        except ValueError as error:
            raise CalibrationError(
                f"tensor {name!r} {error} on {', '.join(names)}; look at that image, and check the spec's "
                "mean and std and the network's weights"
            ) from error


def _run(session: Any, watched: list[str], feed: dict[str, Array]) -> dict[str, Array]:
    try:
        return dict(zip(watched, session.run(watched, feed), strict=True))
    except failures() as error:
        raise ModelError(f"ONNX Runtime cannot run the network to observe it: {one_line(error)}") from error


def _session(model: Any, graph: Graph, tensors: tuple[str, ...]) -> tuple[Any, int]:
    """An ONNX Runtime session that also returns `tensors`, and the number of images of one run."""
    runtime = optional("onnxruntime")
    if len(graph.inputs) != 1:
        raise ModelError(f"the network has {len(graph.inputs)} inputs ({', '.join(graph.inputs)}), not one image")
    settings = runtime.SessionOptions()
    settings.enable_cpu_mem_arena = False  # the arena keeps the largest run's memory for good
    settings.log_severity_level = 3
    try:
        data = _watched(model, graph, tensors).SerializeToString()
        session = runtime.InferenceSession(data, settings, ["CPUExecutionProvider"])
    except failures() as error:
        raise ModelError(f"ONNX Runtime cannot load the network to observe it: {one_line(error)}") from error
    batch = session.get_inputs()[0].shape[0]
    return session, batch if isinstance(batch, int) else 1


def _watched(model: Any, graph: Graph, tensors: tuple[str, ...]) -> Any:
    """The model with `tensors` as further outputs."""
    from onnx import TensorProto, helper

    watched = copied(model)
    for name in tensors:
        if name not in graph.outputs and name not in graph.inputs:
            watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return watched


def _refuse_size(shape: list[int | str | None], spec: ModelSpec) -> None:
    """ModelError when the network's fixed height and width are not those of the spec."""
    wanted = spec.input.shape
    if any(isinstance(a, int) and a != b for a, b in zip(shape[1:], wanted, strict=False)):
        raise ModelError(f"the network takes images of {shape[1:]}, the spec says {list(wanted)}; correct input.size")


def _refuse_few(count: int) -> None:
    if count < MIN_IMAGES:
        raise CalibrationError(
            f"{count} images are too few to calibrate with; give at least {MIN_IMAGES} (100 to 500 are good) "
            "photographs like those the network will see"
        )


def _refuse_blank(batch: Array, names: list[str], spec: ModelSpec, first: int) -> None:
    for index, (image, name) in enumerate(zip(batch, names, strict=True)):
        if blank(image, spec):
            raise CalibrationError(
                f"image {first + index} ({name}) is blank; ranges from it would be wrong: take it out of the "
                "calibration images, and look whether the others show people"
            )


def blank(image: Array, spec: ModelSpec) -> bool:
    """Whether one image of the network's input shows nothing.

    It varies by less than a gray level, or one or two flat colors cover 95 % of it: two, because a crop may
    add a border to a blank image.
    """
    channels_first = image if spec.input.layout == "nchw" else image.transpose(2, 0, 1)
    # in gray levels, the mean still off
    levels = channels_first * (np.array(spec.input.std, np.float32) / np.float32(spec.input.scale))[:, None, None]
    if not np.isfinite(levels).all():
        return False  # said better by the observer
    if levels.std(axis=(1, 2)).max() < 1.0:
        return True
    low = levels.min(axis=(1, 2), keepdims=True)
    red, green, blue = np.rint(levels - low).astype(np.int64)
    _, counts = np.unique(red << 40 | green << 20 | blue, return_counts=True)
    return bool(np.sort(counts)[-2:].sum() >= 0.95 * red.size)
