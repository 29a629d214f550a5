"""Show the nested phases of a build as one progress bar.

The library calls the monitor from its own threads, and a Python exception must not leave them. Ctrl-C is therefore
recorded, the build is told to stop, and the caller raises KeyboardInterrupt again.

Run only the tests of this file with `pytest tests/backends/test_trt_progress.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from edgepose._progress import Track

TICKS = 100  # steps of the bar


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


@dataclass
class Shares:
    """Nested phases by name, from which the completed share of the outermost one is computed."""

    phases: dict[str, _Phase] = field(default_factory=dict)

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begin a phase of `steps` steps inside the phase `parent`, or as an outermost one."""
        self.phases[name] = _Phase(parent, max(1, steps))

    def step(self, name: str, step: int) -> None:
        """Record that the step with index `step` is complete."""
        if name in self.phases:
            self.phases[name].done = step + 1

    def finish(self, name: str) -> None:
        """End a phase."""
        self.phases.pop(name, None)

    def done(self) -> float:
        """Return the completed share, 0 to 1, of the least advanced outermost phase; 1 when no phase is running."""
        return min((self._share(name) for name, phase in self.phases.items() if phase.parent is None), default=1.0)

    def _share(self, name: str) -> float:
        phase = self.phases[name]
        inside = max((self._share(child) for child, item in self.phases.items() if item.parent == name), default=0.0)
        return min(1.0, (phase.done + inside) / phase.steps)


def watch(trt: ModuleType, label: str, track: Track) -> Any:
    """Return a progress monitor of the library.

    Its `close()` ends the bar, and its `interrupted` says whether Ctrl-C was pressed.

    Args:
        trt: The imported library.
        label: Text of the bar.
        track: Shows the bar.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._shares, self._lock, self._shown = Shares(), threading.Lock(), 0
            self._bar: Iterator[int] = iter(track(range(TICKS), label, TICKS))
            next(self._bar)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._remembered(), self._lock:
                self._shares.start(phase_name, parent_phase or None, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._remembered(), self._lock:
                self._shares.step(phase_name, step)
                if not self.interrupted:
                    self._show()
            return not self.interrupted

        def phase_finish(self, phase_name: str) -> None:
            with self._remembered(), self._lock:
                self._shares.finish(phase_name)

        @contextmanager
        def _remembered(self) -> Iterator[None]:
            try:
                yield
            except KeyboardInterrupt:
                self.interrupted = True

        def _show(self) -> None:
            while self._shown < min(TICKS - 1, int(self._shares.done() * TICKS)):
                next(self._bar)
                self._shown += 1

        def close(self) -> None:
            """Complete the bar, or leave it as it is when the build was stopped."""
            if self.interrupted:
                getattr(self._bar, "close", lambda: None)()
            else:
                for _ in self._bar:
                    pass

    return Monitor()
