"""Rendered images of people with exact labels: stills for training and tests, clips for tracking and smoothing.

A scene has a background, one to three figures ray cast with one perspective camera, shadows, and the effects of a lens.
Labels are the projected joints of the skeletons, and the depth of the rendered surfaces decides which joints are
occluded. A still depends only on `numpy.random.default_rng((seed, index))`, so it is the same in whatever order stills
are rendered. The code needs only numpy and OpenCV.

`joints_xy_image` are float pixels with centers at integers, in LSP order; right is the person's own right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.datasets.rendering.backdrop import backdrop, cast_shadow, occluder, photograph
from edgepose.datasets.rendering.body import PART, PARTS, Light, flesh_out, shade
from edgepose.datasets.rendering.figures import (
    LSP_NODES,
    NODE,
    NODES,
    PARENTS,
    Proportions,
    Skeleton,
    sample_proportions,
    solve,
)
from edgepose.datasets.rendering.look import Look, sample_look
from edgepose.datasets.rendering.motion import MOVES, move
from edgepose.datasets.rendering.poses import sample_pose
from edgepose.datasets.rendering.raycast import FAR, Camera, Surface, look_at
from edgepose.errors import UsageError

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One rendered image with the labels of its N figures.

    Attributes:
        image: [H, W, 3] uint8 BGR.
        joints_xy_image: [N, 14, 2] float32, image pixels, exact even outside the image or behind something.
        labeled: Which joints are inside the image, [N, 14] bool.
        occluded: Which labeled joints are behind something, [N, 14] bool.
        boxes_xyxy: Boxes around the body's pixels in the image, including occluded ones, [N, 4] float32; zeros for
            a body without pixels.
    """

    image: Bytes  # [H, W, 3] BGR
    joints_xy_image: NDArray[np.float32]  # [N, 14, 2]
    labeled: NDArray[np.bool_]  # [N, 14]
    occluded: NDArray[np.bool_]  # [N, 14]
    boxes_xyxy: NDArray[np.float32]  # [N, 4]


@dataclass(frozen=True)
class Figure:
    """One person ready to be rendered."""

    body: Proportions
    look: Look
    bones: Skeleton
    seat_m: float | None = None


# fmt: off
_AROUND = {
    "ankle": ("shin", "foot"),
    "knee": ("thigh", "shin"),
    "hip": ("thigh", "trunk"),
    "wrist": ("forearm", "hand"),
    "elbow": ("upper_arm", "forearm"),
    "shoulder": ("upper_arm", "trunk"),
    "neck": ("neck", "trunk"),
    "crown": ("head",),
}
# fmt: on
# Thickness of the flesh in front of a joint, meters. A nearer surface occludes the joint, even if it belongs to a part
# of the joint (such as the trunk at the near hip in front of the far hip).
# fmt: off
_DEPTH_M = {
    "ankle": 0.08,
    "knee": 0.18,
    "hip": 0.17,
    "wrist": 0.06,
    "elbow": 0.08,
    "shoulder": 0.11,
    "neck": 0.14,
    "crown": 0.13,
}
# fmt: on


def _own_parts() -> tuple[NDArray[np.bool_], Array]:
    """Return which parts a joint belongs to, [14, parts], and how deep inside them it may be, [14] meters."""
    own, deep = np.zeros((len(LSP_NODES), len(PARTS)), np.bool_), np.zeros(len(LSP_NODES))
    for i, node in enumerate(LSP_NODES):
        side, _, name = node.rpartition("_")
        for part in _AROUND[name]:
            own[i, PART[part if part in PART else f"{side}_{part}"]] = True
        deep[i] = _DEPTH_M[name]
    return own, deep


_OWN, _DEEP_M = _own_parts()


def _visible(surface: Surface, owner: Bytes, figure: int, xyz_px: Array, scale_px: Array) -> NDArray[np.bool_]:
    """Return which joints are visible, [14] bool: a pixel at or next to the joint shows one of its own parts.

    `owner` [H, W] is 1 + the index of the visible figure.
    """
    height, width = surface.part.shape
    step = np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    xy = np.rint(np.clip(xyz_px[:, :2], -1e6, 1e6)).astype(np.int64)[:, None] + step
    x, y = xy[..., 0] - surface.left, xy[..., 1] - surface.top
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    seen = inside & (owner[y + surface.top, x + surface.left] == figure + 1)
    own = np.take_along_axis(_OWN, surface.part[y, x].astype(np.int64), axis=1)
    near = surface.depth_px[y, x] < (xyz_px[:, 2] - _DEEP_M * scale_px)[:, None]
    return np.asarray(np.any(seen & own & ~near, axis=1))


