"""Fields and displacements that are read the wrong way are seen in images of people, and in nothing else."""

from __future__ import annotations

import grouping_networks
import ideal_outputs
import numpy as np
import pytest
from grouping_networks import COCO, OPENPOSE

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.measure.plausible import ERROR, Evidence
from edgepose.measure.plausible.vectors import check_vectors

SIZE = (64, 96)
PLACES = ((22.0, 32.0, 46.0), (50.0, 33.0, 42.0), (76.0, 32.0, 46.0))


def contract(codec: str, **parameters: str) -> ModelSpec:
    skeleton = "openpose18" if codec == "paf" else "coco17"
    table = {"type": codec, **parameters}
    return spec_from_dict({"name": "n", "skeleton": skeleton, "codec": table, "outputs": ["a", "b"]}, "test")


def outputs(codec: str, images: int) -> tuple[Array, ...]:
    """Of a network with fields x before y, or displacements that are added; `images` images."""
    if codec == "paf":
        answer = grouping_networks.KINDS["openpose COCO, two outputs"].answer
        one = tuple(answer(ideal_outputs.people(OPENPOSE, PLACES), SIZE).values())
    else:
        one = ideal_outputs.offsets(ideal_outputs.people(COCO, PLACES), SIZE)
    return tuple(np.repeat(values, images, axis=0) for values in one)


CASES = [("paf", "field_order", "xy", "yx"), ("offsets", "displacement", "add", "subtract")]


@pytest.mark.parametrize(("codec", "key", "right", "wrong"), CASES)
def test_the_wrong_reading_is_an_error(codec: str, key: str, right: str, wrong: str) -> None:
    given = outputs(codec, 4)
    assert not list(check_vectors(Evidence(spec=contract(codec, **{key: right}), outputs=given)))
    (finding,) = check_vectors(Evidence(spec=contract(codec, **{key: wrong}), outputs=given, source="4 images"))
    assert finding.severity == ERROR and finding.remedy == f'set codec.{key} = "{right}"'
    assert "4 of 4 images" in finding.evidence


@pytest.mark.parametrize(("codec", "key", "right", "wrong"), CASES)
def test_without_enough_people_nothing_is_said(codec: str, key: str, right: str, wrong: str) -> None:
    spec = contract(codec, **{key: wrong})
    random = np.random.default_rng(0)
    few = outputs(codec, 2)
    noise = tuple(random.random(values.shape, np.float32) - 0.3 for values in outputs(codec, 6))
    for given in ((), few, noise, tuple(np.zeros_like(values) for values in outputs(codec, 6))):
        assert not list(check_vectors(Evidence(spec=spec, outputs=given)))


def test_other_codecs_are_left_alone() -> None:
    spec = spec_from_dict({"name": "n", "skeleton": "coco17"}, "test")
    assert not list(check_vectors(Evidence(spec=spec, outputs=(np.ones((4, 17, 64, 48), np.float32),))))
