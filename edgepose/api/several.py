"""Run a model over several sources at once: one engine and one detector, and for each source outputs of its own."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgepose._progress import Note, Track
from edgepose.api.following import Following, check_score, people_of
from edgepose.api.load import PoseModel, load
from edgepose.api.outputs import open_outputs, open_shared, outputs_of_source, refuse_meetings, refuse_outputs
from edgepose.api.run import (
    RunOptions,
    RunResult,
    SourceResult,
    facts_of,
    note_drops,
    refuse_own_videos,
    result_of,
)
from edgepose.errors import EdgeposeError, UsageError, redact
from edgepose.media.results.sink import ResultSink
from edgepose.media.sources import Frame, Source, open_source, source_name
from edgepose.pose.poses import Poses
from edgepose.runtime.ends import Sink
from edgepose.runtime.finders import Finder, notes_of
from edgepose.runtime.streams import Stream, run_streams


def names_of(sources: Sequence[str]) -> list[str]:
    """Return a name for each source: that of `source_name`, with the number of the source where several have it.

    Raises:
        UsageError: Two names are the same nevertheless.

    Examples:
        >>> names_of(["camera:0", "rtsp://hall/live", "rtsp://yard/live"])
        ['camera0', 'live-2', 'live-3']
    """
    plain = [source_name(text) for text in sources]
    often = Counter(plain)
    names = [name if often[name] == 1 else f"{name}-{place}" for place, name in enumerate(plain, 1)]
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"two sources would be called {name!r} in outputs; rename one of them")
    return names


@dataclass(kw_only=True)
class _One:
    """One of the sources, from its text to its stream."""

    text: str
    name: str
    options: RunOptions
    note: Note
    source: Source | None = None
    people: Following | None = None
    stream: Stream | None = None
    error: EdgeposeError | None = None

    def result(self) -> SourceResult:
        error = (self.stream.error if self.stream is not None else None) or self.error
        if self.stream is None or self.source is None or self.people is None:
            return SourceResult(source=redact(self.text), name=self.name, error=str(error or ""))
        frames = self.stream.frames
        return result_of(self.text, self.name, frames, self.source, self.people, self.options, str(error or ""))


def run_several(
    model: str | Path,
    sources: Sequence[str],
    options: RunOptions,
    sinks: Sequence[Sink],
    overwrite: bool,
    track: Track,
    note: Note,
) -> RunResult:
    """Find the poses in the frames of several sources; see `edgepose.api.run.run`.

    Raises:
        UsageError: As `run`; or two sources or outputs have one name, or an output cannot hold several sources.
        DataError: No source can be opened.
        EngineError: As `run`.
    """
    if str(options.detector).endswith(".json"):
        raise UsageError("--detector with a boxes file is about the frames of one source; run one source at a time")
    several = [
        _One(
            text=text,
            name=name,
            options=outputs_of_source(options, name, several=True),
            note=lambda line, name=name: note(line if line.startswith(name) else f"{name}: {line}"),  # type: ignore[misc]
        )
        for text, name in zip(sources, names_of(sources), strict=True)
    ]
    for one in several:
        refuse_outputs(one.options, overwrite, (model, *sources, options.detector), one.name)
        refuse_own_videos(one.options, one.text)
    refuse_meetings([one.options for one in several])
    with load(model, threads=options.threads, flip_test=options.flip_test, track=track, note=note) as network:
        check_score(network.spec, options.det_score)
        with contextlib.ExitStack() as stack:
            finder = stack.enter_context(
                network.finder(options.detector, least_score=options.det_score, classes=options.det_classes)
            )
            opened = _open_sources(several, stack, note)
            _prepare(opened, network, finder, _one_at_a_time(sinks), stack)
            try:
                streams = [one.stream for one in opened if one.stream is not None]
                run_streams(streams, network.pipeline, track=track, failed=lambda stream: _say(stream, note))
            finally:
                for one in opened:
                    if one.source is not None:
                        note_drops(one.source, one.note)
            _note_people(opened, finder, note)
        slowed_by = network.slowed_by
        if slowed_by:
            note(slowed_by)
    return RunResult(sources=tuple(one.result() for one in several), slowed_by=slowed_by)


def _say(stream: Stream, note: Note) -> None:
    text = str(stream.error)
    note(f"{text if text.startswith(stream.name) else f'{stream.name}: {text}'}; the other sources go on")


def _open_sources(several: Sequence[_One], stack: contextlib.ExitStack, note: Note) -> list[_One]:
    """Open all sources at the same time, so that one that does not answer makes no camera wait.

    Returns:
        Those that could be opened. The others have an `error`.

    Raises:
        UsageError: A source is none.
        EdgeposeError: None can be opened; the error of the first one.
    """

    def opening(one: _One) -> Source:
        return open_source(
            one.text,
            recursive=one.options.recursive,
            strict=one.options.strict,
            selection=one.options.selection,
            threads=one.options.threads,
            note=one.note,
        )

    pool = ThreadPoolExecutor(len(several), thread_name_prefix="edgepose-open")
    try:
        waiting = [pool.submit(opening, one) for one in several]
        wrong: UsageError | None = None
        for one, future in zip(several, waiting, strict=True):
            try:
                one.source = stack.enter_context(future.result())
            except UsageError as error:
                wrong = wrong or error
            except EdgeposeError as error:
                one.error = error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if wrong is not None:
        raise wrong
    opened = [one for one in several if one.source is not None]
    failed = [one for one in several if one.error is not None]
    if not opened:
        assert failed[0].error is not None
        raise failed[0].error
    for one in failed:
        one.note(f"{one.error}; the other sources go on")
    return opened


def _prepare(
    opened: Sequence[_One],
    network: PoseModel,
    finder: Finder | None,
    sinks: Sequence[Sink],
    stack: contextlib.ExitStack,
) -> None:
    """Open the outputs of each source and make its stream, which closes them."""
    streams, abouts = [], []
    for one in opened:
        assert one.source is not None
        one.people = people_of(network.spec, finder, one.options)
        stream = Stream(name=one.name, source=one.source, finder=one.people.finder, steps=one.people.steps)
        one.stream = stream
        streams.append(stream)
        abouts.append(facts_of(network, one.source, one.name, one.options, stream.times, one.note))
    shared = open_shared([one.options for one in opened], abouts)
    closers = []
    for sinks_of_one in shared:
        closer = stack.enter_context(contextlib.ExitStack())  # completes what a failure below leaves open
        for sink in sinks_of_one.values():
            closer.enter_context(sink)
        closers.append(closer)
    for one, stream, about, mine, closer in zip(opened, streams, abouts, shared, closers, strict=True):
        own: Sequence[ResultSink] = closer.enter_context(open_outputs(one.options, about, leave_out=tuple(mine)))
        stream.sinks = [*sinks, *(sink.write for sink in (*own, *mine.values()))]
        stream.close = _closing(closer, stream.source)


def _closing(closer: contextlib.ExitStack, source: Source) -> Callable[[BaseException | None], None]:
    def close(error: BaseException | None) -> None:
        try:
            closer.__exit__(type(error) if error is not None else None, error, None)
        finally:
            source.close()

    return close


def _one_at_a_time(sinks: Sequence[Sink]) -> list[Sink]:
    """Return the sinks of the caller so that the threads of the sources call them one after the other."""
    lock = threading.Lock()

    def locked(sink: Sink) -> Sink:
        def call(frame: Frame, poses: Poses) -> None:
            with lock:
                sink(frame, poses)

        return call

    return [locked(sink) for sink in sinks]


def _note_people(opened: Sequence[_One], finder: Finder | None, note: Note) -> None:
    """Say what there is to say about the detector, once, and about the people of each source that gave frames."""
    common = notes_of(finder)
    for line in common:
        note(line)
    for one in opened:
        if one.people is None or one.stream is None or not one.stream.frames:
            continue
        for line in one.people.notes():
            if line not in common:
                one.note(line)
