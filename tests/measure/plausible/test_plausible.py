"""Contracts that cannot be right give a finding with the evidence; contracts that are right give none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.errors import SpecError
from edgepose.measure.plausible import ERROR, WARNING, Evidence, judge
from edgepose.training.recipe import read_recipe, recipe_names

IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
UNIT = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
SCALE = 1 / 255


def contract(codec: Any = None, skeleton: str = "lsp14", **image: Any) -> ModelSpec:
    table = {"name": "net", "skeleton": skeleton, "input": {"size": [128, 96], **image}, "outputs": ["out"]}
    return spec_from_dict(table | {"codec": codec or {"type": "heatmap"}}, "the test")


def lines(spec: ModelSpec, **given: Any) -> list[str]:
    return [finding.line() for finding in judge(Evidence(spec=spec, source="8 crops", **given))]


@pytest.mark.parametrize(
    "image",
    [
        IMAGENET,
        UNIT | {"scale": SCALE},
        {"mean": [0, 0, 0], "std": [1, 1, 1]},  # pixels as they are
        {"mean": [0, 0, 0], "std": [255, 255, 255]},
        {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": SCALE},
        {"mean": [127.5] * 3, "std": [127.5] * 3},
        {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": SCALE},
        {"mean": [128] * 3, "std": [256] * 3},
        {"mean": [128] * 3, "std": [1] * 3},
        {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], "color": "bgr"},
        {"mean": [103.94, 116.78, 123.68], "std": [1, 1, 1], "color": "bgr"},  # Caffe
        {"mean": [1.767, 1.985, 2.102], "std": [1, 1, 1], "scale": 0.017, "color": "bgr"},
        {"mean": [0.406, 0.456, 0.485], "std": [0.225, 0.224, 0.229], "scale": SCALE, "color": "bgr"},
        {"mean": [123.68, 116.779, 103.939], "std": [58.393, 57.12, 57.375]},
        {"mean": [123.5, 116.5, 103.5], "std": [58.5, 57, 57.5]},
        {"mean": [122.77, 115.95, 102.98], "std": [68.5, 66.6, 70.3]},  # CLIP
        {"dtype": "uint8"},
    ],
)
def test_conventions_that_exist_give_no_finding(image: dict[str, Any]) -> None:
    assert lines(contract(**image)) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (UNIT, r"\[1111, 1136, 1132\]; .*add scale = 0\.0039"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, "add scale = 0.0039"),
        ({"mean": [0, 0, 0], "std": [0.00392] * 3}, "std divides the pixels: for pixels 0..1 use std = "),
        ({"mean": [0.45] * 3, "std": [1] * 3}, "if mean is for pixels 0..1"),
        (IMAGENET | {"scale": SCALE}, "leave almost nothing of the image.*leave out scale"),
        (IMAGENET | {"mean": UNIT["mean"]}, "mean is for pixels 0..1 and std for pixels 0..255: multiply mean by 255"),
        (IMAGENET | {"mean": [0, 0, 0]}, r"and mean is not: .* or use mean = \[123\.7, 116\.3, 103\.5\]"),
        (UNIT | {"mean": [0, 0, 0], "scale": SCALE}, r"and mean is not: .* or use mean = \[0\.485, 0\.456, 0\.406\]"),
        ({"mean": [127.5] * 3}, "std is that of ImageNet, as it is where none is given"),
        ({"scale": 255.0}, "scale multiplies the pixels: leave it out"),
        ({"mean": [500] * 3, "std": [58] * 3}, "every pixel has the same sign"),
        ({"mean": [-123] * 3, "std": [58] * 3}, "every pixel has the same sign"),
        ({"mean": [100] * 3, "std": [5000] * 3}, "std is far too large"),
        (IMAGENET | {"color": "bgr"}, 'order RGB; use color = "rgb"'),
        ({"mean": IMAGENET["mean"][::-1], "std": IMAGENET["std"][::-1]}, 'order BGR; use color = "bgr"'),
        ({"mean": UNIT["mean"][::-1], "std": UNIT["std"][::-1], "scale": SCALE}, 'use color = "bgr"'),
    ],
)
def test_pixels_in_other_units_are_doubted(image: dict[str, Any], words: str) -> None:
    (line,) = lines(contract(**image))
    assert re.search(words, line), line


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"std": [58.0, 0.0, 57.0]}, "every value must be above 0"),
        ({"std": [-58.0, 57.0, 57.0]}, "every value must be above 0"),
        ({"std": [58.0, float("nan"), 57.0]}, "finite number"),
        ({"mean": [float("nan")] * 3}, "finite number"),
        ({"mean": [float("inf"), 0.0, 0.0]}, "finite number"),
        ({"std": [float("inf")] * 3}, "finite number"),
        ({"scale": 0.0}, "must be above 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(image: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        contract(**image)


@pytest.mark.parametrize(
    ("size", "free", "doubted"),
    [([96, 128], True, True), ([96, 128], False, False), ([128, 96], True, False), ([128, 128], True, False)],
)
def test_a_landscape_size_is_doubted_where_the_graph_is_silent(size: list[int], free: bool, doubted: bool) -> None:
    found = lines(contract(size=size), free_size=free)
    assert len(found) == doubted
    assert not doubted or "use [128, 96]" in found[0]


def joints(low: float, high: float, channels: int = 2) -> tuple[np.ndarray]:
    made = np.random.default_rng(0).uniform(low, high, (8, 14, channels)).astype(np.float32)
    made[..., 2:] = 0.7
    return (made,)


@pytest.mark.parametrize(
    ("range_", "low", "high", "severity", "words"),
    [
        ("unit", 0.05, 0.95, None, ""),
        ("unit", -0.3, 1.3, None, ""),  # joints outside the crop
        ("centered", -0.5, 0.5, None, ""),
        ("centered", -0.05, 0.05, None, ""),  # an untrained network
        ("unit", 5, 95, ERROR, "these are pixels"),
        ("centered", 5, 95, ERROR, "these are pixels"),
        ("unit", 1, 99, ERROR, "if they are percent, multiply them by 0.01"),
        ("unit", 0, 2000, ERROR, "scale them in the graph"),
        ("unit", 0, 24, ERROR, "scale them in the graph"),  # pixels of a smaller map
        ("unit", -3.5, 3.5, ERROR, "scale them in the graph"),
        ("unit", -0.9, 0.9, WARNING, "from -1 to 1"),
        ("centered", -0.9, 0.9, WARNING, "from -1 to 1"),
        ("unit", -0.5, 0.5, WARNING, 'range = "centered"'),
        ("centered", 0.05, 0.95, WARNING, 'range = "unit"'),
    ],
)
def test_another_range_of_coordinates_is_found(range_: str, low: float, high: float, severity: Any, words: str) -> None:
    spec = contract({"type": "regression", "range": range_})
    found = judge(Evidence(spec=spec, outputs=joints(low, high), source="8 crops"))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(words in finding.line() for finding in found)


def test_scores_that_are_logits_are_doubted() -> None:
    spec = contract({"type": "regression", "range": "unit"})
    (values,) = joints(0.1, 0.9, 3)
    assert lines(spec, outputs=(values,)) == []
    values[..., 2] = np.linspace(-6, 4, 14)
    assert "look like logits" in lines(spec, outputs=(values,))[0]


def maps(at_border: bool = False, level: float = 1.0) -> tuple[np.ndarray]:
    random = np.random.default_rng(1)
    made = random.normal(0, 0.01, (8, 14, 32, 24)).astype(np.float32)
    y, x = random.integers(3, 29, (8, 14)), random.integers(3, 21, (8, 14))
    made[np.arange(8)[:, None], np.arange(14), 0 if at_border else y, x] = 1.0
    return (made + np.float32(level - 1),)


def test_heatmaps_that_are_right_give_no_finding() -> None:
    for decode in ("quarter", "dark", "udp", "argmax"):
        assert lines(contract({"type": "heatmap", "decode": decode}), outputs=maps()) == []


def test_maxima_at_the_border_and_logits_are_doubted() -> None:
    assert "100% of the maxima lie at the border" in lines(contract(), outputs=maps(at_border=True))[0]
    dark = contract({"type": "heatmap", "decode": "dark"})
    assert "add a Sigmoid" in lines(dark, outputs=maps(level=-3.0))[0]
    assert lines(contract(), outputs=maps(level=-3.0)) == []  # a quarter offset does not care


def test_outputs_that_are_not_finite_are_found() -> None:
    (values,) = maps()
    values[3, 2, 1, 1] = np.nan
    (finding,) = judge(Evidence(spec=contract(), outputs=(values,), source="8 crops"))
    assert finding.severity == ERROR and "NaN or infinity on 1 of 8 crops" in finding.line()
    flat = np.full((8, 14, 32, 24), 0.2, np.float32)  # an untrained network
    assert lines(contract(), outputs=(flat,)) == []


def test_recipes_give_no_finding() -> None:
    """Every recipe that ships has a contract that is right."""
    names = recipe_names()
    assert len(names) > 20
    for name in names:
        assert lines(read_recipe(name).spec(), free_size=True) == [], name


@pytest.mark.parametrize("shape", [(8, 14, 48), (8, 14), (8, 13, 32, 24), (8, 14, 32, 24, 1)])
def test_outputs_that_the_codec_does_not_decode(shape: tuple[int, ...]) -> None:
    (found,) = judge(Evidence(spec=contract(**IMAGENET), source="8 crops", outputs=(np.ones(shape, np.float32),)))
    assert found.severity == ERROR
    assert re.search(r"output 'out' has shape .* but codec 'heatmap' .* expect heatmaps", found.evidence)
