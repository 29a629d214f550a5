"""Joint angles for OpenSim: one MOT file per person, `NAME_angles_person00.mot`, as Sports2D writes them.

`angles.py` defines the angles. They are in degrees; `nan` stands where a joint was not found.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.errors import UsageError
from edgepose.media.results.angles import angles_of, measure
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.trajectories import Trajectories, Trajectory


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a folder of MOT files.

    Raises:
        UsageError: The skeleton has the joints of no angle.
    """
    names = list(angles_of(about.skeleton))
    if not names:
        raise UsageError(f"--out-mot: skeleton {about.skeleton.name} has no two joints between which an angle is known")

    def write_person(person: Trajectory, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(f"{path.stem}\nversion=1\nnRows={person.frames}\nnColumns={len(names) + 1}\ninDegrees=yes\n")
            file.write("\nAngles in the image plane\n\nendheader\n" + "\t".join(["time", *names]) + "\n")
            for part in person.stretches():
                for time_s, angles in zip(part.times_s, measure(part.xy_image, about.skeleton), strict=True):
                    file.write("\t".join([f"{time_s:.6f}", *(f"{angle:.3f}" for angle in angles)]) + "\n")

    name = f"{about.name.replace('{', '_').replace('}', '_')}_angles_person{{}}.mot"
    return Trajectories(place, about, flag="--out-mot", name=name, write_person=write_person)
