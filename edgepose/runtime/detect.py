"""Where the people are: the whole frame, a boxes file, or a YOLOX network (Ge et al., 2021).

A box source is called with a frame and its name and gives boxes [N, 4] in image coordinates with a score
each, best first. YOLOX here is the raw export: [1, A, 5 + classes] of cell offsets, log sizes, objectness
and class scores on grids of stride 8, 16 and 32; BGR 0..255, letterboxed from the top left on gray 114.
"""

from __future__ import annotations

import re
import reprlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgepose._checks import Array
from edgepose._files import read_json
from edgepose.artifacts.spec import InputSpec
from edgepose.backends import about, choose, load
from edgepose.backends.session import OpenOptions, Session
from edgepose.datasets.images import SUFFIXES
from edgepose.datasets.samples import FARTHEST_PX
from edgepose.errors import DataError, EdgeposeError, ModelError, UsageError
from edgepose.graph.lookup import graph_of, load_onnx
from edgepose.kernels import WarpOptions, warp_normalize
from edgepose.pose.geometry import Size, apply_affine, clip_boxes, grid_affine, invert_affine

STRIDES = (8, 16, 32)
GRAY = 114
REPLICATE = WarpOptions(border="replicate")  # the picture's edge does not blend with the gray around it
PERSON = 0  # COCO-80's first class


class Boxes(Protocol):
    """(boxes_xyxy [N, 4] float32, scores [N] float32) of an image [H, W, 3] uint8 BGR, best first."""

    def __call__(self, image: Array, frame_name: str) -> tuple[Array, Array]: ...


@contextmanager
def open_boxes(text: str, options: OpenOptions) -> Iterator[Boxes]:
    """The box source that `--detector` names: `whole`, a boxes file *.json, or a YOLOX *.onnx.

    A boxes file that had nothing for any frame of the run raises DataError at the end.
    """
    path = Path(text)
    if text == "whole":
        yield whole_frame
    elif path.suffix == ".json":
        boxes = BoxesFile(path)
        yield boxes
        boxes.check_used()
    elif path.suffix == ".onnx":
        with open_detector(path, options) as detector:
            yield detector
    else:
        raise UsageError(f"detector {text!r}: expected whole, a boxes file *.json or a YOLOX network *.onnx")


@contextmanager
def open_detector(path: Path, options: OpenOptions, backend: str = "auto") -> Iterator[Yolox]:
    """A YOLOX network, compiled from its ONNX for the length of the block.

    Raises ModelError for a file that is no YOLOX export, BuildError when the backend cannot take it,
    EdgeposeError when the temporary folder has no room for it.
    """
    size = _input_size(path)
    name = choose(backend)
    module = load(name)
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgepose-")))
            module.build(path, folder, about(name).options())
            session = stack.enter_context(module.open(folder, options))
        except OSError as error:
            raise EdgeposeError(
                f"cannot compile the detector {path} in the temporary folder: {error.strerror or error}; "
                "free some space there, or point TMPDIR elsewhere"
            ) from error
        yield Yolox(session, size=size)


def _input_size(path: Path) -> Size:
    """(height, width) of the detector's one input [1, 3, height, width]."""
    model = load_onnx(path)
    names = graph_of(model).inputs
    inputs = [value for value in model.graph.input if value.name in names]
    shape = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < STRIDES[-1]:
        raise ModelError(f"{path}: expected a YOLOX network with one input [1, 3, height, width], got {shape}")
    return shape[2], shape[3]


def whole_frame(image: Array, frame_name: str) -> tuple[Array, Array]:
    """One person who fills the frame."""
    height, width = image.shape[:2]
    box = np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], np.float32)
    return box, np.ones(1, np.float32)


