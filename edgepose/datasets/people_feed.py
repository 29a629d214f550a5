"""Training items of person detectors: scenes composed of photographs, with the boxes of everyone in them.

A scene shows the item's own photograph at a random scale and place, and often some tiles: people cut out of other
photographs with a margin, so that a few photographs give many scenes with small and near people. What the photograph
does not cover is another photograph, gray as around an image that the network sees later, or a rendered backdrop.

People are labeled by the visible part of their boxes. Somebody of whom little is visible is a region that does not
count, neither as a person nor as background.

As for all training items, a scene depends only on (seed, epoch, index).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.augment import jitter_color
from edgepose.datasets.images import ImageFolder
from edgepose.datasets.rendering.backdrop import backdrop
from edgepose.datasets.samples import Picture, PoseData, counted, pictures
from edgepose.datasets.scene_options import SceneOptions
from edgepose.datasets.torch_feed import Item, Items
from edgepose.errors import DataError
from edgepose.kernels.cropping import crops_at
from edgepose.pose.geometry import Size, apply_affine, clip_boxes

MOST = 48  # labeled boxes of a scene; of more, the largest
PERSON, REGION, NOTHING = 1.0, 0.0, -1.0  # kinds of a box; NOTHING is padding
VISIBLE, HIDDEN = 0.5, 0.1  # the visible share of a box from which it is a person, and below which it is background
LEAST_PX = 10.0  # the height of a person below which it does not count
ENLARGED = 2.0  # Photographs are not enlarged by more: the network would learn blur.
SHRUNK = 0.15  # of the scale at which a photograph fits into the scene, at least
TILES = 4  # the largest number of tiles
TILE = 0.6  # the largest height of a person in a tile, as a share of the height of the scene
TRIES = 8  # of finding a place for a tile where it hides little
HIDES = 0.25  # share of a person that a tile may hide


@dataclass(frozen=True, kw_only=True)
class PeoplePicture:
    """A photograph and the boxes in it.

    Attributes:
        picture: The photograph.
        boxes_xyxy: [P, 4] float64, image pixels.
        kinds: [P] float64, `PERSON` or `REGION`.
    """

    picture: Picture
    boxes_xyxy: Array
    kinds: Array


def people_pictures(data: PoseData) -> list[PeoplePicture]:
    """List the photographs of a data set with the boxes of everyone in them, also of people without labeled joints.

    Raises:
        DataError: The data set has no labels.
    """
    if isinstance(data, ImageFolder):
        raise DataError(
            f"{data.name} has no labels, which a person detector learns; set teacher_network in the recipe to a "
            "detector that labels them"
        )
    samples = [data[i] for i in range(len(data))]
    boxes: dict[tuple[int, str], list[Array]] = {}
    kinds: dict[tuple[int, str], list[float]] = {}
    for sample in samples:
        if (sample.box_xyxy[2:] > sample.box_xyxy[:2]).all():
            key = sample.image_id, sample.name
            boxes.setdefault(key, []).append(np.asarray(sample.box_xyxy, np.float64))
            kinds.setdefault(key, []).append(REGION if sample.crowd else PERSON)
    return [
        PeoplePicture(
            picture=picture,
            boxes_xyxy=np.array(boxes.get(key, []), np.float64).reshape(-1, 4),
            kinds=np.array(kinds.get(key, []), np.float64),
        )
        for picture in pictures(data, samples)
        for key in [(picture.image_id, picture.name)]
    ]


class SceneCanvas:
    """A scene while it is composed.

    Args:
        image: The empty canvas, [H, W, 3] uint8 BGR, which is drawn on.
    """

    def __init__(self, image: Array) -> None:
        self.image = image
        self.boxes_xyxy = np.zeros((0, 4))
        self.kinds = np.zeros(0)

    @property
    def size(self) -> Size:
        """The (height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def lay(self, image: Array, matrix: Array, boxes_xyxy: Array, kinds: Array, part_xyxy: Array | None = None) -> None:
        """Draw a part of a photograph over what is there, and label who is visible then.

        Args:
            image: The photograph, [h, w, 3] uint8 BGR.
            matrix: Photograph -> scene, [2, 3] float, without rotation.
            boxes_xyxy: The boxes of the photograph, [P, 4] float.
            kinds: Their kinds, [P] float.
            part_xyxy: The part that is drawn, [4] float, pixels of the photograph; None for all of it.
        """
        whole = np.array([-0.5, -0.5, image.shape[1] - 0.5, image.shape[0] - 0.5])
        covered = clip_boxes(_moved(matrix, (whole if part_xyxy is None else part_xyxy)[None]), self.size)[0]
        x0, y0, x1, y1 = (round(float(edge) + 0.5) for edge in covered)
        if x1 <= x0 or y1 <= y0:
            return
        shifted = matrix - [[0, 0, x0], [0, 0, y0]]
        self.image[y0:y1, x0:x1] = cv2.warpAffine(image, shifted, (x1 - x0, y1 - y0), borderMode=cv2.BORDER_REPLICATE)
        behind = _visible(self.boxes_xyxy, self.kinds, 1 - _shares(self.boxes_xyxy, covered))
        moved = _moved(matrix, boxes_xyxy)
        seen = np.concatenate([np.maximum(moved[:, :2], covered[:2]), np.minimum(moved[:, 2:], covered[2:])], axis=1)
        front = _visible(seen, kinds, _shares(moved, covered))
        self.boxes_xyxy, self.kinds = (np.concatenate(both) for both in zip(behind, front, strict=True))

    def hidden(self, box_xyxy: Array) -> float:
        """Return the largest share of a person that something in a box [4] would hide."""
        people = self.boxes_xyxy[self.kinds == PERSON]
        return float(_shares(people, box_xyxy).max(initial=0.0))

    def labels(self) -> tuple[Array, Array]:
        """Return boxes_xyxy [MOST, 4] and kinds [MOST], float32, padded."""
        boxes, kinds = np.zeros((MOST, 4), np.float32), np.full(MOST, NOTHING, np.float32)
        sides = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        largest = np.argsort(-sides.prod(axis=1), kind="stable")[:MOST]
        boxes[: len(largest)], kinds[: len(largest)] = self.boxes_xyxy[largest], self.kinds[largest]
        return boxes, kinds


def _visible(boxes: Array, kinds: Array, share: Array) -> tuple[Array, Array]:
    """Keep the boxes [P, 4] of which a share [P] is visible; those of which little is visible become regions."""
    unclear = (share < VISIBLE) | (boxes[:, 3] - boxes[:, 1] < LEAST_PX)
    kept = (share >= HIDDEN) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes[kept], np.where(unclear, REGION, kinds)[kept]


def _moved(matrix: Array, boxes_xyxy: Array) -> Array:
    """Return boxes [P, 4] that a matrix without rotation has moved; a mirror exchanges left and right."""
    corners = apply_affine(matrix, boxes_xyxy.reshape(-1, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _shares(boxes: Array, cover: Array) -> Array:
    """Return the share of each box [P, 4] that lies in a box [4]."""
    sides = (np.minimum(boxes[:, 2:], cover[2:]) - np.maximum(boxes[:, :2], cover[:2])).clip(0)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(sides.prod(axis=1) / np.maximum(areas, 1e-9))


class SceneBoxItems(Items):
    """One scene for each person of several data sets: (scene [3, H, W], boxes_xyxy [MOST, 4], kinds [MOST]).

    Args:
        data: The data sets.
        spec: The contract of the network.
        size: The (height, width) of the scenes, pixels.
        seed: The seed of the training run.
        epoch: The number of the epoch.
        options: How scenes are composed.

    Raises:
        DataError: A data set has no labels, or (from an item) an image cannot be read.
    """

    def __init__(
        self, data: Sequence[PoseData], spec: ModelSpec, size: Size, seed: int, epoch: int, options: SceneOptions
    ) -> None:
        self.seed, self.epoch, self.size, self.options = seed, epoch, size, options
        self.spec = replace(spec, input=replace(spec.input, size=size))
        self.places: list[PeoplePicture] = []
        self.starts: list[int] = []  # the photograph of each item
        for part in data:
            listed = people_pictures(part)
            first = {(one.picture.image_id, one.picture.name): i for i, one in enumerate(listed, len(self.places))}
            samples = (part[i] for i in counted(part))
            self.starts += [first[sample.image_id, sample.name] for sample in samples]
            self.places += listed
        self.bare = [i for i, one in enumerate(self.places) if not len(one.boxes_xyxy)]
        self.peopled = [i for i, one in enumerate(self.places) if (one.kinds == PERSON).any()]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        canvas = self.compose(self.starts[index], rng)
        image = jitter_color(canvas.image, self.options.color, rng)
        scene = crops_at(image, np.eye(2, 3)[None], self.spec)[0]
        return scene, *canvas.labels()

    def compose(self, start: int, rng: np.random.Generator) -> SceneCanvas:
        """Compose a scene.

        Args:
            start: The index of the item's photograph.
            rng: The source of randomness.
        """
        options = self.options
        canvas = SceneCanvas(self._empty(rng))
        if rng.random() < options.filled:
            self._fill(canvas, self.places[int(rng.integers(len(self.places)))], rng)
        bare = rng.random() < options.bare
        if not bare or self.bare:
            number = self.bare[int(rng.integers(len(self.bare)))] if bare else start
            self._background(canvas, self.places[number], rng)
        if rng.random() < options.composed and self.peopled:
            for _ in range(int(rng.integers(1, TILES + 1))):
                self._tile(canvas, self.places[self.peopled[int(rng.integers(len(self.peopled)))]], rng)
        return canvas

    def _empty(self, rng: np.random.Generator) -> Array:
        if rng.random() < self.options.gray:
            return np.full((*self.size, 3), self.spec.crop.border_value, np.uint8)
        low, high = 0.2 * self.size[0], 0.8 * self.size[0]
        return backdrop(rng, self.size, (float(rng.uniform(low, high)), float(rng.uniform(low, high))))

    def _fill(self, canvas: SceneCanvas, place: PeoplePicture, rng: np.random.Generator) -> None:
        """Draw a photograph so that it covers the scene."""
        image = place.picture.read()
        sides, room = np.array([image.shape[1], image.shape[0]], np.float64), np.array(self.size[::-1], np.float64)
        scale = float((room / sides).max() * rng.uniform(1.0, 1.5))
        offset = rng.uniform(room - scale * sides, 0.0)
        canvas.lay(image, self._placed(scale, offset, sides[0], rng), place.boxes_xyxy, place.kinds)

    def _background(self, canvas: SceneCanvas, place: PeoplePicture, rng: np.random.Generator) -> None:
        """Draw a photograph so that one of its people has a random height, and is in the scene."""
        image = place.picture.read()
        sides = np.array([image.shape[1], image.shape[0]], np.float64)
        room = np.array(self.size[::-1], np.float64)
        fit = float((room / sides).min())
        main = self._someone(place, rng)
        if main is None:
            scale, middle = fit * float(np.exp(rng.uniform(np.log(0.7), np.log(2.5)))), sides / 2
        else:
            height, middle = main[3] - main[1], (main[:2] + main[2:]) / 2
            scale = float(np.clip(self._height(rng) / height, SHRUNK * fit, max(ENLARGED, fit)))
        spare = room - scale * sides
        offset = rng.uniform(np.minimum(spare, 0), np.maximum(spare, 0))
        offset = np.clip(offset, 0.1 * room - scale * middle, 0.9 * room - scale * middle)
        canvas.lay(image, self._placed(scale, offset, sides[0], rng), place.boxes_xyxy, place.kinds)

    def _tile(self, canvas: SceneCanvas, place: PeoplePicture, rng: np.random.Generator) -> None:
        """Draw one person of a photograph with some margin, where it hides few others."""
        main = self._someone(place, rng)
        if main is None:
            return
        extent = main[2:] - main[:2]
        scale = min(min(self._height(rng), TILE * self.size[0]) / extent[1], ENLARGED)
        margin = rng.uniform(0.02, 0.35, 4) * np.tile(extent, 2) * [-1, -1, 1, 1]
        room = np.array(self.size[::-1], np.float64)
        for _ in range(TRIES):
            offset = rng.uniform(0.0, room) - scale * (main[:2] + main[2:]) / 2
            part = main + margin
            if canvas.hidden(np.concatenate([scale * part[:2] + offset, scale * part[2:] + offset])) <= HIDES:
                break
        else:
            return
        image = place.picture.read()
        part = clip_boxes(part[None], (image.shape[0], image.shape[1]))[0]
        canvas.lay(image, self._tile_matrix(scale, offset, part, rng), place.boxes_xyxy, place.kinds, part)

    def _tile_matrix(self, scale: float, offset: Array, part: Array, rng: np.random.Generator) -> Array:
        """Return the matrix of a tile, which a mirror turns about the middle of its part."""
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        if rng.random() < self.options.mirror:
            matrix[0] = [-scale, 0, scale * (part[0] + part[2]) + offset[0]]
        return matrix

    def _placed(self, scale: float, offset: Array, width: float, rng: np.random.Generator) -> Array:
        """Return the matrix of a background, whose left upper edge is at `offset`."""
        x, y = offset + 0.5 * scale - 0.5
        if rng.random() < self.options.mirror:
            return np.array([[-scale, 0, x + scale * (width - 1)], [0, scale, y]])
        return np.array([[scale, 0, x], [0, scale, y]])

    def _someone(self, place: PeoplePicture, rng: np.random.Generator) -> Array | None:
        """Return the box [4] of a random person of a photograph, or None."""
        people = place.boxes_xyxy[place.kinds == PERSON]
        return people[int(rng.integers(len(people)))] if len(people) else None

    def _height(self, rng: np.random.Generator) -> float:
        """Draw the height of a person in pixels, uniformly in its logarithm."""
        low, high = np.log(self.options.person_px)
        return float(np.exp(rng.uniform(low, high)))
