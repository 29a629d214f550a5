"""trt_pose: joint maps without a background, and part affinity fields whose rows come before their columns.

Its exports call the outputs `cmap` and `paf`, or have numbers for names. The image is stretched to the input, 224x224
in the published networks. The joints and limbs are those of `human_pose.json`; networks for other tasks (trt_pose_hand)
need the JSON file of their task beside the ONNX file.
"""

from __future__ import annotations

import json
from typing import Any

from edgepose.errors import SpecError
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton
from edgepose.recognize.candidate import FILES, NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import maps_of, size_guess
from edgepose.recognize.ports import float_image
from edgepose.recognize.topologies import TRT_POSE18, skeleton
from edgepose.recognize.whole_image import IMAGENET, contract, pixel_guesses

SIZE: Size = (224, 224)
MAPS, FIELDS = "cmap", "paf"
TASKS = ("human_pose.json", "hand_pose.json")
STRIDES = (2, 4, 8)
CODEC = {
    "type": "paf",
    "field_order": "yx",
    "background": False,
    "limb_samples": 7,
    "limb_threshold": 0.1,
}
WHY = "as trt_pose's networks take it; the ONNX file does not say it"


class TrtPose:
    """trt_pose and networks trained with it."""

    name = "trt_pose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize maps without a background and fields, see `registry.Family.recognize`.

        Raises:
            SpecError: The outputs are called cmap and paf, and nothing says what their joints and limbs are.
        """
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 2:
            return None
        size = image.sized(SIZE)
        maps = maps_of(candidate, image, size)
        if len(maps) != 2 or maps[0].size != maps[1].size:
            return None
        named = {MAPS, FIELDS} == {item.name for item in maps}
        first, second = sorted(maps, key=lambda item: (item.name != MAPS) if named else item.channels)
        if not any(size == (first.size[0] * stride, first.size[1] * stride) for stride in STRIDES):
            return None
        task = _task(candidate, first.channels, second.channels)
        if task is None and (first.channels, second.channels) == (len(TRT_POSE18), 2 * len(TRT_POSE18.limbs)):
            task = TRT_POSE18
            about: tuple[Guess, ...] = (
                Guess(
                    field="skeleton", value=task.name, reason="that of human_pose.json, which has 18 joints, 21 limbs"
                ),
            )
            source = NAMES if named else SHAPES
        elif task is not None:
            about, source = (), FILES
        elif named:
            raise SpecError(
                f"{candidate.path}: outputs {MAPS} and {FIELDS} of {first.channels} and {second.channels} channels are "
                "those of a trt_pose network for another task; put the JSON file of the task, which names the "
                f"keypoints and the skeleton, beside it as {' or '.join(TASKS)}, or describe the network in a "
                'spec.toml with codec = { type = "paf", field_order = "yx" }'
            )
        else:
            return None
        spec = contract(
            candidate,
            image,
            size,
            skeleton=task,
            pixels=IMAGENET,
            codec=CODEC | {"min_joints": min(4, len(task))},
            outputs=(first.name, second.name),
            crop={"place": "stretch"},
        )
        order = Guess(
            field="codec.field_order", value="yx", reason="the order of trt_pose, which has no background map"
        )
        return Recognized(
            family=self.name,
            source=source,
            model=candidate.model,
            spec=spec,
            guesses=(*pixel_guesses(IMAGENET, WHY), *about, order, *size_guess(image, size)),
        )


def _task(candidate: Candidate, maps: int, fields: int) -> Skeleton | None:
    """The skeleton of a task's JSON file beside the network that fits its outputs; None without one."""
    if candidate.path is None:
        return None
    for name in TASKS:
        path = candidate.path.parent / name
        if not path.is_file():
            continue
        try:
            value: Any = json.loads(path.read_text(encoding="utf-8"))
            joints = [str(joint) for joint in value["keypoints"]]
            limbs = [(int(a) - 1, int(b) - 1) for a, b in value["skeleton"]]
            made = skeleton(str(value.get("name", path.stem)), joints, limbs)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise SpecError(f"{path} is no task of trt_pose: expected keypoints and skeleton ({error})") from error
        if (len(made), 2 * len(made.limbs)) == (maps, fields):
            return made
    return None


TRT_POSE = TrtPose()
