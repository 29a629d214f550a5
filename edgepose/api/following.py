"""Who counts in the frames of a source, and who is who: selection, tracking and smoothing for `run` and `load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgepose._options import option
from edgepose.api.request import words_of_classes
from edgepose.errors import UsageError
from edgepose.media.selection import Selection, seconds_of

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
class StreamOptions:
    """Who counts in the frames of a source, who is who, and which frames are taken: for `run` and `PoseModel.stream`.

    Attributes:
        detector: "whole" (one person fills the frame, the default), a boxes file (.json), or a person detector: an
            ONNX file, the folder that one was published in, or an engine folder.
            A network that finds people by itself takes no detector.
        det_score: The score that a person's box must have; None takes what the contract of the network says.
        det_classes: Names or numbers of the classes of the detector that count as people; empty takes "person". Only
            for a detector that is an ONNX file or a folder with one: an engine has its classes since it was built.
        roi: x0, y0, x1, y1 of the region that the center of a person's box must be in: fractions of the image where no
            number is above 1, else pixels.
        max_people: The largest number of people in a frame; the largest boxes stay. 0 takes all.
        track: Whether people get identities. With a person detector their boxes then come from their poses, between
            detections.
        detect_every: With tracking, the largest number of frames from one detection to the next; None adapts it to what
            happens in the picture.
        smooth: Whether the motion of every tracked person is smoothed.
        recursive: Whether to take the images in the sub-folders of a folder too, and the videos of all of them.
        start: Where in a film to begin, in seconds.
        end: Where in a film to end, in seconds; None goes to its end.
        every: Take one frame of so many.
        skip_errors: Whether to leave out damaged frames of a film and go on. Otherwise the first one ends the run.
    """

    detector: str | None = option(
        None, "--detector", "How people are found: one person fills the frame (whole, the default), a file of boxes, "
        "or a detector (ONNX file, folder or engine). A network that finds people by itself needs none.",
        metavar="whole|BOXES.json|DETECTOR",
    )  # fmt: skip
    det_score: float | None = option(
        None, "--det-score", "Score that a person's box must have; by default that of the network's contract.",
        min=0, max=1,
    )  # fmt: skip
    det_classes: tuple[str, ...] = option(
        (), "--det-classes", "Classes of the detector that count as people, by name or number; by default person. For "
        "a detector that is an ONNX file.", metavar="NAME|INDEX,...", parse=words_of_classes,
    )  # fmt: skip
    roi: tuple[float, float, float, float] | None = option(
        None, "--roi", "Only people whose box has its center in this region: pixels, or fractions of the image.",
        metavar="X0,Y0,X1,Y1", parse=region_of_text,
    )  # fmt: skip
    max_people: int = option(
        0, "--max-people", "At most so many people, those with the largest boxes; 0 is all.", min=0
    )
    track: bool = option(
        False, "--track", "Give people identities that stay over frames, and take boxes from poses between detections."
    )
    detect_every: int | None = option(
        None, "--detect-every", "With --track: the detector runs at least in every N-th frame, and sooner where a "
        "person was lost; auto (the default) watches the picture for people who enter.",
        metavar="N|auto", parse=interval_of_text,
    )  # fmt: skip
    smooth: bool = option(False, "--smooth", "Smooth the motion of every tracked person (One-Euro filter).")
    recursive: bool = option(False, "--recursive", "Take the images in sub-folders too, and videos.")
    start: float = option(0.0, "--start", "Begin at this time of a film.", metavar="SECONDS|HH:MM:SS", parse=seconds_of)
    end: float | None = option(
        None, "--end", "End at this time of a film.", metavar="SECONDS|HH:MM:SS", parse=seconds_of
    )
    every: int = option(1, "--every", "Take one frame of so many.", metavar="N", min=1)
    skip_errors: bool = option(False, "--skip-errors", "Leave out the damaged frames of a film, and go on.")

    def __post_init__(self) -> None:
        """Take times, the region and classes as text too, and refuse what no frame or nobody can meet.

        Raises:
            UsageError: A text cannot be read, a number lies outside of its range, the selection holds no frame, or
                `det_classes` is given without a detector.
        """
        for name in ("start", "end"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, seconds_of(getattr(self, name)))
        self.selection  # noqa: B018
        if self.det_score is not None and not 0 <= self.det_score <= 1:
            raise UsageError(f"--det-score {self.det_score:g}: expected a score from 0 to 1")
        if self.max_people < 0:
            raise UsageError(f"--max-people {self.max_people}: expected a number of people, or 0 for all")
        if isinstance(self.roi, str):
            object.__setattr__(self, "roi", region_of_text(self.roi))
        if isinstance(self.det_classes, str):
            object.__setattr__(self, "det_classes", words_of_classes(self.det_classes))
        if self.det_classes and self.detector is None:
            raise UsageError("--det-classes is about the classes of a detector, and there is none; add --detector")

    @property
    def selection(self) -> Selection:
        """Which frames of a source are taken."""
        return Selection(start_s=self.start, end_s=self.end, every=self.every, skip_errors=self.skip_errors)


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


def people_of(
    spec: ModelSpec,
    finder: Finder | None,
    options: StreamOptions,
    *,
    tracking: TrackingOptions | None = None,
    smoothing: SmoothingOptions | None = None,
) -> Following:
    """Put together how people are found and followed by the options of a stream.

    Args:
        spec: The contract of the pose network.
        finder: Finds people; None for a network that finds them by itself.
        options: Who counts, and whether people are tracked and smoothed.
        tracking: How they are tracked; None takes the defaults.
        smoothing: How they are smoothed; None takes the defaults.

    Raises:
        UsageError: The options need tracking or a detector, and there is none.
    """
    from edgepose.runtime.selection import PeopleSelection
    from edgepose.runtime.smoothing import SmoothingOptions
    from edgepose.runtime.tracking import TrackingOptions

    least_score = options.det_score or 0.0
    return follow_people(
        spec,
        finder,
        selection=PeopleSelection(roi=options.roi, least_score=least_score, max_people=options.max_people),
        tracking=(tracking or TrackingOptions()) if options.track else None,
        detect_every=options.detect_every,
        smoothing=(smoothing or SmoothingOptions()) if options.smooth else None,
    )


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
