"""How fast one socket may send frames. One that is faster is read later: nothing is lost, and the sender waits."""

BURST_SECONDS = 2.0
"""So much of the pace may come at once after a silence."""


class Pace:
    """A token bucket of frames. Pure: it is told the time.

    Args:
        rate: frames a second; 0 is any number.
        now: seconds on a clock that only goes forward.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._free = now - BURST_SECONDS
        """When the frame after the last one would be due, were there no bursts."""

    def delay(self, now: float) -> float:
        """Count a frame; the seconds for which the next one is to wait."""
        if not self._rate:
            return 0.0
        self._free = max(self._free, now - BURST_SECONDS) + 1 / self._rate
        return max(self._free - now, 0.0)
