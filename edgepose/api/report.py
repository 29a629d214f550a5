"""Make one HTML page of the results in a folder."""

from __future__ import annotations

from pathlib import Path

from edgepose._outputs import refuse_existing
from edgepose.report.page import write_page


def report(folder: str | Path, *, out: str | Path | None = None, overwrite: bool = False) -> Path:
    """Write an HTML page with the tables and plots of eval.json, bench.json and guard.json.

    Args:
        folder: Folder of the results.
        out: The page; by default FOLDER/report.html.
        overwrite: Whether to replace the page.

    Returns:
        The page.

    Raises:
        UsageError: The page exists and `overwrite` is not set.
        EdgeposeError: The folder holds neither eval.json nor bench.json nor guard.json.

    Examples:
        >>> report("results")
        PosixPath('results/report.html')
    """
    target = Path(folder) / "report.html" if out is None else Path(out)
    refuse_existing(target, overwrite, [*Path(folder).glob("*.json"), Path(folder) / "overlay.png"])
    write_page(Path(folder), target)
    return target
