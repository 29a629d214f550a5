"""Who counts in the frames of a source, and who is who: selection, tracking and smoothing for `run` and `load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec
    from edgepose.runtime.finders import Finder
    from edgepose.runtime.selection import PeopleSelection, Region
    from edgepose.runtime.smoothing import Smoother, SmoothingOptions
    from edgepose.runtime.stream import Step
    from edgepose.runtime.tracking import Follower, TrackingOptions


def interval_of_text(text: str) -> int | None:
    """Read N, or "auto" (None).

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--detect-every {text!r}: expected a number of frames from 1, or auto")
    return int(text)


def region_of_text(text: str) -> Region:
    """Read x0,y0,x1,y1.

    Raises:
        UsageError: The text is not four numbers that are the corners of a region.
    """
    from edgepose.runtime.selection import check_region

    try:
        x0, y0, x1, y1 = (float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--roi {text!r}: expected x0,y0,x1,y1, in pixels or as fractions of the image") from None
    check_region((x0, y0, x1, y1))
    return x0, y0, x1, y1


@dataclass(frozen=True, kw_only=True)
class Following:
    """How the people of a source are found and followed.

    Attributes:
        finder: Finds people for the pose network; None for a network that finds them by itself.
        steps: What is done to the poses of every frame.
        follower: The finder that spares the detector, where there is one.
        smoother: The smoother, where there is one.
    """

    finder: Finder | None
    steps: Sequence[Step]
    follower: Follower | None
    smoother: Smoother | None

    def notes(self) -> list[str]:
        """Return what there is to say after a run."""
        from edgepose.runtime.finders import notes_of

        smoothed = [self.smoother.report().line()] if self.smoother is not None else []
        return [*notes_of(self.finder), *smoothed]


def follow_people(
    spec: ModelSpec,
    finder: Finder | None,
    *,
    selection: PeopleSelection,
    tracking: TrackingOptions | None = None,
    detect_every: int | None = None,
    smoothing: SmoothingOptions | None = None,
) -> Following:
    """Put together how people are found and followed.

    Args:
        spec: The contract of the pose network.
        finder: Finds people; None for a network that finds them by itself.
        selection: Who counts.
        tracking: How people are followed; None gives no identities.
        detect_every: The largest number of frames from one detection to the next; None adapts it to the picture.
        smoothing: How joints are smoothed; None does not.

    Raises:
        UsageError: The options need tracking or a detector, and there is none.
    """
    from edgepose.runtime.finders.network import NetworkFinder
    from edgepose.runtime.selection import SelectingFinder
    from edgepose.runtime.smoothing import Smoother
    from edgepose.runtime.tracking import Follower, Schedule, Tracker

    if tracking is None and detect_every is not None:
        raise UsageError("--detect-every takes people's boxes from their tracks between detections; add --track")
    if tracking is None and smoothing is not None:
        raise UsageError("--smooth smooths the motion of each person, so it must know who is who; add --track")
    detects = isinstance(finder, NetworkFinder)
    if detect_every is not None and not detects:
        raise UsageError("--detect-every spares runs of a person detector, and there is none; leave it out")
    steps: list[Step] = []
    follower = smoother = None
    chosen: list[Step] = [] if selection.takes_all else [selection.step]
    if finder is not None and not selection.takes_all:
        finder = SelectingFinder(finder, selection)
    if tracking is not None:
        tracker = Tracker(_with_score(tracking, selection.least_score), spec.skeleton)
        if finder is not None and detects:
            finder = follower = Follower(finder, tracker, Schedule(detect_every))
            steps += [follower.finish, *chosen]
        else:
            steps += [*chosen, lambda frame, poses: tracker.update(poses, frame.time_s)]
    else:
        steps += chosen
    if smoothing is not None:
        smoother = Smoother(smoothing, spec.skeleton)
        steps.append(smoother.step)
    return Following(finder=finder, steps=steps, follower=follower, smoother=smoother)


def check_score(spec: ModelSpec, least_score: float | None) -> None:
    """Refuse a score below what a network that finds people by itself reports.

    Raises:
        UsageError: The network reports nobody of so low a score.
    """
    threshold = getattr(spec.codec, "score_threshold", 0.0)
    if least_score is not None and spec.codec.finds_people and least_score < threshold:
        raise UsageError(
            f"--det-score {least_score:g}: {spec.name} finds people by itself and reports those above {threshold:g}; "
            "give a higher score, or lower codec.score_threshold in its contract and build it again"
        )


def _with_score(tracking: TrackingOptions, least_score: float) -> TrackingOptions:
    """Let everyone begin a track whom the user asked to see."""
    if not least_score:
        return tracking
    return replace(tracking, high_score=least_score, low_score=min(tracking.low_score, least_score))
