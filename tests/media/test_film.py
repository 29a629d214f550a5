"""Films of every kind that cameras, phones and recorders write."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from media.films import CASES, gray, levels, moving, steps, write_film

from edgepose.errors import DataError, UsageError
from edgepose.media.selection import Selection, seconds_of
from edgepose.media.sources import open_source

PAUSE = [*(0.033 * i for i in range(11)), *(2.33 + 0.02 * i for i in range(19))]
# file -> (frames, time of the last one in seconds)
EXPECTED = {
    "plain.mp4": (30, 1.16),
    "interlaced.mp4": (15, 1.12),
    "vfr_pause.mkv": (30, 2.69),
    "vfr_pause.mp4": (30, 2.69),
    "held_frames.avi": (30, 2.69),
    "fps1000.mp4": (30, 0.029),
    "cover_art.mkv": (30, 1.16),
    "av1.mp4": (30, 1.16),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_cases(name, capfd):
    """All show the same person, so that a picture that is black or another one is noticed."""
    if not (CASES / name).is_file():
        pytest.skip(f"no {CASES / name}")
    notes = []
    with open_source(str(CASES / name), note=notes.append) as source:
        frames = list(source)
    count, last = EXPECTED[name]
    assert len(frames) == count and frames[0].time_s == 0
    assert frames[-1].time_s == pytest.approx(last, abs=1e-4)
    assert all(frame.image.shape == (300, 240, 3) and 140 < frame.image.mean() < 155 for frame in frames)
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(frames))
    assert capfd.readouterr() == ("", "")
    assert [("interlaced" in line) for line in notes] == ([True] if name == "interlaced.mp4" else [False] * len(notes))


@pytest.mark.parametrize("name", ["vfr_pause.mp4", "vfr_pause.mkv"])
def test_a_pause_is_kept(name):
    if not (CASES / name).is_file():
        pytest.skip(f"no {CASES / name}")
    with open_source(str(CASES / name)) as source:
        times = [frame.time_s for frame in source]
    np.testing.assert_allclose(times, PAUSE, atol=1e-3)


def read(path, **selection):
    """The frames of a film, the notes, and the message of its error."""
    notes, frames, message = [], [], ""
    with open_source(str(path), selection=Selection(**selection), note=notes.append) as source:
        try:
            for frame in source:
                frames.append(frame)
        except DataError as error:
            message = str(error)
    return frames, notes, message


def times(frames):
    return [frame.time_s for frame in frames]


EVEN, UNEVEN = steps(12), [0, 0.02, 0.05, 0.5, 0.51, 0.6, 2.0, 2.01, 2.3]
B_FRAMES = {"bf": "2", "g": "8"}
KINDS = {
    "b.mp4": {"options": B_FRAMES},
    "b.mkv": {"options": B_FRAMES},
    "b.mov": {"options": B_FRAMES},
    "b.ts": {"options": B_FRAMES},
    "b.avi": {"options": B_FRAMES, "tick": Fraction(1, 25)},
    "uneven.webm": {"times": UNEVEN, "codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "uneven.mov": {"times": UNEVEN},
    "uneven.ts": {"times": UNEVEN},
    "uneven.flv": {"times": UNEVEN},
    "slots.avi": {
        "times": [0, 0.02, 0.04, 2.0, 2.02],
        "codec": "mjpeg",
        "pix_fmt": "yuvj420p",
        "tick": Fraction(1, 50),
        "rate": 50,
    },
    "program.mpg": {"codec": "mpeg2video", "tick": Fraction(1, 25)},
    "fragments.mp4": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "sound.mp4": {"sound": ("aac", 0.0)},
    "sound_first.mp4": {"start": 0.5, "sound": ("aac", -0.5)},
    "sound_first.mkv": {"start": 0.5, "sound": ("libopus", -0.5)},
    "sound_first.ts": {"start": 1.5, "sound": ("aac", -0.5)},
    "late.mp4": {"start": 3.0},
    "late.mkv": {"start": 3.0},
    "late.ts": {"start": 3.0},
    "ten_bits.mkv": {"codec": "libx264", "pix_fmt": "yuv420p10le"},
    "ten_bits.mp4": {"codec": "libx264", "pix_fmt": "yuv422p10le"},
}


@pytest.mark.parametrize("name", KINDS)
def test_frames_have_the_times_that_they_were_given(tmp_path, name, capfd):
    wanted = KINDS[name].get("times", EVEN)
    path = write_film(tmp_path / name, **{"times": EVEN, **KINDS[name]})
    frames, notes, message = read(path)
    assert (notes, message) == ([], "")
    np.testing.assert_allclose(times(frames), wanted, atol=0.6e-3)  # Matroska counts milliseconds
    assert levels(frame.image for frame in frames) == list(range(len(wanted)))
    assert [frame.index for frame in frames] == list(range(len(wanted)))
    assert not capfd.readouterr().err


@pytest.mark.parametrize("name", ["x.mp4", "x.mov", "x.mkv"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film_is_upright(tmp_path, name, degrees):
    """OpenCV turns such a film too: the two agree, and the sizes of the source are those of its frames."""
    picture = gray(40)
    picture[:12, :16] = 220  # one corner
    path = write_film(tmp_path / name, steps(3), pictures=[picture] * 3, rotation=degrees)
    frames, _, _ = read(path)
    expected = cv2.VideoCapture(str(path)).read()[1]
    assert frames[0].image.shape == expected.shape == ((48, 64, 3) if degrees == 180 else (64, 48, 3))
    assert np.abs(frames[0].image.astype(int) - expected).mean() < 3
    with open_source(str(path)) as source:
        assert source.size == expected.shape[:2]


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.mov"])
@pytest.mark.parametrize(("aspect", "width"), [(Fraction(16, 11), 93), (Fraction(8, 9), 57), (Fraction(1, 1000), 64)])
def test_pixels_become_squares(tmp_path, name, aspect, width):
    frames, _, _ = read(write_film(tmp_path / name, EVEN, aspect=aspect))
    assert frames[0].image.shape == (48, width, 3)


@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts"])
def test_interlaced_film(tmp_path, name, first):
    """A bar that jumps between the two fields of a frame: no comb is left, and every frame is there."""
    pictures = []
    for i in range(10):
        picture = gray(40, (96, 128))
        for field in (0, 1):
            at = 8 + 8 * i + 4 * (field if first == "tff" else 1 - field)
            picture[field::2, at : at + 16] = 220
        pictures.append(picture)
    path = write_film(tmp_path / name, steps(10), pictures=pictures, options={"x264-params": f"{first}=1", "crf": "5"})
    frames, notes, message = read(path)
    assert message == "" and [line for line in notes if "interlaced; deinterlaced with yadif" in line] == notes != []
    assert len(frames) == 10 and times(frames) == pytest.approx(steps(10))
    for frame, picture in zip(frames, pictures, strict=True):
        assert comb(frame.image) < 0.35 * comb(picture)
        assert 50 < frame.image.mean() < 80


def comb(image):
    """How much neighboring lines differ more than lines of the same field do."""
    rows = image[..., 1].astype(float)
    return float(np.abs(rows[1:-1] - (rows[2:] + rows[:-2]) / 2).mean())


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_the_film_is_taken_and_not_the_cover(tmp_path, name, place):
    frames, notes, message = read(write_film(tmp_path / name, EVEN, cover=place))
    assert levels(frame.image for frame in frames) == list(range(12))
    assert message == "" and all("took stream" in line for line in notes)


def test_sound_with_a_cover_is_no_film(tmp_path):
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as file:
        voice = file.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        file.mux(voice.encode(frame))
        file.mux(voice.encode(None))
    with pytest.raises(DataError, match=r"song\.mkv holds no film \(it holds audio\)"):
        open_source(str(path))


@pytest.mark.parametrize(("trc", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_named_and_brought_into_range(tmp_path, trc, kind):
    """A ramp of light stays a ramp, and its bright end is no single white."""
    path = tmp_path / "hdr.mp4"
    ramp = np.linspace(64, 940, 64).astype("<u2")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = trc, 9, 9, 1
        for i in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            for number, plane in enumerate(frame.planes):
                rows = np.full((plane.height, plane.line_size // 2), 512, "<u2")
                if number == 0:
                    rows[:, :64] = ramp
                plane.update(rows.tobytes())
            frame.pts = i
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    frames, notes, message = read(path)
    assert message == "" and len(frames) == 3
    assert [kind in line and "HDR" in line for line in notes] == [True]
    row = frames[1].image[20, 2:62:6].mean(axis=1)
    assert (np.diff(row) > 2).all() and row[0] < 30 and row[-1] > 200


CUT = {
    "x.mp4": {"muxer": {"movflags": "faststart"}},
    "x.mkv": {},
    "sound.mkv": {"sound": ("aac", 0.0)},
    "x.webm": {"codec": "libvpx", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "x.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "tick": Fraction(1, 25)},
    "x.flv": {},
}


@pytest.mark.parametrize("share", [0.4, 0.6, 0.97])
@pytest.mark.parametrize("name", CUT)
def test_a_truncated_film_gives_its_frames_and_says_so_once(tmp_path, name, share, capfd):
    options = {"g": "8", **CUT[name].get("options", {})}
    path = write_film(tmp_path / name, steps(40), pictures=moving(), **{**CUT[name], "options": options})
    whole = read(path)[0]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    frames, notes, message = read(path)
    assert 40 * share - 10 < len(frames) <= 40 and notes == []
    assert "damaged or truncated" in message and "--skip-errors" in message
    images = {frame.time_s: frame.image for frame in whole}
    assert all((frame.image == images[frame.time_s]).all() for frame in frames)
    kept, notes, message = read(path, skip_errors=True)
    assert message == "" and len(kept) >= len(frames) and len(notes) >= 1
    assert not capfd.readouterr().err


def test_fragments_can_be_cut_anywhere(tmp_path):
    """Also within the list of a fragment, where FFmpeg alone refuses the file."""
    muxer = {"movflags": "frag_keyframe+empty_moov"}
    path = write_film(tmp_path / "x.mp4", steps(40), pictures=moving(), options={"g": "8"}, muxer=muxer)
    data = path.read_bytes()
    lists = [i for i in range(len(data)) if data[i : i + 4] == b"moof"]
    assert len(lists) == 5
    for at in (lists[2] - 4, lists[2] + 4, lists[2] + 30, lists[3] + 90):
        path.write_bytes(data[:at])
        frames, notes, message = read(path)
        assert len(frames) >= 14 and notes == [] and ("damaged or truncated" in message or at == lists[2] - 4)


def test_a_damaged_packet(tmp_path):
    path = write_film(tmp_path / "x.mp4", steps(40), pictures=moving(), options={"g": "8", "bf": "0"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    frames, notes, message = read(path)
    assert 10 < len(frames) < 30 and notes == [] and "damaged or truncated at" in message
    kept, notes, message = read(path, skip_errors=True)
    assert message == "" and 30 < len(kept) < 40 and "left out" in notes[0]
    assert times(kept)[-1] == pytest.approx(39 / 25)


def test_recordings_of_transmissions(tmp_path):
    """A recording may begin between key frames, and several are joined by writing one behind the other."""
    path = write_film(tmp_path / "x.ts", steps(40), pictures=moving(), options={"g": "8"})
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 2 + 77 :])
    frames, _, message = read(path)
    assert message == "" and 10 < len(frames) < 21 and frames[0].time_s == 0
    path.write_bytes(data + data)
    frames, _, message = read(path)
    assert message == "" and len(frames) == 80
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(frames))


def test_what_is_no_film(tmp_path):
    whole = write_film(tmp_path / "x.mp4", EVEN).read_bytes()
    for name, data, says in (
        ("cut.mp4", whole[: len(whole) // 2], "is cut off before the index"),
        ("cut.mov", whole[:-200], "is cut off before"),
        ("empty.mp4", b"", "is empty"),
        ("notes.txt", b"hello\n" * 99, "text"),
        ("noise.mkv", bytes(range(256)) * 20, "no image or video"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=says):
            open_source(str(tmp_path / name))


def test_names_that_ffmpeg_takes_for_something_else(tmp_path):
    for name in ("a:b.mp4", "50%d.mp4", "http:x.mp4", "-i.mp4"):
        path = write_film(tmp_path / "x.mp4", steps(3)).rename(tmp_path / name)
        assert len(read(path)[0]) == 3


@pytest.mark.parametrize(("name", "more"), [
    ("x.mp4", {"options": B_FRAMES}), ("x.mkv", {"options": B_FRAMES}), ("x.ts", {"options": B_FRAMES}),
    ("x.mov", {"start": 2.0}), ("x.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "tick": Fraction(1, 25)}),
    ("raw.h264", {"format": "h264"}),
])  # fmt: skip
def test_a_part_of_a_film(tmp_path, name, more):
    """The frames of a part have the numbers and the times that they have in the whole film."""
    path = write_film(tmp_path / name, steps(28), **more)
    whole = read(path)[0]
    assert len(whole) == 28
    for chosen, part in (
        ({"start_s": 0.4}, slice(10, None)),
        ({"start_s": 0.4, "end_s": 0.8}, slice(10, 20)),
        ({"end_s": 0.2}, slice(0, 5)),
        ({"every": 5}, slice(0, None, 5)),
        ({"start_s": 0.41, "every": 3}, slice(11, None, 3)),
        ({"start_s": 1.08}, slice(27, None)),
    ):
        frames, notes, message = read(path, **chosen)
        assert (notes, message) == ([], "")
        assert [f.index for f in frames] == [f.index for f in whole[part]]
        assert [f.name for f in frames] == [f.name for f in whole[part]]
        assert times(frames) == pytest.approx(times(whole[part]))
        assert levels(f.image for f in frames) == levels(f.image for f in whole[part])
    assert "no frame from 9 s on; the film has 28 frames" in read(path, start_s=9.0)[2]


def test_a_part_in_which_no_frame_begins(tmp_path):
    """A pause: the message does not say that the film ends before it, which has frames after it."""
    path = write_film(tmp_path / "x.mkv", [0.0, 0.04, 2.0, 2.04])
    message = read(path, start_s=1.0, end_s=1.5)[2]
    assert "no frame lies from 1 s to 1.5 s" in message and "the film has" not in message


def test_the_selection():
    assert [seconds_of(text) for text in ("83.5", "1:23.5", "0:01:23.5", "90:00", ".5", "2:00:00")] == [
        83.5, 83.5, 83.5, 5400, 0.5, 7200
    ]  # fmt: skip
    for text in ("", "1:2:3:4", "-3", "1:75", "ten", "1e3", "1:"):
        with pytest.raises(UsageError, match="is no time"):
            seconds_of(text)
    with pytest.raises(UsageError, match="--end 1 is not after --start 2"):
        Selection(start_s=2, end_s=1)
    with pytest.raises(UsageError, match="--every 0"):
        Selection(every=0)
    with pytest.raises(UsageError, match="--start nan"):
        Selection(start_s=float("nan"))


def test_frames_can_be_read_twice(tmp_path):
    with open_source(str(write_film(tmp_path / "x.mp4", EVEN))) as source:
        assert [len(list(source)), len(list(source))] == [12, 12]
        source.close()
