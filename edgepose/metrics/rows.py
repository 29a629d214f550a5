"""The row that papers print for a metric: its joints gathered into columns, and its mean.

Left and right are averaged into one column (the mean of the two joints' values). Two means are in use:

    mean     Over joints: the value of each joint weighs the same. This is "Mean" of the stacked-hourglass code
             (mean(PCKh([1:6, 9:16])) in eval_PCKh.m) and of the PCP tables of LSP.
    pooled   Over labeled joints: every labeled joint of every person weighs the same. This is "Total" of MPII's own
             toolkit (computePCK.m) and "Mean" of Xiao et al. (ECCV 2018) and HRNet (CVPR 2019).

Both leave out MPII's pelvis and thorax, so its mean is over 14 of 16 joints. Where every joint is labeled, as in LSP,
the two are equal. On MPII's validation set they differ by 0.4 points, so a report must say which one it prints.

MPII's column "head" is head_top alone in the rows of the hourglass and of HRNet, and the mean of head_top and neck in
the row of MPII's toolkit. It is head_top here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns of a skeleton's literature.

    Attributes:
        columns: Column -> the joints whose values are averaged.
        left_out: Joints that no mean counts.
    """

    columns: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()


def _sided(*parts: str) -> dict[str, tuple[str, ...]]:
    return {part: (f"left_{part}", f"right_{part}") for part in parts}


# Skeleton name -> the columns that its literature prints.
LAYOUTS = {
    "mpii16": Layout(columns={"head": ("head_top",), **_sided(*_SIDED)}, left_out=("pelvis", "thorax")),
    "lsp14": Layout(columns={"head": ("head_top", "neck"), **_sided(*_SIDED)}),
    "flic11": Layout(columns=_sided("shoulder", "elbow", "wrist", "hip")),
}


def in_mean(skeleton: str, joints: Sequence[str]) -> Array:
    """Return [K] bool: which joints the means of the skeleton's literature count.

    Args:
        skeleton: Name of the skeleton. All joints are counted where `LAYOUTS` has no entry for it.
        joints: The names of the K joints.
    """
    layout = LAYOUTS.get(skeleton)
    return np.array([layout is None or joint not in layout.left_out for joint in joints], bool)


def shares(hits: Array) -> Array:
    """Compute the mean of the counted entries of `hits` [N, K] by column: [K] float64, NaN where none is counted."""
    check_array("hits", hits, ("N", "K"))
    counted = np.isfinite(hits).sum(axis=0)
    none = np.full(hits.shape[1], np.nan)
    return np.asarray(np.divide(np.nansum(hits, axis=0), counted, out=none, where=counted > 0))


def row(hits: Array, joints: Sequence[str], skeleton: str) -> dict[str, float]:
    """Compute the row of a metric.

    Args:
        hits: [N, K] float, hits or other values of the K joints; NaN where not counted.
        joints: The names of the K joints.
        skeleton: Name of the skeleton; without an entry in `LAYOUTS` the row has no columns but the means.

    Returns:
        Column -> value, for the columns whose joints are all there, then "mean" and "pooled"; NaN where nothing is
        counted.
    """
    check_array("hits", hits, ("N", len(joints)))
    share = dict(zip(joints, shares(hits), strict=True))
    layout = LAYOUTS.get(skeleton, Layout(columns={}))
    made = {
        name: float(np.mean([share[part] for part in parts]))
        for name, parts in layout.columns.items()
        if all(part in share for part in parts)
    }
    counted = hits[:, in_mean(skeleton, joints)]
    known = shares(counted)
    made["mean"] = float(np.nanmean(known)) if np.isfinite(known).any() else float("nan")
    made["pooled"] = float(np.nanmean(counted)) if np.isfinite(counted).any() else float("nan")
    return made
