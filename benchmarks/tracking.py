"""Measure identities, smoothing, and the speed of `edgepose run --track`.

    python benchmarks/tracking.py identities   # needs trackers and trackeval, in an environment of their own
    python benchmarks/tracking.py time         # the same
    python benchmarks/tracking.py smoothing
    python benchmarks/tracking.py speed --data ../shared/data --detector ../shared/models/yolox_nano.onnx

identities: synthetic walks that cross and hide each other (`walks.py`), for edgepose's tracker and for
`ByteTrackTracker` of Roboflow's trackers with its defaults and with edgepose's score threshold and memory. Scores are
TrackEval's. --mot DIR writes ground truth and results in the MOT format. The options of the tracker were chosen on the
seeds from 9000 on; these are the seeds from 100 on.

time: one update with ten people, the trackers in turn.

smoothing: figures of the renderer, without pixels, whose joints are moved by noise; options were chosen on the seeds
from 8000 on; these are the seeds from 700 on.

speed: one video, with per-frame detection, with --track, and with rtmlib's PoseTracker on the same networks and engine,
in turn, all with an overlay and two threads. The first 45 seconds of the video were seen while the tracker was made
(--start 45 leaves them out).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from records import write_csv, write_machine
from walks import SKELETON, Walk, walk, write_mot

from edgepose._checks import Array
from edgepose.api.load import PoseModel, load
from edgepose.api.run import RunOptions, run
from edgepose.datasets.rendering.figures import sample_proportions, solve
from edgepose.datasets.rendering.motion import MOVES, move
from edgepose.datasets.rendering.raycast import Camera, look_at
from edgepose.pose.poses import Poses
from edgepose.runtime.finders import Finder
from edgepose.runtime.smoothing import Smoother, SmoothingOptions, smooth
from edgepose.runtime.tracking import Tracker, TrackingOptions

FPS = 25.0
VIDEO = "video/one-by-one-person-detection.mp4"
Update = Callable[[Poses, float], tuple[Array, Array]]


def ours() -> Update:
    tracker = Tracker(TrackingOptions(), SKELETON)

    def update(poses: Poses, time_s: float) -> tuple[Array, Array]:
        found = tracker.update(poses, time_s)
        known = found.track_ids > 0
        return found.track_ids[known], found.boxes_xyxy[known]

    return update


def roboflow(**options: Any) -> Update:
    import supervision
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(frame_rate=FPS, **options)

    def update(poses: Poses, time_s: float) -> tuple[Array, Array]:
        people = np.zeros(len(poses), int)
        boxes = supervision.Detections(xyxy=poses.boxes_xyxy, confidence=poses.box_scores, class_id=people)
        found = tracker.update(boxes)
        known = found.tracker_id >= 0
        return found.tracker_id[known], found.xyxy[known]

    return update


TRACKERS: dict[str, Callable[[], Update]] = {
    "edgepose": ours,
    "trackers ByteTrack, defaults": roboflow,
    "trackers ByteTrack, edgepose's threshold and memory": lambda: roboflow(
        track_activation_threshold=0.3, high_conf_det_threshold=0.3, lost_track_buffer=60
    ),
}


def identities(mot: Path | None) -> None:
    from identities import scores

    sets = {
        "walks": [walk(100 + i, people=people) for i, people in enumerate((4, 6, 8, 10, 12, 10, 8, 6))],
        "walks, dropped frames": [walk(200 + i, uneven=True) for i in range(4)],
    }
    rows = []
    for label, walks in sets.items():
        found: dict[str, list[list[tuple[Array, Array]]]] = {name: [] for name in TRACKERS}
        for sequence in walks:
            for name, make in TRACKERS.items():
                update = make()
                frames = zip(sequence.found, sequence.time_s, strict=True)
                found[name].append([update(poses, float(time_s)) for poses, time_s in frames])
        for name, tracks in found.items():
            score = scores(walks, tracks)
            rows.append([label, name, len(walks), *(f"{value:.2f}" for value in score.values())])
            print(rows[-1], flush=True)
            if mot is not None:
                _write(mot, label, name, walks, tracks)
    write_csv(
        "tracking-identities.csv",
        ["sequences", "tracker", "number", "hota", "deta", "assa", "idf1", "mota", "switches"],
        rows,
    )
    write_machine("tracking-identities")


def _write(folder: Path, label: str, name: str, walks: list[Walk], tracks: list[list[tuple[Array, Array]]]) -> None:
    for i, (sequence, its) in enumerate(zip(walks, tracks, strict=True)):
        frames = range(len(sequence.time_s))
        truth = ((f, int(k), box, 1.0) for f in frames for k, box in zip(*sequence.truth(f), strict=True))
        write_mot(folder / label / "truth", f"{i:02d}", truth)
        result = ((f, int(k), box, 1.0) for f in frames for k, box in zip(*its[f], strict=True))
        write_mot(folder / label / name, f"{i:02d}", result)


def times() -> None:
    """Time one update with 10 people, the trackers in turn."""
    sequence = walk(300, people=10)
    updates = {name: make() for name, make in TRACKERS.items()}
    taken: dict[str, list[float]] = {name: [] for name in updates}
    for poses, time_s in zip(sequence.found, sequence.time_s, strict=True):
        for name, update in updates.items():
            start = time.perf_counter()
            update(poses, float(time_s))
            taken[name].append(1000 * (time.perf_counter() - start))
    rows: list[list[object]] = []
    for name, every in taken.items():
        rows.append([name, 10, len(every), *(f"{np.percentile(every[20:], q):.3f}" for q in (50, 95))])
        print(rows[-1], flush=True)
    write_csv("tracking-time.csv", ["tracker", "people", "frames", "p50_ms", "p95_ms"], rows)
    write_machine("tracking-time")


def _figure(seed: int, moving: bool, noise: float) -> tuple[Array, list[Poses], Array]:
    """Return the true joints [F, 14, 2], the noisy poses and the times of one figure."""
    rng = np.random.default_rng(seed)
    body = sample_proportions(rng)
    world = solve(body, move(rng, body, MOVES[seed % len(MOVES)], 250, FPS)).lsp_xyz_world()
    eye = np.array([0.0, 1.5, 7.0])
    camera = Camera(look_at(eye, np.array([0.0, 0.92, 0.0])), eye, 1736.0, np.array([639.5, 359.5]))
    xy = camera.project(world)[..., :2]
    xy = xy if moving else np.repeat(xy[:1], len(xy), axis=0)
    boxes = np.concatenate([xy.min(axis=1) - 20, xy.max(axis=1) + 20], axis=-1)
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))[:, None, None]
    shift = rng.normal(0, noise, xy.shape) * size
    for i in range(1, len(shift)):  # a network makes similar mistakes in similar frames
        shift[i] = 0.3 * shift[i - 1] + np.sqrt(1 - 0.09) * shift[i]
    poses = [
        Poses(
            skeleton=SKELETON,
            xy_image=(xy[i] + shift[i])[None].astype(np.float32),
            scores=np.full((1, 14), 0.8, np.float32),
            boxes_xyxy=boxes[i : i + 1].astype(np.float32),
            box_scores=np.ones(1, np.float32),
            track_ids=np.ones(1, np.int64),
        )
        for i in range(len(xy))
    ]
    return xy, poses, np.arange(len(xy)) / FPS


@dataclass
class _Sums:
    before: float = 0.0
    after: float = 0.0
    right_before: list[float] = field(default_factory=list)
    right_after: list[float] = field(default_factory=list)
    behind: float = 0.0
    speed: float = 0.0


def smoothing() -> None:
    rows = []
    for moving in (False, True):
        for noise in (0.01, 0.02, 0.04):
            for method in ("online", "offline"):
                sums = _Sums()
                for seed in range(16):
                    _add(sums, *_figure(700 + seed, moving, noise), method)
                reduction = 100 * (1 - np.sqrt(sums.after / sums.before))
                pck = [100 * float(np.mean(right)) for right in (sums.right_before, sums.right_after)]
                lag = 1000 * sums.behind / sums.speed if moving else 0.0
                label = "moving" if moving else "static"
                rows.append([method, label, noise, f"{reduction:.1f}", *(f"{p:.2f}" for p in pck), f"{lag:.1f}"])
                print(rows[-1], flush=True)
    write_csv(
        "tracking-smoothing.csv",
        ["method", "people", "noise_of_size", "jitter_reduction", "pck_before", "pck_after", "lag_ms"],
        rows,
    )
    write_machine("tracking-smoothing")


def _add(sums: _Sums, xy: Array, poses: list[Poses], times: Array, method: str) -> None:
    if method == "online":
        smoother = Smoother(SmoothingOptions(), SKELETON)
        made = [smoother.update(one, float(time_s)) for one, time_s in zip(poses, times, strict=True)]
    else:
        made = smooth(poses, times.tolist())
    raw, out = (np.array([one.xy_image[0] for one in every]) for every in (poses, made))
    torso = np.linalg.norm(xy[:, 9] - xy[:, 2], axis=1)[:, None]  # left shoulder to right hip
    sums.before += _jitter(raw - xy)
    sums.after += _jitter(out - xy)
    sums.right_before.append(float((np.linalg.norm(raw - xy, axis=2) < 0.2 * torso).mean()))
    sums.right_after.append(float((np.linalg.norm(out - xy, axis=2) < 0.2 * torso).mean()))
    speed = np.gradient(xy, times, axis=0)
    sums.behind += float((speed * (xy - out)).sum())
    sums.speed += float(np.square(speed).sum())


def _jitter(error: Array) -> float:
    return float(np.square(error[2:] - 2 * error[1:-1] + error[:-2]).sum())


class PeerPipeline:
    """rtmlib's PoseTracker, with the networks of edgepose, as a pipeline of `run_stream`.

    Args:
        network: The pose network.
        finder: The detector.
        every: Frames from one detection to the next.
    """

    ahead, finds_people = 0, True

    def __init__(self, network: PoseModel, finder: Finder, every: int) -> None:
        from rtmlib import PoseTracker

        self.detections = 0

        class Detector:
            det_mode = "human"

            def __call__(_, image: Array) -> Array:
                self.detections += 1
                return finder(image, "", None)[0]

        def pose(image: Array, bboxes: Any) -> tuple[Array, Array]:
            boxes = np.array(bboxes, np.float32).reshape(-1, 4)
            found = network.pipeline(image, boxes)
            return found.xy_image, found.scores

        class Solution:
            def __init__(self, **_: Any) -> None:
                self.det_model, self.pose_model = Detector(), pose

        self._tracker = PoseTracker(Solution, det_frequency=every)
        self._skeleton = network.skeleton

    def begin(self, image: Array) -> Callable[[], Poses]:
        xy, scores = self._tracker(image)
        people = len(xy)
        xy = np.asarray(xy, np.float32).reshape(people, len(self._skeleton), 2)
        poses = Poses(
            skeleton=self._skeleton,
            xy_image=xy,
            scores=np.asarray(scores, np.float32).reshape(people, len(self._skeleton)),
            boxes_xyxy=np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).reshape(people, 4),
            box_scores=np.ones(people, np.float32),
            track_ids=np.array(self._tracker.track_ids_last_frame[:people], np.int64) if people else None,
        )
        return lambda: poses


def _run_peer(
    model: str, detector: Path, source: Path, out: Path, sink: Any, every: int, start_s: float, end_s: float | None
) -> tuple[int, int]:
    """Run rtmlib's tracker as `run` would: reading, drawing and writing overlap with the networks."""
    from edgepose.media.draw import draw_poses
    from edgepose.media.selection import Selection as FrameSelection
    from edgepose.media.sources import open_source
    from edgepose.media.video import VideoWriter
    from edgepose.runtime.stream import run_stream

    with (
        load(model, threads=2) as network,
        network.finder(str(detector)) as finder,
        open_source(str(source), selection=FrameSelection(start_s=start_s, end_s=end_s)) as frames,
    ):
        assert finder is not None
        pipeline = PeerPipeline(network, finder, every)
        with VideoWriter(out, frames.fps, frames.canvas()) as video:

            def overlay(frame: Any, poses: Poses) -> None:
                video.write(draw_poses(frame.image, poses, labels=True), frame.time_s)

            return run_stream(frames, pipeline, [overlay, sink]), pipeline.detections  # type: ignore[arg-type]


