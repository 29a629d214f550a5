"""A YOLOX network (Ge et al., 2021) as a person finder.

The network is the raw export of YOLOX: [1, A, 5 + classes] of cell offsets, logarithmic sizes, objectness and class
scores on grids of stride 8, 16 and 32. Its input is BGR from 0 to 255, letterboxed from the top left on gray 114.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.backends import about, choose, load
from edgepose.backends.session import OpenOptions, Session
from edgepose.errors import EdgeposeError, ModelError
from edgepose.graph.lookup import graph_of, load_onnx
from edgepose.kernels.cropping import cut
from edgepose.pose.geometry import Size, apply_affine, clip_boxes
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS

STRIDES = (8, 16, 32)
GRAY = 114  # the level around the image
PERSON = 0  # the first class of COCO-80


@contextmanager
def open_finder(text: str, options: OpenOptions, backend: str = "auto") -> Iterator[Yolox]:
    """Compile a YOLOX network into a temporary folder and open it for the length of the block.

    Args:
        text: The path of the ONNX file.
        options: How the session is opened.
        backend: The backend that compiles it; "auto" chooses the best one here.

    Raises:
        ModelError: The file is not a YOLOX export.
        BuildError: The backend cannot compile the network.
        EdgeposeError: The temporary folder has no space left.
    """
    path = Path(text)
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
    """Return the (height, width) of the only input of the detector, [1, 3, height, width]."""
    model = load_onnx(path)
    names = graph_of(model).inputs
    inputs = [value for value in model.graph.input if value.name in names]
    shape = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < STRIDES[-1]:
        raise ModelError(f"{path}: expected a YOLOX network with one input [1, 3, height, width], got {shape}")
    return shape[2], shape[3]


class Yolox:
    """A YOLOX session as a person finder. The caller closes the session.

    Args:
        session: The opened network.
        size: The (height, width) of its input.
        score: People with a lower score are dropped.
        overlap: Of two people whose boxes overlap by more than this intersection over union, the better one stays.
        limit: The largest number of people.
    """

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
        self._grid, self._contract = yolox_grid(size), contract_of(size)

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of the people in an image; see `edgepose.runtime.finders.Finder`.

        Raises:
            ModelError: The output of the network is not that of a raw YOLOX export.
        """
        frame = (image.shape[0], image.shape[1])
        canvas, to_image = cut(image, canvas_box(frame, self.size), self._contract)
        outputs = self.session.run({self.session.inputs[0]: canvas})
        boxes, scores = self._people(outputs[self.session.outputs[0]])
        corners = apply_affine(to_image[0], boxes.reshape(-1, 2)).reshape(-1, 4)
        return clip_boxes(corners, frame).astype(np.float32), scores

    def _people(self, output: Array) -> tuple[Array, Array]:
        """Return (boxes [N, 4] on the canvas, scores [N]) of a raw output [1, A, 5 + classes]."""
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


def contract_of(size: Size) -> ModelSpec:
    """Return the preprocessing of YOLOX as a contract.

    Args:
        size: The (height, width) of its input.

    Returns:
        A contract of which only `input` and `crop` mean something: a detector has no joints.
    """
    plain = InputSpec(size=size, color="bgr", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ModelSpec(
        name="yolox", skeleton=SKELETONS["coco17"], input=plain, crop=CropSpec(padding=1.0, border_value=GRAY)
    )


def canvas_box(frame: Size, size: Size) -> Array:
    """Return the box that the input shows when the frame is in its top left, where YOLOX is trained to see it.

    Args:
        frame: The (height, width) of the frame in pixels.
        size: The (height, width) of the input of the network.

    Returns:
        One box in image pixels, [1, 4] float64 xyxy. It reaches beyond the frame on the right or below.
    """
    scale = max(frame[0] / size[0], frame[1] / size[1])  # image pixels per input pixel
    return np.array([[-0.5, -0.5, size[1] * scale - 0.5, size[0] * scale - 0.5]])


def yolox_grid(size: Size) -> Array:
    """Return the cells of the raw output in its order.

    Args:
        size: The (height, width) of the input.

    Returns:
        [A, 3] float32: x and y of the cell of each anchor, and its stride in pixels.
    """
    rows = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def yolox_boxes(raw: Array, grid: Array) -> Array:
    """Convert raw boxes to canvas pixels.

    The coordinates of the network start at the edge of the canvas, ours at the center of the first pixel.

    Args:
        raw: (dx, dy, log w, log h) of each box, [N, 4].
        grid: The rows of `yolox_grid` that belong to them, [N, 3].

    Returns:
        The boxes, [N, 4] xyxy.
    """
    stride = grid[:, 2:]
    center = (raw[:, :2] + grid[:, :2]) * stride - 0.5
    half = np.exp(np.minimum(raw[:, 2:4], 20)) * stride / 2
    return np.concatenate([center - half, center + half], axis=1)


def nms(boxes_xyxy: Array, scores: Array, overlap: float) -> Array:
    """Suppress boxes that overlap a better one (greedy non-maximum suppression).

    Args:
        boxes_xyxy: Bounding boxes, [N, 4].
        scores: Their scores, [N].
        overlap: The largest intersection over union with a better box that a box may have.

    Returns:
        The indices of the remaining boxes, [M] int64, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(boxes_xyxy[best], boxes_xyxy[rest]) <= overlap]
    return np.array(kept, np.int64)


def iou(box_xyxy: Array, boxes_xyxy: Array) -> Array:
    """Return the intersection over union, [N], of one box [4] with boxes [N, 4]; 0 where both are empty."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    both = (box_xyxy[2:] - box_xyxy[:2]).prod() + (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(both - shared, 1e-9))
