"""Marker trajectories for OpenSim: one TRC file per person, `NAME_px_person00.trc`, as Sports2D writes them.

X and Y are pixels of the image: X to the right, Y down, from the center of the top left pixel; Z is 0. Sports2D takes
such files with `load_trc_px`, to turn pixels into meters. Markers have the names that Pose2Sim and Sports2D use, such
as RKnee. A joint with a score below the threshold is empty.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.trajectories import Trajectories, Trajectory

SPECIAL = {"pelvis": "Hip", "head_top": "Head"}  # the names of Pose2Sim
SIDES = {"left": "L", "right": "R"}
HEADER = "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a folder of TRC files."""
    markers = [marker_name(joint) for joint in about.skeleton.joints]

    def write_person(person: Trajectory, path: Path) -> None:
        rate = f"{about.fps:g}"
        names = "".join(f"{marker}\t\t\t" for marker in markers)
        axes = "".join(f"\tX{i}\tY{i}\tZ{i}" for i in range(1, len(markers) + 1))
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n{HEADER}\n")
            file.write(f"{rate}\t{rate}\t{person.frames}\t{len(markers)}\tpx\t{rate}\t0\t{person.frames}\n")
            file.write(f"Frame#\tTime\t{names}\n\t{axes}\n")
            for part in person.stretches():
                for index, time_s, xy in zip(part.indices, part.times_s, part.xy_image, strict=True):
                    cells = ("\t\t" if np.isnan(x) else f"{x:.3f}\t{y:.3f}\t0" for x, y in xy)
                    file.write(f"{index}\t{time_s:.6f}\t" + "\t".join(cells) + "\n")

    name = f"{about.name.replace('{', '_').replace('}', '_')}_px_person{{}}.trc"
    return Trajectories(place, about, flag="--out-trc", name=name, write_person=write_person)


def marker_name(joint: str) -> str:
    """Return the name that Pose2Sim and Sports2D give a joint: RKnee for right_knee."""
    side, _, rest = joint.partition("_")
    if joint in SPECIAL:
        return SPECIAL[joint]
    words = rest if side in SIDES else joint
    return SIDES.get(side, "") + "".join(word.capitalize() for word in words.split("_"))
