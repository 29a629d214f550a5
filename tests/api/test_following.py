"""Options of people: what they need, and how their flags are read."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.api.following import StreamOptions, check_score, follow_people, interval_of_text, region_of_text
from edgepose.api.run import RunOptions
from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.errors import UsageError
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.finders.network import NetworkFinder
from edgepose.runtime.finders.whole import whole_frame
from edgepose.runtime.selection import PeopleSelection
from edgepose.runtime.smoothing import SmoothingOptions
from edgepose.runtime.tracking import TrackingOptions

SPEC = ModelSpec(name="net", skeleton=SKELETONS["lsp14"], input=InputSpec(size=(256, 192)), codec=HeatmapCodec())
ONE = ModelSpec(
    name="one",
    skeleton=SKELETONS["coco17"],
    input=InputSpec(size=(64, 64)),
    codec=OnestageCodec(score_threshold=0.3),
    outputs=("people",),
)


def test_intervals_and_regions_are_read():
    assert interval_of_text("auto") is None
    assert interval_of_text("7") == 7
    assert region_of_text("0,0.5,1,1") == (0, 0.5, 1, 1)
    assert RunOptions(roi="10,20,30,40").roi == (10, 20, 30, 40)


def test_times_are_read():
    options = StreamOptions(start="1:30", end="0:02:00")
    assert (options.start, options.end) == (90, 120)
    with pytest.raises(UsageError, match="is no time"):
        StreamOptions(end="soon")


@pytest.mark.parametrize(
    ("given", "message"),
    [({"det_score": 2}, "score from 0 to 1"), ({"det_score": -0.1}, "score"), ({"max_people": -1}, "--max-people -1")],
)
def test_numbers_outside_of_their_range_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        StreamOptions(**given)


@pytest.mark.parametrize("text", ["0", "-1", "often", "1.5", ""])
def test_other_intervals_are_refused(text):
    with pytest.raises(UsageError, match="--detect-every"):
        interval_of_text(text)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,0,0,0", ""])
def test_other_regions_are_refused(text):
    with pytest.raises(UsageError, match="roi"):
        region_of_text(text)


def test_options_that_need_tracking_say_so():
    with pytest.raises(UsageError, match="add --track"):
        follow_people(SPEC, NetworkFinder(None), selection=PeopleSelection(), detect_every=3)
    with pytest.raises(UsageError, match="add --track"):
        follow_people(SPEC, None, selection=PeopleSelection(), smoothing=SmoothingOptions())
    with pytest.raises(UsageError, match="leave it out"):
        follow_people(SPEC, whole_frame, selection=PeopleSelection(), tracking=TrackingOptions(), detect_every=3)


def test_a_detector_is_spared_and_other_finders_are_asked_for_every_frame():
    spared = follow_people(SPEC, NetworkFinder(None), selection=PeopleSelection(), tracking=TrackingOptions())
    assert spared.follower is not None and spared.finder is spared.follower
    asked = follow_people(SPEC, whole_frame, selection=PeopleSelection(), tracking=TrackingOptions())
    assert asked.follower is None and asked.finder is whole_frame and len(asked.steps) == 1


def test_without_options_nothing_changes():
    plain = follow_people(SPEC, whole_frame, selection=PeopleSelection())
    assert plain.finder is whole_frame and not plain.steps and plain.notes() == []


def test_a_score_below_that_of_the_network_is_refused():
    check_score(ONE, 0.5)
    check_score(ONE, None)
    check_score(SPEC, 0.1)
    with pytest.raises(UsageError, match=r"reports those above 0\.3"):
        check_score(ONE, 0.1)


def test_a_smoothed_run_reports_jitter():
    people = follow_people(
        SPEC, None, selection=PeopleSelection(), tracking=TrackingOptions(), smoothing=SmoothingOptions()
    )
    poses = Poses(
        skeleton=SPEC.skeleton,
        xy_image=np.zeros((1, 14, 2), np.float32),
        scores=np.ones((1, 14), np.float32),
        boxes_xyxy=np.array([[0, 0, 50, 100]], np.float32),
        box_scores=np.ones(1, np.float32),
    )

    class At:
        time_s = 0.0

    for i in range(5):
        At.time_s = i / 25
        found = poses
        for step in people.steps:
            found = step(At, found)
    assert found.track_ids.tolist() == [1]
    assert people.smoother.report().joints == 3 * 14
    assert people.notes()[-1].startswith("smoothing: jitter 0.00 %")