class BoxesFile:
    """Boxes from a JSON file: a list of {"frame" | "file_name" | "image_id", "bbox": [x, y, w, h], "score"}.

    That is COCO's detection format, and what `run --out-json` writes. COCO labels, {"images", "annotations"},
    are taken too. An entry belongs to the frame of that name, with or without folder and image suffix; `image_id`
    alone belongs to the frame whose name ends in that number. Entries of another category than 1 are left
    out. DataError names the entry that is malformed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = 0  # boxes handed out
        people: defaultdict[str | int, list[list[float]]] = defaultdict(list)
        for i, entry in enumerate(_entries(path)):
            key, row = _parse_entry(entry, f"{path}: entry {i}")
            if row is not None:
                people[key].append(row)
        self._people = {key: np.array(rows, np.float32) for key, rows in people.items()}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._people.values())

    def __call__(self, image: Array, frame_name: str) -> tuple[Array, Array]:
        return self._best_first(self._rows(frame_name))

    def of(self, name: str, image_id: int) -> tuple[Array, Array]:
        """The boxes of a data set's image: those under its name, else those under its own number."""
        key = _frame_key(name)
        nothing = np.zeros((0, 5), np.float32)
        return self._best_first(self._people.get(key, self._people.get(image_id, nothing)))

    def _best_first(self, rows: Array) -> tuple[Array, Array]:
        order = np.argsort(-rows[:, 4], kind="stable")
        self.found += len(rows)
        return rows[order, :4], rows[order, 4]

    def _rows(self, frame_name: str) -> Array:
        key = _frame_key(frame_name)
        if key in self._people:
            return self._people[key]
        number = re.search(r"\d+$", key)
        nothing = np.zeros((0, 5), np.float32)
        return self._people.get(int(number.group()), nothing) if number else nothing

    def check_used(self) -> None:
        """DataError when the file has boxes but none was for a frame that was asked for."""
        if len(self) and not self.found:
            known = ", ".join(str(key) for key in list(self._people)[:3])
            raise DataError(
                f"{self.path}: none of its {len(self)} boxes belongs to a frame of the source; its frames "
                f"are called {known}, ...; give entries the source's frame names"
            )


def _frame_key(name: str) -> str:
    """A frame's name without folder and image suffix; `walk.720p-000001` has a dot but no suffix."""
    path = Path(name)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _entries(path: Path) -> list[Any]:
    try:
        value = read_json(path, "boxes")
    except EdgeposeError as error:
        raise DataError(str(error)) from error
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        return _labeled(value, path)
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of boxes, [{{'image_id', 'bbox', 'score'}}, ...]")
    return value


def _labeled(value: dict[str, Any], path: Path) -> list[Any]:
    """The people of COCO labels, crowds aside, each with its image's name."""
    images = value.get("images", [])
    for key, entries in (("images", images), ("annotations", value["annotations"])):
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: {key} is no list of tables; is it a file of COCO labels?")
    names = {str(image.get("id")): image.get("file_name") for image in images}
    shown = [entry for entry in value["annotations"] if not entry.get("iscrowd")]
    return [{**entry, "file_name": names.get(str(entry.get("image_id")))} for entry in shown]


def _parse_entry(entry: Any, where: str) -> tuple[str | int, list[float] | None]:
    """(frame key, [x0, y0, x1, y1, score]); None for an entry that is no person."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected a table with image_id and bbox, got {type(entry).__name__}")
    named = entry.get("frame") or entry.get("file_name")
    key = _frame_key(str(named)) if named else entry.get("image_id")
    if isinstance(key, bool) or not isinstance(key, (str, int)) or (isinstance(key, int) and abs(key) > 2**62):
        raise DataError(f"{where}: names no frame; give it a frame, a file_name or an image_id")
    if entry.get("category_id", 1) != 1:
        return key, None
    box, score = entry.get("bbox"), entry.get("score", 1.0)
    numbers = [*box, score] if isinstance(box, list) and len(box) == 4 else []
    if not numbers or not all(_real(value) for value in numbers):
        shown = f"bbox = {reprlib.repr(box)}, score = {reprlib.repr(score)}"
        raise DataError(f"{where}: {shown}; expected [x, y, width, height] and a number")
    x, y, width, height, score = numbers
    if width <= 0 or height <= 0:
        raise DataError(f"{where}: bbox = {box!r} is empty; width and height must be above 0")
    return key, [x, y, x + width, y + height, score]


def _real(value: object) -> bool:
    """Whether a JSON value is a number that an image can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST_PX


