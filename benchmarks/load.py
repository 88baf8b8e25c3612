"""Cheap clients for measuring: plain sockets and one ``epoll`` loop, so that the clients are not what is measured.

Beside the clients a subscriber takes the same events from Redis itself: what a client gets later than it is what the
gateway adds. Both stand in one loop, so that a busy machine delays them alike.
"""

import base64
import gc
import json
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import hiredis

from assistant.gateway.wire.frame import SUBPROTOCOL
from assistant.stores import keys

ADDRESSES = 8
"""Loopback addresses that connections come from, so that ports do not run out."""
DELTA, FINISHED = b'"type":"turn.delta"', b'"type":"turn.finished"'
TEXT, PING, PONG = 0x81, 0x89, 0x8A
READ_BYTES = 1 << 16
RAMP_SECONDS = 2.0
"""Over which the first turns are spread."""
PATIENCE_SECONDS = 30.0
"""For the last answers to end."""


def frame(opcode: int, data: bytes) -> bytes:
    """A client's frame (RFC 6455), masked with zeros."""
    if len(data) < 126:
        head = struct.pack("!BB", opcode, 0x80 | len(data))
    elif len(data) < 1 << 16:
        head = struct.pack("!BBH", opcode, 0x80 | 126, len(data))
    else:
        head = struct.pack("!BBQ", opcode, 0x80 | 127, len(data))
    return head + b"\0\0\0\0" + data


