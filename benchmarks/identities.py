"""Score the identities of trackers with TrackEval: HOTA (Luiten et al., IJCV 2021), CLEAR and identity F1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity
from walks import Walk

from edgepose._checks import Array
from edgepose.runtime.tracking.similarity import overlaps

Identities = list[tuple[Array, Array]]  # for each frame: ids [M] int64 and boxes [M, 4]


def scores(walks: Sequence[Walk], found: Sequence[Identities]) -> dict[str, float]:
    """Return the scores over all sequences, in percent, and the number of identity switches."""
    metrics = {"hota": HOTA(), "clear": CLEAR({"PRINT_CONFIG": False}), "identity": Identity({"PRINT_CONFIG": False})}
    every: dict[str, dict[str, dict[str, Array]]] = {name: {} for name in metrics}
    for i, (walk, tracks) in enumerate(zip(walks, found, strict=True)):
        data = _data(walk, tracks)
        for name, metric in metrics.items():
            every[name][str(i)] = metric.eval_sequence(data)
    joined = {name: metric.combine_sequences(every[name]) for name, metric in metrics.items()}
    return {
        "hota": 100 * float(joined["hota"]["HOTA"].mean()),
        "deta": 100 * float(joined["hota"]["DetA"].mean()),
        "assa": 100 * float(joined["hota"]["AssA"].mean()),
        "idf1": 100 * float(joined["identity"]["IDF1"]),
        "mota": 100 * float(joined["clear"]["MOTA"]),
        "switches": int(joined["clear"]["IDSW"]),
    }


def _data(walk: Walk, tracks: Identities) -> dict[str, object]:
    truth = [walk.truth(f) for f in range(len(walk.time_s))]
    mine = {key: i for i, key in enumerate(sorted({int(k) for ids, _ in tracks for k in ids}))}
    real = {key: i for i, key in enumerate(sorted({int(k) for ids, _ in truth for k in ids}))}
    return {
        "num_timesteps": len(truth),
        "num_gt_ids": len(real),
        "num_tracker_ids": len(mine),
        "num_gt_dets": sum(len(ids) for ids, _ in truth),
        "num_tracker_dets": sum(len(ids) for ids, _ in tracks),
        "gt_ids": [np.array([real[int(k)] for k in ids], int) for ids, _ in truth],
        "tracker_ids": [np.array([mine[int(k)] for k in ids], int) for ids, _ in tracks],
        "similarity_scores": [overlaps(a[1], b[1]) for a, b in zip(truth, tracks, strict=True)],
    }
