"""The HTTP server of a live view: one thread for each viewer, none of which the run waits for.

/             the page
/stream.mjpg  the pictures, as multipart/x-mixed-replace
/frame.jpg    the latest picture
/numbers.json the numbers of the run
/events       the same numbers as server-sent events, twice a second

With several sources, these are /1/, /1/stream.mjpg and so on for the first source, / is a page with all of them, and
/numbers.json holds the numbers of all.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from edgepose.errors import EdgeposeError, UsageError
from edgepose.view.live import LiveView

PAGE = Path(__file__).with_name("page.html")
GRID = Path(__file__).with_name("grid.html")  # of several sources
_NUMBERED = re.compile(r"^/(\d{1,4})(/.*)$")
BOUNDARY = "edgepose-frame"
LONG_VIEWERS = 16  # connections for pictures and events at a time
EVENT_S = 0.5
POLL_S = 1.0
STALLED_S = 20.0  # a viewer that takes nothing for so long is disconnected
STOP_S = 2.0
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'",
}


class ViewServer:
    """Serves a live view in threads.

    Args:
        lives: The view of each source.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Attributes:
        url: The address of the page.
        local: Whether only this machine reaches it.

    Raises:
        UsageError: The host is no address of this machine.
        EdgeposeError: The port is in use, or needs rights.
    """

    def __init__(self, lives: Sequence[LiveView], host: str, port: int) -> None:
        self.local = _is_loopback(host)
        try:
            self._http = _Server((host, port), lives, self.local)
        except socket.gaierror as error:
            raise UsageError(f"--view: {host} is no address of this machine ({error.strerror})") from error
        except OSError as error:
            raise EdgeposeError(
                f"--view: cannot listen on {host}:{port}: {error.strerror or error}; choose another"
            ) from error
        names = {"127.0.0.1": "localhost", "0.0.0.0": socket.gethostname(), "::": socket.gethostname()}
        shown = names.get(host, f"[{host}]" if ":" in host else host)
        self.url = f"http://{shown}:{self._http.server_address[1]}/"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="edgepose-view", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End the connections and close the port; a second call does nothing."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(STOP_S)
        self._http.server_close()
        self._http.disconnect()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], lives: Sequence[LiveView], local: bool) -> None:
        self.lives, self.local = lives, local
        self.page, self.grid = PAGE.read_bytes(), GRID.read_bytes()
        self._long = threading.BoundedSemaphore(LONG_VIEWERS)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        # The family belongs to the instance, since a host may have an IPv4 or an IPv6 address.
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind the port without a look-up of this machine's name, which may take long where there is no network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a viewer that left; the errors of a request are no concern of the run."""

    @contextmanager
    def viewer(self, connection: socket.socket) -> Iterator[bool]:
        """Count a long connection; False where there are too many."""
        if not self._long.acquire(blocking=False):
            yield False
            return
        with self._lock:
            self._connections.add(connection)
        try:
            yield True
        finally:
            with self._lock:
                self._connections.discard(connection)
            self._long.release()

    def disconnect(self) -> None:
        """Wake the threads that write to a viewer who takes nothing, after those who do have got the end."""
        end = time.monotonic() + STOP_S / 2
        while self._connections and time.monotonic() < end:
            time.sleep(0.02)
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "edgepose"
    sys_version = ""
    timeout = STALLED_S
    paths: ClassVar[dict[str, Callable[[_Handler], None]]] = {}
    overview: ClassVar[dict[str, Callable[[_Handler], None]]] = {}
    live: LiveView  # that of the request

    def do_GET(self) -> None:
        path, paths = self.path.partition("?")[0], self.paths
        numbered = _NUMBERED.match(path)
        place = int(numbered[1]) if numbered else 1
        if numbered:
            path = numbered[2]
        elif len(self.server.lives) > 1:
            paths = self.overview
        self.live = self.server.lives[place - 1 if 1 <= place <= len(self.server.lives) else 0]
        if not self._host_is_right():
            text = "this page is for this machine only; open it as http://localhost\n"
            self._send(HTTPStatus.FORBIDDEN, "text/plain", text.encode())
        elif path in paths and 1 <= place <= len(self.server.lives):
            with suppress(OSError):  # the viewer left
                paths[path](self)
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _host_is_right(self) -> bool:
        """Return whether the request names this machine; pages of others could reach the server by a name of theirs."""
        host = self.headers.get("Host", "")
        return not self.server.local or _is_loopback(host.rpartition(":")[0] if _has_port(host) else host)

    def _page(self) -> None:
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)

    def _grid(self) -> None:
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.grid)

    def _all_numbers(self) -> None:
        numbers = {"sources": [live.numbers() for live in self.server.lives]}
        self._send(HTTPStatus.OK, "application/json", json.dumps(numbers).encode())

    def _picture(self) -> None:
        found = self.live.picture_after(0, POLL_S)
        if found is None:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"no frame yet\n")
        else:
            self._send(HTTPStatus.OK, "image/jpeg", found[1])

    def _numbers(self) -> None:
        self._send(HTTPStatus.OK, "application/json", json.dumps(self.live.numbers()).encode())

    def _stream(self) -> None:
        with self.server.viewer(self.connection) as admitted:
            if not admitted:
                return self._busy()
            live, number = self.live, 0
            self._begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            with live.viewer():
                while True:
                    found = live.picture_after(number, POLL_S)
                    if found is None:
                        if live.ended:
                            return
                        continue
                    number, data = found
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")

    def _events(self) -> None:
        with self.server.viewer(self.connection) as admitted:
            if not admitted:
                return self._busy()
            live = self.live
            self._begin("text/event-stream")
            while True:
                numbers = live.numbers()
                self.wfile.write(f"data: {json.dumps(numbers)}\n\n".encode())
                if numbers["ended"]:
                    return
                live.wait_for_end(EVENT_S)

    def _busy(self) -> None:
        self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"too many viewers\n")

    def _begin(self, content_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {"Content-Type": content_type, "Connection": "close", **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: HTTPStatus, content_type: str, data: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(data)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


_Handler.paths = {
    "/": _Handler._page,
    "/stream.mjpg": _Handler._stream,
    "/frame.jpg": _Handler._picture,
    "/numbers.json": _Handler._numbers,
    "/events": _Handler._events,
}
_Handler.overview = {"/": _Handler._grid, "/numbers.json": _Handler._all_numbers}


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdecimal() and not (host.startswith("[") and host.endswith("]"))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
