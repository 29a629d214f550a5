"""Measure INT8 with plain defaults on networks that no recipe knows, and NNCF on the same crops.

    python benchmarks/quantization.py --data ../shared/data --models ../shared/models [--nncf PYTHON] [NAME ...]
    python benchmarks/quantization.py --onnx net.onnx --spec net.toml ...       # one more network

The networks are those of `thirdparty.py` and `lite`. Each is built by `edgepose build NAME --precision int8 --calib
lsp:LSP:train` without any other option; --no-guard builds each once more without search and guard. Calibration takes
512 of the 1,000 people there, the guard the others, and of their labels both take the box alone. Accuracy is measured
on LSP test, which nothing was chosen by.

--nncf names the Python of an environment with NNCF (`nncf_peer.py` says how to make it). NNCF's defaults and its
accuracy control then run on the same crops, and its models are measured like the engines. Accuracy control validates on
labeled people of LSP train. Without --nncf, the results of NNCF that --work already has are measured.

Accuracy needs no integer arithmetic: without VNNI or AMX, quantized layers are computed in float, which is exact.
Latency is measured where integers run: the network alone on one thread, all engines of a network interleaved in one
run. Elsewhere the columns of latency stay empty; quantization-machine.json says why (`int8`). A machine that other
programs use measures accuracy alone with --no-latency, which leaves the columns of latency as they are; the same
command without it then times the engines of --work on the quiet machine.

What was built stays in the folder of --work and is used again by the next run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nncf_ir import int8_share_of_ir
from records import RESULTS, read_csv, write_csv, write_machine
from thirdparty import NAMES, Network, write_network

from edgepose._checks import Array
from edgepose._files import read_json, sha256_file, sha256_json, write_json
from edgepose.artifacts.certificate import NAME as GUARD
from edgepose.artifacts.certificate import read_certificate
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends import openvino
from edgepose.backends.cpu import int8_saturates
from edgepose.backends.session import OpenOptions
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, SampleList
from edgepose.graph.cost import int8_share, layer_costs
from edgepose.graph.lookup import load_onnx
from edgepose.measure.accuracy import evaluate
from edgepose.measure.latency import ratio, time_interleaved
from edgepose.measure.predictions import Engine, Predictions, collect
from edgepose.measure.results import EngineAccuracy
from edgepose.runtime.pipeline import open_pipeline

METRICS = ("pck@0.2", "pck@0.1", "pcp@0.5", "oks_ap")
ACCURACY = ["network", "engine", "people", "metric", "value", "low", "high", "retained", "retained_low",
            "retained_high", "detectable"]  # fmt: skip
BUILDS = ["network", "engine", "int8_share", "float_layers", "guard", "guard_people", "guard_bound",
          "build_seconds", "build_peak_mib", "p50_ms", "faster_than_fp32", "faster_than_fp32_low",
          "faster_than_fp32_high", "faster_than_nncf", "faster_than_nncf_low", "faster_than_nncf_high"]  # fmt: skip
ENGINES = ("fp32", "int8", "int8, no guard", "nncf", "nncf accuracy control")
ROUNDS, WARMUP = 200, 20


@dataclass(frozen=True, kw_only=True)
class Made:
    """A network as one quantizer made it.

    Attributes:
        folder: The engine folder, or the folder with NNCF's model.xml.
        graph: The file whose content decides what is predicted.
        seconds: How long it took.
        peak_mib: The largest memory of the process.
        int8_share: Share of the multiply-adds that the graph asks to run in int8.
        float_layers: Number of the layers that an INT8 graph leaves in float; None where that is not known.
        guard: The answer of the guard; empty where there is none.
        guard_people: Number of people that the guard has seen.
        guard_bound: The retention of PCK@0.2 that the guard states as proven.
    """

    folder: Path
    graph: Path
    seconds: float
    peak_mib: int
    int8_share: float | None = None
    float_layers: int | None = None
    guard: str = ""
    guard_people: str = ""
    guard_bound: str = ""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command line says.

    Attributes:
        work: The folder of everything that is built.
        calib: Calibration images as KIND:PATH.
        test: Labeled people as KIND:PATH:SPLIT.
        people: Number of them, from the first on; None for all.
        validate: Labeled people on whom NNCF's accuracy control validates.
        nncf: The Python that has NNCF.
        threads: CPU threads of inference.
        no_guard: Also build without search and guard.
        no_latency: Keep the latencies of the CSV.
        labels: Labeled people that the guard tests on as KIND:PATH[:SPLIT]; none for a test without labels.
        keep_metric: The metric that the guard has to keep; the defaults where empty.
    """

    work: Path
    calib: str
    test: str
    validate: str
    people: int | None = None
    nncf: Path | None = None
    threads: int = field(default=0)
    no_guard: bool = False
    labels: str = ""
    keep_metric: str = ""
    no_latency: bool = False


