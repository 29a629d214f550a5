"""What a search has measured so far, in a JSON file, so that a search that was stopped goes on where it was.

{"format": 4, "key": sha256, "costs": {NODE: [float, int8]}, "trials": {sha256: {"errors": [...], "retention":
{METRIC: value}}}}

Measured times of layers differ from run to run. They are kept too, so that a search that goes on chooses as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgepose._files import read_json, sha256_json, write_json
from edgepose.errors import EdgeposeError

FORMAT = 4


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one quantized graph gave.

    Attributes:
        errors: Relative squared error of the outputs, for each crop.
        retention: Metric -> what is predicted to be retained; empty where it was not judged.
    """

    errors: tuple[float, ...]
    retention: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class State:
    """Trials by what identifies them.

    Attributes:
        path: The file; None keeps them in memory only.
        key: What the trials depend on: the network, the crops, the scales and the options.
        trials: What was measured.
        costs: Node -> its time in float and in int8; None before they are measured.
    """

    path: Path | None
    key: str
    trials: dict[str, Trial]
    costs: dict[str, tuple[float, float]] | None = None

    def get(self, trial: Any, measure: Callable[[], Trial]) -> Trial:
        """Return a trial, measured and written to the file if it is new.

        Args:
            trial: A JSON value that identifies it.
            measure: Measures it.
        """
        name = sha256_json(trial)
        if name not in self.trials:
            self.trials[name] = measure()
            self._write()
        return self.trials[name]

    def get_costs(self, measure: Callable[[], Mapping[str, tuple[float, float]]]) -> Mapping[str, tuple[float, float]]:
        """Return the times of the nodes, measured and written to the file if they are not known yet."""
        if self.costs is None:
            self.costs = dict(measure())
            self._write()
        return self.costs

    def _write(self) -> None:
        if self.path is not None:
            trials = {name: msgspec.to_builtins(trial) for name, trial in self.trials.items()}
            value = {"format": FORMAT, "key": self.key, "costs": self.costs, "trials": trials}
            write_json(self.path, value)


def open_state(path: Path | None, key: str) -> State:
    """Return the state in a file, or an empty one where there is none, it is damaged, or it belongs to another search.

    Args:
        path: The file; None keeps the state in memory.
        key: What the trials depend on.
    """
    trials: dict[str, Trial] = {}
    costs: dict[str, tuple[float, float]] | None = None
    if path is not None and path.exists():
        try:
            value = read_json(path, "state of a search")
            if isinstance(value, dict) and (value.get("format"), value.get("key")) == (FORMAT, key):
                trials = msgspec.convert(value.get("trials"), dict[str, Trial])
                costs = msgspec.convert(value.get("costs"), dict[str, tuple[float, float]] | None)
        except (EdgeposeError, msgspec.ValidationError):
            trials, costs = {}, None  # what was measured is measured again
    return State(path=path, key=key, trials=trials, costs=costs)
