"""Which classes of a detector count as people."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from published import returning

from edgepose.errors import UsageError
from edgepose.recognize import candidate_of, recognize
from edgepose.recognize.candidate import Candidate
from edgepose.recognize.classes import COCO_80, classes_of


def asking(*words: str) -> Candidate:
    return Candidate(path=None, model=onnx.ModelProto(), metadata={}, inputs=(), outputs=(), beside={}, classes=words)


def test_names_are_those_of_the_network_or_of_coco() -> None:
    assert len(set(COCO_80)) == 80
    assert classes_of(asking(), 1) == (1,)
    assert classes_of(asking("dog", "Person", "16"), 0, count=80) == (16, 0)
    assert classes_of(asking("rider"), 0, count=3, names={0: "car", 2: "Rider"}) == (2,)
    assert classes_of(asking("7"), 0) == (7,)


@pytest.mark.parametrize(
    ("word", "how", "message"),
    [
        ("80", {"count": 80}, "has 80 classes, which are numbered from 0"),
        ("9", {"names": {0: "person", 1: "car"}}, "has 2 classes"),
        ("persons", {"count": 80}, "did you mean 'person'"),
        ("dog", {"names": {0: "person", 1: "car"}}, "is no class of the detector; known: car, person"),
        ("dog", {"count": 20}, "20 classes without names; give the number"),
        ("dog", {}, "classes without names; give the number"),
    ],
)
def test_other_classes_are_refused(word: str, how: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classes_of(asking(word), 0, **how)  # type: ignore[arg-type]


def test_a_detector_is_rewritten_for_the_classes() -> None:
    """YOLOv8 of three classes whose metadata names them; 126 cells in an input of 64 x 96."""
    output = np.random.default_rng(0).random((4 + 3, 126)).astype(np.float32)
    model = returning({"output0": output}, size=(64, 96))
    for key, value in (("task", "detect"), ("names", "{0: 'car', 1: 'person', 2: 'rider'}"), ("imgsz", "[64, 96]")):
        model.metadata_props.add(key=key, value=value)
    found = recognize(candidate_of(model, classes=("rider", "person")))
    assert found is not None and found.guesses == ()
    (node,) = (node for node in found.model.graph.node if node.op_type == "Max")
    assert len(node.input) == 2
    with pytest.raises(UsageError, match="known: car, person, rider"):
        recognize(candidate_of(model, classes=("dog",)))


def test_a_network_that_finds_joints_has_no_classes() -> None:
    output = np.random.default_rng(0).random((14, 16, 12)).astype(np.float32)
    model = returning({"heatmaps": output}, size=(64, 48))
    if recognize(candidate_of(model)) is not None:
        with pytest.raises(UsageError, match="finds joints; leave it out"):
            recognize(candidate_of(model, classes=("person",)))
