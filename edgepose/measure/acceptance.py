"""Run the acceptance sample: does this session compute what the float network computes?

    found = examine(session, manifest.spec, read_acceptance(folder, manifest))
    print(found.describe(), found.problem("int8"))

Run only the tests of this file with `pytest tests/measure/test_acceptance.py`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.acceptance import Acceptance
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.codec import People
from edgepose.errors import ModelError, SpecError
from edgepose.measure.agreement import MOVED, Agreement, compare, moved
from edgepose.measure.boxes import compared_skeleton
from edgepose.measure.matched import Crowd, same_people

CROPS = 5  # OpenVINO runs them as a batch of 4 and one of 1, for each of which it compiles the network
FALL_DB = 10.0  # below what was measured at the build: three times the noise


class Runs(Protocol):
    """What can be examined: a session, or a graph that is no engine yet."""

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on arrays [N, ...]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What a session makes of an acceptance sample.

    Attributes:
        outputs: The agreement of each output with that of the float network.
        joints_moved: The share of joints that moved by more than 0.05 of the box; None where joints cannot be
            compared. A person whom only one of the networks finds has moved with all joints.
        count: The number of crops.
        listed: Whether the outputs are lists, see `Codec.lists_people`.
    """

    outputs: Mapping[str, Agreement]
    joints_moved: float | None = None
    count: int = 0
    listed: bool = False

    def problem(self, precision: str, recorded_db: Mapping[str, float] | None = None) -> str | None:
        """Return why the results cannot be right, as a clause about the first wrong output, or None.

        Args:
            precision: The precision of the engine.
            recorded_db: The signal-to-noise ratio of each output when the engine was built.
        """
        for name, found in self.outputs.items():
            wrong = found.problem(precision, self.joints_moved, listed=self.listed)
            before = (recorded_db or {}).get(name, -math.inf)
            if wrong is None and precision != "fp32" and not self.listed and found.snr_db < before - FALL_DB:
                wrong = f"its signal-to-noise ratio is {found.snr_db:.1f} dB; it was {before:.1f} dB when it was built"
            if wrong is not None:
                return f"output {name!r} is not what the float network computes: {wrong}"
        return None

    def warnings(self, precision: str) -> tuple[str, ...]:
        """Return what is doubtful about the results, a clause for each output."""
        if self.listed:
            return ()
        found = {name: item.warning(precision) for name, item in self.outputs.items()}
        return tuple(f"output {name!r}: {text}" for name, text in found.items() if text)

    def describe(self) -> str:
        """Return the numbers as one line."""
        parts = [f"{name}: {found.describe()}" for name, found in self.outputs.items()]
        if self.joints_moved is not None:
            parts.append(f"{100 * self.joints_moved:.1f} % of joints moved")
        return "; ".join(parts)

    def snr_db(self) -> dict[str, float]:
        """Return the signal-to-noise ratio of each output that has a finite one."""
        return {name: round(one.snr_db, 2) for name, one in self.outputs.items() if math.isfinite(one.snr_db)}


def examine(session: Runs, spec: ModelSpec, acceptance: Acceptance) -> Examination:
    """Run a session on the crops of an acceptance sample, which are repeated where they are few.

    Args:
        session: The session.
        spec: The contract of the network.
        acceptance: The crops and the results of the float network.

    Raises:
        EngineError: The session cannot run.
    """
    rows = np.arange(max(len(acceptance.inputs), CROPS)) % len(acceptance.inputs)
    found = session.run({spec.input.name: acceptance.inputs[rows]})
    repeated = acceptance.rows(rows)
    return examined(found, spec, repeated)


def examined(found: Mapping[str, Array], spec: ModelSpec, acceptance: Acceptance) -> Examination:
    """Compare outputs with those of the float network; see `examine`.

    Args:
        found: The outputs by name, [N, ...] each.
        spec: The contract of the network.
        acceptance: The crops and the results of the float network.
    """
    return Examination(
        outputs={name: compare(value, found[name]) for name, value in acceptance.outputs.items()},
        joints_moved=_moved(spec, acceptance, found),
        count=len(acceptance.inputs),
        listed=spec.codec.lists_people,
    )


