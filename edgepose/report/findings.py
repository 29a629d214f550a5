"""What a check of data sets found, as lines and tables for a person."""

from __future__ import annotations

from collections.abc import Sequence

from edgepose.datasets.check import Findings
from edgepose.datasets.duplicates import Duplicate
from edgepose.report.tables import Rows

NAMED = 3  # examples of each kind of trouble


def lines(part: Findings) -> list[str]:
    """Return the findings of a data set: a title, what it holds, what is missing and what looks wrong."""
    title = f"{part.name}: {part.people} people in {part.images} images, skeleton {part.skeleton.name}"
    return [title, *(f"  {line}" for line in (*_holds(part), *_troubles(part)))]


def joints(part: Findings) -> Rows:
    """Return a table of the labels of each joint; it has no rows where nothing is labeled."""
    rows = [
        [joint.replace("_", " "), str(part.labeled[k]), str(part.hidden[k])]
        for k, joint in enumerate(part.skeleton.joints)
    ]
    return ["joint", "labeled", "of them hidden"], rows if part.joints else []


def shared(first: str, second: str, pairs: Sequence[Duplicate]) -> list[str]:
    """Return a line about the images that two data sets have in common."""
    named = [f"{pair.first} is {pair.second}" for pair in pairs]
    return _some(f"odd: photographs of {first} that are in {second} too: {len(pairs)}", named)


def _holds(part: Findings) -> list[str]:
    found = [f"images: {part.images}, {part.empty} with nobody in them"]
    if part.sizes is not None:
        (h0, w0), (h1, w1) = part.sizes
        found.append(f"image sizes: {w0}x{h0} to {w1}x{h1}")
    if part.turned:
        found.append(f"images turned by their EXIF tag: {part.turned}")
    found.append(f"people: {len(part.counted)} that count, {part.ignored} ignored, {part.crowds} of them crowds")
    if part.counted:
        found.append(f"median height of a person's box: {part.height_px:.0f} px")
    found.append(f"joints: {part.joints} labeled, {part.occluded} of them hidden")
    if part.sizes is not None:
        found.append(f"joints outside their image: {part.outside}")
    if part.heads:
        found.append(f"head boxes: {part.heads}")
    return found


def _troubles(part: Findings) -> list[str]:
    found = [
        *(f"WRONG: {line}" for line in part.errors),
        *_some(f"MISSING: {len(part.missing)} of {part.images} images", part.missing),
        *_some(f"WRONG: labels that cannot belong to their image: {len(part.broken)}", part.broken),
        *_some(f"odd: labels that look wrong: {len(part.odd)}", [f"{odd.where}: {odd.reason}" for odd in part.odd]),
        *(f"odd: {line}" for line in (*part.warnings, *part.swapped)),
    ]
    if part.counted and not part.joints:
        found.append("nothing is labeled: fit for calibration, not for training or evaluation")
    never = [joint for joint, count in zip(part.skeleton.joints, part.labeled, strict=True) if not count]
    return found + ([f"never labeled: {', '.join(never)}"] if never and part.joints else [])


def _some(what: str, items: Sequence[str]) -> list[str]:
    """A line that names the first few items, or no line where there are none."""
    more = f"; and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return [f"{what}: {'; '.join(items[:NAMED])}{more}"] if items else []
