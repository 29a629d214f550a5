"""rtmlib: the post-processing of its classes, on random outputs; and RTMDet-nano as it was published.

    pip install --no-deps rtmlib==0.0.16   # Apache-2.0

rtmlib counts pixels from the edge of the image, edgepose from the center of the first pixel; for boxes and joints of
networks that find people, half a pixel is added before the comparison. rtmlib divides by the ratio of the letterbox and
not by the whole pixels that it resized to, so that frames are compared whose sides the ratio divides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from projects.comparison import Comparison, Subject, ours, peaks, picture, stub

JOINTS, SIZE = 17, (256, 192)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FRAME = (360, 640)  # into 640 x 640 and 320 x 320 by ratios of 1 and 1 / 2
BOX = np.array([80.0, 30.0, 200.0, 330.0])
WITHOUT = "rtmlib's suppression without the pixel that it adds to every side"


def compare(folder: Path) -> Iterator[Comparison]:
    """Compare all networks.

    Args:
        folder: A folder for the networks.
    """
    random = np.random.default_rng(3)
    yield from _simcc(folder / "simcc", random)
    yield from _vitpose(folder / "vitpose", random)
    yield from _rtmo(folder / "rtmo", random)
    yield from _yolox(folder / "yolox", random)


def _subject(network: str) -> Subject:
    from importlib.metadata import version

    return Subject(project="rtmlib", version=version("rtmlib"), network=network, weights="none")


def _bare(kind: Any, **attributes: Any) -> Any:
    """Return a tool of rtmlib without a session, since its post-processing alone is called."""
    tool = kind.__new__(kind)
    vars(tool).update(attributes)
    return tool


def crop_of(box: Array, size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Return rtmlib's center and scale of a box, and the matrices from its crop to the image of both grid rules.

    Args:
        box: [4], x0 y0 x1 y1.
        size: (height, width) of the crop.

    Returns:
        center [2], scale [2], the matrix where pixels divide the box [1, 2, 3], and where the corner pixels lie on its
        corners [1, 2, 3].
    """
    from rtmlib.tools.pose_estimation.pre_processings import bbox_xyxy2cs

    center, scale = bbox_xyxy2cs(box, padding=1.25)
    ratio = size[1] / size[0]
    width, height = scale
    scale = np.array([width, width / ratio] if width > height * ratio else [height * ratio, height])
    made = []
    for sides in (np.array(size[::-1]), np.array(size[::-1]) - 1.0):
        step, first = scale / sides, center - scale / 2
        made.append(np.array([[[step[0], 0, first[0]], [0, step[1], first[1]]]]))
    return center, scale, made[0], made[1]


def _simcc(folder: Path, random: np.random.Generator) -> Iterator[Comparison]:
    from rtmlib import RTMPose

    vectors = [random.random((JOINTS, 2 * length), np.float32) for length in SIZE[::-1]]
    path = stub(folder / "net.onnx", dict(zip(("simcc_x", "simcc_y"), vectors, strict=True)), SIZE)
    center, scale, inverse, _ = crop_of(BOX, SIZE)
    tool = _bare(RTMPose, model_input_size=SIZE[::-1])
    joints, scores = tool.postprocess([item[None] for item in vectors], center, scale)
    its = ours(path, picture(*FRAME), np.zeros((1, 3, *SIZE)), BOX[None], inverse)
    subject = _subject("RTMPose (SimCC)")
    yield subject.compared(its.family, "joints", its.poses.xy_image, joints)
    both = np.stack([item.max(axis=-1) for item in vectors])
    note = (
        "rtmlib takes the mean of the maxima of x and y, edgepose and mmpose the lower one: compared with half its sum"
    )
    yield subject.compared(
        its.family, "joint scores", (its.poses.scores + both.max(axis=0)) / 2, scores, unit="", note=note
    )