def joints_of(spec: ModelSpec, outputs: Mapping[str, Array]) -> Array | None:
    """Decode outputs to joints in pixels of the crop, [N, K, 3]; None where that is impossible.

    A codec that finds people returns another number of them each time, which cannot be compared joint by joint.
    """
    if spec.codec.finds_people:
        return None
    decoded = [outputs[name] for name in spec.outputs[: len(spec.codec.decodes)]]
    whole = np.tile(np.eye(2, 3), (len(decoded[0]), 1, 1))
    with contextlib.suppress(ModelError, SpecError):  # a score that is not finite
        joints = spec.codec.decode(decoded, None, whole, spec)
        return joints if isinstance(joints, np.ndarray) else None
    return None


def people_in(spec: ModelSpec, outputs: Mapping[str, Array]) -> tuple[Crowd, float] | None:
    """Decode the outputs of a network that finds people, in pixels of its input.

    Args:
        spec: The contract of the network.
        outputs: The outputs by name, [N, ...] each, for N images.

    Returns:
        The people, also those of a low score, and the score that counts (`Codec.for_comparison`); None where they
        cannot be decoded.
    """
    codec, counted_from = spec.codec.for_comparison()
    decoded = [outputs[name] for name in spec.outputs[: len(codec.decodes)]]
    whole, people = np.eye(2, 3)[None], []
    try:
        for i in range(len(decoded[0])):
            found = codec.decode([output[i : i + 1] for output in decoded], None, whole, spec)
            assert isinstance(found, People)
            people.append(found)
    except (ModelError, SpecError):  # a score that is not finite
        return None
    joints = len(compared_skeleton(spec.skeleton))
    return Crowd(
        image=np.repeat(np.arange(len(people)), [len(one.box_scores) for one in people]),
        xy=np.concatenate([np.zeros((0, joints, 2)), *(_known(one) for one in people)]),
        scores=np.concatenate([np.zeros((0, joints)), *(_joint_scores(one) for one in people)]),
        person_scores=np.concatenate([np.zeros(0), *(one.box_scores for one in people)]),
    ), counted_from


def _joint_scores(people: People) -> Array:
    """Return the scores of joints [P, K]; ones for the corners of boxes without joints."""
    return people.scores if people.scores.shape[1] else np.ones((len(people.box_scores), 2))


def _known(people: People) -> Array:
    """Return joints [P, K, 2], NaN where one was not found; the corners of boxes without joints."""
    if not people.scores.shape[1]:
        return people.boxes_xyxy.reshape(-1, 2, 2).astype(np.float64)
    return np.where(people.scores[..., None] > 0, people.xy_image.astype(np.float64), np.nan)


def _people_moved(spec: ModelSpec, expected: Mapping[str, Array], found: Mapping[str, Array]) -> float | None:
    """Return the share of joints that moved, of a detector the share of corners; None where neither finds anyone."""
    wanted = people_in(spec, expected)
    if wanted is None:
        return None
    got = people_in(spec, found)
    if got is None:
        return 1.0
    pairs = same_people(wanted[0], got[0], compared_skeleton(spec.skeleton), wanted[1])
    counted = np.isfinite(pairs.expected).all(axis=2)
    away = np.linalg.norm(pairs.found - pairs.expected, axis=2)
    near = away <= MOVED * _sides(pairs.expected)[:, None]
    return float((~near[counted]).mean()) if counted.any() else None


def _sides(xy: Array) -> Array:
    """Return the longer side of the box around the joints of people [P, K, 2], [P]; 0 without joints."""
    low = np.where(np.isfinite(xy), xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(np.isfinite(xy), xy, -np.inf).max(axis=1, initial=-np.inf)
    return np.asarray((high - low).max(axis=1, initial=0.0))


def _moved(spec: ModelSpec, acceptance: Acceptance, found: Mapping[str, Array]) -> float | None:
    if spec.codec.finds_people:
        return _people_moved(spec, acceptance.outputs, found)
    if acceptance.joints is None or any(found[name].shape != one.shape for name, one in acceptance.outputs.items()):
        return None
    joints = joints_of(spec, found)
    if joints is None:
        return None
    return moved(acceptance.joints, joints, max(spec.input.size) / spec.crop.padding)