def _box(surface: Surface | None) -> NDArray[np.float32]:
    """Return the box [4] around the body's pixels, with edges at the centers of the outer pixels."""
    mask = surface.part > PART["prop"] if surface is not None else np.zeros((1, 1), np.bool_)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if surface is None or not len(rows):
        return np.zeros(4, np.float32)
    return np.array(
        [
            columns[0] + surface.left,
            rows[0] + surface.top,
            columns[-1] + surface.left,
            rows[-1] + surface.top,
        ],
        np.float32,
    )


def compose(
    rng: np.random.Generator,
    background: Bytes,  # [H, W, 3], not changed
    figures: list[Figure],
    camera: Camera,
    light: Light,
    cover: tuple[Bytes, Bytes] | None = None,  # [H, W, 3], [H, W]
) -> Scene:
    """Render figures in front of a background and label their visible joints.

    Args:
        rng: The source of randomness, for folds in the cloth.
        background: [H, W, 3] uint8, which is not changed.
        figures: The figures.
        camera: The camera.
        light: The light.
        cover: The colors [H, W, 3] and mask [H, W] of an object in front of all figures; None for no object.
    """
    image, size = background.copy(), (background.shape[0], background.shape[1])
    depth, owner = np.full(size, FAR, np.float32), np.zeros(size, np.uint8)
    surfaces = [flesh_out(f.body, f.bones, f.look, camera, size, f.seat_m) for f in figures]
    for i, (figure, surface) in enumerate(zip(figures, surfaces, strict=True)):
        if surface is None:
            continue
        at = (
            slice(surface.top, surface.top + surface.part.shape[0]),
            slice(surface.left, surface.left + surface.part.shape[1]),
        )
        won = surface.depth_px < depth[at]
        np.copyto(depth[at], surface.depth_px, where=won)
        owner[at][won] = i + 1
        np.copyto(image[at], shade(rng, surface, figure.look, light), where=won[..., None])
    if cover is not None:
        np.copyto(image, cover[0], where=(cover[1] > 0)[..., None])
        owner[cover[1] > 0] = 255
    return Scene(image, *_labels(figures, surfaces, owner, camera))