def built(network: Network, precision: str, folder: Path, given: Given, *flags: str) -> Made:
    """Build a network with plain defaults into FOLDER/PRECISION; what is there already is taken."""
    words = ["edgepose", "build", network.model, "--precision", precision, *flags]
    words += [] if network.spec is None else ["--spec", str(network.spec)]
    if precision == "int8":
        words += ["--calib", given.calib, *(["--guard", given.labels] if given.labels else [])]
        words += ["--keep-metric", given.keep_metric] if given.keep_metric else []
    out = folder / "".join([precision, *(flag.removeprefix("-") for flag in flags)])
    seconds, peak = _run([*words, "--out", str(out)], out, out.with_suffix(".log"), allowed=(0, 1))
    return _engine(out, seconds, peak)


def _run(command: Sequence[str], out: Path, log: Path, allowed: Sequence[int] = (0,)) -> tuple[float, int]:
    """Run a command that writes to `out` unless it has done so before. Return its seconds and its largest MiB."""
    facts = log.with_suffix(".json")
    if facts.is_file() and out.is_dir():
        known = read_json(facts, "facts")
        return float(known["seconds"]), int(known["peak_mib"])
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", *command] if command[0] == "edgepose" else list(command)
    began = time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}; see {log}")
    seconds, peak = round(time.perf_counter() - began, 1), usage.ru_maxrss // 1024
    write_json(facts, {"command": " ".join(command), "seconds": seconds, "peak_mib": peak})
    return seconds, peak


def _engine(out: Path, seconds: float, peak: int) -> Made:
    """Return what a build left: where the guard refuses INT8, that is an FP16 engine."""
    folders = sorted(path.parent for path in out.glob("*/manifest.json"))
    if not folders:
        raise SystemExit(f"{out} has no engine; see the log beside it")
    folder = folders[-1]
    manifest = read_manifest(folder)
    graph = out / f"{manifest.precision}.onnx"
    answer = guard_answer(out)
    costs = layer_costs(load_onnx(graph))
    return Made(
        folder=folder,
        graph=graph,
        seconds=seconds,
        peak_mib=peak,
        int8_share=int8_share(costs) if manifest.precision.startswith("int8") else 0.0,
        float_layers=sum(not cost.int8 for cost in costs),
        guard=answer[0],
        guard_people=answer[1],
        guard_bound=answer[2],
    )


def guard_answer(out: Path) -> tuple[str, str, str]:
    """Return the answer of the guard of a build, the people that it has seen, and its bound of PCK@0.2."""
    if not (out / GUARD).is_file():
        return "", "", ""
    found = read_certificate(out / GUARD)
    tested = found.candidates[found.chosen or 0].metrics if found.candidates else {}
    bound = f"{tested['pck@0.2'].bound:.5f}" if "pck@0.2" in tested else ""
    return found.answer, str(found.people), bound


