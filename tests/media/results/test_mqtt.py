"""MQTT: messages at a real broker, which comes and goes, and a run that does not wait for it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgepose.errors import UsageError
from edgepose.media.results.mqtt import QUEUE, Address, parse_address

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")


def wait_for(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return value


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def broker(port: int, folder: Path) -> Iterator[None]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: answers(port))
            yield
        finally:
            process.kill()


@contextmanager
def subscriber(port: int) -> Iterator[list[dict[str, Any]]]:
    paho = pytest.importorskip("paho.mqtt.client")
    seen: list[dict[str, Any]] = []
    ready: list[bool] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, data, message: seen.append(json.loads(message.payload))
    client.on_connect = lambda client, *rest: client.subscribe("cam/poses", qos=1)
    client.on_subscribe = lambda *rest: ready.append(True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        wait_for(lambda: ready)
        yield seen
    finally:
        client.disconnect()
        client.loop_stop()


def test_messages_are_the_lines_of_json_lines(opened, frame, tracked, nobody, tmp_path, port) -> None:
    with broker(port, tmp_path), subscriber(port) as seen:
        with opened("jsonl", tmp_path / "lines") as lines, opened("mqtt", f"mqtt://127.0.0.1:{port}/cam/poses") as sink:
            for i, poses in enumerate((tracked, nobody, tracked)):
                lines.write(frame(i), poses)
                sink.write(frame(i), poses)
        wait_for(lambda: len(seen) == 3)
    assert seen == [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]


def test_a_broker_that_comes_late_gets_what_waited(opened, frame, tracked, tmp_path, port) -> None:
    notes: list[str] = []
    with opened("mqtt", f"mqtt://127.0.0.1:{port}/cam/poses", note=notes.append) as sink:
        sink.write(frame(0), tracked)
        wait_for(lambda: sink._problem)
        sink.write(frame(1), tracked)
        assert notes == [f"--mqtt: cannot reach the broker 127.0.0.1:{port}; trying again, the run goes on"]
        with broker(port, tmp_path), subscriber(port) as seen:
            wait_for(lambda: len(seen) == 2)
            sink.write(frame(2), tracked)
            wait_for(lambda: len(seen) == 3)
            assert [message["index"] for message in seen] == [0, 1, 2]
            sink.close()
    assert len(notes) == 1


def test_a_broker_that_restarts(opened, frame, tracked, tmp_path, port) -> None:
    with opened("mqtt", f"mqtt://127.0.0.1:{port}/cam/poses") as sink:
        with broker(port, tmp_path):
            wait_for(sink._client.is_connected)
        wait_for(lambda: not sink._client.is_connected())
        sink.write(frame(0), tracked)
        with broker(port, tmp_path), subscriber(port) as seen:
            wait_for(lambda: len(seen) == 1)


def test_a_run_does_not_wait_for_a_broker_that_never_comes(opened, frame, tracked, port) -> None:
    notes: list[str] = []
    start = time.monotonic()
    with opened("mqtt", f"mqtt://127.0.0.1:{port}/cam/poses", note=notes.append) as sink:
        for i in range(QUEUE + 50):
            sink.write(frame(i), tracked)
        assert len(sink._client._out_messages) == QUEUE  # memory is bounded
    assert time.monotonic() - start < 8
    assert f"{QUEUE + 50} of {QUEUE + 50} messages were not delivered" in notes[-1]


def test_addresses() -> None:
    assert parse_address("mqtt://broker/a/b") == Address("broker", 1883, "a/b", False, None, None)
    secret = parse_address("mqtts://me:p%40ss@10.0.0.1:9000/cam%201")
    assert secret == Address("10.0.0.1", 9000, "cam 1", True, "me", "p@ss")


@pytest.mark.parametrize(
    "text", ["broker/topic", "http://broker/topic", "mqtt://broker", "mqtt://broker/", "mqtt:///topic",
             "mqtt://broker:99999/a", "mqtt://broker/a/%23", "mqtt://broker/a/#", "mqtt://broker/a/%2B/b", "mqtt://broker/a?b=1"],
)  # fmt: skip
def test_wrong_addresses(text) -> None:
    with pytest.raises(UsageError, match="expected mqtt://HOST"):
        parse_address(text)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        parse_address("mqtt://me:secret@broker:99999/topic")
    assert "secret" not in str(caught.value)
