"""Measure how often the statements of the guard are wrong, over simulated users.

    python benchmarks/guard.py --data ../shared/data [--users 200] [--subsets 2] [--mode "no labels"]

The population is LSP test. A user has one of the networks of `quantization.py`, calibrates it on a random part of LSP
train, and gives the guard random people of the population, drawn with replacement. The guard walks along a path of INT8
graphs with fewer and fewer float layers (`guard_pool.py`), answers, and states a lower bound of each metric for the
graph that it chose. A bound is violated if the graph keeps less of the metric on the whole population. With labels, the
guard measures the metrics on its people. Without labels, it measures them on pseudo-labels.

Predictions of each graph are computed once, into the folder of --work, and reused by all users. Nothing is chosen by
the results. --mode measures one mode and keeps the rows of the other: `FACTORS` say nothing about labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from guard_pool import Pool, pool
from quantization import Given, built, network_files
from records import read_csv, write_csv, write_machine

from edgepose._checks import Array
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, SampleList
from edgepose.measure.labels import gather, shared_joints
from edgepose.measure.plan import plan_metrics
from edgepose.measure.predictions import Predictions
from edgepose.measure.pseudo_labels import FACTORS, people_at, stand_in
from edgepose.metrics.metric import Draws, Plan, Predicted, Skip
from edgepose.quantize.guard import CANNOT, KEPT, UNPROVEN, Bound, Evidence, bound, jackknife, predicted, verdict

NETWORKS = ("lite", "pp-tinypose-aligned", "movenet-lightning", "blazepose-lite")
FLOORS = {"pck@0.2": 0.995, "pck@0.1": 0.99, "pcp@0.5": 0.995, "oks_ap": 0.995}  # the guard's defaults
PEOPLE = {"labels": (150, 300), "no labels": (150, 300, 700)}  # of a user
COLUMNS = ["mode", "people", "users", KEPT, UNPROVEN, CANNOT, "wrong", "bounds", "violated", "share", "low", "high"]
Bounds = dict[str, Bound]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One network on the whole population.

    Attributes:
        pool: Its predictions.
        data: The population.
        columns: The compared joints among those of the network.
        truth: For each path and candidate, what is kept of each metric on the whole population.
        pseudo: The pseudo-labels of the population: all people of the first copy, then those of the next.
    """

    pool: Pool
    data: PoseData
    columns: list[int]
    truth: list[list[dict[str, float]]]
    pseudo: PoseData


def subject(its: Pool, data: PoseData) -> Subject:
    """Prepare a network: the truth on the population, and its pseudo-labels."""
    joints = shared_joints(data, [its.fp32.engine.skeleton])
    plans = _plans(data, joints)
    columns = [its.fp32.engine.skeleton.index(joint) for joint in joints]
    everyone = np.ones((1, len(data)))
    whole = _values(its.fp32, plans, columns, everyone)
    truth = [[_kept(_values(one, plans, columns, everyone), whole) for one in path] for path in its.paths]
    xy = np.concatenate([one.xy_image for one in its.moved])
    pseudo = people_at(its.fp32.engine.skeleton, xy, [(i, str(i)) for i in range(len(xy))])
    return Subject(pool=its, data=data, columns=columns, truth=truth, pseudo=pseudo)


def _plans(people: PoseData, joints: Sequence[str]) -> dict[str, Plan]:
    """Return how each metric is measured on some people."""
    labels = gather(people, joints)
    if not labels.counted.all() or labels.images != len(people):
        raise SystemExit("the population must have one counted person in each image")
    wanted = {*FLOORS, *map(stand_in, FLOORS)}
    return {name: plan for name, plan in plan_metrics(labels).plans.items() if name in wanted}


def _values(
    found: Predictions, plans: Mapping[str, Plan], columns: list[int], weights: Array, people: Array | None = None
) -> dict[str, Array]:
    """Return each metric for each row of weights [B, N] of the N people, by default the whole population."""
    chosen = np.arange(len(found.xy_image)) if people is None else people
    xy = np.asarray(found.xy_image, np.float64)[chosen][:, columns]
    predicted = Predicted(xy_image=xy, scores=found.scores[chosen], image=np.arange(len(xy)))
    draws = Draws(people=weights, images=weights)
    measured = {name: plan.measure(predicted, draws) for name, plan in plans.items()}
    return {name: its.whole.values for name, its in measured.items() if not isinstance(its, Skip)}


def _kept(after: Mapping[str, Array], before: Mapping[str, Array]) -> dict[str, float]:
    return {name: float(values[0] / before[name][0]) for name, values in after.items()}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """People who were drawn, and what the networks reach on their labels.

    Attributes:
        subject: The network.
        path: The path of INT8 graphs.
        plans: How each metric is measured on the drawn people.
        columns: The compared joints among those of the network.
        rows: The people, as indexes into the population; each one for every copy of its labels.
        weights: [1 + U, R] float64: everyone, and everyone but each of the U different people.
        times: [U] int64, how often each person was drawn.
    """

    subject: Subject
    path: int
    plans: Mapping[str, Plan]
    columns: list[int]
    rows: Array
    weights: Array
    times: Array

    def kept(self, candidate: int) -> dict[str, Array]:
        """Return what a candidate keeps of each metric: of everyone, and without each drawn person."""
        its = self.subject.pool
        found = [
            _values(one, self.plans, self.columns, self.weights, self.rows)
            for one in (its.fp32, its.paths[self.path][candidate])
        ]
        return {name: found[1][name] / values for name, values in found[0].items()}

    def jackknife(self, kept: Array) -> Evidence:
        """Return the evidence of one metric."""
        return jackknife(float(kept[0]), np.repeat(kept[1:], self.times), np.ones(int(self.times.sum())))


