"""Reads histogram logs with the public HdrHistogram package and prints what it found as JSON:
per file and tag every value with its count, over all intervals. It is the stranger of
tests/hlog_stranger.rs, and knows nothing of tollgate."""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HOUR_NS = 3_600_000_000_000


def tags_of(path):
    sums = {}
    reader = HistogramLogReader(path, HdrHistogram(1, HOUR_NS, 3))
    while (interval := reader.get_next_interval_histogram()) is not None:
        fresh = {"intervals": 0, "sum": HdrHistogram(1, HOUR_NS, 3)}
        entry = sums.setdefault(interval.get_tag(), fresh)
        entry["intervals"] += 1
        entry["sum"].add(interval)
        start, end = interval.get_start_time_stamp(), interval.get_end_time_stamp()
        entry["last_length_ms"] = round(end - start)
    return sums


def described(entry):
    total = entry["sum"]
    return {
        "intervals": entry["intervals"],
        "last_length_ms": entry["last_length_ms"],
        "count": total.get_total_count(),
        "values": [
            [step.value_iterated_to, step.count_added_in_this_iter_step]
            for step in total.get_recorded_iterator()
        ],
    }


print(json.dumps([{tag: described(e) for tag, e in tags_of(p).items()} for p in sys.argv[1:]]))
