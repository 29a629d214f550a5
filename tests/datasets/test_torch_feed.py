"""Training batches: an item is a function of (seed, epoch, index), resumed and divided runs see the same."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepose.artifacts.spec import InputSpec, ModelSpec  # noqa: E402
from edgepose.codecs import grids, heatmap  # noqa: E402
from edgepose.datasets.augment import AugmentOptions  # noqa: E402
from edgepose.datasets.samples import Sample, SampleList  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget, joints_in  # noqa: E402
from edgepose.datasets.torch_feed import TrainingItems, batches, in_order  # noqa: E402
from edgepose.errors import DataError, UsageError  # noqa: E402
from edgepose.media.images import read_image  # noqa: E402
from edgepose.pose.geometry import apply_affine, crop_affine, grid_affine  # noqa: E402
from edgepose.pose.skeletons import SKELETONS, Skeleton  # noqa: E402

LSP = SKELETONS["lsp14"]
SPEC = ModelSpec(name="test", skeleton=LSP, input=InputSpec(mean=(0, 0, 0), std=(1, 1, 1)))
SIZE = (64, 48)
TARGET = HeatmapTarget(stride=4, sigma=2.0)
PLAIN = {"scale": 0.0, "rotate": 0.0, "shift": 0.0, "mirror": 0.0, "half_body": 0.0, "color": 0.0}


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (120, 100, 3), np.uint8)


def person(number, skeleton=LSP, **changes):
    k = len(skeleton)
    xy = np.random.default_rng(number).uniform([20, 15], [80, 105], (k, 2)).astype(np.float32)
    labeled = np.arange(k) != number % k
    box = np.concatenate([xy[labeled].min(axis=0), xy[labeled].max(axis=0)])
    return Sample(**{
        "image_id": number, "name": f"{number}.png", "read": functools.partial(noise, number), "xy_image": xy,
        "labeled": labeled, "occluded": np.zeros(k, bool), "box_xyxy": box, "area": 1000.0, **changes,
    })  # fmt: skip


def people(count, skeleton=LSP, first=0):
    samples = tuple(person(first + i, skeleton) for i in range(count))
    ids = tuple(sample.image_id for sample in samples)
    return SampleList(name="people", skeleton=skeleton, samples=samples, image_ids=ids)


def items(data, seed=1, epoch=0, options=AugmentOptions()):  # noqa: B008
    return TrainingItems([data], SPEC, SIZE, TARGET, seed, epoch, options)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_an_item_is_a_function_of_seed_epoch_and_index():
    data = people(6)
    first = items(data)
    assert [part.shape for part in first[0]] == [(3, *SIZE), (14, 16, 12), (14,)]
    assert all(part.dtype == np.float32 for part in first[0])
    wanted = [first[i] for i in range(6)]
    again = items(data)
    assert all(same(again[i], wanted[i]) for i in (5, 0, 3, 3, 1))  # in any order, as often as asked
    assert not same(items(data, seed=2)[0], wanted[0])
    assert not same(items(data, epoch=1)[0], wanted[0])


def test_without_options_it_is_the_evaluation_crop():
    data = people(3)
    crop, maps, weight = items(data, options=None)[1]
    matrix = crop_affine(data[1].box_xyxy, SIZE, padding=SPEC.crop.padding)
    xy_cells = apply_affine(grid_affine(SIZE, (16, 12)), apply_affine(matrix, data[1].xy_image))
    assert weight.tolist() == data[1].labeled.tolist()
    for k in np.flatnonzero(weight):
        y, x = np.unravel_index(maps[k].argmax(), maps[k].shape)
        assert np.abs(xy_cells[k] - [x, y]).max() <= 0.5 + 1e-6
        away = (np.arange(12) - xy_cells[k, 0]) ** 2 + (np.arange(16)[:, None] - xy_cells[k, 1]) ** 2
        assert np.allclose(maps[k], np.exp(-away / 8), atol=1e-6)
    assert not maps[~data[1].labeled].any()
    assert same(items(data, seed=7, epoch=3, options=None)[1], (crop, maps, weight))


@pytest.mark.parametrize(("method", "other"), [("dark", "udp"), ("udp", "dark")])
def test_targets_are_on_the_grid_that_decoding_uses(method, other):
    """A target's refined peak is the joint in the crop by the method's grid, and is not by the other grid."""
    data = people(3)
    target = HeatmapTarget(stride=4, sigma=1.0, decode=method)
    _, maps, weight = TrainingItems([data], SPEC, SIZE, target, 0, 0, None)[1]
    xy_crop = apply_affine(crop_affine(data[1].box_xyxy, SIZE, padding=SPEC.crop.padding), data[1].xy_image)
    middle = np.array(SIZE[::-1]) / 2  # near the border the blurred peak of a map is off
    inner = (weight > 0) & (np.abs(xy_crop - middle) < middle / 2).all(axis=1)
    xy_cells = heatmap.decode(maps[None], method, sigma=1.0)[0][0]
    away = [
        np.abs(apply_affine(grids.grid(name, (16, 12), SIZE), xy_cells) - xy_crop)[inner].max()
        for name in (method, other)
    ]
    assert away[0] < 0.1
    assert away[1] > 0.3


def test_a_joint_outside_the_crop_weighs_nothing():
    xy = person(0).xy_image.copy()
    xy[3] = (99, 3)  # in the image, far from the box
    one = replace(person(0), xy_image=xy, labeled=np.ones(14, bool), box_xyxy=np.array([20, 60, 60, 100], np.float32))
    data = replace(people(1), samples=(one,))
    _, maps, weight = items(data, options=None)[0]
    assert weight[3] == 0
    assert not maps[3].any()
    matrix = crop_affine(one.box_xyxy, SIZE, padding=SPEC.crop.padding)
    xy_crop = apply_affine(matrix, one.xy_image)
    inside = ((xy_crop >= -0.5) & (xy_crop <= [47.5, 63.5])).all(axis=1)
    assert 0 < inside.sum() < 14
    assert weight.tolist() == inside.tolist()
    assert maps.shape[1:] == (16, 12)


def test_a_mirror_exchanges_left_and_right():
    """A red spot on the right wrist alone: mirrored, it is where the left wrist's map has its peak."""
    right, left = LSP.index("right_wrist"), LSP.index("left_wrist")
    xy = np.tile(np.array([50, 60], np.float32), (14, 1))
    xy[right], xy[left] = (30, 40), (70, 80)
    image = np.zeros((120, 100, 3), np.uint8)
    image[36:45, 26:35] = (0, 0, 255)
    one = replace(
        person(0), read=lambda: image, xy_image=xy, labeled=np.ones(14, bool),
        box_xyxy=np.array([20, 20, 80, 100], np.float32),
    )  # fmt: skip
    data = replace(people(1), samples=(one,))
    for mirror, joint in ((0.0, right), (1.0, left)):
        crop, maps, weight = items(data, options=AugmentOptions(**{**PLAIN, "mirror": mirror}))[0]
        red = crop[0].reshape(16, 4, 12, 4).mean(axis=(1, 3))
        assert weight.all()
        spot, peak = (np.array(np.unravel_index(m.argmax(), m.shape)) for m in (red, maps[joint]))
        assert np.abs(spot - peak).max() <= 1
        other = np.array(np.unravel_index(maps[right + left - joint].argmax(), red.shape))
        assert np.abs(spot - other).max() > 3


