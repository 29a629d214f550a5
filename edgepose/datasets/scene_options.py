"""Options of the scenes that a person detector is trained on. `people_feed` composes them; it needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """How scenes are composed.

    Attributes:
        person_px: The smallest and the largest height of people in the scene, pixels.
        composed: Probability of tiles.
        bare: Probability that the photograph is one without people.
        filled: Probability that another photograph covers what surrounds it.
        gray: Probability that it is otherwise gray, not a rendered backdrop.
        mirror: Probability that a photograph is mirrored.
        color: Strength of the changes in channel gain, brightness and contrast, see `AugmentOptions`.
    """

    person_px: tuple[float, float] = (30.0, 400.0)
    composed: float = 0.5
    bare: float = 0.1
    filled: float = 0.6
    gray: float = 0.6
    mirror: float = 0.5
    color: float = 0.2