def quantized_by_nncf(folder: Path, fp32: Path, given: Given) -> dict[str, Made]:
    """Run NNCF with its defaults and with its accuracy control; without --nncf, take what is there already."""
    made = {}
    for name, part, more in (
        ("nncf", "nncf-default", []),
        ("nncf accuracy control", "nncf-accuracy-control", ["--validate", given.validate]),
    ):
        out = folder / part
        peer = Path(__file__).with_name("nncf_peer.py")
        command = [str(given.nncf), str(peer), str(fp32), "--calib", given.calib, *more, "--out", str(out)]
        known = out / "nncf.json"
        if not (known.is_file() and read_json(known, "facts")["onnx_sha256"] == sha256_file(fp32)):
            if given.nncf is None:
                continue
            _run(command, out / "missing", out.with_suffix(".log"))
        facts = read_json(known, "facts")
        made[name] = Made(
            folder=out,
            graph=out / "model.bin",
            seconds=float(facts["seconds"]),
            peak_mib=int(facts["peak_mib"]),
            int8_share=int8_share_of_ir(out / "model.xml"),
        )
    return made


def predictions(made: Made, name: str, spec: ModelSpec, data: PoseData, given: Given) -> Predictions:
    """Run a graph on the box of every person, or read what it found there before."""
    engine = Engine(path=name, precision=name, backend="openvino", onnx_sha256="", skeleton=spec.skeleton)
    files = sorted(path for path in made.folder.iterdir() if path.name in ("model.xml", "model.bin"))
    key = sha256_json([[sha256_file(path) for path in files], spec.sha256(), data.name, len(data)])
    kept = given.work / "predictions" / f"{key}.npz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            openvino.open(made.folder, OpenOptions(threads=given.threads)) as session,
            open_pipeline(session, spec, threads=given.threads) as pipeline,
        ):
            found = collect(pipeline, data, engine)
        np.savez(kept, xy_image=found.xy_image, scores=found.scores)
    with np.load(kept) as arrays:
        return Predictions(engine=engine, xy_image=arrays["xy_image"], scores=arrays["scores"])


def accuracy_rows(network: str, entries: Sequence[EngineAccuracy]) -> list[list[str]]:
    """Return the rows of quantization.csv of one network."""
    rows = []
    for entry in entries:
        for metric in (metric for metric in METRICS if metric in entry.metrics):
            its, kept = entry.metrics[metric].interval, entry.retention.get(metric)
            numbers = [its.value, its.low, its.high]
            if kept is not None:
                numbers += [kept.kept.interval.value, kept.kept.interval.low, kept.kept.interval.high]
                numbers.append(kept.kept.detectable)
            texts = [f"{number:.5f}" for number in numbers]
            rows.append([network, entry.path, str(entry.n), metric, *texts, *[""] * (7 - len(texts))])
    return rows


def latencies(made: Mapping[str, Made], spec: ModelSpec, crop: Array) -> dict[str, list[str]]:
    """Return median and ratios of each engine, all timed in one run; empty where quantized layers run in float."""
    if int8_saturates():
        return {name: [""] * 7 for name in made}
    sessions = {name: openvino.open(one.folder, OpenOptions(threads=1)) for name, one in made.items()}
    calls = {name: (lambda its=its: its.run({spec.input.name: crop})) for name, its in sessions.items()}
    seconds = time_interleaved(calls, ROUNDS, WARMUP)
    for session in sessions.values():
        session.close()
    found = {}
    for name, times in seconds.items():
        columns = [f"{1e3 * float(np.median(times)):.3f}"]
        for against in ("fp32", "nncf"):
            if against == name or against not in seconds:
                columns += [""] * 3
            else:
                its = ratio(seconds[against], times)
                columns += [f"{value:.4f}" for value in (its.value, its.low, its.high)]
        found[name] = columns
    return found


def known_latencies(network: str, engines: Iterable[str]) -> dict[str, list[str]]:
    """Return the columns of latency of each engine as they are in the CSV; empty ones where it has none."""
    rows = {row["engine"]: row for row in read_csv("quantization-builds.csv") if row["network"] == network}
    columns = BUILDS[BUILDS.index("p50_ms") :]
    return {name: [rows[name][column] if name in rows else "" for column in columns] for name in engines}


