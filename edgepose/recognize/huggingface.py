"""Heatmap networks of Hugging Face Transformers (VitPose): `preprocessor_config.json` says how images are prepared.

Mean and standard deviation in it are those of pixels from 0 to 1, after `rescale_factor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepose.recognize.candidate import FILES, Candidate, Guess, Recognized
from edgepose.recognize.heatmaps import maps_of, recognized_maps
from edgepose.recognize.ports import float_image
from edgepose.recognize.preprocessing import Preparation, with_padding
from edgepose.recognize.sidefiles import Channels, Table, read_side_file

FILE = "preprocessor_config.json"
CONFIG = "config.json"
PADDING = 1.25  # that VitPose's image processor has, and the file does not state
SIDES = (("l_", "left_"), ("r_", "right_"))


class HuggingFace:
    """Heatmap networks with Hugging Face's preprocessor_config.json beside them."""

    name = "huggingface-pose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize heatmaps of VitPose by its image processor, see `registry.Family.recognize`."""
        path = candidate.beside.get(FILE)
        value = _content(path)
        if path is None or not _of_pose(value):
            return None
        image = float_image(candidate)
        table = Table(value, path)
        size = _size(table)
        maps = None if image is None else maps_of(candidate, image, size)
        if image is None or maps is None:
            return None
        made, guesses = _preparation(table)
        preparation = with_padding(made, None, "that of VitPose's image processor; the file does not say it")
        return recognized_maps(
            candidate,
            image,
            maps,
            preparation,
            family=self.name,
            source=FILES,
            codec={"decode": "udp"},
            names=_joints(candidate),
            guesses=guesses,
        )

    def near(self, candidate: Candidate) -> str | None:
        """Say what is missing where the file is of a pose network, see `registry.Explaining.near`."""
        path = candidate.beside.get(FILE)
        if path is None or not _of_pose(_content(path)):
            return None
        if len(candidate.inputs) > 1:
            return f"it has {len(candidate.inputs)} inputs; export it with pixel_values alone, for one data set"
        return "its only input is no image of floats [N, 3, H, W], or its output is not one map per joint"


def _of_pose(value: dict[str, Any]) -> bool:
    """Whether a preprocessor_config.json is that of VitPose."""
    kind = f"{value.get('image_processor_type', '')}{value.get('feature_extractor_type', '')}".lower()
    return "vitpose" in kind or "do_affine_transform" in value


def _content(path: Path | None) -> dict[str, Any]:
    """Return the table in a file; an empty one without a file, or where the file holds something else."""
    value = read_side_file(path) if path is not None else None
    return value if isinstance(value, dict) else {}


def _size(table: Table) -> tuple[int, int] | None:
    if "size" not in table:
        return None
    size = table.table("size")
    return size.side("height"), size.side("width")


def _preparation(table: Table) -> tuple[Preparation, tuple[Guess, ...]]:
    factor = 1.0
    if table.switch("do_rescale", True):
        factor = table.above_zero("rescale_factor") or 1 / 255
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if table.switch("do_normalize", True):
        mean, std = table.channels("image_mean"), table.channels("image_std", above_zero=True)
    color = Guess(field="input.color", value="rgb", reason="assumed, as image processors of Transformers give RGB")
    return Preparation(color="rgb", mean=_scaled(mean, factor), std=_scaled(std, factor)), (color,)


def _scaled(values: Channels, factor: float) -> Channels:
    first, second, third = (round(value / factor, 6) for value in values)
    return first, second, third


def _joints(candidate: Candidate) -> tuple[str, ...]:
    """Return the names of the joints in config.json's id2label as edgepose spells them: L_Eye is left_eye."""
    path = candidate.beside.get(CONFIG)
    labels = _content(path).get("id2label")
    if not isinstance(labels, dict) or not all(key.isdigit() and isinstance(labels[key], str) for key in labels):
        return ()
    ordered = [labels[key].lower().replace(" ", "_") for key in sorted(labels, key=int)]
    for short, long in SIDES:
        ordered = [long + name.removeprefix(short) if name.startswith(short) else name for name in ordered]
    return () if any(name.startswith("label_") for name in ordered) else tuple(ordered)


HUGGINGFACE = HuggingFace()