class Yolox:
    """A YOLOX session as a box source. The session stays the caller's: it is not closed here."""

    def __init__(
        self,
        session: Session,
        *,
        size: Size = (416, 416),
        score: float = 0.3,
        overlap: float = 0.45,
        limit: int = 64,
    ) -> None:
        self.session, self.size = session, size
        self.score, self.overlap, self.limit = score, overlap, limit
        self._grid = yolox_grid(size)

    def __call__(self, image: Array, frame_name: str) -> tuple[Array, Array]:
        canvas, to_image = letterbox(image, self.size)
        outputs = self.session.run({self.session.inputs[0]: canvas})
        boxes, scores = self._people(outputs[self.session.outputs[0]])
        corners = apply_affine(to_image, boxes.reshape(-1, 2)).reshape(-1, 4)
        return clip_boxes(corners, (image.shape[0], image.shape[1])).astype(np.float32), scores

    def _people(self, output: Array) -> tuple[Array, Array]:
        """(boxes [N, 4] on the canvas, scores [N]) of a raw output [1, A, 5 + classes]."""
        if output.ndim != 3 or output.shape[:2] != (1, len(self._grid)) or output.shape[2] < 6:
            raise ModelError(
                f"the detector gives {list(output.shape)}; a raw YOLOX export for {list(self.size)} gives "
                f"[1, {len(self._grid)}, 5 + classes]; export it without --decode_in_inference, at that size"
            )
        raw = output[0]
        scores = raw[:, 4] * raw[:, 5 + PERSON]
        keep = np.flatnonzero(scores > self.score)
        boxes = yolox_boxes(raw[keep, :4], self._grid[keep])
        best = nms(boxes, scores[keep], self.overlap)[: self.limit]
        return boxes[best], scores[keep][best].astype(np.float32)


def letterbox(image: Array, size: Size) -> tuple[Array, Array]:
    """(canvas [1, 3, h, w] float32 BGR 0..255, [2, 3] float64 canvas -> image)."""
    source = (image.shape[0], image.shape[1])
    ratio = min(size[0] / source[0], size[1] / source[1])
    inner = (max(1, int(source[0] * ratio)), max(1, int(source[1] * ratio)))  # truncated, as YOLOX does
    plain = InputSpec(size=size, color="bgr", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    canvas = warp_normalize(image, grid_affine(source, inner)[None], plain, REPLICATE)
    canvas[..., inner[0] :, :] = GRAY
    canvas[..., inner[1] :] = GRAY
    return canvas, invert_affine(grid_affine(source, inner))


def yolox_grid(size: Size) -> Array:
    """[A, 3] float32: x and y of each anchor's cell, and its stride, in the order of the raw output."""
    rows = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def yolox_boxes(raw: Array, grid: Array) -> Array:
    """[N, 4] box_xyxy on the canvas from (dx, dy, log w, log h) [N, 4] and their grid rows [N, 3].

    The network's coordinates count from the canvas's edge, ours from the first pixel's center.
    """
    stride = grid[:, 2:]
    center = (raw[:, :2] + grid[:, :2]) * stride - 0.5
    half = np.exp(np.minimum(raw[:, 2:4], 20)) * stride / 2
    return np.concatenate([center - half, center + half], axis=1)


def nms(boxes_xyxy: Array, scores: Array, overlap: float) -> Array:
    """Indices of the boxes that stay, best first: none overlaps a better one by more than `overlap` (IoU)."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(boxes_xyxy[best], boxes_xyxy[rest]) <= overlap]
    return np.array(kept, np.int64)


def iou(box_xyxy: Array, boxes_xyxy: Array) -> Array:
    """[N]: intersection over union of one box [4] with boxes [N, 4]; 0 where both are empty."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    both = (box_xyxy[2:] - box_xyxy[:2]).prod() + (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(both - shared, 1e-9))
