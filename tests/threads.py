"""Functions run at the same time."""

from __future__ import annotations

import threading


def in_threads(*works):
    """Run the functions at the same time; the first exception of any is raised."""
    errors, start = [], threading.Barrier(len(works))

    def run(work):
        try:
            start.wait()
            work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(w,)) for w in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
