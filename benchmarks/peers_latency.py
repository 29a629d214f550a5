"""Compare the latency of edgepose with that of the networks' own runtimes, end to end on the same photograph.

    python benchmarks/peers_latency.py --data ../shared/data --models ../shared/models [--seconds 100]

It runs in the environment of `peers.py`, with ultralytics and rtmlib, on a machine where nothing else runs. Timed are

- YOLO11n-pose, 640 x 640: `ultralytics.YOLO(FILE).predict`, and edgepose;
- YOLOX-nano, then PP-TinyPose for each box: rtmlib's `YOLOX` and `ViTPose`, and edgepose;
- the same with a SimCC network in the place of PP-TinyPose: rtmlib's `YOLOX` and `RTMPose`, and edgepose. Its weights
  are random, on which the time does not depend.

All networks run in ONNX Runtime with one thread, and OpenCV and torch have one thread, too. The calls are interleaved:
each round runs each of the six once, in random order. The time of the network is measured around every `run` of an ONNX
Runtime session, in the same way for all; the rest of a call is the time around the network. Both of a pair must find
the same number of people in about the same places, or the script ends with an error.

edgepose runs the people of a frame as one batch, rtmlib one after another.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from records import write_csv, write_machine

import edgepose
from edgepose._checks import Array
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.codecs.onestage import OnestageCodec
from edgepose.export.foreign import import_network
from edgepose.measure.latency import ratio, time_interleaved
from edgepose.runtime.finders.network import NetworkFinder
from edgepose.runtime.host import HostPipeline

COLUMNS = ["networks", "runtime", "version", "people", "rounds", "part", "p50_ms", "p95_ms", "times_edgepose",
           "times_low", "times_high"]  # fmt: skip
PHOTOGRAPH = "coco-mini/val2017/000000217285.jpg"
DETECTOR_SCORE, DETECTOR_IOU = 0.5, 0.45
CLOSE_PX = 12.0  # the median distance of a pair's joints; rtmlib feeds BGR to RGB networks and reads their maps by UDP
WARM_UP = 3


@dataclass(kw_only=True)
class Subject:
    """A runtime with its networks.

    Attributes:
        networks: The pair that it belongs to.
        runtime: The name of the project.
        call: Finds the joints of everyone in the photograph, [N, K, 2].
        compared: Whether the joints can be compared with those of the other of the pair.
        network: Seconds that the networks took, one for each call.
    """

    networks: str
    runtime: str
    call: Callable[[], Array]
    compared: bool = True
    network: list[float] = field(default_factory=list)

    def __call__(self) -> Array:
        """Run once, and note the time of the networks."""
        Watched.seconds = 0.0
        joints = self.call()
        self.network.append(Watched.seconds)
        return joints


class Watched:
    """An ONNX Runtime session that adds up the time of its runs.

    Attributes:
        seconds: The time of all sessions since it was set to 0.
    """

    seconds = 0.0

    def __init__(self, session: Any) -> None:
        self._watched = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)

    def run(self, *args: Any) -> Any:
        """Run the session, as `InferenceSession.run`."""
        begin = time.perf_counter()
        outputs = self._watched.run(*args)
        Watched.seconds += time.perf_counter() - begin
        return outputs


@contextmanager
def watched_sessions() -> Iterator[None]:
    """Let every ONNX Runtime session that opens inside have one thread, and be watched."""
    import onnxruntime

    kind = onnxruntime.InferenceSession

    def opened(graph: Any, options: Any = None, *rest: Any, **named: Any) -> Watched:
        options = options or named.pop("sess_options", None) or onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = named.pop("path_or_bytes", graph)
        return Watched(kind(graph, options, *rest, **named))

    def either(*args: Any, **named: Any) -> Watched:
        return opened(*args, **named) if args else opened(named.pop("path_or_bytes"), **named)

    onnxruntime.InferenceSession = either
    try:
        yield
    finally:
        onnxruntime.InferenceSession = kind


def ours(path: Path, stack: ExitStack, detector: bool = False) -> HostPipeline:
    """Open a network without a spec in edgepose, with ONNX Runtime and one thread.

    Args:
        path: The ONNX file.
        stack: What closes it.
        detector: Whether it gets the thresholds of the detectors here.
    """
    made = import_network(path, None)
    spec = made.spec
    if detector:
        assert isinstance(spec.codec, OnestageCodec)
        spec = replace(spec, codec=replace(spec.codec, score_threshold=DETECTOR_SCORE, iou_threshold=DETECTOR_IOU))
    session = OnnxRuntimeSession(made.model.SerializeToString(), OpenOptions(threads=1))
    return stack.enter_context(HostPipeline(stack.enter_context(session), spec, threads=1))


def one_stage(path: Path, image: Array, stack: ExitStack) -> Iterator[Subject]:
    """Yield edgepose and ultralytics for one network."""
    from ultralytics import YOLO

    pipeline, name = ours(path, stack), "YOLO11n-pose"
    yield Subject(networks=name, runtime="edgepose", call=lambda: pipeline(image).xy_image)
    peer = YOLO(str(path), task="pose")
    size = list(pipeline.spec.input.size)

    def predicted() -> Array:
        found = peer.predict(image, imgsz=size, rect=False, verbose=False)
        return np.asarray(found[0].keypoints.xy.numpy() - 0.5)

    yield Subject(networks=name, runtime="ultralytics", call=predicted)


def two_stages(
    detector: Path, path: Path, image: Array, kind: type[Any], networks: str, stack: ExitStack, *, compared: bool
) -> Iterator[Subject]:
    """Yield edgepose and rtmlib for a detector and a pose network.

    Args:
        detector: The ONNX file of YOLOX-nano.
        path: That of the pose network.
        image: The photograph.
        kind: The class of rtmlib that runs the pose network.
        networks: The name of the pair.
        stack: What closes the sessions.
        compared: As in `Subject`.
    """
    from rtmlib import YOLOX

    finder, pipeline = NetworkFinder(ours(detector, stack, detector=True)), ours(path, stack)

    def found() -> Array:
        boxes, scores = finder(image, "")
        return pipeline(image, boxes, scores).xy_image

    yield Subject(networks=networks, runtime="edgepose", call=found, compared=compared)
    size = finder.pipeline.spec.input.size
    first = YOLOX(str(detector), size, "multiclass", DETECTOR_IOU, DETECTOR_SCORE)
    second = kind(str(path), pipeline.spec.input.size[::-1])

    def theirs() -> Array:
        boxes, labels = first(image)
        joints, _ = second(image, boxes[labels == 0])
        return np.asarray(joints)

    yield Subject(networks=networks, runtime="rtmlib", call=theirs, compared=compared)


def check(subjects: list[Subject]) -> int:
    """Return how many people a pair finds.

    Args:
        subjects: edgepose and its peer.
    """
    found = [subject.call() for subject in subjects]
    counts = [len(joints) for joints in found]
    if len(set(counts)) > 1 or not counts[0]:
        sys.exit(f"{subjects[0].networks}: {subjects[0].runtime} and {subjects[1].runtime} find {counts} people")
    away = np.linalg.norm(found[0][:, None] - found[1][None], axis=-1)  # of everyone from everyone, [N, N, K]
    median = np.median(away, axis=-1).min(axis=1).max()
    print(f"{subjects[0].networks}: {counts[0]} people, joints {median:.2f} px apart in the median", flush=True)
    if subjects[0].compared and median > CLOSE_PX:
        sys.exit(f"{subjects[0].networks}: the joints of the two lie {median:.1f} px apart in the median")
    return counts[0]


def simcc_network(folder: Path) -> Path:
    """Write a SimCC network with the backbone of a recipe and random weights, without a contract."""
    import onnx
    import torch
    from projects.simcc_network import SimccNetwork

    path = folder / "simcc.onnx"
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 256, 192)
    torch.onnx.export(
        SimccNetwork().eval(), (image,), str(path), input_names=["input"], output_names=["simcc_x", "simcc_y"],
        dynamic_axes={name: {0: "batch"} for name in ("input", "simcc_x", "simcc_y")}, opset_version=17, dynamo=False,
    )  # fmt: skip
    onnx.checker.check_model(str(path))
    return path


def rows_of(subjects: Iterable[Subject], people: dict[str, int], seconds: dict[str, Array]) -> Iterator[list[object]]:
    """Yield the rows of the table: the whole call, the networks, and the time around them."""
    reference: dict[tuple[str, str], Array] = {}
    for subject in subjects:
        total = seconds[_key(subject)]
        network = np.array(subject.network[-len(total) :])
        for part, its in (("total", total), ("network", network), ("around", total - network)):
            fast = reference.setdefault((subject.networks, part), its)
            p50, p95 = np.percentile(its * 1e3, (50, 95))
            times = ratio(its, fast)
            own = subject.runtime == "edgepose"
            known = edgepose.__version__ if own else version(subject.runtime)
            ends = ["", "", ""] if own else [f"{value:.2f}" for value in (times.value, times.low, times.high)]
            about = [subject.networks, subject.runtime, known, people[subject.networks], len(total), part]
            yield [*about, f"{p50:.3f}", f"{p95:.3f}", *ends]


def _key(subject: Subject) -> str:
    return f"{subject.networks}: {subject.runtime}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--seconds", type=float, default=100.0, help="about how long to time")
    parser.add_argument("--dry", action="store_true", help="print the rows and write no file")
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    import cv2
    import torch
    from projects.torchvision_nms import stand_in

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    stand_in()
    image = cv2.imread(str(given.data / PHOTOGRAPH))
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        os.environ["YOLO_CONFIG_DIR"] = work
        yolo = Path(work) / "yolo11n-pose.onnx"
        _unpack(given.models, "yolo11n-pose-640.packed.onnx", yolo)
        stack.enter_context(watched_sessions())
        from rtmlib import RTMPose
        from rtmlib.tools.pose_estimation.vitpose import ViTPose

        detector, tiny = given.models / "yolox_nano.onnx", given.models / "pp_tinypose_256x192.onnx"
        subjects = [
            *one_stage(yolo, image, stack),
            *two_stages(detector, tiny, image, ViTPose, "YOLOX-nano, PP-TinyPose", stack, compared=True),
            *two_stages(
                detector, simcc_network(Path(work)), image, RTMPose, "YOLOX-nano, SimCC", stack, compared=False
            ),
        ]
        people = {subjects[at].networks: check(subjects[at : at + 2]) for at in range(0, len(subjects), 2)}
        begin = time.perf_counter()
        for subject in subjects:
            subject()
        rounds = max(5, int(given.seconds / (time.perf_counter() - begin)) - WARM_UP)
        seconds = time_interleaved({_key(subject): subject for subject in subjects}, rounds, WARM_UP)
        rows = list(rows_of(subjects, people, seconds))
    for row in rows:
        print(*row, sep=",")
    if not given.dry:
        write_csv("peers-latency.csv", COLUMNS, rows)
        write_machine("peers-latency")


def _unpack(models: Path, name: str, target: Path) -> None:
    import onnx

    model = onnx.load(models / name)
    runpy.run_path(str(models / "pack.py"))["unpack"](model)
    onnx.save(model, target)


if __name__ == "__main__":
    main()
