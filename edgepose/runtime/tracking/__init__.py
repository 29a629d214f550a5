"""Identities: which person of a frame is which person of the frames before.

`Tracker` takes the poses of one frame after the other and fills in `Poses.track_ids`. `Follower` is a person finder
that takes most boxes from the tracks, and runs the detector when `Schedule` says so.
"""

from edgepose.runtime.tracking.detection import Schedule
from edgepose.runtime.tracking.follower import Follower
from edgepose.runtime.tracking.options import TrackingOptions
from edgepose.runtime.tracking.tracker import Tracker

__all__ = ["Follower", "Schedule", "Tracker", "TrackingOptions"]
