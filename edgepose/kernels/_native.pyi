"""The host extension (csrc/bind.cpp). Functions write `out` arrays, and raise ValueError for arrays that do not fit."""

from collections.abc import Sequence

from edgepose._checks import Array

class Decoding: ...
class Finish: ...

def finish(
    *,
    channel: tuple[int, int, int],
    scale: tuple[float, ...],
    shift: tuple[float, ...],
    color: tuple[float, ...],
    outside: int,
    replicate: bool,
) -> Finish: ...
def warp_normalize(
    image: Array, chroma: Array | None, matrices: Array, finish: Finish, hwc: bool, out: Array, threads: int
) -> None: ...
def decoding(
    grid: tuple[float, float, float, float], refine: int, taps: Sequence[float], flip_order: Sequence[int]
) -> Decoding: ...
def heatmap_peak(
    heatmaps: Array, flipped: Array | None, inverse: Array, decoding: Decoding, out: Array, threads: int
) -> bool: ...
def simcc_peak(
    x: Array, y: Array, inverse: Array, grid: tuple[float, float, float, float], out: Array, threads: int
) -> bool: ...
def regress_to_image(
    coords: Array, inverse: Array, grid: tuple[float, float, float, float], out: Array, threads: int
) -> bool: ...
def paf_peaks(maps: Array, threshold: float, peaks: Array, counts: Array, threads: int) -> None: ...
def paf_score(
    fields: Array,
    peaks: Array,
    counts: Array,
    limbs: Array,
    samples: int,
    threshold: float,
    needed: int,
    out: Array,
    threads: int,
) -> bool: ...
def fixed_affines(matrices: Array, height: int, width: int, out: Array) -> None: ...
def joint_affines(inverse: Array, grid: tuple[float, float, float, float], out: Array) -> None: ...
def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def select(name: str) -> None: ...
