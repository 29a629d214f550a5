"""The linear assignment problem: one column for each row, at the lowest total cost.

The Hungarian method (Kuhn 1955, Munkres 1957) as shortest augmenting paths with potentials, O(rows^2 * columns).
scipy has it as well, but the runtime does without scipy.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array


def assign(costs: Array) -> Array:
    """Assign each row a column of its own, so that the sum of the costs is as low as possible.

    Args:
        costs: [R, C] float, R <= C, finite.

    Returns:
        [R] int64, the column of each row.

    Raises:
        ValueError: If there are more rows than columns, or a cost is not finite.
    """
    sizes = check_array("costs", costs, ("R", "C"))
    rows, columns = sizes["R"], sizes["C"]
    if rows > columns:
        raise ValueError(f"costs: expected at most as many rows as columns, got {rows} and {columns}")
    if not np.isfinite(costs).all():
        raise ValueError("costs: expected finite numbers")
    costs = np.asarray(costs, np.float64)
    of_row, of_column = np.zeros(rows), np.zeros(columns)  # the potentials
    owner = np.full(columns, -1)  # the row of each column
    for start in range(rows):
        distance, before = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, column, total = start, -1, 0.0
        while True:
            reduced = total + costs[row] - of_row[row] - of_column
            shorter = ~done & (reduced < distance)
            distance[shorter], before[shorter] = reduced[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            total = float(distance[column])
            done[column] = True
            if owner[column] < 0:
                break
            row = int(owner[column])
        of_row[start] += total
        known = done & (owner >= 0)
        of_row[owner[known]] += total - distance[known]
        of_column[done] -= total - distance[done]
        while column >= 0:  # along the path: each column takes the row of the one before it
            earlier = int(before[column])
            owner[column] = start if earlier < 0 else owner[earlier]
            column = earlier
    found = np.full(rows, -1, np.int64)
    found[owner[owner >= 0]] = np.flatnonzero(owner >= 0)
    return found
