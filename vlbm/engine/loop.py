"""The thread that runs all turns together: one pass after the other, turns join and leave between passes.

It knows turns, seats and a reader; nothing of pictures, words or sockets.
"""

from __future__ import annotations

import logging
from collections import deque
from threading import Condition, Event, Thread, current_thread
from traceback import format_tb
from typing import Any

import torch

from vlbm.engine.guesses import TOGETHER
from vlbm.engine.reader import Part, Reader
from vlbm.engine.scheduler import Place, Scheduler
from vlbm.engine.turn import Turn, fair
from vlbm.errors import EngineFailed

log = logging.getLogger(__name__)


class Loop:
    """Runs turns.

    Args:
        reader: reads their texts.
        seats: turns that run together at most.
        queue: turns that wait at most.
    """

    def __init__(self, reader: Reader[Any], *, seats: int, queue: int) -> None:
        self.reader = reader
        self.scheduler: Scheduler[Turn] = Scheduler(seats, queue)
        self._given_up: deque[Place[Turn]] = deque()
        self._news = Condition()
        self._closed, self._line_changed = False, False
        self._start()

    def submit(self, turn: Turn) -> Place[Turn]:
        """Let a turn wait for its seat.

        Raises:
            EngineBusy: too many wait.
            EngineFailed: the loop was closed.
        """
        place = Place(turn, turn.owner, turn.most)
        with self._news:
            if self._closed:
                raise EngineFailed("the engine was closed")
            self.scheduler.submit(place)
            self._line_changed = True
            self._news.notify()
        return place

    def give_up(self, place: Place[Turn]) -> None:
        """Nobody waits for a turn any more; its seat is free within a pass."""
        with self._news:
            self._given_up.append(place)
            self._news.notify()

    def close(self) -> None:
        """End all turns with an error, and the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        if current_thread() is not self._thread:  # as where it drops the last hold on an engine
            self._thread.join()

    def _start(self) -> None:
        """Start the thread; where its reader has threads of its own, torch has one in it, elsewhere as many as before.

        Torch's threads wait for more work by spinning, for milliseconds, on the processors that the reader needs.
        """
        threads, started = torch.get_num_threads(), Event()
        self._thread = Thread(target=self._run, args=(started,), name="vlbm-engine", daemon=True)
        self._thread.start()
        started.wait()
        torch.set_num_threads(threads)  # what it sets is for its thread, and for all that begin later

    def _run(self, started: Event) -> None:
        if self.reader.own_threads:
            torch.set_num_threads(1)
        started.set()
        while self._let_in_and_out():
            running = list(self.scheduler.running)
            try:
                self._pass(running)
            except Exception as error:
                failed = _failed(error)
                for place in running:
                    self._end(place, failed)
        for place in (*self.scheduler.running, *self.scheduler.waiting):
            self._end(place, EngineFailed("the engine was closed"))

    def _let_in_and_out(self) -> bool:
        """Wait until there is something to do; False once closed."""
        with self._news:
            while True:
                while self._given_up:
                    self._end(self._given_up.popleft(), None)
                for place in (*self.scheduler.running, *self.scheduler.waiting):
                    if place.turn.stop.is_set():
                        self._end(place, None)
                for place in self.scheduler.admit(self.reader.room):
                    self._begin(place)
                self._tell_positions()
                if self._closed or self.scheduler.running:
                    return not self._closed
                self._news.wait()

    def _begin(self, place: Place[Turn]) -> None:
        turn, self._line_changed = place.turn, True
        try:
            turn.text = self.reader.begin(turn.ids, turn.most, turn.memories)
        except Exception as error:
            self._end(place, _failed(error))

    def _pass(self, running: list[Place[Turn]]) -> None:
        turns = [place.turn for place in running]
        shares = fair(turns, self.reader.beside if any(turn.answering for turn in turns) else self.reader.alone)
        reading = [(place, most) for place, most in zip(running, shares, strict=True) if most]
        ahead = TOGETHER // len(reading) - 1 if self.reader.guesses else 0
        parts: list[Part[Any]] = [place.turn.part(most, ahead) for place, most in reading]
        for (place, _), part, seen in zip(reading, parts, self.reader.read(parts), strict=True):
            try:
                place.turn.take(part, seen, self.reader)
            except Exception as error:
                self._end(place, error)
                continue
            if place.turn.answer.reason:
                self._end(place, None)

    def _end(self, place: Place[Turn], error: BaseException | None) -> None:
        turn = place.turn
        if turn.text is not None:
            self.reader.end(turn.text, keep=error is None)
            turn.text = None
        with self._news:
            self.scheduler.leave(place)
            self._line_changed = True
        turn.steps.put(error)

    def _tell_positions(self) -> None:
        """Say to those who wait how many are before them, whenever that changes."""
        if not self._line_changed:
            return
        self._line_changed = False
        for position, place in enumerate(self.scheduler.line()):
            place.turn.waits_behind(position)


def _failed(error: Exception) -> EngineFailed:
    """What those whose turns it ended are told. The log has the way to it, without its message: that may quote them."""
    log.error("the model failed: %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
    return EngineFailed(f"the model failed on this message: {type(error).__name__}")
