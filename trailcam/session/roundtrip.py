"""How long a datagram and its acknowledgement take: RFC 6298's estimator."""

from __future__ import annotations

__all__ = ["RoundTrip"]


class RoundTrip:
    """
    Round-trip time of one link, in seconds.

    @ivar smoothed: the smoothed round-trip time; C{None} before the first sample.
    @ivar timeout: after so long without acknowledgement a datagram is sent again.
    """

    INITIAL = 0.5
    #: A camera acknowledges within 2 to 220 ms (PROTOCOL): sooner would be a flood.
    SHORTEST = 0.1
    LONGEST = 2.0

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0
        self.timeout = self.INITIAL

    def sample(self, seconds: float) -> None:
        """Take in one measurement, of a datagram that was sent only once (Karn)."""
        if self.smoothed is None:
            self.smoothed, self._variation = seconds, seconds / 2
        else:
            self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
            self.smoothed += (seconds - self.smoothed) / 8
        wanted = self.smoothed + max(0.01, 4 * self._variation)
        self.timeout = min(max(wanted, self.SHORTEST), self.LONGEST)

    @property
    def reordering(self) -> float:
        """How much later than its successors a datagram may be before it counts as lost."""
        return max(0.01, (self.smoothed or 0.0) / 4)
