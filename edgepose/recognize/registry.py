"""The families of networks that are recognized, in the order in which they are tried.

A family is one module with an object that has a `name` and a method `recognize`, and one line in `FAMILIES`. What is
known for certain comes first: metadata, then files beside the network, then names, then shapes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from edgepose.recognize.candidate import Candidate, Recognized


class Family(Protocol):
    """A family of networks that have one contract."""

    name: str

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a network, or None where it is not of this family.

        Args:
            candidate: The network.

        Raises:
            SpecError: It is of this family, but what it says about itself is contradictory.
        """
        ...


@runtime_checkable
class Explaining(Protocol):
    """A family that can say why a network is nearly, but not quite, one of it."""

    def near(self, candidate: Candidate) -> str | None:
        """Return why a network that resembles this family is not recognized, as a clause; None without resemblance.

        Args:
            candidate: A network that `recognize` did not take.
        """
        ...


@runtime_checkable
class AnyInput(Protocol):
    """A family that looks at the image input as the file has it; all others see floats with channels first."""

    name: str
    any_input: bool

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a network, see `Family.recognize`."""
        ...


@runtime_checkable
class Sized(Protocol):
    """A family that needs a size of the image, and has a usual one for graphs that leave the size open."""

    name: str
    usual_size: tuple[int, int]  # (height, width)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a network, see `Family.recognize`."""
        ...


# module and object, which are imported when a network is recognized
FAMILIES: tuple[str, ...] = (
    # metadata
    "edgepose.recognize.ultralytics_pose:ULTRALYTICS_POSE",
    "edgepose.recognize.ultralytics_detect:FAMILY",
    # files beside the network
    "edgepose.recognize.mmdeploy:MMDEPLOY",
    "edgepose.recognize.huggingface:HUGGINGFACE",
    # names of ports
    "edgepose.recognize.mmdet:FAMILY",
    "edgepose.recognize.rtdetr:FAMILY",
    "edgepose.recognize.simcc:SIMCC",
    "edgepose.recognize.rtmo:RTMO",
    "edgepose.recognize.yolo_nas:YOLO_NAS",
    "edgepose.recognize.detrpose:DETRPOSE",
    # names of ports, and the numbers of channels of networks that group joints
    "edgepose.recognize.openpose:LIGHTWEIGHT_OPENPOSE",
    "edgepose.recognize.openpifpaf:OPENPIFPAF",
    "edgepose.recognize.trt_pose:TRT_POSE",
    "edgepose.recognize.posenet:POSENET",
    "edgepose.recognize.associative:ASSOCIATIVE",
    "edgepose.recognize.dekr:DEKR",
    "edgepose.recognize.openpose:OPENPOSE_NETWORKS",
    # shapes of ports
    "edgepose.recognize.movenet_multipose:MULTIPOSE",
    "edgepose.recognize.ultralytics_pose:ULTRALYTICS_SHAPES",
    "edgepose.recognize.yolo_anchors:YOLO_ANCHORS",
    "edgepose.recognize.ssd:FAMILY",
    "edgepose.recognize.nanodet:FAMILY",
    "edgepose.recognize.yolox:FAMILY",
    "edgepose.recognize.movenet:MOVENET",
    "edgepose.recognize.blazepose:BLAZEPOSE",
    "edgepose.recognize.heatmaps:TINYPOSE",
    "edgepose.recognize.heatmaps:HEATMAPS",
    "edgepose.recognize.joints:JOINTS",
)


def families() -> Iterator[Family]:
    """Import and return the registered families, in order."""
    for text in FAMILIES:
        module, _, name = text.partition(":")
        family: Family = getattr(importlib.import_module(module), name)
        yield family