def _vitpose(folder: Path, random: np.random.Generator) -> Iterator[Comparison]:
    from rtmlib.tools.pose_estimation.vitpose import ViTPose

    maps = peaks((SIZE[0] // 4, SIZE[1] // 4), JOINTS, random)
    path = stub(folder / "model.onnx", {"heatmaps": maps}, SIZE, "pixel_values")
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "VitPoseImageProcessor", "do_affine_transform": True, "image_mean": MEAN,
        "image_std": STD, "size": {"height": SIZE[0], "width": SIZE[1]},
    }))  # fmt: skip
    center, scale, _, inverse = crop_of(BOX, SIZE)
    joints, scores = _bare(ViTPose).postprocess([maps[None].copy()], center, scale)
    its = ours(path, picture(*FRAME), np.zeros((1, 3, *SIZE)), BOX[None], inverse)
    subject = _subject("ViTPose (heatmaps)")
    yield subject.compared(its.family, "joints", its.poses.xy_image, joints)
    yield subject.compared(its.family, "joint scores", its.poses.scores, scores, unit="")


def _people(random: np.random.Generator, count: int, side: int) -> Array:
    """Return boxes in a canvas, [count, 4] float32."""
    first, sides = random.uniform(0, side / 2, (count, 2)), random.uniform(side / 32, side / 2, (count, 2))
    return np.concatenate([first, first + sides], axis=1).astype(np.float32)


def _rtmo(folder: Path, random: np.random.Generator) -> Iterator[Comparison]:
    from rtmlib import RTMO

    side, count = 640, 60
    dets = np.concatenate([_people(random, count, side), random.random((count, 1), np.float32)], axis=1)
    keypoints = random.random((count, JOINTS, 3), np.float32) * np.array([side, side, 1], np.float32)
    path = stub(folder / "end2end.onnx", {"dets": dets, "keypoints": keypoints}, (side, side))
    its = ours(path, picture(*FRAME), np.zeros((1, 3, side, side)))
    tool = _bare(RTMO, model_input_size=(side, side))
    codec = its.spec.codec
    limits = (1.0 if codec.iou_threshold is None else codec.iou_threshold, codec.score_threshold)
    with _without_a_pixel():
        joints, scores = tool.postprocess([dets[None].copy(), keypoints[None].copy()], side / FRAME[1], *limits)
    subject, note = _subject("RTMO"), WITHOUT
    yield subject.compared(its.family, "joints", its.poses.xy_image + 0.5, joints, note=note)
    yield subject.compared(its.family, "joint scores", its.poses.scores, scores, unit="", note=note)


def _yolox(folder: Path, random: np.random.Generator) -> Iterator[Comparison]:
    from rtmlib import YOLOX

    side, classes = 320, 80
    cells = sum((side // stride) ** 2 for stride in (8, 16, 32))
    rows = np.concatenate([random.normal(0, 1, (cells, 4)), random.random((cells, 1 + classes))], axis=1)
    rows = rows.astype(np.float32)
    path = stub(folder / "net.onnx", {"output": rows}, (side, side), "images")
    its = ours(path, picture(*FRAME), np.zeros((1, 3, side, side)))
    codec = its.spec.codec
    tool = _bare(YOLOX, model_input_size=(side, side), nms_thr=codec.iou_threshold, score_thr=codec.score_threshold,
                 det_mode="multiclass")  # fmt: skip
    with _without_a_pixel():
        boxes, labels = tool.postprocess(rows[None].copy(), side / FRAME[1])
    subject, note = _subject("YOLOX raw"), WITHOUT
    found, limit = its.poses.boxes_xyxy + 0.5, codec.max_people
    yield subject.compared(its.family, "boxes", found, boxes[labels == 0][:limit], note=note)


class _without_a_pixel:
    """rtmlib's suppression adds one pixel to the sides of boxes; within this block it does not."""

    def __enter__(self) -> None:
        from rtmlib.tools.object_detection import post_processings

        self.module, self.nms = post_processings, post_processings.nms

        def nms(boxes: Array, scores: Array, threshold: float) -> list[int]:
            inset = boxes.copy()
            inset[:, 2:] -= 1
            return list(self.nms(inset, scores, threshold))

        post_processings.nms = nms

    def __exit__(self, *_: object) -> None:
        self.module.nms = self.nms
