#!/usr/bin/env python3
"""How narrow a slice makes a ratio, by the length of its blocks: the table of docs/methodology.md.

    benches/blocks.py [PROGRAM] [--blocks 250ms,25ms,10ms,5ms,2ms] [--rounds 16] [--instances 8]

Runs `tollgate matrix` once for each length, with slices of 0.5 s for each variant, and prints from the
records: the standard deviation of a variant's log-ratio to the baseline, by the CPU of the whole slice and
by the trimmed mean of its pairs; what of it lies between instances; requests in a block; the baseline's
cost; and TLS. The machine should be idle: a run takes a few minutes. What it leaves out: the lengths are
run one after the other, so that drift of minutes lies between the columns; compare the rows of noise.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
from collections import defaultdict


def run(program, block, options, folder):
    """The record of one experiment."""
    words = [program, "matrix", "--block", block, "--slice", "500ms", "--output-format", "quiet"]
    words += ["--rounds", str(options.rounds), "--instances", str(options.instances)]
    words += ["--max-foreign", "100%", "--max-steal", "100%", "--output", folder]
    # 3 is a run that broke a bound: its slices are looked at all the same.
    done = subprocess.run(words, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"tollgate matrix --block {block} ended with {done.returncode}")
    record = max(pathlib.Path(folder).glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(record.read_text())


def slices(record):
    """The interleaved open-loop slices: by round, then by variant."""
    rounds = defaultdict(dict)
    for row in record["slices"]:
        if row["counts"] and row["kind"] == "open" and row.get("blocks"):
            rounds[(row["instance"], row["round"])][row["variant"]] = row
    return rounds


def cost(row):
    """Server CPU per request, ns."""
    return sum(service["cpu_ns"] for service in row["services"]) / row["requests_answered"]


def trimmed(values):
    """The mean without a fifth at each end."""
    values = sorted(values)
    out = int(len(values) / 5)
    return statistics.fmean(values[out : len(values) - out])


def by_pairs(row, reference):
    """The log-ratio of two rows, pair by pair."""
    figures = lambda one: [pair["cpu_ns"] / pair["answered"] for pair in one["blocks"]["pairs"]]
    own, other = figures(row), figures(reference)
    return trimmed([math.log(a / b) for a, b in zip(own, other)])


def spread(rounds, variants, ratio):
    """Standard deviation of a slice's log-ratio, and of instances beyond it, over all variants."""
    all_of, between = [], []
    for variant in variants:
        values = defaultdict(list)
        for (instance, _), rows in rounds.items():
            values[instance].append(ratio(rows[variant], rows["s0"]))
        flat = [value for own in values.values() for value in own]
        within = statistics.fmean([statistics.variance(own) for own in values.values()])
        means = statistics.variance([statistics.fmean(own) for own in values.values()])
        all_of.append(statistics.variance(flat))
        between.append(means - within / (len(flat) / len(values)))
    root = lambda squares: math.sqrt(max(0.0, statistics.fmean(squares)))
    return root(all_of), root(between)


def column(record):
    """One column of the table."""
    rounds = slices(record)
    if not rounds:
        raise SystemExit("the run has no interleaved slices: is --slice long enough for two blocks?")
    variants = [row for row in next(iter(rounds.values())) if row != "s0"]
    whole, _ = spread(rounds, variants, lambda a, b: math.log(cost(a) / cost(b)))
    pairs, between = spread(rounds, variants, by_pairs)
    rows = [row["s0"] for row in rounds.values()]
    block_ns = rows[0]["blocks"]["block_ns"]
    in_block = statistics.fmean(
        row["requests_asked"] * block_ns / row["duration_ns"] for row in rows
    )
    s0 = statistics.median(cost(row) for row in rows)
    tls = statistics.median(cost(row["s1"]) - cost(row["s0"]) for row in rounds.values())
    return [f"{whole:.1%}", f"{pairs:.1%}", f"{between:.1%}", f"{in_block:.1f}",
            f"{s0 / 1e3:.1f}", f"{tls / 1e3:.1f}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?", default="target/release/tollgate")
    parser.add_argument("--blocks", default="250ms,25ms,10ms,5ms,2ms")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--instances", type=int, default=8)
    options = parser.parse_args()
    blocks = options.blocks.split(",")
    with tempfile.TemporaryDirectory() as folder:
        columns = [column(run(options.program, block, options, folder)) for block in blocks]
    names = ["CPU of the slice", "trimmed mean of pairs", "of which between instances",
             "requests in a block", "S0, us a request", "S1 - S0, us"]
    print("| block | " + " | ".join(blocks) + " |")
    print("|---|" + "---|" * len(blocks))
    for name, figures in zip(names, zip(*columns)):
        print(f"| {name} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
