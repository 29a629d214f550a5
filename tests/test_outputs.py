"""Where results may go: never over an input, a device, or a folder of somebody else."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from edgepose._files import placing, replacing, replacing_folder, write_bytes, write_json
from edgepose._outputs import is_stream, refuse_existing, refuse_existing_folder
from edgepose.errors import EdgeposeError, UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_link_stays_a_link(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "target.json").write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(deep / "target.json")
    (tmp_path / "second.json").symlink_to(link)
    with replacing(tmp_path / "second.json") as temporary:
        assert temporary.parent == deep
        temporary.write_text("new")
    assert link.is_symlink() and (tmp_path / "second.json").is_symlink()
    assert (deep / "target.json").read_text() == "new"
    with placing(link, overwrite=True) as temporary:
        temporary.write_text("newer")
    assert link.is_symlink() and (deep / "target.json").read_text() == "newer"
    assert names(deep) == ["target.json"]


def test_a_link_to_nothing_makes_its_target_but_no_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "made.json")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "made.json").read_bytes() == b"new" and (tmp_path / "link").is_symlink()
    (tmp_path / "lost").symlink_to(tmp_path / "unmounted" / "x.json")
    with pytest.raises(EdgeposeError, match=r"cannot write .*lost: No such file"):
        write_bytes(tmp_path / "lost", b"new")
    assert not (tmp_path / "unmounted").exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing_folder(tmp_path / "link") as temporary:
        (temporary / "manifest.json").write_text("{}")
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "real") == ["manifest.json"]
    assert names(tmp_path) == ["link", "real"]


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(EdgeposeError, match=r"cannot write .*a: "):
        write_bytes(tmp_path / "a", b"")
    for path in (tmp_path / "a", tmp_path / "b"):
        with pytest.raises(EdgeposeError, match="choose another place"):
            refuse_existing(path, True)
        assert path.is_symlink()


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    refuse_existing(pipe, overwrite=False)
    with pytest.raises(EdgeposeError, match="nobody reads from this pipe"):
        write_json(pipe, {})
    got: list[bytes] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    thread = threading.Thread(target=lambda: got.append(os.read(reader, 1 << 16)))
    write_json(pipe, {"a": 1})
    thread.start()
    thread.join()
    os.close(reader)
    assert got == [b'{\n  "a": 1\n}\n']
    assert stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe.json"]


def test_devices_stay_devices(tmp_path):
    null = Path("/dev/null")
    refuse_existing(null, overwrite=False)
    write_json(null, {})
    assert stat.S_ISCHR(null.stat().st_mode)
    (tmp_path / "link").symlink_to(null)
    write_json(tmp_path / "link", {})
    assert (tmp_path / "link").is_symlink()
    for device in ("/dev/zero", "/dev/full", "/dev/random"):
        with pytest.raises(UsageError, match="is a device"):
            refuse_existing(Path(device), overwrite=True)


def test_an_open_descriptor_is_written_to(tmp_path):
    """`--out-json /dev/stdout > file`: the file must not be replaced under the shell's descriptor."""
    with (tmp_path / "file").open("wb") as file:
        file.write(b"before\n")
        file.flush()
        path = Path(f"/dev/fd/{file.fileno()}")
        assert is_stream(path) and is_stream(Path("/dev/stdout"))
        write_bytes(path, b"content\n")
        file.write(b"after\n")
    assert (tmp_path / "file").read_bytes() == b"before\ncontent\nafter\n"


def made(path: Path, text: str = "precious") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_inputs_are_never_replaced_under_any_name(tmp_path):
    source = made(tmp_path / "in" / "clip.mp4")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path / "in")
    relative = Path(os.path.relpath(source))
    for out in (source, tmp_path / "link", tmp_path / "hard", tmp_path / "folder" / "clip.mp4", relative):
        with pytest.raises(UsageError, match="is an input of this command"):
            refuse_existing(out, True, [str(source)])
    for given in (f"json:{source}", f"json:{source}:skeleton.toml", f"json:labels.json:{source}", source):
        with pytest.raises(UsageError, match="is an input of this command"):
            refuse_existing(source, True, [None, "camera:0", "rtsp://a/b", given])
    refuse_existing(made(tmp_path / "other"), True, [source])


