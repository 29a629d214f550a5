"""Measure several videos at once on one engine: frames per second, latency and memory.

    python benchmarks/streams.py speed --data ../shared/data
    python benchmarks/streams.py memory --minutes 10 --data ../shared/data

The videos are parts of one, scaled to 1280 x 720.

speed: one video alone by the path of a single source, and four at once, in turn. "files" are read as fast as they are
processed; "cameras" give their frames in real time, and lose those that come too fast. Latency is the time from the
end of reading a frame to the call of the sink, in files with the time in the queues.

memory: four videos at once, over and over. The resident memory of the process is read every second. Growth is the
difference between the medians of the last and of the second quarter of the time; the first quarter is the warm-up.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from faulty_camera import film
from records import write_csv, write_machine
from soak import resident_mib

from edgepose.api.load import PoseModel, load
from edgepose.media.sources import Frame, Source, open_source
from edgepose.media.video import VideoWriter
from edgepose.pose.poses import Poses
from edgepose.runtime.stream import run_stream
from edgepose.runtime.streams import Stream, run_streams

VIDEO = Path("video") / "one-by-one-person-detection.mp4"
SIZE, RATE = (720, 1280), 10.0
STREAMS = 4
CAMERA_RATE = 3.0  # frames per second of a camera


class Watched:
    """A source that notes when its frames were read, and may give them in real time or over and over.

    Args:
        path: The video.
        rate: Frames per second of a camera; None reads as fast as possible.
        until: The time of `time.monotonic` up to which the video begins again; None reads it once.
    """

    dropped, sound, skipped = 0, None, ()

    def __init__(self, path: Path, rate: float | None = None, until: float | None = None) -> None:
        self._path, self._rate, self._until = path, rate, until
        self.live = rate is not None
        self.read_at: dict[int, float] = {}
        with open_source(str(path)) as source:
            self.fps, self.size = source.fps, source.size
            self.count = source.count if until is None else None

    def __iter__(self) -> Iterator[Frame]:
        index, due = 0, time.monotonic()
        while True:
            with open_source(str(self._path)) as source:
                for frame in source:
                    if self._rate is not None:
                        due += 1 / self._rate
                        time.sleep(max(0.0, due - time.monotonic()))
                    self.read_at[index] = time.monotonic()
                    yield Frame(
                        index=index, name=frame.name, image_id=index, time_s=index / self.fps, image=frame.image
                    )
                    index += 1
            if self._until is None or time.monotonic() > self._until:
                return
            gc.collect()  # the decoder of the pass is in reference cycles

    def canvas(self) -> None:
        """Return None: no overlay is written."""

    def close(self) -> None:
        """Do nothing: every pass closes its file."""


class Ages:
    """A sink that keeps the latency of each frame."""

    def __init__(self, source: Watched) -> None:
        self._source = source
        self.ages_ms: list[float] = []

    def __call__(self, frame: Frame, poses: Poses) -> None:
        """Take a frame."""
        self.ages_ms.append(1000 * (time.monotonic() - self._source.read_at.pop(frame.index)))


def scaled(data: Path, folder: Path, seconds: float) -> list[Path]:
    """Write `STREAMS` videos of 1280 x 720."""
    paths = []
    for i in range(STREAMS):
        paths.append(folder / f"part{i + 1}.mp4")
        with VideoWriter(paths[-1], RATE) as video:
            for image in film(data / VIDEO, SIZE, 8.0 * i, seconds):
                video.write(image)
    return paths


def measured(network: PoseModel, paths: list[Path], rate: float | None) -> tuple[float, list[float], int]:
    """Return the frames per second of each source, the latencies in ms, and the frames that were dropped."""
    sources = [Watched(path, rate) for path in paths]
    sinks = [Ages(source) for source in sources]
    begin = time.perf_counter()
    if len(sources) == 1:
        run_stream(_source(sources[0]), network.pipeline, sinks)
    else:
        pairs = zip(sources, sinks, strict=True)
        streams = [Stream(name=str(i), source=_source(one), sinks=[sink]) for i, (one, sink) in enumerate(pairs)]
        run_streams(streams, network.pipeline)
    seconds = time.perf_counter() - begin
    ages = [age for sink in sinks for age in sink.ages_ms]
    return len(ages) / seconds / len(paths), ages, sum(source.dropped for source in sources)


def _source(watched: Any) -> Source:
    found: Source = watched
    return found


def speed(data: Path, model: str, rounds: int, seconds: float, threads: int) -> None:
    """Measure one and four streams in turn."""
    rates: dict[tuple[str, int], list[float]] = {}
    ages: dict[tuple[str, int], list[float]] = {}
    lost: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory() as folder, load(model, threads=threads) as network:
        paths = scaled(data, Path(folder), seconds)
        measured(network, paths, None)  # compiles the batch sizes
        for turn in range(rounds):
            for kind, rate in (("files", None), ("cameras", CAMERA_RATE)):
                for chosen in ([paths[turn % STREAMS]], paths):
                    key = (kind, len(chosen))
                    found = measured(network, chosen, rate)
                    rates.setdefault(key, []).append(found[0])
                    ages.setdefault(key, []).extend(found[1])
                    lost[key] = lost.get(key, 0) + found[2]
                    print(key, f"{found[0]:.2f} frames per second", flush=True)
        precision = network.manifest.precision
    rows = [
        [
            kind, count, f"{median(rates[kind, count]):.2f}", f"{count * median(rates[kind, count]):.2f}",
            f"{np.percentile(ages[kind, count], 50):.1f}", f"{np.percentile(ages[kind, count], 95):.1f}",
            len(ages[kind, count]), lost[kind, count], model, precision, threads,
        ]
        for kind, count in rates
    ]  # fmt: skip
    header = [
        "sources", "streams", "fps_each", "fps_all", "latency_p50_ms", "latency_p95_ms", "frames", "dropped", "model",
        "precision", "threads",
    ]  # fmt: skip
    write_csv("streams-speed.csv", header, rows)
    write_machine("streams-speed")


def memory(data: Path, model: str, minutes: float, seconds: float, threads: int) -> None:
    """Run four videos over and over, and measure how the memory grows."""
    with tempfile.TemporaryDirectory() as folder, load(model, threads=threads) as network:
        paths = scaled(data, Path(folder), seconds)
        until = time.monotonic() + 60 * minutes
        sources = [Watched(path, until=until) for path in paths]
        streams = [Stream(name=str(i), source=_source(one), sinks=[Ages(one)]) for i, one in enumerate(sources)]
        rss, stop = _sampled()
        run_streams(streams, network.pipeline)
        stop()
    step = max(1, len(rss) // 4)
    before, after = median(rss[step : 2 * step] or rss), median(rss[-step:])
    frames = sum(stream.frames for stream in streams)
    sizes = (before, after, after - before, max(rss))
    row = [STREAMS, f"{minutes:g}", frames, *(f"{size:.1f}" for size in sizes)]
    header = [
        "streams",
        "minutes",
        "frames",
        "rss_second_quarter_mib",
        "rss_last_quarter_mib",
        "growth_mib",
        "peak_mib",
    ]
    write_csv("streams-memory.csv", header, [row])
    write_machine("streams-memory")
    print(dict(zip(header, row, strict=True)))


def _sampled() -> tuple[list[float], Callable[[], None]]:
    """Begin to read the memory of this process every second; return the list, in MiB, and what ends it."""

    found: list[float] = []
    end = threading.Event()

    def sample() -> None:
        while not end.wait(1.0):
            now = resident_mib(os.getpid())
            found.extend([] if now is None else [now])

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()

    def stop() -> None:
        end.set()
        thread.join()

    return found, stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="lite")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each video")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the measurement of memory")
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.data, given.model, given.rounds, given.seconds, given.threads)
    else:
        memory(given.data, given.model, given.minutes, given.seconds, given.threads)


if __name__ == "__main__":
    main()
