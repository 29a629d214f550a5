"""Give a recognized heatmap network the grid that its own results show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgepose._progress import Note, silent
from edgepose.api.contract import measured_grid
from edgepose.artifacts.spec import embed_spec
from edgepose.codecs.grids import implied_grid
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.recognize.candidate import Guess
from edgepose.recognize.kept import keep_recognized

if TYPE_CHECKING:
    from edgepose.export.foreign import Imported

FIELD = "codec.grid"


def with_measured_grid(made: Imported, calib: str | None = None, note: Note = silent) -> Imported:
    """Measure the grid of a network whose family leaves it open, and put it into the contract.

    A graph does not show which crop pixel a heatmap pixel stands for. A crop and its mirror image do, without labels
    (`measure.grid`).

    Args:
        made: The imported network. Nothing is changed where it was not recognized, or states its grid, or gives no
            heatmaps.
        calib: Calibration images KIND:PATH[:SPLIT]; None takes rendered figures.
        note: Receives why the grid could not be measured.

    Returns:
        The network. Where another grid was found, its contract has it, and lists it as a guess.

    Raises:
        ModelError: The network cannot be run.
        DataError: The calibration data cannot be read, or it has no people.
    """
    codec = made.spec.codec
    if made.recognized is None or not isinstance(codec, HeatmapCodec) or codec.rule is not None or codec.offset:
        return made
    found = measured_grid(made.model, made.spec, calib)
    if found is None:
        note(f"contract: {FIELD} was not measured: the network does not find the same joints in mirrored crops")
        return made
    if found.proposed is None:
        return made
    proposed = found.proposed
    value = proposed.rule or implied_grid(proposed.refine)
    text = f"{value}, offset {proposed.offset:g}" if proposed.offset else value
    guess = Guess(field=FIELD, value=text, reason=f"measured, since with {found.given} {found.evidence()}")
    spec = replace(made.spec, codec=proposed)
    others = (one for one in made.recognized.guesses if one.field != FIELD)
    recognized = replace(made.recognized, spec=spec, guesses=(*others, guess))
    embed_spec(made.model, spec)
    keep_recognized(made.model, recognized, rewritten=made.adapted is not None)
    return replace(made, spec=spec, recognized=recognized)
