"""The usual preprocessings of networks: what a contract's color order, mean and std may have been confused with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepose.artifacts.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another preprocessing of the same network.

    Attributes:
        name: What it is, in words.
        input: The input of the contract with it.
    """

    name: str
    input: InputSpec

    def toml(self) -> str:
        """Return the line of a spec.toml that says it."""
        parts = [f'color = "{self.input.color}"']
        parts += [f"{key} = {[round(v, 6) for v in getattr(self.input, key)]}" for key in ("mean", "std")]
        parts += [] if self.input.scale == 1 else [f"scale = {self.input.scale!r}"]
        return f"input = {{ {', '.join(parts)} }}"


def alternatives(image: InputSpec) -> tuple[Alternative, ...]:
    """Return the usual preprocessings that differ from the one given.

    Args:
        image: The input of the contract.
    """
    other = "bgr" if image.color == "rgb" else "rgb"
    made = [Alternative(name=f"color {other}", input=replace(image, color=other))]
    if image.dtype != "uint8":  # which takes pixels as they are
        turned = replace(image, mean=_backward(image.mean), std=_backward(image.std))
        made.append(Alternative(name=f"color {other}, mean and std reversed", input=replace(turned, color=other)))
        made.append(Alternative(name="mean and std reversed", input=turned))
        made += [choice for color in (image.color, other) for choice in _usual(image, color)]
    kept = {_effect(image): made[0]}
    for choice in made:
        kept.setdefault(_effect(choice.input), choice)
    return tuple(kept.values())[1:]


def _usual(image: InputSpec, color: str) -> list[Alternative]:
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if color == "bgr":
        mean, std = _backward(mean), _backward(std)
    choices: dict[str, tuple[Channels, Channels]] = {
        "mean and std of ImageNet": (mean, std),
        "pixels 0..1": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        "pixels -1..1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        "pixels as they are": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    }
    return [
        Alternative(name=f"{name}, color {color}", input=replace(image, color=color, mean=mean, std=std, scale=1.0))
        for name, (mean, std) in choices.items()
    ]


def _backward(channels: Channels) -> Channels:
    first, second, third = channels
    return third, second, first


def _effect(image: InputSpec) -> tuple[object, ...]:
    """Return what black and white become, rounded: two inputs with the same effect are one."""
    black = tuple(round(-m / s, 2) for m, s in zip(image.mean, image.std, strict=True))
    white = tuple(round((255 * image.scale - m) / s, 2) for m, s in zip(image.mean, image.std, strict=True))
    return image.color, black, white