class Client:
    """One websocket. Blocks.

    Args:
        receive_buffer: bytes that the system takes for it, where it is to be little.
    """

    def __init__(self, url: str, number: int, receive_buffer: int | None = None) -> None:
        address = url.split("/")[2]
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.bind((f"127.0.0.{1 + number % ADDRESSES}", 0))
        self.socket.connect((host, int(port)))
        self._rest = b""
        self._shake_hands(address)
        assert self.ask("auth")["type"] == "ack"
        self.session = ""
        self.turns = 0

    def _shake_hands(self, address: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._rest:
            self._rest += self.socket.recv(READ_BYTES)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        assert b" 101 " in head.splitlines()[0], head

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close()

    def command(self, kind: str, **fields: Any) -> bytes:
        """A command as bytes to send."""
        return frame(TEXT, json.dumps({"type": kind, "id": "c", **fields}).encode())

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command and read up to its answer."""
        self.socket.sendall(self.command(kind, **fields))
        while True:
            for text in self.receive():
                answer: dict[str, Any] = json.loads(text)
                if "c" in (answer.get("id"), answer.get("command_id")):
                    return answer

    def open(self) -> None:
        """Open a session of its own."""
        self.session = str(self.ask("session.open")["session_id"])

    def submit(self, tokens: int) -> None:
        """Send a message, and wait for nothing."""
        self.turns += 1
        text = f"hello {self.session} {self.turns}"
        named = {"session_id": self.session, "client_message_id": f"c-{self.turns}", "text": text}
        self.socket.sendall(self.command("turn.submit", **named, options={"max_tokens": tokens}))

    def receive(self) -> list[bytes]:
        """The text frames that came; pings are answered.

        Raises:
            ConnectionError: the server has closed it.
        """
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("closed")
        data, texts = self._rest + data, []
        at = 0
        while (bounds := _bounds(data, at)) is not None:
            start, stop = bounds
            if data[at] == TEXT:
                texts.append(data[start:stop])
            elif data[at] == PING:
                self.socket.sendall(frame(PONG, data[start:stop]))
            else:
                raise ConnectionError(f"frame {data[at]:#x}: {data[start:stop]!r}")
            at = stop
        self._rest = data[at:]
        return texts


def _bounds(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the data of a server's frame begins and ends; None where it has not come as a whole."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size >= 126:
        start += 2 if size == 126 else 8
        size = int.from_bytes(data[at + 2 : start], "big")
    return (start, start + size) if len(data) >= start + size else None


class Subscriber:
    """Takes what Redis tells of some sessions."""

    def __init__(self, redis_url: str, sessions: Sequence[str]) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(redis_url.removeprefix("unix://"))
        self._reader = hiredis.Reader()
        words = [b"SUBSCRIBE", *(keys.bell(session).encode() for session in sessions)]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        told = 0
        while told < len(sessions):
            told += len(self._answers())

    def receive(self) -> list[bytes]:
        """The JSON of the events that came."""
        return [answer[2].partition(b" ")[2] for answer in self._answers()]

    def _answers(self) -> list[list[bytes]]:
        self._reader.feed(self.socket.recv(READ_BYTES))
        answers = []
        while (answer := self._reader.gets()) is not False:
            answers.append(answer)
        return answers


@dataclass(slots=True)
class Played:
    """What was measured, a value a delta, in seconds."""

    added: list[float] = field(default_factory=list)
    """From a subscriber of Redis to the client."""
    told: list[float] = field(default_factory=list)
    """From the worker to that subscriber."""
    delays: list[float] = field(default_factory=list)
    """From the worker to the client."""
    turns: int = 0
    seconds: float = 0.0


class Players:
    """Clients that ask one thing after another.

    Args:
        redis_url: of a Redis on a Unix socket.
        tokens: that an answer has at most.
    """

    def __init__(self, url: str, redis_url: str, count: int, tokens: int = 512) -> None:
        self._tokens = tokens
        self._clients = {client.socket.fileno(): client for client in (Client(url, number) for number in range(count))}
        for client in self._clients.values():
            client.open()
        self._subscriber = Subscriber(redis_url, [client.session for client in self._clients.values()])

    def close(self) -> None:
        """Drop the connections."""
        for client in self._clients.values():
            client.close()
        self._subscriber.socket.close()

    def play(self, seconds: float) -> Played:
        """Ask for so long, and read to the end of what was asked.

        Raises:
            ConnectionError: a client was let go.
            TimeoutError: an answer did not end.
        """
        told: list[tuple[float, bytes]] = []
        received: list[tuple[float, bytes]] = []
        gc.disable()  # a search for garbage among all that was received is a delay of the clients, not of the gateway
        try:
            start = time.time()
            turns = self._exchange(start + seconds, told, received)
        finally:
            gc.enable()
        played = _measured(told, received)
        played.turns, played.seconds = turns, time.time() - start
        return played

    def _exchange(self, until: float, told: list[tuple[float, bytes]], received: list[tuple[float, bytes]]) -> int:
        poll = select.epoll()
        for number in (*self._clients, self._subscriber.socket.fileno()):
            poll.register(number, select.EPOLLIN)
        waiting = list(self._clients.values())
        start, begun, ended = time.time(), 0, 0
        while begun > ended or time.time() < until:
            while waiting and time.time() > start + begun * RAMP_SECONDS / len(self._clients):
                client = waiting.pop()
                client.submit(self._tokens)
                begun += 1
            for number, _ in poll.poll(0.01):
                if number not in self._clients:
                    texts, now = self._subscriber.receive(), time.time()
                    told += [(now, text) for text in texts if DELTA in text]
                    continue
                client = self._clients[number]
                texts, now = client.receive(), time.time()
                for text in texts:
                    if DELTA in text:
                        received.append((now, text))
                    elif FINISHED in text:
                        ended += 1
                        if now < until:
                            client.submit(self._tokens)
                            begun += 1
            if time.time() > until + PATIENCE_SECONDS:
                raise TimeoutError("answers did not end")
        poll.close()
        return ended


def _measured(told: list[tuple[float, bytes]], received: list[tuple[float, bytes]]) -> Played:
    """All events have the same text for both, which names their place."""
    moments = {text: moment for moment, text in told}
    if len(moments) != len(received) or any(text not in moments for _, text in received):
        raise ConnectionError(f"{len(received)} deltas came of {len(moments)}")
    played = Played()
    for moment, text in received:
        written = datetime.fromisoformat(json.loads(text)["at"]).timestamp()
        played.added.append(moment - moments[text])
        played.told.append(moments[text] - written)
        played.delays.append(moment - written)
    return played
