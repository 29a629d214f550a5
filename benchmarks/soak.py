"""Run `edgepose run` for a long time on cameras that misbehave, and measure whether it ends or grows.

    python benchmarks/soak.py --minutes 30 --data ../shared/data

`--cameras` local cameras (`faulty_camera.py`) send MPEG-TS over TCP with pauses, cut connections, lost packets and
flipped bytes. One process of `edgepose run` reads all of them with tracking and writes JSON Lines, and is stopped with
SIGTERM at the end. Its resident memory is read every second. Growth is the difference between the medians of the last
and of the second quarter of the time; the first quarter is the warm-up.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from faulty_camera import Faults, FaultyCamera, film, transport_stream
from records import write_csv, write_machine

VIDEO = Path("video") / "one-by-one-person-detection.mp4"
SIZE = (360, 640)
STOPPED = 143  # the exit code after SIGTERM


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """What came of a soak.

    Attributes:
        seconds: How long the process ran.
        frames: Frames of all cameras that were written.
        exits: 1 where the process ended before it was stopped, or with another code than that of SIGTERM.
        reconnects: How often a camera was connected again.
        rss_mib: The resident memory, once a second.
        faults: What each camera did.
        said: The last lines on standard error.
    """

    seconds: float
    frames: int
    exits: int
    reconnects: int
    rss_mib: list[float]
    faults: list[Faults]
    said: str

    @property
    def quarters(self) -> tuple[float, float]:
        """The median memory of the second and of the last quarter, in MiB."""
        step = max(1, len(self.rss_mib) // 4)
        return median(self.rss_mib[step : 2 * step] or self.rss_mib), median(self.rss_mib[-step:])


def resident_mib(pid: int) -> float | None:
    """Return the resident memory of a process in MiB; None where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) / 1024 if found else None


def soak(
    video: Path, seconds: float, *, cameras: int = 2, model: str = "lite", faults: dict[str, float] | None = None
) -> Soaked:
    """Run `edgepose run` on misbehaving cameras.

    Args:
        video: The film that the cameras show.
        seconds: How long.
        cameras: How many cameras.
        model: What `edgepose run` is given.
        faults: How often the cameras misbehave, see `Faults`.
    """
    running = [
        FaultyCamera(transport_stream(film(video, SIZE, 3.0 * i, 8.0)), Faults(**(faults or {}), rng=random.Random(i)))
        for i in range(cameras)
    ]
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "poses.jsonl", Path(folder) / "errors.txt"
        words = [sys.executable, "-m", "edgepose", "run", model, "--threads", "1", "--track", "--out-jsonl", str(out)]
        for camera in running:
            words += ["--source", camera.url]
        begin, rss = time.monotonic(), []
        with errors.open("w") as log:
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        try:
            while time.monotonic() - begin < seconds and process.poll() is None:
                time.sleep(1.0)
                now = resident_mib(process.pid)
                rss += [] if now is None else [now]
            ended = process.poll() is not None
            process.send_signal(signal.SIGTERM)  # a shell may have SIGINT ignored
            code = process.wait(60)
        finally:
            process.kill()
            for camera in running:
                camera.close()
        lasted = time.monotonic() - begin
        written = [path.read_bytes().count(b"\n") for path in Path(folder).glob("*.jsonl")]
        said = errors.read_text()
    return Soaked(
        seconds=lasted,
        frames=sum(written),
        exits=int(ended or code != STOPPED),
        reconnects=said.count("the stream is back"),
        rss_mib=rss,
        faults=[camera.faults for camera in running],
        said="\n".join([*said.splitlines()[-40:], f"exit code {code}"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    done = soak(given.data / VIDEO, 60 * given.minutes, cameras=given.cameras)
    before, after = done.quarters
    each = [[fault.stalls, fault.cuts, fault.lost, fault.flipped] for fault in done.faults]
    stalls, cuts, lost, flipped = (sum(column) for column in zip(*each, strict=True))
    row = [
        f"{done.seconds / 60:.1f}", given.cameras, done.frames, done.exits, stalls, cuts, done.reconnects, lost,
        flipped, f"{before:.1f}", f"{after:.1f}", f"{after - before:.1f}", f"{max(done.rss_mib):.1f}",
    ]  # fmt: skip
    header = [
        "minutes", "cameras", "frames", "exits", "stalls", "cut_connections", "reconnects", "lost_packets",
        "flipped_bytes", "rss_second_quarter_mib", "rss_last_quarter_mib", "growth_mib", "peak_mib",
    ]  # fmt: skip
    write_csv("soak.csv", header, [row])
    write_machine("soak")
    print(dict(zip(header, row, strict=True)), done.said, sep="\n")


if __name__ == "__main__":
    main()