def drawn(its: Subject, path: int, picked: Array, labels: PoseData, columns: list[int]) -> Drawn:
    """Draw people with their labels, of which there are one or several copies behind each other."""
    people, times = np.unique(picked, return_counts=True)
    count = len(its.data)
    rows = np.concatenate([people + copy * count for copy in range(len(labels) // count)])
    samples = tuple(labels[int(i)] for i in rows)
    ids = tuple(one.image_id for one in samples)
    here = SampleList(name="", skeleton=labels.skeleton, samples=samples, image_ids=ids)
    weights = np.concatenate([times[None], times - np.eye(len(people))])
    return Drawn(
        subject=its,
        path=path,
        plans=_plans(here, shared_joints(labels, [its.pool.fp32.engine.skeleton])),
        columns=columns,
        rows=rows % count,
        weights=np.tile(weights, (1, len(rows) // len(people))),
        times=times,
    )


def with_labels(its: Subject, path: int, picked: Array) -> Callable[[int], Bounds]:
    """Return what gives the bounds of a candidate, measured on the labels of drawn people."""
    people = drawn(its, path, picked, its.data, its.columns)

    def bounds(candidate: int) -> Bounds:
        kept = people.kept(candidate)
        found = {name: people.jackknife(values) for name, values in kept.items()}
        return {
            name: bound(replace(found[name], influence=found[stand_in(name)].influence), floor)
            for name, floor in FLOORS.items()
        }

    return bounds


def without_labels(its: Subject, path: int, picked: Array) -> Callable[[int], Bounds]:
    """Return what gives the bounds of a candidate, measured on the pseudo-labels of drawn people."""
    people = drawn(its, path, picked, its.pseudo, list(range(len(its.pseudo.skeleton))))

    def bounds(candidate: int) -> Bounds:
        kept = people.kept(candidate)
        return {
            name: bound(predicted(people.jackknife(kept[stand_in(name)]), FACTORS[name]), floor)
            for name, floor in FLOORS.items()
        }

    return bounds


MODES = {"labels": with_labels, "no labels": without_labels}


@dataclass
class Counts:
    """How the users of one row fared: answers, answers that were wrong, bounds that were stated and violated."""

    answers: list[str]
    wrong: int = 0
    bounds: int = 0
    violated: int = 0


def simulate(subjects: Sequence[Subject], mode: str, people: int, users: int, seed: int) -> Counts:
    """Let users ask the guard, and compare its statements with the truth."""
    random = np.random.default_rng(seed)
    counts = Counts(answers=[])
    for user in range(users):
        its = subjects[user % len(subjects)]
        path = int(random.integers(len(its.truth)))
        picked = random.integers(len(its.pool.fp32.xy_image), size=people)
        measured = _walk(MODES[mode](its, path, picked), len(its.truth[path]))
        found = verdict(measured)
        counts.answers.append(found.answer)
        chosen = 0 if found.chosen is None else found.chosen
        truth = its.truth[path][chosen]
        counts.wrong += found.answer == KEPT and any(truth[name] < floor for name, floor in FLOORS.items())
        counts.bounds += len(FLOORS)
        counts.violated += sum(truth[name] < item.low for name, item in measured[chosen].items())
    return counts


def _walk(bounds: Callable[[int], Bounds], candidates: int) -> list[Bounds]:
    """Return the bounds of the candidates up to the first that cannot be the answer."""
    measured: list[Bounds] = []
    proven = True  # of all so far
    for candidate in range(candidates):
        measured.append(bounds(candidate))
        before, proven = proven, proven and all(item.proven for item in measured[-1].values())
        passes = all(item.passes for item in measured[-1].values())
        if not passes or (before and candidate and not proven):
            break
    return measured


def wilson(hits: int, count: int) -> tuple[float, float, float]:
    """Return a share with its 95 % interval (Wilson, 1927)."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return share, max(0.0, float(middle - half)), float(middle + half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--work", type=Path, default=Path("build/quantization"))
    parser.add_argument("--users", type=int, default=200, help="of each row")
    parser.add_argument("--subsets", type=int, default=2, help="random calibrations of each network")
    parser.add_argument("--mode", choices=tuple(PEOPLE), help="measure this mode only")
    parser.add_argument("--test", metavar="KIND:PATH:SPLIT", help="another population than LSP test; writes no CSV")
    args = parser.parse_args()
    lsp = f"lsp:{args.data}/lsp"
    given = Given(work=args.work, calib=f"{lsp}:train", test=args.test or f"{lsp}:test", validate="")
    data = open_data(given.test)
    subjects = []
    for name, network in network_files(NETWORKS, args.models, args.work).items():
        fp32 = built(network, "fp32", args.work / name, given).graph
        folder = args.work / "guard" / data.name.rpartition(":")[2] / name
        subjects.append(subject(pool(name, fp32, given.calib, data, folder, args.subsets), data))
        print(name, subjects[-1].truth, flush=True)
    rows = [[row[name] for name in COLUMNS] for row in read_csv("guard.csv") if args.mode not in (None, row["mode"])]
    for mode in (args.mode,) if args.mode else PEOPLE:
        for people in PEOPLE[mode]:
            counts = simulate(subjects, mode, people, args.users, seed=people)
            answers = [counts.answers.count(answer) for answer in (KEPT, UNPROVEN, CANNOT)]
            share = [f"{value:.5f}" for value in wilson(counts.violated, counts.bounds)]
            rows.append([mode, people, args.users, *answers, counts.wrong, counts.bounds, counts.violated, *share])
            print(*rows[-1], sep=",", flush=True)
    if not args.test:
        write_csv("guard.csv", COLUMNS, sorted(rows, key=lambda row: list(PEOPLE).index(row[0])))
        write_machine("guard")


if __name__ == "__main__":
    main()