def measure(name: str, network: Network, given: Given) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of quantization.csv and of quantization-builds.csv of one network."""
    folder = given.work / name
    made = {precision: built(network, precision, folder, given) for precision in ("fp32", "int8")}
    if given.no_guard:
        made["int8, no guard"] = built(network, "int8", folder, given, "--no-guard")
    made |= quantized_by_nncf(folder, made["fp32"].graph, given)
    spec = embedded_spec(load_onnx(made["fp32"].graph), name)
    data = _first(open_data(given.test), given.people)
    found = [predictions(one, engine, spec, data, given) for engine, one in made.items()]
    accuracy = accuracy_rows(name, evaluate(found, data).engines)
    if given.no_latency:
        times = known_latencies(name, made)
    else:
        times = latencies(made, spec, next(iter(CalibrationFeed(open_data(given.calib), spec, limit=1)))[0])
    builds = []
    for engine, one in made.items():
        share = "" if one.int8_share is None or engine == "fp32" else f"{one.int8_share:.4f}"
        layers = "" if one.float_layers is None or engine == "fp32" else one.float_layers
        facts = [share, layers, one.guard, one.guard_people, one.guard_bound, f"{one.seconds:.1f}", one.peak_mib]
        builds.append([name, engine, *map(str, facts), *times[engine]])
    return accuracy, builds


def _first(data: PoseData, people: int | None) -> PoseData:
    if people is None:
        return data
    samples = tuple(data[i] for i in range(min(people, len(data))))
    return SampleList(name=data.name, skeleton=data.skeleton, samples=samples, image_ids=tuple(data.image_ids))


def network_files(names: Sequence[str], models: Path, work: Path) -> dict[str, Network]:
    return {
        name: Network(model=name) if name == "lite" else write_network(name, models, work / "networks")
        for name in names
    }


def _write(name: str, columns: list[str], rows: list[list[str]]) -> None:
    """Replace the rows of the engines that were measured, and keep the others."""
    before = read_csv(name) if (RESULTS / name).exists() else []
    measured = {(row[0], row[1]) for row in rows}
    kept = [
        [line[column] for column in columns] for line in before if (line["network"], line["engine"]) not in measured
    ]
    networks = list(dict.fromkeys(row[0] for row in (*kept, *rows)))
    write_csv(name, columns, sorted([*kept, *rows], key=lambda row: (networks.index(row[0]), ENGINES.index(row[1]))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--work", type=Path, default=Path("build/quantization"))
    parser.add_argument("--nncf", type=Path, help="the Python of an environment with NNCF")
    parser.add_argument("--calib", metavar="KIND:PATH", help="calibration images; by default those of LSP train")
    parser.add_argument("--test", metavar="KIND:PATH:SPLIT", help="labeled people; by default LSP test")
    parser.add_argument("--people", type=int, help="measure on the first people only, and write no CSV")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-guard", action="store_true", help="also build without search and guard")
    parser.add_argument("--no-latency", action="store_true", help="keep the latencies of the CSV")
    parser.add_argument("--onnx", type=Path, help="one more network")
    parser.add_argument("--spec", type=Path, help="its contract, where the ONNX file has none")
    parser.add_argument("names", nargs="*", help=f"networks: lite, {', '.join(NAMES)}; the other rows are kept")
    args = parser.parse_args()
    lsp = args.data / "lsp"
    given = Given(
        work=args.work,
        calib=args.calib or f"lsp:{lsp}:train",
        test=args.test or f"lsp:{lsp}:test",
        validate=f"lsp:{lsp}:train",
        people=args.people,
        nncf=args.nncf,
        threads=args.threads,
        no_guard=args.no_guard,
        no_latency=args.no_latency,
    )
    names = args.names or ([] if args.onnx else ["lite", *NAMES])
    networks = network_files(names, args.models, args.work)
    if args.onnx is not None:
        networks[args.onnx.stem] = Network(model=str(args.onnx), spec=args.spec)
    for name, network in networks.items():
        accuracy, builds = measure(name, network, given)
        for row in (*accuracy, *builds):
            print(*row, sep=",", flush=True)
        if given.people is None:
            _write("quantization.csv", ACCURACY, accuracy)
            _write("quantization-builds.csv", BUILDS, builds)
            write_machine("quantization")


if __name__ == "__main__":
    main()
