"""The shapes that a contract wants: taken, or refused with the output's name and both shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.codecs import CODECS, codec_named
from edgepose.codecs.outputs import outputs_of
from edgepose.errors import SpecError
from edgepose.pose.skeletons import Skeleton

SPEC = ModelSpec(
    name="net",
    skeleton=Skeleton(name="three", joints=("a", "b", "c"), limbs=(("a", "b"), ("b", "c"))),
    input=InputSpec(size=(64, 48)),
    outputs=("one", "two"),
)
GOOD = {
    "heatmap": [(3, 16, 12)],
    "simcc": [(3, 96), (3, 128)],
    "regression": [(3, 2)],
    "paf": [(3, 8, 6), (4, 8, 6)],
    "onestage": [(40, 14)],
}
BAD = [
    ("heatmap", [(4, 16, 12)], r"'one' has shape \[2, 4, 16, 12\].*'three' expect heatmaps \[2, 3, h, w\]; correct"),
    ("heatmap", [(3, 192)], r"'one' has shape \[2, 3, 192\]"),
    ("simcc", [(3, 128), (3, 96)], r"'one' has shape \[2, 3, 128\].*expect x vectors \[2, 3, 96\]"),
    ("simcc", [(3, 96), (2, 128)], r"'two' has shape \[2, 2, 128\].*expect y vectors \[2, 3, 128\]"),
    ("regression", [(3, 4)], r"expect coordinates \[2, 3, 2 or 3\]"),
    ("regression", [(6,)], r"'one' has shape \[2, 6\]"),
    ("paf", [(5, 8, 6), (4, 8, 6)], r"expect joint maps \[2, 3 or 4, h, w\]"),
    ("paf", [(3, 8, 6), (2, 8, 6)], r"'two'.*expect limb fields \[2, 4, h, w\]"),
    ("onestage", [(40, 13)], r"'one' has shape \[2, 40, 13\].*expect people \[2, people, 14\]"),
    ("paf", [(3, 8, 6), (4, 16, 6)], r"'two' has shape \[2, 4, 16, 6\]"),
]


def made(codec, shapes, n=2):
    spec = replace(SPEC, codec=codec_named(codec)())
    return spec, {name: np.zeros((n, *shape)) for name, shape in zip(SPEC.outputs, shapes, strict=False)}


@pytest.mark.parametrize("codec", CODECS)
def test_what_fits_comes_in_order(codec):
    spec, outputs = made(codec, GOOD[codec])
    found = outputs_of(spec, dict(reversed(outputs.items())), 2)
    assert len(found) == len(codec_named(codec).decodes)
    assert all(array is outputs[name] for array, name in zip(found, SPEC.outputs, strict=False))


@pytest.mark.parametrize(("codec", "shapes", "says"), BAD)
def test_what_does_not_fit_is_named(codec, shapes, says):
    with pytest.raises(SpecError, match=says):
        outputs_of(*made(codec, shapes), 2)


@pytest.mark.parametrize("codec", CODECS)
def test_another_number_of_images_is_refused(codec):
    with pytest.raises(SpecError, match=r"'one' has shape \[3"):
        outputs_of(*made(codec, GOOD[codec], n=3), 2)


def test_scores_and_a_background_may_be_there():
    assert outputs_of(*made("regression", [(3, 3)]), 2)[0].shape == (2, 3, 3)
    assert outputs_of(*made("paf", [(4, 8, 6), (4, 8, 6)]), 2)[0].shape == (2, 4, 8, 6)