def test_files_in_folders_of_inputs(tmp_path):
    """Results of earlier runs may lie there, and may be replaced by the next one."""
    for name in ("a.jpg", "deep/b.PNG", "model.onnx", "manifest.json", "joints.mat"):
        with pytest.raises(UsageError, match="which is an input"):
            refuse_existing(made(tmp_path / name), True, [tmp_path])
    with pytest.raises(UsageError, match="which is an input"):
        refuse_existing(made(tmp_path / "labels.json", '{"images": []}'), True, [f"coco:{tmp_path}:val"])
    for name, text in (("poses.json", "[\n{}]"), ("eval.json", '{\n "format": 1}'), ("o.mp4", ""), ("p.csv", "")):
        refuse_existing(made(tmp_path / name, text), True, [f"images:{tmp_path}"])
    refuse_existing(tmp_path / "new.jpg", False, [tmp_path])


def test_images_of_a_label_file_are_inputs(tmp_path):
    labels = made(tmp_path / "l.json", '{"images": [{"file_name": "a.png"}, {"file_name": "\\u00e9.png"}]}')
    for image in ("images/a.png", "a.png", "images/\xe9.png"):
        with pytest.raises(UsageError, match="is an image of"):
            refuse_existing(made(tmp_path / image), True, [f"json:{labels}"])
    refuse_existing(made(tmp_path / "sheet.png"), True, [f"json:{labels}"])


def test_folders_of_somebody_else_are_not_replaced(tmp_path):
    made(tmp_path / "openvino-fp32" / "photo.jpg")
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        refuse_existing_folder(tmp_path / "openvino-fp32", True, "manifest.json")
    made(tmp_path / "openvino-fp32" / "manifest.json")
    refuse_existing_folder(tmp_path / "openvino-fp32", True, "manifest.json")
    with pytest.raises(UsageError, match="pass --overwrite"):
        refuse_existing_folder(tmp_path / "openvino-fp32", False, "manifest.json")
    with pytest.raises(UsageError, match="in it is an input"):
        refuse_existing_folder(
            tmp_path / "openvino-fp32", True, "manifest.json", [tmp_path / "openvino-fp32" / "photo.jpg"]
        )
    with pytest.raises(UsageError, match="is a file"):
        refuse_existing_folder(made(tmp_path / "file"), True, "manifest.json")
    (tmp_path / "empty").mkdir()
    refuse_existing_folder(tmp_path / "empty", True, "manifest.json")


@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_places_that_cannot_be_are_refused_before_the_work(tmp_path, write):
    made(tmp_path / "file")
    for path in (tmp_path / ("n" * 300), tmp_path / "file" / "x.json", tmp_path / "file" / "deep" / "x.json"):
        for refuse in (
            lambda path: refuse_existing(path, False),
            lambda path: refuse_existing_folder(path, False, "m"),
        ):
            with pytest.raises(EdgeposeError, match="cannot write"):
                refuse(path)
        with pytest.raises(EdgeposeError, match="cannot write"), write(path):
            pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_read_only_places(tmp_path, monkeypatch):
    """root may write everywhere, so the answer of the system is put in."""
    old = made(tmp_path / "old.json")
    monkeypatch.setattr("edgepose._outputs.os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(EdgeposeError, match="is read-only for you"):
        refuse_existing(tmp_path / "new" / "deep" / "x.json", False)
    with pytest.raises(EdgeposeError, match="is read-only for you"):
        refuse_existing_folder(tmp_path / "engine", False, "manifest.json")
    monkeypatch.setattr("edgepose._outputs.os.access", lambda path, mode: Path(path) != old)
    with pytest.raises(EdgeposeError, match="write-protected"):
        refuse_existing(old, True)


def test_permissions_of_a_file_stay(tmp_path):
    path = made(tmp_path / "secret.json")
    path.chmod(0o600)
    write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_as_long_as_they_may_be(tmp_path):
    for name in ("n" * 250 + ".json", "ü" * 120 + ".json", "a%d\nb.json"):
        write_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    assert len(names(tmp_path)) == 3
