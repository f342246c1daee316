"""Errors, hangs and cut connections on demand.

A fault names an operation and what happens to it:

    {"op": "CreateTrainingJob", "nth": 1, "times": 1, "error": "ThrottlingException", "message": "…"}
    {"op": …, "status": 500, "body": "garbage"}
    {"op": …, "hang": true}                 no answer until the faults are cleared or the client gives up
    {"op": …, "drop_after_accept": true}    the request takes effect, the connection is cut before the answer
"""

import threading

KEYS = {"op", "nth", "times", "error", "message", "status", "body", "hang", "drop_after_accept"}
ACTIONS = {"error", "status", "hang", "drop_after_accept"}


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._faults = []
        self._released = threading.Event()

    def add(self, faults):
        for fault in faults:
            unknown = set(fault) - KEYS
            if unknown or not ACTIONS & set(fault):
                raise ValueError(f"a fault has an op and one of {sorted(ACTIONS)}; it may have {sorted(KEYS)}")
        with self._lock:
            self._faults += [{"nth": 1, "times": 1, **fault, "seen": 0} for fault in faults]

    def clear(self):
        with self._lock:
            self._faults = []
            self._released.set()
            self._released = threading.Event()

    def list(self):
        with self._lock:
            return [dict(fault) for fault in self._faults]

    def meet(self, operation):
        """Counts the request with every fault of its operation; the first whose turn it is happens to it."""
        met = None
        with self._lock:
            for fault in self._faults:
                if fault["op"] == operation:
                    fault["seen"] += 1
                    due = fault["nth"] <= fault["seen"] < fault["nth"] + fault["times"]
                    met = met or (fault if due else None)
        return met

    def hang(self):
        released = self._released
        released.wait()