def speed(data: Path, detector: Path, model: str, rounds: int, start_s: float, end_s: float | None) -> None:
    """Time whole runs in turn, and compare which frames have a pose."""
    load(model, threads=2).close()  # builds it
    people: dict[str, list[int]] = {}
    taken: dict[str, list[float]] = {}
    detections: dict[str, int] = {}
    for _ in range(rounds):
        for name in ("per-frame", "track", "rtmlib PoseTracker, every 10 frames"):
            with tempfile.TemporaryDirectory() as folder:
                found: list[int] = []

                def sink(frame: Any, poses: Poses, found: list[int] = found) -> None:
                    found.append(len(poses))

                out = Path(folder) / "out.mp4"
                start = time.perf_counter()
                if name.startswith("rtmlib"):
                    count, detected = _run_peer(model, detector, data / VIDEO, out, sink, 10, start_s, end_s)
                else:
                    options = RunOptions(
                        detector=str(detector),
                        threads=2,
                        track=name == "track",
                        out_video=out,
                        start=start_s,
                        end=end_s,
                    )
                    result = run(model, source=data / VIDEO, options=options, sinks=[sink])
                    count, detected = result.frames, result.detections or result.frames
                taken.setdefault(name, []).append(count / (time.perf_counter() - start))
                people[name], detections[name] = found, detected
                print(name, f"{taken[name][-1]:.1f} frames per second", flush=True)
    there = np.array(people["per-frame"]) > 0
    rows = []
    for name, rates in taken.items():
        shown = np.array(people[name][: len(there)]) > 0
        kept, extra = 100 * float(shown[there].mean()), int((shown & ~there).sum())
        rows.append([name, len(there), f"{np.median(rates):.2f}", detections[name], f"{kept:.2f}", extra])
        print(rows[-1], flush=True)
    columns = ["method", "frames", "frames_per_s", "detections", "frames_with_pose_kept", "frames_with_pose_extra"]
    write_csv("tracking-speed.csv", columns, rows)
    write_machine("tracking-speed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("identities", "time", "smoothing", "speed"))
    parser.add_argument("--mot", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--detector", type=Path, default=Path("../shared/models/yolox_nano.onnx"))
    parser.add_argument("--model", default="lite")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--start", type=float, default=0.0, help="seconds of the video")
    parser.add_argument("--end", type=float, help="seconds of the video; by default all of it")
    given = parser.parse_args()
    if given.what == "identities":
        identities(given.mot)
    elif given.what == "time":
        times()
    elif given.what == "smoothing":
        smoothing()
    else:
        speed(given.data, given.detector, given.model, given.rounds, given.start, given.end)


if __name__ == "__main__":
    main()
