"""Heatmaps of a teacher network, computed during training for the crops that the student sees.

Files with a teacher's joints (`datasets.teacher`) cost nothing in training and can be made with care: flipped, turned,
looked at twice. Heatmaps computed during training need only the network, and also say how unsure it is and where else
a joint may be. One recipe may use both.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.artifacts.spec import InputSpec, ModelSpec, embedded_spec
from edgepose.backends.onnxruntime import make_runner
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.errors import UsageError
from edgepose.graph.lookup import load_onnx


class TeacherNetwork:
    """An ONNX file whose heatmaps the student learns. It runs on the CPU.

    Args:
        path: The ONNX file, with its contract.
        student: The contract of the network that is trained.
        floor: The smallest peak of a heatmap that counts.

    Raises:
        UsageError: The teacher has no heatmaps, other joints, or another rule for the position of a heatmap's cells.
        ModelError: The file is missing, damaged, or cannot be run.
        SpecError: The file has no contract.
    """

    def __init__(self, path: Path, student: ModelSpec, floor: float) -> None:
        model = load_onnx(path)
        theirs = embedded_spec(model, str(path))
        _check(theirs, student, path)
        shared = student.skeleton.shared(theirs.skeleton)
        self.rows = [student.skeleton.index(joint) for joint in shared]
        self.sources = [theirs.skeleton.index(joint) for joint in shared]
        self.joints, self.floor = len(student.skeleton), floor
        self.student, self.teacher = student.input, theirs.input
        self.output = theirs.outputs[0]
        self._runner = make_runner(model, (self.output,))

    @torch.no_grad()
    def heatmaps(
        self,
        crops: Tensor,  # [B, 3, H, W]
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Run the teacher on crops of the student.

        Args:
            crops: Crops [B, 3, H, W], normalized for the student.
            size: Height and width of the student's heatmaps in cells.

        Returns:
            Heatmaps [B, K, h, w] in the order of the student, and weights [B, K]: the peak of each heatmap, at most 1;
            0 below `floor` and for joints that the teacher does not have.
        """
        images = _renormalized(crops.float().cpu(), self.student, self.teacher)
        if images.shape[2:] != self.teacher.size:
            images = functional.interpolate(images, self.teacher.size, mode="bilinear", align_corners=False)
        # One image at a time: an ONNX file may have a fixed batch of 1.
        found = [torch.from_numpy(self._runner.run(image[None].contiguous().numpy())[self.output]) for image in images]
        given = torch.cat(found).float()[:, self.sources]
        maps = given.new_zeros(len(images), self.joints, *size)
        weight = given.new_zeros(len(images), self.joints)
        maps[:, self.rows] = functional.interpolate(given, size, mode="area")
        peaks = given.amax(dim=(2, 3)).clamp(max=1)
        weight[:, self.rows] = torch.where(peaks >= self.floor, peaks, torch.zeros_like(peaks))
        return maps.to(crops.device), weight.to(crops.device)


def _check(theirs: ModelSpec, student: ModelSpec, path: Path) -> None:
    if not isinstance(theirs.codec, HeatmapCodec) or not isinstance(student.codec, HeatmapCodec):
        raise UsageError(f"{path} cannot teach {student.name}: both need heatmaps; use a file with a teacher's joints")
    if not student.skeleton.shared(theirs.skeleton):
        raise UsageError(f"{path} cannot teach {student.name}: it has none of its joints")
    cells, size = (2, 2), (8, 8)
    if (student.codec.to_crop(cells, size) != theirs.codec.to_crop(cells, size)).any():
        raise UsageError(
            f"{path} cannot teach {student.name}: its heatmaps are decoded by {theirs.codec.refine!r} and those of "
            f"{student.name} by {student.codec.refine!r}, or their contracts have other grids, so their cells are at "
            "other places; change decode"
        )
    if theirs.input.layout != "nchw" or theirs.input.dtype != "float32":
        raise UsageError(f"{path} cannot teach: its input must be float32 in the layout nchw")


def _renormalized(images: Tensor, ours: InputSpec, theirs: InputSpec) -> Tensor:
    """Return images [B, 3, H, W], normalized for the student, as the teacher wants them."""
    pixels = (images * _channels(ours.std) + _channels(ours.mean)) / ours.scale
    if ours.color != theirs.color:
        pixels = pixels.flip(1)
    return (pixels * theirs.scale - _channels(theirs.mean)) / _channels(theirs.std)


def _channels(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
