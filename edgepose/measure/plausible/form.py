"""The form of the outputs: whether the codec can decode arrays of these shapes at all."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.codecs.outputs import outputs_of
from edgepose.errors import ModelError, SpecError
from edgepose.measure.plausible.finding import ERROR, Evidence, Finding


def check_form(evidence: Evidence) -> Iterator[Finding]:
    """Refuse outputs whose shapes the codec does not decode."""
    if not evidence.outputs:
        return
    spec, outputs = evidence.spec, evidence.outputs
    try:
        outputs_of(spec, dict(zip(spec.outputs, outputs, strict=False)), len(outputs[0]))
    except (ModelError, SpecError) as error:
        yield Finding(
            severity=ERROR,
            what="codec",
            evidence=str(error).removesuffix("; correct the spec"),
            remedy="correct codec, or name the outputs that it decodes",
        )
