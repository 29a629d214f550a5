"""`edgepose data check`: what a data set holds, what is missing and what looks wrong, with a contact sheet."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepose._files import refuse_existing
from edgepose.cli import options, show

if TYPE_CHECKING:
    from edgepose.datasets.check import Findings
    from edgepose.datasets.duplicates import Duplicate

NAMED = 3  # examples of each kind of trouble


@click.group()
def command() -> None:
    """Look at data sets before they are used.

    \b
    Example:
      edgepose data check lsp:LSP
    """


@command.command()
@click.argument("texts", metavar="KIND:PATH[:SPLIT]...", nargs=-1, required=True)
@click.option("--sheet", type=options.NEW_FILE, default=Path("contact-sheet.png"), show_default=True,
              help="Where to draw some people with their labels.")  # fmt: skip
@click.option("--labels-only", is_flag=True, help="Do not read the images: faster, and knows nothing of their edges.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.overwrite
def check(texts: tuple[str, ...], sheet: Path, labels_only: bool, as_json: bool, overwrite: bool) -> None:
    """Say what data sets hold, what is missing, and what looks wrong.

    Without a SPLIT all splits that should share nobody are read, and photographs that are in two of them are named.
    Exit code 1 when images are missing or labels cannot be used; what only looks wrong is for you to judge.

    \b
    Examples:
      edgepose data check lsp:LSP
      edgepose data check coco:COCO:val2017 --labels-only
      edgepose data check json:labels.json:skeleton.toml --sheet people.png
    """
    from edgepose.datasets.check import examine
    from edgepose.datasets.open import every_split, open_data
    from edgepose.report.sheet import write_sheet

    refuse_existing(sheet, overwrite)
    parts = [open_data(split) for text in texts for split in every_split(text)]
    found = [examine(data, show.track, read=not labels_only) for data in parts]
    shared = _shared(found)
    write_sheet(sheet, list(zip(parts, found, strict=True)))
    if as_json:
        click.echo(json.dumps(_to_json(found, shared, sheet), indent=2))
    else:
        for part in found:
            _print(part)
        _print_shared(shared)
        show.note("a contact sheet with labels drawn:")
        click.echo(sheet)
    click.get_current_context().exit(int(any(part.missing or part.broken for part in found)))


_Shared = list[tuple[str, str, list["Duplicate"]]]


def _shared(found: Sequence[Findings]) -> _Shared:
    """The photographs that two data sets have in common, pair by pair; pairs without any are left out."""
    from edgepose.datasets.duplicates import duplicates

    pairs = [(a.name, b.name, duplicates(a.prints, b.prints)) for a, b in itertools.combinations(found, 2)]
    return [pair for pair in pairs if pair[2]]


def _to_json(found: Sequence[Findings], shared: _Shared, sheet: Path) -> dict[str, Any]:
    return {
        "data": [part.to_json() for part in found],
        "shared": [{"first": a, "second": b, "pictures": [pair._asdict() for pair in pairs]} for a, b, pairs in shared],
        "sheet": str(sheet),
    }


def _print(part: Findings) -> None:
    click.echo(f"{part.name}: {part.people} people in {part.images} images, skeleton {part.skeleton.name}")
    for line in [*_holds(part), *_troubles(part)]:
        click.echo(f"  {line}")
    rows = [
        [joint.replace("_", " "), str(part.labeled[k]), str(part.hidden[k])]
        for k, joint in enumerate(part.skeleton.joints)
    ]
    if part.joints:
        show.table("", ["joint", "labeled", "of them hidden"], rows)


def _holds(part: Findings) -> list[str]:
    """What was found."""
    lines = [f"images: {part.images}, {part.empty} with nobody in them"]
    if part.sizes is not None:
        (h0, w0), (h1, w1) = part.sizes
        lines.append(f"image sizes: {w0}x{h0} to {w1}x{h1}")
    lines.append(f"people: {len(part.counted)} that count, {part.ignored} ignored, {part.crowds} of them crowds")
    if part.counted:
        lines.append(f"median height of a person's box: {part.height_px:.0f} px")
    lines.append(f"joints: {part.joints} labeled, {part.occluded} of them hidden")
    if part.sizes is not None:
        lines.append(f"joints outside their image: {part.outside}")
    if part.heads:
        lines.append(f"head boxes: {part.heads}")
    return lines


def _troubles(part: Findings) -> list[str]:
    """What is missing and what looks wrong."""
    lines = [
        *_some(f"MISSING: {len(part.missing)} of {part.images} images", part.missing),
        *_some(f"WRONG: labels that cannot belong to their image: {len(part.broken)}", part.broken),
        *_some(f"odd: labels that look wrong: {len(part.odd)}", [f"{odd.where}: {odd.reason}" for odd in part.odd]),
        *(f"odd: {line}" for line in part.swapped),
    ]
    if part.counted and not part.joints:
        lines.append("nothing is labeled: fit for calibration, not for training or evaluation")
    never = [joint for joint, count in zip(part.skeleton.joints, part.labeled, strict=True) if not count]
    return lines + ([f"never labeled: {', '.join(never)}"] if never and part.joints else [])


def _some(what: str, items: Sequence[str]) -> list[str]:
    """A line that names the first few; none where there are no items."""
    more = f"; and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return [f"{what}: {'; '.join(items[:NAMED])}{more}"] if items else []


def _print_shared(shared: _Shared) -> None:
    for a, b, pairs in shared:
        named = [f"{pair.first} is {pair.second}" for pair in pairs]
        click.echo("\n".join(_some(f"odd: photographs of {a} that are in {b} too: {len(pairs)}", named)))
