"""Check engines: run the acceptance sample that lies in each engine folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._progress import Track, quiet
from edgepose.artifacts.acceptance import read_acceptance
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import EdgeposeError, UsageError
from edgepose.measure.acceptance import Examination, examine
from edgepose.measure.agreement import finite

if TYPE_CHECKING:
    from edgepose.artifacts.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What an engine makes of its acceptance sample.

    Attributes:
        path: The engine folder.
        problem: Why the engine is refused, as a sentence; None where it computes what it should.
        warnings: What is doubtful, one clause each.
        examination: The numbers of each output; None where the engine cannot be run.
    """

    path: Path
    problem: str | None
    warnings: tuple[str, ...] = ()
    examination: Examination | None = None

    @property
    def ok(self) -> bool:
        """Whether the engine computes what it should."""
        return self.problem is None

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        numbers = f": on {self.examination.count} crops, {self.examination.describe()}" if self.examination else ""
        lines = [f"{self.path} {'passes' if self.ok else 'FAILS'}{numbers}"]
        return lines + [f"  {text}" for text in ((self.problem,) if self.problem else self.warnings)]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value; numbers that are not finite are null."""
        value: dict[str, Any] = finite({**asdict(self), "path": str(self.path), "ok": self.ok})
        return value


def check(engines: str | Path | Sequence[str | Path], *, threads: int = 0, track: Track = quiet) -> list[CheckResult]:
    """Run the acceptance sample of engines: do they compute here what they computed when they were built?

    Args:
        engines: An engine folder, or several.
        threads: CPU threads; 0 lets the backend choose.
        track: Shows the progress.

    Returns:
        A result for each engine, in this order. An engine that cannot be opened has a problem, too.

    Raises:
        UsageError: No engine is given.

    Examples:
        >>> [result.ok for result in check(["engines/openvino-fp32", "engines/openvino-int8"])]
        [True, True]
    """
    folders = [engines] if isinstance(engines, (str, Path)) else list(engines)
    if not folders:
        raise UsageError("no engine is given; name an engine folder of edgepose build")
    return [_check(Path(folder), threads) for folder in track(folders, "check", len(folders))]


def _check(folder: Path, threads: int) -> CheckResult:
    try:
        session, manifest = open_engine(folder, OpenOptions(threads=threads))
        with session:
            found = examine(session, manifest.spec, read_acceptance(folder, manifest))
    except EdgeposeError as error:
        return CheckResult(path=folder, problem=str(error))
    return CheckResult(
        path=folder, problem=_problem(found, manifest), warnings=found.warnings(manifest.precision), examination=found
    )


def _problem(found: Examination, manifest: Manifest) -> str | None:
    wrong = found.problem(manifest.precision, manifest.agreement)
    return wrong and f"{wrong}. Rebuild it here with: {manifest.build_command}"
