"""Codecs: what the outputs of a network mean, one object per kind.

A codec is a frozen dataclass: its fields are the parameters that a contract gives, its methods say which outputs
it takes and turn them into joints. A new codec is one file with one class, and one line in `CODECS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgepose.codecs.codec import Codec

# The type in a contract -> module and class, which is imported when the codec is first used.
CODECS: dict[str, str] = {
    "heatmap": "edgepose.codecs.heatmap:HeatmapCodec",
    "simcc": "edgepose.codecs.simcc:SimccCodec",
    "regression": "edgepose.codecs.regression:RegressionCodec",
    "paf": "edgepose.codecs.paf:PafCodec",
    "associative": "edgepose.codecs.associative:AssociativeCodec",
    "offsets": "edgepose.codecs.offsets:OffsetsCodec",
    "posenet": "edgepose.codecs.posenet:PosenetCodec",
    "pifpaf": "edgepose.codecs.pifpaf:PifpafCodec",
    "onestage": "edgepose.codecs.onestage:OnestageCodec",
}
DEFAULT = "heatmap"


def codec_named(name: str) -> type[Codec]:
    """Import the class of a registered codec.

    Args:
        name: A key of `CODECS`.

    Returns:
        The codec's class.

    Raises:
        KeyError: If no codec of this name is registered.
    """
    module, _, kind = CODECS[name].partition(":")
    found: type[Codec] = getattr(importlib.import_module(module), kind)
    return found


def default_codec() -> Codec:
    """Return the codec of a contract that names none."""
    return codec_named(DEFAULT)()


__all__ = ["CODECS", "codec_named", "default_codec"]
