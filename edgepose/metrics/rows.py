"""The row a paper prints: hits gathered into its columns, and its mean.

Left and right are averaged into one column (the mean of the two joints' shares). Two means are in use:

    mean     over joints: each joint's share weighs the same. The stacked-hourglass code's "Mean"
             (mean(PCKh([1:6, 9:16])) in eval_PCKh.m) and the PCP tables' of LSP.
    pooled   over labeled joints: every labeled joint of every person weighs the same. "Total" of MPII's own
             toolkit (computePCK.m) and "Mean" of Xiao et al. (ECCV 2018) and HRNet (CVPR 2019).

Both leave MPII's pelvis and thorax out, so its mean is over 14 of 16 joints. Where every joint is labeled, as
in LSP, the two are equal. On MPII's validation set they differ by 0.4 points: say which one is meant.

MPII's column "head" is head_top alone in the hourglass's and HRNet's rows, and the mean of head_top and neck in
that of MPII's toolkit; here it is head_top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """columns: name -> joints whose shares are averaged. left_out: joints that no mean counts."""

    columns: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()


def _sided(*parts: str) -> dict[str, tuple[str, ...]]:
    return {part: (f"left_{part}", f"right_{part}") for part in parts}


# skeleton name -> what its literature prints
LAYOUTS = {
    "mpii16": Layout(columns={"head": ("head_top",), **_sided(*_SIDED)}, left_out=("pelvis", "thorax")),
    "lsp14": Layout(columns={"head": ("head_top", "neck"), **_sided(*_SIDED)}),
    "flic11": Layout(columns=_sided("shoulder", "elbow", "wrist", "hip")),
}


def in_mean(skeleton: str, joints: Sequence[str]) -> Array:
    """[K] bool: which joints the means of a skeleton's literature count; all of them where it has none."""
    layout = LAYOUTS.get(skeleton)
    return np.array([layout is None or joint not in layout.left_out for joint in joints], bool)


def shares(hits: Array) -> Array:
    """[K] float64: the mean of the counted entries of hits [N, K] column by column; NaN where none is."""
    check_array("hits", hits, ("N", "K"))
    counted = np.isfinite(hits).sum(axis=0)
    none = np.full(hits.shape[1], np.nan)
    return np.asarray(np.divide(np.nansum(hits, axis=0), counted, out=none, where=counted > 0))


def row(hits: Array, joints: Sequence[str], skeleton: str) -> dict[str, float]:
    """The columns whose joints are all there, then `mean` and `pooled`, 0..1; NaN where nothing is counted.

    hits: [N, K] of the K joints named; skeleton: the layout's name, one of LAYOUTS, or another (no columns).
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
