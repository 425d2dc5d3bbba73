"""Waiting for a condition with a deadline; nothing in the tests sleeps for a fixed time."""
import time


def until(condition, what, seconds=20):
    """Calls `condition` until it gives something true, which is returned.

    An OSError from it counts as not yet. After `seconds` it is an AssertionError that says
    `what` was waited for and what was seen last.
    """
    deadline = time.monotonic() + seconds
    pause, last = 0.002, None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    raise AssertionError(f"waited {seconds} s for {what}; last seen: {last!r}")