def _labels(
    figures: list[Figure], surfaces: list[Surface | None], owner: Bytes, camera: Camera
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """Return joints [N, 14, 2], labeled [N, 14], occluded [N, 14] and boxes [N, 4]."""
    world = np.stack([figure.bones.lsp_xyz_world() for figure in figures])
    xyz_px, scale = camera.project(world), camera.focal_px / camera.away_m(world)
    in_front = (world - camera.xyz_world) @ camera.rotation[2] > 0.1
    height, width = owner.shape
    x, y = xyz_px[..., 0], xyz_px[..., 1]
    labeled = in_front & (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    probe = xyz_px.copy()  # The crown is on the outline of the head, so its visibility is tested a little inside.
    probe[:, -1] += 0.2 * (camera.project(np.stack([f.bones.xyz_world[NODE["skull"]] for f in figures])) - probe[:, -1])
    seen = np.stack(
        [
            _visible(s, owner, i, probe[i], scale[i]) if s is not None else np.zeros(14, np.bool_)
            for i, s in enumerate(surfaces)
        ]
    )
    return (
        xyz_px[..., :2].astype(np.float32),
        labeled,
        labeled & ~seen,
        np.stack([_box(s) for s in surfaces]),
    )


def _light(rng: np.random.Generator, camera: Camera) -> tuple[Light, Array]:
    """Return a random light, and the world direction [3] toward its lamp."""
    around, high = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(25, 75))
    world = np.array([np.cos(around) * np.cos(high), np.sin(high), np.sin(around) * np.cos(high)])
    warm, lamp = rng.normal(0, 0.05, 3), rng.uniform(0.35, 1.0)
    sky = rng.uniform(0.35, 0.6) * (1 + rng.normal(0, 0.05, 3))
    return Light(
        camera.rotation @ world,
        (lamp * (1 + warm)).astype(np.float32),
        sky.astype(np.float32),
        (0.5 * sky).astype(np.float32),
    ), world


def _fit(rng: np.random.Generator, bones: Skeleton, size: tuple[int, int]) -> Camera:
    """Return a camera that usually shows the figure at 58 to 90 % of the image's height, sometimes cut off."""
    height, width = size
    low, high = bones.xyz_world.min(axis=0), bones.xyz_world.max(axis=0)
    middle = 0.5 * (low + high)
    eye = middle + np.array([rng.normal(0, 0.3), 0.0, rng.uniform(2.6, 8.0)])
    eye[1] = max(0.3, rng.normal(1.35, 0.4))
    unit = Camera(look_at(eye, middle, rng.normal(0, 3)), eye, 1.0, np.zeros(2))
    xy, flesh = unit.project(bones.xyz_world)[:, :2], 0.09 / unit.away_m(bones.xyz_world)[:, None]
    low_xy, high_xy = (xy - flesh).min(axis=0), (xy + flesh).max(axis=0)
    share = rng.uniform(0.58, 0.90) if rng.random() < 0.93 else rng.uniform(0.95, 1.3)
    focal = float(min(share * height / (high_xy[1] - low_xy[1]), max(share, 0.8) * width / (high_xy[0] - low_xy[0])))
    room = np.maximum(np.array([width, height]) - focal * (high_xy - low_xy), 0.0)
    center = (
        0.5 * np.array([width - 1.0, height - 1.0])
        - focal * 0.5 * (low_xy + high_xy)
        + rng.uniform(-0.42, 0.42, 2) * room
    )
    return Camera(unit.rotation, eye, focal, center)


def _horizon(camera: Camera, width: int, far_m: float) -> tuple[float, float]:
    """Return y of the floor's edge, `far_m` behind the origin, at the left and right border of the image."""
    ends = camera.project(np.array([[-3.0, 0.0, -far_m], [3.0, 0.0, -far_m]]))
    slope = (ends[1, 1] - ends[0, 1]) / max(ends[1, 0] - ends[0, 0], 1e-6)
    return float(ends[0, 1] - slope * ends[0, 0]), float(ends[0, 1] + slope * (width - ends[0, 0]))


_THICK_M = {"chest": 0.26, "neck": 0.26, "spine": 0.26, "crown": 0.15, "left_knee": 0.15, "right_knee": 0.15}
_SHADOW_M = np.array([_THICK_M.get(node, 0.09) for node in NODES[1:]])


def _shadow(image: Bytes, figure: Figure, camera: Camera, toward_lamp: Array, darkness: float) -> None:
    """Draw a figure's shadow on the floor, in place."""
    xyz = figure.bones.xyz_world
    floor = xyz - toward_lamp * (np.maximum(xyz[:, 1:2], 0.0) / toward_lamp[1])
    floor[:, 1] = 0.0
    xy, scale = camera.project(floor)[:, :2], float(camera.focal_px / camera.away_m(floor).mean())
    cast_shadow(image, np.stack([xy[1:], xy[list(PARENTS[1:])]], axis=1), _SHADOW_M * scale, darkness, 0.02 * scale)


def _neighbor(rng: np.random.Generator, first: Figure) -> Figure:
    """Return a second person near the first."""
    body = sample_proportions(rng)
    sample = sample_pose(rng, body)
    center = first.bones.xyz_world[NODE["pelvis"]]
    shift = np.array(
        [
            rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0),
            0.0,
            rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(0.35, 1.2),
        ]
    )
    xyz = sample.bones.xyz_world + shift + np.array([center[0], 0.0, center[2]])
    bones = Skeleton(xyz, sample.bones.frames)
    return Figure(body, sample_look(rng, body), bones, sample.seat_m)


def _check_request(seed: int, size: tuple[int, int], **counts: int) -> None:
    """Raise UsageError for arguments that numpy or OpenCV would refuse with a less clear message."""
    for name, value in {"seed": seed, **counts}.items():
        if value < 0:
            raise UsageError(f"{name} is {value}, expected 0 or more")
    if min(size) < 32:
        raise UsageError(f"size (height, width) is {size}, expected at least 32 pixels each way")


