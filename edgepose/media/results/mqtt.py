"""Publish each frame as a JSON message on an MQTT broker; `paho-mqtt` talks to it (extra `mqtt`).

The message is the line that JSON Lines has for the frame. Publishing never waits for the network: messages go through a
bounded queue, and a message for which the queue has no place is lost. A connection that breaks is made again.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from edgepose._optional import optional
from edgepose.errors import UsageError
from edgepose.media.results.record import frame_record
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses

PORTS = {"mqtt": 1883, "mqtts": 8883}
QUEUE = 256  # messages that wait for the broker
FLUSH_S = 2.0  # how long the end of a run waits for messages under way
RETRY_S = (1, 30)  # the first and the longest pause between two attempts to connect
CONNECT_S = 3.0
QOS = 1  # the broker confirms each message, by which delivery is counted


@dataclass(frozen=True)
class Address:
    """The parts of `mqtt://USER:PASSWORD@HOST:PORT/TOPIC`; `mqtts` is encrypted."""

    host: str
    port: int
    topic: str
    secure: bool
    user: str | None
    password: str | None


def parse_address(text: str) -> Address:
    """Parse the address of a broker and a topic.

    Raises:
        UsageError: It is no such address, or the topic has a wildcard.
    """
    expected = f"--mqtt {text!r}: expected mqtt://HOST[:PORT]/TOPIC"
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise UsageError(f"{expected} ({error})") from error
    topic = unquote(re.sub(r"^/", "", parts.path))
    if parts.scheme not in PORTS or not host or not topic or {"?", "#"} & set(text):
        raise UsageError(expected)
    if {"+", "#", "\0"} & set(topic):
        raise UsageError(f"{expected}; the topic must not contain + or #")
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return Address(host, port or PORTS[parts.scheme], topic, parts.scheme == "mqtts", user, password)


class Mqtt(ResultSink):
    """A topic of an MQTT broker."""

    def __init__(self, text: str, about: RunFacts) -> None:
        self._address, self._note = parse_address(text), about.note
        paho = optional("paho.mqtt.client", "mqtt")
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._frames = self._delivered = 0
        self._problem, self._noted, self._closed = "", False, False
        client = self._client
        client.connect_timeout = CONNECT_S
        client.max_queued_messages_set(QUEUE)
        client.reconnect_delay_set(*RETRY_S)
        client.on_publish, client.on_connect = self._on_publish, self._on_connect
        client.on_disconnect, client.on_connect_fail = self._on_disconnect, self._on_connect_fail
        if self._address.secure:
            client.tls_set()
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        client.connect_async(self._address.host, self._address.port)
        client.loop_start()

    def write(self, frame: Frame, poses: Poses) -> None:
        """Queue the message of a frame."""
        message = json.dumps(frame_record(frame, poses), allow_nan=False)
        self._client.publish(self._address.topic, message, qos=QOS)
        self._frames += 1
        if self._problem and not self._noted:
            self._noted = True
            self._note(f"--mqtt: {self._problem}; trying again, the run goes on")

    def close(self, error: BaseException | None = None) -> None:
        """Wait a moment for messages under way, say how many were lost, and disconnect."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + FLUSH_S
        while self._delivered < self._frames and not self._hopeless() and time.monotonic() < end:
            time.sleep(0.02)
        self._client.disconnect()
        self._client.loop_stop()
        lost = self._frames - self._delivered
        if lost:
            reason = f" ({self._problem})" if self._problem else ""
            self._note(f"--mqtt: {lost} of {self._frames} messages were not delivered{reason}")

    def _hopeless(self) -> bool:
        return bool(self._problem) and not self._client.is_connected()

    def _where(self) -> str:
        return f"{self._address.host}:{self._address.port}"

    # The client calls these in its thread.

    def _on_publish(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        if not reason.is_failure:
            self._delivered += 1

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._problem = f"the broker {self._where()} refuses: {reason}" if reason.is_failure else ""

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._problem = self._problem or (f"lost the broker {self._where()}" if reason.is_failure else "")

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self._problem = f"cannot reach the broker {self._where()}"


def check_place(text: str) -> None:
    """Raise UsageError where the text is no address of a broker and a topic."""
    parse_address(text)


def open_sink(place: str, about: RunFacts) -> ResultSink:
    """Connect to a broker in the background."""
    return Mqtt(place, about)
