"""What every runner here shares: random tokens, timing, peak memory, and the line that is printed."""

import json
import time

# Steps before the clock counts; torch.compile compiles in the first.
WARM_UP = 2


def peak_mebibytes():
    """The largest resident size so far. Not `ru_maxrss`, which a process inherits from who started it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10
    return 0


def timed(step, steps):
    """Seconds of each of `steps` calls after the warm-up, and what the last call returned."""
    seconds, result = [], None
    for number in range(WARM_UP + steps):
        start = time.perf_counter()
        result = step(number)
        seconds.append(time.perf_counter() - start)
    return seconds[WARM_UP:], result


def report(step_seconds, tokens, **more):
    line = {"step_seconds": step_seconds, "tokens": tokens, "peak_mib": peak_mebibytes(), **more}
    print(json.dumps(line), flush=True)
