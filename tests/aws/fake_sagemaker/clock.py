"""Time that a test moves: it stands still, or runs at a speed, and can always be pushed on."""

import time


class Clock:
    def __init__(self):
        self._base = float(int(time.time()))
        self._since = time.monotonic()
        self.speed = 0.0

    def now(self):
        return self._base + (time.monotonic() - self._since) * self.speed

    def advance(self, seconds):
        if seconds < 0:
            raise ValueError("the clock goes forward only")
        self._base += seconds

    def run_at(self, speed):
        """0 stops the clock; 60 makes a minute of every second."""
        if speed < 0:
            raise ValueError("the clock goes forward only")
        self._base, self._since = self.now(), time.monotonic()
        self.speed = float(speed)