def render_still(
    seed: int,
    index: int,
    size: tuple[int, int] = (320, 256),  # (height, width)
) -> Scene:
    """Render one image of a data set. It usually shows one figure; a second figure may be cut or occluded.

    Args:
        seed: The seed of the data set.
        index: The number of the image.
        size: The (height, width) of the image, pixels.

    Returns:
        The scene; the first figure is the subject.

    Raises:
        UsageError: The seed or the index is negative, or the size is below 32 pixels.
    """
    _check_request(seed, size, index=index)
    rng = np.random.default_rng((seed, index))
    body = sample_proportions(rng)
    sample = sample_pose(rng, body)
    figures = [Figure(body, sample_look(rng, body), sample.bones, sample.seat_m)]
    camera = _fit(rng, figures[0].bones, size)
    if rng.random() < 0.16:
        figures.append(_neighbor(rng, figures[0]))
    light, toward_lamp = _light(rng, camera)
    background = backdrop(rng, size, _horizon(camera, size[1], rng.uniform(1.0, 25.0)))
    darkness = rng.uniform(0.15, 0.6)
    for figure in figures:
        _shadow(background, figure, camera, toward_lamp, darkness)
    cover = occluder(rng, size) if rng.random() < 0.07 else None
    scene = compose(rng, background, figures, camera, light, cover)
    return Scene(
        photograph(rng, scene.image, rng.random() < 0.4),
        scene.joints_xy_image,
        scene.labeled,
        scene.occluded,
        scene.boxes_xyxy,
    )


def _actors(rng: np.random.Generator, people: int, frames: int, fps: float) -> list[tuple[Proportions, Look, Skeleton]]:
    """Return people with their whole motion, bones [frames, 26, ...]; the first person always walks."""
    actors = []
    for i in range(people):
        body = sample_proportions(rng)
        kind = MOVES[0] if i == 0 else str(rng.choice(MOVES))
        center = (1.5 * (i - 0.5 * (people - 1)), rng.uniform(-1.0, 0.6))
        actors.append((body, sample_look(rng, body), solve(body, move(rng, body, kind, frames, fps, center))))
    return actors


def render_clip(
    seed: int,
    frames: int = 120,
    size: tuple[int, int] = (360, 640),  # (height, width)
    people: int = 2,
    fps: float = 25.0,
) -> Iterator[Scene]:
    """Render a clip of people who walk, jog, wave and jump in front of a fixed camera.

    Args:
        seed: The seed of the clip.
        frames: The number of frames.
        size: The (height, width) of a frame, pixels.
        people: The number of people.
        fps: Frames per second.

    Yields:
        One scene per frame; figure i is the same person in every frame.

    Raises:
        UsageError: An argument is out of range.
    """
    _check_request(seed, size, frames=frames)
    if people < 1:
        raise UsageError(f"people is {people}, expected 1 or more")
    # The spawn key makes the stream independent of the streams of the stills.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    actors = _actors(rng, people, frames, fps)
    height, width = size
    eye = np.array([rng.normal(0, 0.3), rng.uniform(1.3, 2.0), rng.uniform(6.5, 8.0)])
    focal = 0.62 * height * eye[2] / 1.8
    camera = Camera(
        look_at(eye, np.array([0.0, 0.92, 0.0]), rng.normal(0, 1)),
        eye,
        focal,
        0.5 * np.array([width - 1.0, height - 1.0]),
    )
    light, toward_lamp = _light(rng, camera)
    background = backdrop(rng, size, _horizon(camera, width, rng.uniform(3.0, 25.0)))
    lens, folds, darkness = int(rng.integers(0, 2**31)), int(rng.integers(0, 2**31)), rng.uniform(0.15, 0.6)
    for frame in range(frames):
        floor = background.copy()
        figures = [
            Figure(body, look, Skeleton(bones.xyz_world[frame], bones.frames[frame])) for body, look, bones in actors
        ]
        for figure in figures:
            _shadow(floor, figure, camera, toward_lamp, darkness)
        # All frames restart the same streams, so that folds and exposure do not change between frames.
        scene = compose(np.random.default_rng(folds), floor, figures, camera, light)
        image = photograph(np.random.default_rng(lens), scene.image, False)
        yield Scene(image, scene.joints_xy_image, scene.labeled, scene.occluded, scene.boxes_xyxy)
