#!/usr/bin/env python3
"""Counts the instructions of a request's path in memory and compares them with the stored baseline.

    benches/instructions.py                 every path, beside benches/instructions.json
    benches/instructions.py 'S4 ping' http  these paths only
    benches/instructions.py --bless         stores what was counted as the new baseline

Each path of benches/steps.rs runs under valgrind's callgrind, which counts what happens within one
function: the server's part of a warm request. Two runs agree to some tenths of a percent (keys and
dates are not the same), on a busy machine too. Ends with 1 when a path grew by more than 3%.

What is counted is user space without the kernel, and instructions are not time: a cache miss and a
multiplication count as one. valgrind plays a processor of its own, which has AVX2 and AES but not
what newer ones have, and ring and the C library choose their code by it; the figures are therefore
alike on most machines, and are not those of the code that runs without valgrind. A compiler, C
library or valgrind other than the baseline's makes other code: then the table is printed and
nothing is judged.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches" / "instructions.json"
COUNTED = "*tollgate_counted_step*"
STEPS = 256
BOUND = 0.03
RUNS = 3


def fail(sentence):
    sys.exit(f"instructions.py: {sentence}")


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def made_with():
    """Everything that makes other instructions of the same source."""
    return {
        "rustc": said("rustc", "--version"),
        "valgrind": said("valgrind", "--version"),
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


def build():
    """Builds the program as it is shipped and returns its path."""
    command = ["cargo", "build", "--release", "--example", "steps", "--locked", "--quiet"]
    built = subprocess.run(
        command + ["--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if built.returncode != 0:
        fail("benches/steps.rs does not build; see above")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "steps":
            return message["executable"]
    fail("cargo did not say where it put the program")


def least(program, path):
    """The least of some counts: how long the C library searches for memory of more than a kilobyte
    hangs on what was allocated before, and so on the lengths of this run's certificates."""
    return min(counted(program, path) for _ in range(RUNS))


def counted(program, path):
    """Instructions of one step of a path."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
            f"--toggle-collect={COUNTED}", program, path, str(STEPS),
        ]
        # Where things lie in memory decides how a copy is split; so they always lie alike.
        if shutil.which("setarch"):
            command = ["setarch", platform.machine(), "-R"] + command
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{path}: valgrind ended with {done.returncode}\n{done.stderr}")
        found = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
    total = int(found.group(1)) if found else 0
    if total == 0:
        fail(f"{path}: nothing was counted; is tollgate_counted_step still in benches/steps.rs?")
    return round(total / STEPS)


def table(counts, baseline):
    """Prints both columns; returns the sentences about what changed."""
    grown, said = [], []
    width = max(map(len, counts))
    print(f"{'path':<{width}}  {'baseline':>9}  {'now':>9}  {'change':>7}")
    for path, now in counts.items():
        before = baseline.get(path)
        if before is None:
            print(f"{path:<{width}}  {'-':>9}  {now:>9,}")
            said.append(f"{path} is new: store it with --bless.")
            continue
        change = now / before - 1
        print(f"{path:<{width}}  {before:>9,}  {now:>9,}  {change:>+7.1%}")
        if change > BOUND:
            grown.append(f"{path} grew by {change:.1%} ({before:,} to {now:,} instructions).")
        elif change < -BOUND:
            said.append(f"{path} shrank by {-change:.1%}: store it with --bless.")
    return grown, said


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="paths to count; all if none is named")
    parser.add_argument("--bless", action="store_true", help="store the counts as the baseline")
    return parser.parse_args()


def wanted(program, named):
    known = said(program).splitlines()
    for path in named:
        if path not in known:
            fail(f"there is no path {path!r}; there are: {', '.join(known)}")
    return named or known


def main():
    asked = arguments()
    if not shutil.which("valgrind"):
        fail("valgrind is missing; install it with: apt-get install valgrind")
    program = build()
    paths = wanted(program, asked.paths)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(paths, pool.map(lambda path: least(program, path), paths)))
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    tools = made_with()
    grown, sentences = table(counts, stored.get("instructions", {}))
    if sentences and not asked.bless:
        print("\n".join(sentences))
    differing = [
        f"{tools[tool]} in place of {before}"
        for tool, before in stored.get("made_with", tools).items()
        if tools.get(tool) != before
    ]
    if asked.bless:
        kept = {} if differing else stored.get("instructions", {})
        bless(tools, {**kept, **counts} if asked.paths else counts)
    elif differing:
        print(f"Compared between {'; '.join(differing)}: nothing is judged. Where this is what the "
              "baseline should be about, store it with --bless.")
    elif grown:
        print("\n".join(grown))
        fail("a path grew by more than 3%; make it shorter, or accept it with --bless")


def bless(tools, counts):
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    record = {"release": version.group(1), "made_with": tools, "instructions": counts}
    BASELINE.write_text(json.dumps(record, indent=2) + "\n")
    print(f"Stored in {BASELINE.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
