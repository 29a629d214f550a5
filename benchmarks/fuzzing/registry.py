"""The kinds of input of the campaign."""

from __future__ import annotations

from fuzzing import calibrations, clips, contracts, engines, labels, networks, pictures
from fuzzing.kind import Kind

KINDS: tuple[Kind, ...] = (
    networks.KIND,
    contracts.KIND,
    calibrations.KIND,
    engines.KIND,
    labels.KIND,
    pictures.KIND,
    clips.KIND,
)
