"""The appearance of a rendered person: materials, the colors of skin, hair and clothes, and the cut of the clothes.

Colors are linear BGR in 0..1; `body` shades them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.datasets.rendering.figures import Proportions

Array = NDArray[np.float64]

MATERIALS: tuple[str, ...] = (
    "nothing",
    "prop",
    "skin",
    "hair",
    "shirt",
    "trousers",
    "shoes",
    "sole",
    "eye",
    "white",
    "lips",
    "accent",
    "beard",
)
MATERIAL: dict[str, int] = {name: i for i, name in enumerate(MATERIALS)}
CLOTH = np.array([name in ("shirt", "trousers", "accent", "prop") for name in MATERIALS], np.float32)
GLOSS = np.array(
    [{"skin": 0.10, "hair": 0.16, "shoes": 0.14, "eye": 0.3}.get(name, 0.02) for name in MATERIALS],
    np.float32,
)


@dataclass(frozen=True)
class Look:
    """The clothes of one person, and colors independent of the light.

    Attributes:
        albedo: The color of each material, [materials, 3] float32, linear BGR 0..1.
        sleeve: Length of the sleeves: 0 none, 1 to the elbow, 2 to the wrist.
        leg: Length of the trousers or skirt: 0 none, 1 to the knee, 2 to the ankle.
        skirt: Whether the person wears a skirt.
        loose: Width of the clothes divided by the width of the limb, about 1..1.25.
        waist: Where the shirt ends on the trunk: 0 at the crotch, 1 at the ribs.
        pattern: "plain", "rows", "columns", "checks" or "panel".
        period_m: The period of the pattern, meters.
        neckline_m: The radius of the neckline, meters.
        hair: "short", "long", "tail", "bun", "volume", "bald" or "cap".
        beard: Whether the person has a beard.
        wrinkle: Strength of the folds in the clothes.
    """

    albedo: NDArray[np.float32]  # [materials, 3]
    sleeve: float
    leg: float
    skirt: bool
    loose: float
    waist: float
    pattern: str
    period_m: float
    neckline_m: float
    hair: str
    beard: bool
    wrinkle: float


def _srgb(*bgr: float) -> Array:
    """Convert 8-bit sRGB values to linear light; a square approximates the sRGB curve here and in `body.shade`."""
    return (np.array(bgr) / 255.0) ** 2


# fmt: off
_SKINS = np.stack([_srgb(172, 200, 236), _srgb(150, 184, 226), _srgb(120, 160, 208), _srgb(86, 126, 178),
    _srgb(58, 88, 134), _srgb(40, 60, 92)])
_HAIRS = np.stack([_srgb(24, 26, 30), _srgb(34, 46, 66), _srgb(48, 76, 112), _srgb(96, 146, 186), _srgb(40,
    62, 130), _srgb(150, 152, 156)])


def _dye(rng: np.random.Generator) -> Array:
    """Return a random color of clothes, linear BGR [3]: black, white, gray, denim or a saturated color."""
    if rng.random() < 0.42:
        plain = np.stack([_srgb(30, 30, 32), _srgb(228, 230, 230), _srgb(128, 128, 128), _srgb(110, 78, 52),
            _srgb(84, 60, 44), _srgb(100, 120, 140)])
        return np.asarray(plain[rng.integers(0, len(plain))] * rng.uniform(0.7, 1.2))
    hue, saturation, value = rng.uniform(0, 180), rng.uniform(60, 225), rng.uniform(70, 235)
    pixel = cv2.cvtColor(np.array([[[hue, saturation, value]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return _srgb(*(float(v) for v in pixel))


def sample_look(rng: np.random.Generator, body: Proportions) -> Look:
    """Draw random skin, hair and clothes.

    Args:
        rng: The source of randomness.
        body: The person's proportions.
    """
    t = rng.uniform(0, len(_SKINS) - 1)
    skin = _SKINS[int(t)] + (t % 1) * (_SKINS[min(int(t) + 1, len(_SKINS) - 1)] - _SKINS[int(t)])
    hair = _HAIRS[rng.integers(0, len(_HAIRS))] * rng.uniform(0.7, 1.3)
    shirt, trousers = _dye(rng), _dye(rng)
    sort, female, bare = rng.random(), body.female > 0.0, False
    if sort < 0.14:  # one color: a suit, a uniform, a dress
        trousers = shirt
    elif sort < 0.18 and not female:
        shirt, bare = skin, True
    shoes = _dye(rng)
    colors = {"prop": _dye(rng), "skin": skin, "hair": hair, "shirt": shirt, "trousers": trousers, "shoes":
        shoes, "sole": rng.choice([0.05, 0.6]) * np.ones(3), "eye": _srgb(30, 32, 36), "white": _srgb(200,
        205, 210), "lips": skin * (0.75, 0.55, 0.85), "accent": _dye(rng), "beard": 0.35 * skin + 0.65 *
        hair}
    styles = ["short", "long", "tail", "bun", "volume", "bald", "cap"]
    weights = np.array([1, 5, 4, 1.5, 1, 0, 0.7] if female else [9, 0.6, 0.3, 0.2, 0.8, 1.4, 1.6])
    skirt = female and rng.random() < 0.22
    patterns = ["plain", "rows", "columns", "checks", "panel"]
    pattern = str(rng.choice(patterns, p=[0.56, 0.14, 0.08, 0.08, 0.14]))
    sleeve = rng.choice([0.0, rng.uniform(0.4, 0.75), 1.97], p=[0.18, 0.45, 0.37])
    leg = rng.choice([rng.uniform(0.3, 0.5), rng.uniform(0.7, 1.0), 1.94], p=[0.14, 0.28, 0.58])
    return Look(
        albedo=np.stack([colors.get(name, np.zeros(3)) for name in MATERIALS]).astype(np.float32),
        sleeve=0.0 if bare else float(sleeve),
        leg=float(rng.uniform(0.55, 1.0) if skirt else leg),
        skirt=skirt,
        loose=float(rng.uniform(1.02, 1.22)),
        waist=float(rng.uniform(0.0, 0.5)),
        pattern="plain" if bare else pattern,
        period_m=float(rng.uniform(0.05, 0.16)),
        neckline_m=float(rng.uniform(0.045, 0.075)),
        hair=str(rng.choice(styles, p=weights / weights.sum())),
        beard=not female and rng.random() < 0.25,
        wrinkle=float(rng.uniform(0.10, 0.5)),
    )
# fmt: on
