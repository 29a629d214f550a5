"""Fields and displacements: whether their components and signs are those that the contract states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.offsets import OffsetsCodec, likelier_displacement
from edgepose.codecs.paf import PafCodec
from edgepose.measure.plausible.finding import ERROR, Evidence, Finding

DECIDED = 3  # images that must speak for one of both readings
SHARE = 0.75  # of them, for the reading that the contract does not state


def check_vectors(evidence: Evidence) -> Iterator[Finding]:
    """Doubt the order of field components and the sign of displacements, by what they lead to on images of people."""
    spec, codec = evidence.spec, evidence.spec.codec
    if not evidence.outputs or not all(np.isfinite(values).all() for values in evidence.outputs):
        return
    if isinstance(codec, PafCodec):
        key, stated, what = "field_order", codec.field_order or "xy", "the fields lead along limbs"
    elif isinstance(codec, OffsetsCodec) and evidence.outputs[0].shape[1] > 1:
        key, stated, what = "displacement", codec.displacement, "the displacements lead to joints"
    else:
        return
    images = zip(*(np.split(values, len(values)) for values in evidence.outputs), strict=True)
    found = Counter(word for outputs in images if (word := _likelier(outputs, spec)) is not None)
    if not found:
        return
    (word, votes), total = found.most_common(1)[0], sum(found.values())
    if word != stated and total >= DECIDED and votes >= SHARE * total:
        yield Finding(
            severity=ERROR,
            what=f'codec.{key} = "{stated}"',
            evidence=f'{what} with "{word}" and not with "{stated}" on {votes} of {total} images ({evidence.source})',
            remedy=f'set codec.{key} = "{word}"',
        )


def _likelier(outputs: Sequence[Array], spec: ModelSpec) -> str | None:
    """The reading of the outputs for one image that leads to people; None where both are alike."""
    if isinstance(spec.codec, PafCodec):
        return spec.codec.likelier_order(outputs, spec)
    assert isinstance(spec.codec, OffsetsCodec)
    return likelier_displacement(outputs[0][0], outputs[1][0], spec.codec)
