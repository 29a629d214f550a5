"""Heatmap networks of Hugging Face Transformers (VitPose): `preprocessor_config.json` says how images are prepared.

Mean and standard deviation in it are those of pixels from 0 to 1, after `rescale_factor`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgepose.errors import SpecError, one_line
from edgepose.recognize.candidate import FILES, Candidate, Guess, Recognized
from edgepose.recognize.heatmaps import maps_of, recognized_maps
from edgepose.recognize.ports import float_image
from edgepose.recognize.preprocessing import Preparation, with_padding

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
        value = _table(path) if path is not None else {}
        if path is None or not _of_pose(value):
            return None
        image = float_image(candidate)
        size = _size(value)
        maps = None if image is None else maps_of(candidate, image, size)
        if image is None or maps is None:
            return None
        made, guesses = _preparation(value, path)
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
        if path is None or not _of_pose(_table(path)):
            return None
        if len(candidate.inputs) > 1:
            return f"it has {len(candidate.inputs)} inputs; export it with pixel_values alone, for one data set"
        return "its only input is no image of floats [N, 3, H, W], or its output is not one map per joint"


def _of_pose(value: dict[str, Any]) -> bool:
    """Whether a preprocessor_config.json is that of VitPose."""
    kind = f"{value.get('image_processor_type', '')}{value.get('feature_extractor_type', '')}".lower()
    return "vitpose" in kind or "do_affine_transform" in value


def _table(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no valid JSON ({one_line(error)}); correct it, or pass --spec") from error
    return value if isinstance(value, dict) else {}


def _size(value: dict[str, Any]) -> tuple[int, int] | None:
    size = value.get("size")
    if not isinstance(size, dict):
        return None
    height, width = size.get("height"), size.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _preparation(value: dict[str, Any], path: Path) -> tuple[Preparation, tuple[Guess, ...]]:
    factor = value.get("rescale_factor", 1 / 255) if value.get("do_rescale", True) else 1.0
    if not isinstance(factor, (int, float)) or not factor > 0:
        raise SpecError(f"{path}: rescale_factor = {factor!r}; expected a number above 0")
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if value.get("do_normalize", True):
        mean, std = (_channels(value, key, path) for key in ("image_mean", "image_std"))
    scaled = [tuple(round(item / factor, 6) for item in items) for items in (mean, std)]
    color = Guess(field="input.color", value="rgb", reason="assumed, as image processors of Transformers give RGB")
    return Preparation(color="rgb", mean=_three(scaled[0]), std=_three(scaled[1])), (color,)


def _channels(value: dict[str, Any], key: str, path: Path) -> tuple[float, float, float]:
    items = value.get(key)
    if not isinstance(items, list) or len(items) != 3 or not all(isinstance(item, (int, float)) for item in items):
        raise SpecError(f"{path}: {key} = {items!r}; expected 3 numbers")
    return _three(tuple(map(float, items)))


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def _joints(candidate: Candidate) -> tuple[str, ...]:
    """Return the names of the joints in config.json's id2label as edgepose spells them: L_Eye is left_eye."""
    path = candidate.beside.get(CONFIG)
    labels = _table(path).get("id2label") if path is not None else None
    if not isinstance(labels, dict) or not all(key.isdigit() and isinstance(labels[key], str) for key in labels):
        return ()
    ordered = [labels[key].lower().replace(" ", "_") for key in sorted(labels, key=int)]
    for short, long in SIDES:
        ordered = [long + name.removeprefix(short) if name.startswith(short) else name for name in ordered]
    return () if any(name.startswith("label_") for name in ordered) else tuple(ordered)


HUGGINGFACE = HuggingFace()