def test_ignored_people_are_left_out_and_sets_stand_end_to_end():
    data = people(4)
    data = replace(data, samples=(*data.samples[:2], replace(data[2], ignore=True), data[3]))
    both = TrainingItems([data, people(2, first=50)], SPEC, SIZE, TARGET, 1, 0, None)
    assert len(both) == 5
    plain = TrainingItems([people(2, first=50)], SPEC, SIZE, TARGET, 1, 0, None)
    assert same(both[3], plain[0])


def test_joints_are_matched_by_name():
    coco = SKELETONS["coco17"]
    sample = person(3, coco)
    xy, labeled = joints_in(sample, LSP, coco)
    for joint in LSP.joints:
        k = LSP.index(joint)
        if joint in coco.joints:
            assert np.array_equal(xy[k], sample.xy_image[coco.index(joint)])
            assert labeled[k] == sample.labeled[coco.index(joint)]
        else:
            assert not labeled[k]
    stranger = Skeleton(name="hand", joints=("thumb", "palm"))
    with pytest.raises(DataError, match="people cannot train this network: its skeleton hand has none of lsp14's"):
        items(people(2, stranger))


def test_the_weight_of_a_joint_is_its_confidence():
    """In the order of the network, with left and right exchanged by a mirror; 1 without confidences."""
    coco = SKELETONS["coco17"]
    confidence = np.linspace(0.1, 1, 17).astype(np.float32)
    known = {"labeled": np.ones(17, bool), "confidence": confidence}
    data = SampleList(name="people", skeleton=coco, samples=(person(0, coco, **known),), image_ids=(0,))
    for mirror, order in ((0.0, np.arange(14)), (1.0, np.array(LSP.flip_order()))):
        weight = items(data, options=AugmentOptions(**{**PLAIN, "mirror": mirror}))[0][2]
        for k, joint in enumerate(np.array(LSP.joints)[order]):
            wanted = confidence[coco.index(joint)] if joint in coco.joints else 0
            assert weight[k] == wanted
    plain = items(people(1), options=AugmentOptions(**PLAIN))[0][2]
    assert set(plain.tolist()) == {0.0, 1.0}


