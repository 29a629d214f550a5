"""Observation: run the float network over photographs and keep statistics of its tensors, never the values.

Images go through one at a time (or as many as a fixed batch axis asks for), so memory is that of one image's
activations plus a summary of fixed size per tensor, whatever the number of images. `calibrate` is the verb. A
`Runner`, which the caller provides, runs the network: this package imports no backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgepose import __version__
from edgepose._checks import Array, check_array
from edgepose._files import sha256_file, sha256_json
from edgepose._progress import Track, quiet
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import CalibrationError, ModelError
from edgepose.graph.lookup import graph_of
from edgepose.quantize.equalize import equalization, equalized, links
from edgepose.quantize.passes import statistics_needed
from edgepose.quantize.placement import observed_readers
from edgepose.quantize.ranges import choose_all, needs, parameters
from edgepose.quantize.residual_sums import residual_sums, uneven_sums
from edgepose.quantize.source import read_float_graph
from edgepose.quantize.statistics import ChannelMaximum, Observed
from edgepose.quantize.value_ranges import batches
from edgepose.quantize.work import MakeRunner, Runner

MIN_IMAGES = 32
COMPARED = 16  # images on which the method "auto" compares ranges


class CalibrationFeed(Protocol):
    """Images to calibrate with, ready for the network; iterated twice from the start, once in full.

    Attributes:
        count: Number of images.
        image_list_sha256: What identifies the images, in their order.
    """

    image_list_sha256: str
    count: int

    def __iter__(self) -> Iterator[tuple[Array, list[str]]]:
        """Batches [B, 3, H, W] float32 and the B names that errors call the images by."""
        ...


class _Kept:
    """A feed that keeps some of its images, evenly spread over their order.

    Args:
        feed: The calibration images.
        wanted: How many to keep.
    """

    def __init__(self, feed: CalibrationFeed, wanted: int) -> None:
        self._feed = feed
        self.image_list_sha256, self.count = feed.image_list_sha256, feed.count
        self._chosen = set(np.linspace(0, feed.count - 1, min(wanted, feed.count)).round().astype(int).tolist())
        self._images: list[Array] = []

    @property
    def sample(self) -> Array:
        """The images that were kept [N, ...] after a run over the feed."""
        return np.stack(self._images)

    def __iter__(self) -> Iterator[tuple[Array, list[str]]]:
        """Yield what the feed yields."""
        self._images, index = [], 0
        for batch, names in self._feed:
            for image in batch:
                if index in self._chosen:
                    self._images.append(image.copy())
                index += 1
            yield batch, names


def calibrate(
    onnx_path: Path,
    feed: CalibrationFeed,
    spec: ModelSpec,
    options: QuantizeOptions | None = None,
    track: Track = quiet,
    *,
    make_runner: MakeRunner,
) -> Scales:
    """Observe the float ONNX over a feed and choose a quantization scale for every tensor that may need one.

    Args:
        onnx_path: The float network.
        feed: The calibration images, at least 32.
        spec: The network's contract.
        options: None takes the contract's.
        track: Progress callback.
        make_runner: Makes what runs the network, such as `backends.onnxruntime.make_runner`.

    Returns:
        The content of scales.json.

    Raises:
        CalibrationError: There are fewer than 32 images, one is blank, or activations are not finite.
        ModelError: The graph cannot be quantized or run.
    """
    _refuse_few(feed.count)
    options = options or spec.quantize
    model = read_float_graph(onnx_path, spec)
    wanted = tuple(dict.fromkeys((*needs(options.method), *statistics_needed(options))))
    factors = _equalization(model, feed, spec, make_runner) if options.equalize else {}
    model = equalized(model, factors)
    kept = _Kept(feed, COMPARED)
    readers = observed_readers(model)
    sums = residual_sums(model)
    watched = tuple(dict.fromkeys((*readers, *(tensor for pair in sums.values() for tensor in pair))))
    seen = observe(model, kept, spec, watched, wanted, track, make_runner=make_runner)
    statistics = {name: seen[name] for name in readers}
    return Scales(
        onnx_sha256=sha256_file(onnx_path),
        preprocessing_sha256=sha256_json(spec.preprocessing()),
        image_list_sha256=feed.image_list_sha256,
        method=options.method,
        parameters={key: getattr(options, key) for key in parameters(options.method)},
        images=feed.count,
        tensors=choose_all(model, statistics, readers, options, kept.sample, make_runner),
        keep_float=uneven_sums(sums, {name: item["range"].magnitude for name, item in seen.items()}),
        equalization=factors,
        edgepose_version=__version__,
    )


def _equalization(
    model: Any, feed: CalibrationFeed, spec: ModelSpec, make_runner: MakeRunner
) -> dict[str, list[float]]:
    """Observe the channels that can be equalized on the first images, and choose their factors."""
    tensors = tuple(link.tensor for link in links(graph_of(model)))
    if not tensors:
        return {}
    runner = _runner(model, tensors, spec, make_runner)
    statistics = {name: ChannelMaximum() for name in tensors}
    seen = 0
    for images, names in feed:
        check_array("batch", images, (len(names), *spec.input.shape), spec.input.dtype)
        for batch in batches(runner, images):
            for name, value in runner.run(batch).items():
                statistics[name].add(value, 0.0, 0.0)
        seen += len(images)
        if seen >= MIN_IMAGES:
            break
    return equalization(model, {name: item.largest for name, item in statistics.items()})


def observe(
    model: Any,  # onnx.ModelProto, prepared
    feed: CalibrationFeed,
    spec: ModelSpec,
    tensors: tuple[str, ...],
    needs: tuple[str, ...] = ("range", "histogram"),
    track: Track = quiet,
    *,
    make_runner: MakeRunner,
) -> dict[str, Observed]:
    """Collect statistics of tensors over every image of a feed.

    Args:
        model: The prepared float graph (`graph.prepare`).
        feed: The calibration images.
        spec: The network's contract.
        tensors: Names of the tensors to watch.
        needs: Names of the statistics to collect, keys of `statistics.STATISTICS`.
        track: Progress callback.
        make_runner: Makes what runs the network.

    Returns:
        Tensor name to its statistics.
    """
    graph = graph_of(model)
    runner = _runner(model, tensors, spec, make_runner)
    batch_axis = runner.input_shape[0]
    chunk = batch_axis if isinstance(batch_axis, int) else 1
    statistics = {name: Observed(needs) for name in tensors}
    seen = 0
    for batch, names in track(feed, "calibrate", None):
        check_array("batch", batch, (len(names), *spec.input.shape), spec.input.dtype)
        _refuse_blank(batch, names, spec, seen)
        for start in range(0, len(names), chunk):
            part = slice(start, start + chunk)
            _observe_chunk(runner, graph.inputs[0], batch[part], chunk, names[part], statistics)
        seen += len(names)
    _refuse_few(seen)
    return statistics


def _runner(model: Any, tensors: tuple[str, ...], spec: ModelSpec, make_runner: MakeRunner) -> Runner:
    """Return what runs the network. ModelError for a network that is not one of one image, or of another size."""
    inputs = graph_of(model).inputs
    if len(inputs) != 1:
        raise ModelError(f"the network has {len(inputs)} inputs ({', '.join(inputs)}), not one image")
    runner = make_runner(model, tuple(name for name in tensors if name != inputs[0]))
    _refuse_size(list(runner.input_shape), spec)
    return runner


def _observe_chunk(
    runner: Runner,
    input_name: str,
    images: Array,  # [up to chunk, 3, H, W]
    chunk: int,
    names: list[str],
    statistics: dict[str, Observed],
) -> None:
    count = len(images)
    if count < chunk:  # a fixed batch axis: repeat the last image, and count it once
        images = np.concatenate([images, np.repeat(images[-1:], chunk - count, axis=0)])
    values = runner.run(images) if statistics.keys() - {input_name} else {}
    for name, statistic in statistics.items():
        value = images if name == input_name else values[name]
        pieces = [value[i : i + 1] for i in range(count)] if value.shape[:1] == (chunk,) else [value]
        for piece in pieces:
            _add(statistic, piece, name, names)


def _add(statistic: Observed, values: Array, tensor: str, names: list[str]) -> None:
    try:
        statistic.add(values)
    except ValueError as error:
        raise CalibrationError(
            f"tensor {tensor!r} {error} on {', '.join(names)}; look at that image, and check the spec's "
            "mean and std and the network's weights"
        ) from error


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
