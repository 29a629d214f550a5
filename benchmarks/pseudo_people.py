"""Measure how the loss on pseudo-labels predicts the loss on labels, for networks that find people by themselves.

    python benchmarks/pseudo_people.py --data ../shared/data --work FOLDER NAME=FLOAT.onnx ...

As `pseudo_labels.py`, for whole images: those of 100 people of LSP train and those of COCO-mini train. Each network, a
float ONNX file with its contract, is calibrated on 64 other people of LSP train and quantized in several qualities. The
graphs run in OpenVINO; what they find is kept in the folder of --work and used again by the next run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from displacement import part
from pseudo_labels import graphs, loss
from records import write_csv, write_machine

from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends import openvino
from edgepose.backends.session import BuildOptions, OpenOptions
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, pictures
from edgepose.graph.lookup import load_onnx
from edgepose.measure.boxes import compared_skeleton
from edgepose.measure.held_out import labeled_people, retained
from edgepose.measure.moved_images import with_borders
from edgepose.measure.predictions import Detected, Engine, collect_everyone, evaluated
from edgepose.measure.pseudo_labels import COPIES
from edgepose.measure.pseudo_people import pseudo_people
from edgepose.runtime.pipeline import Pipeline, open_pipeline

FLOAT_SHARES = (0.0, 0.4, 0.7)
PEOPLE, CALIBRATION = 100, 64
ENDS = ("loss", "loss_error", "pseudo", "pseudo_error")
COLUMNS = ["network", "method", "float_share", "data", "people", "sure_people", "metric", *ENDS]
ARRAYS = ("image", "xy_image", "scores", "box_scores", "area")


def found_in(graph: Path, spec: ModelSpec, sets: dict[str, PoseData], folder: Path, name: str, moved: bool) -> None:
    """Run a graph on the images of every set, and on their copies where `moved` is set; keep what it finds."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as built:
        openvino.build(graph, Path(built), BuildOptions(precision="int8"))
        with (
            openvino.open(Path(built), OpenOptions(threads=1)) as session,
            open_pipeline(session, evaluated(spec), threads=1) as pipeline,
        ):
            about = engine(spec, name)
            for key, data in sets.items():
                keep(folder / f"{key}-{name}.npz", lambda data=data: collect_everyone(pipeline, data, about))
                for copy in range(COPIES if moved else 0):
                    keep(
                        folder / f"{key}-moved-{copy}.npz", lambda c=copy, d=data: in_copy(pipeline, d, about, spec, c)
                    )


def in_copy(pipeline: Pipeline, data: PoseData, about: Engine, spec: ModelSpec, copy: int) -> Detected:
    """Return whom a network finds in one copy of the images, in pixels of the images."""
    images = with_borders(data, copy, spec.crop.border_value)
    return images.moved_back(collect_everyone(pipeline, images.data, about))


def keep(file: Path, find: Callable[[], Detected]) -> None:
    """Keep what `find` returns in a file, unless it is there."""
    if not file.is_file():
        found = find()
        np.savez_compressed(file, **{name: getattr(found, name) for name in ARRAYS})
        print(file, len(found.image), flush=True)


def engine(spec: ModelSpec, name: str) -> Engine:
    """Return what predictions say about their graph."""
    return Engine(path=name, precision="", backend="", onnx_sha256="", skeleton=compared_skeleton(spec.skeleton))


def read(file: Path, spec: ModelSpec, images: int) -> Detected:
    """Read what a graph found before in the first images."""
    with np.load(file) as arrays:
        kept = arrays["image"] < images
        return Detected(engine=engine(spec, file.stem), boxes="", grouped=True, **{n: arrays[n][kept] for n in ARRAYS})


def opened(root: Path) -> tuple[dict[str, PoseData], PoseData]:
    """Return the sets of labeled images by name, and the people to calibrate on."""
    lsp = open_data(f"lsp:{root}/lsp:train")
    sets = {"lsp": part(lsp, 0, PEOPLE), "coco": open_data(f"coco:{root}/coco-mini:train2017")}
    return sets, part(lsp, 600, CALIBRATION)


def rows_of(name: str, spec: ModelSpec, key: str, data: PoseData, folder: Path) -> Iterator[list[str]]:
    """Yield what each graph loses on the labels of one set and on pseudo-labels, metric by metric."""
    images, counted_from = len(pictures(data)), spec.codec.for_comparison()[1]
    metrics = ["box_ap"] if not len(spec.skeleton) else ["oks_ap", "pck@0.2", "pck@0.1"]
    first = read(folder / f"{key}-float.npz", spec, images)
    least = spec.codec.for_comparison()[0].score_threshold
    copies = [above(read(folder / f"{key}-moved-{copy}.npz", spec, images), least) for copy in range(COPIES)]
    pseudo = pseudo_people(above(first, least), copies, images, metrics, counted_from)
    labels = labeled_people(data, first, metrics)
    assert pseudo is not None, "the network finds people"
    reached = labels.measure(first)
    for file in sorted(folder.glob(f"{key}-*-*.npz")):
        _, method, share = file.stem.split("-")
        if method == "moved":
            continue
        found = read(file, spec, images)
        true, guessed = retained(labels, reached, labels.measure(found)), pseudo.retained(above(found, least))
        for metric in metrics:
            numbers = [f"{number:.5f}" for number in (*loss(true[metric]), *loss(guessed[metric]))]
            about = [name, method, share, key, str(labels.labels.n), str(round(pseudo.count / COPIES)), metric]
            yield [*about, *numbers]


def above(found: Detected, least: float) -> Detected:
    """Return the people of at least the score that the guard compares."""
    kept = found.box_scores > least
    return replace(found, **{name: getattr(found, name)[kept] for name in ARRAYS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quantization/pseudo-people"))
    parser.add_argument("--read", action="store_true", help="only measure what earlier runs found")
    parser.add_argument("networks", nargs="+", metavar="NAME=FLOAT.onnx")
    given = parser.parse_args()
    sets, calib = opened(given.data)
    rows: list[list[str]] = []
    for word in given.networks:
        name, _, path = word.partition("=")
        spec, folder = embedded_spec(load_onnx(Path(path)), path), given.work / name
        if not given.read:
            run(Path(path), spec, sets, calib, folder)
        for key, data in sets.items():
            for row in rows_of(name, spec, key, data, folder):
                rows.append(row)
                print(*row, flush=True)
    write_csv("pseudo-people.csv", COLUMNS, rows)
    write_machine("pseudo-people")


def run(path: Path, spec: ModelSpec, sets: dict[str, PoseData], calib: PoseData, folder: Path) -> None:
    """Run the float network on the images and their copies, and each quantized graph on the images."""
    found_in(path, spec, sets, folder, "float", moved=True)
    with tempfile.TemporaryDirectory() as made:
        for method, share, graph in graphs(path, spec, calib, CALIBRATION, FLOAT_SHARES):
            onnx.save(graph, str(Path(made) / "int8.onnx"))
            found_in(Path(made) / "int8.onnx", spec, sets, folder, f"{method}-{share:g}", moved=False)


if __name__ == "__main__":
    main()