def test_an_epoch_is_everybody_once_in_full_batches():
    data = people(23)
    feed, count = batches(items(data), 5, workers=0)
    got = list(feed)
    assert count == len(got) == 4
    assert [part.shape[0] for part in got[0]] == [5, 5, 5]
    wanted = {items(data)[i][0].tobytes() for i in range(23)}
    seen = [crop.numpy().tobytes() for crops, _, _ in got for crop in crops]
    assert len(set(seen)) == 20
    assert set(seen) <= wanted
    second = next(iter(batches(items(data, epoch=1), 5, workers=0)[0]))
    assert not torch.equal(second[0], got[0][0])


def test_a_resumed_epoch_goes_on_where_it_stopped():
    data = people(20)
    whole, count = batches(items(data), 4, workers=0)
    rest, same_count = batches(items(data), 4, workers=0, skip=3)
    assert count == same_count == 5
    for wanted, got in zip(list(whole)[3:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(wanted, got, strict=True))


def test_ranks_share_each_batch():
    data = people(20)
    whole, _ = batches(items(data), 6, workers=0)
    shares = [batches(items(data), 6, workers=0, rank=rank, world=3)[0] for rank in range(3)]
    for wanted, *parts in zip(whole, *shares, strict=True):
        for part, pieces in zip(wanted, zip(*parts, strict=True), strict=True):
            assert torch.equal(part, torch.cat(pieces))
    with pytest.raises(UsageError, match="a batch of 6 cannot be divided among 4 processes"):
        batches(items(data), 6, workers=0, world=4)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 and later, of any loader
def test_workers_change_nothing():
    data = people(8)
    alone, _ = batches(items(data), 4, workers=0)
    shared, _ = batches(items(data), 4, workers=2)
    for wanted, got in zip(alone, shared, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(wanted, got, strict=True))


def test_torchs_own_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(batches(items(people(8)), 4, workers=0)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_in_order_is_everybody():
    data = people(7)
    plain = items(data, options=None)
    got = list(in_order(plain, 3, workers=0))
    assert [len(crops) for crops, _, _ in got] == [3, 3, 1]
    crops = torch.cat([crops for crops, _, _ in got]).numpy()
    assert all(np.array_equal(crops[i], plain[i][0]) for i in range(7))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_told_in_one_line(tmp_path, workers):
    path = tmp_path / "gone.jpg"
    data = people(4)
    data = replace(data, samples=(*data.samples[:3], replace(data[3], read=functools.partial(read_image, path))))
    feed, _ = batches(items(data), 4, workers=workers)
    with pytest.raises(DataError) as caught:
        list(feed)
    assert str(caught.value) == f"cannot read image {path}: No such file or directory"


def test_labels_of_another_image_are_refused():
    xy = person(0).xy_image.copy()
    xy[3] = (900, 3)
    data = replace(people(1), samples=(replace(person(0), xy_image=xy, labeled=np.ones(14, bool)),))
    with pytest.raises(DataError, match=r"0\.png \(image 0, 100x120\): a joint is labeled at \(900, 3\)"):
        items(data)[0]
