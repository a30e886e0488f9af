#!/usr/bin/env python3
"""Every goal of the hot path beside its peer, in one run: goal and figure side by side.

Measures: server CPU per request, the kernel's run time of all threads of a server's processes over
a steady window, divided by the requests of that window. Server on core 0, client on core 1, one
worker each, loopback. All sides of a block take a turn in every round, each time as new processes,
the next round in opposite order; rows are formulae over one round's samples, and their medians are
judged. One of ours is measured twice a round: rows nearer to their goal than those two lie apart
say "not resolved".
Leaves out: latency, and rates, which on two cores are as often the client's limit as the server's.
Do not compare: figures of different runs or machines.

From a clone: `cargo build --release && benches/peers/peers.py`. The peers are built on the way.
Exit code: 0 measured, whatever came out; 1 a row could not be run; with --strict 99 when a goal was
not reached; 2 wrong words; 130 interrupted. README.md beside this file says what each row means.
"""

import argparse
import fcntl
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# The bench leaves nothing behind in the tree.
sys.dont_write_bytecode = True

import builds
import client
import figures
import material
import memory
import probes
import rows
import servers
import table

PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "h2load": "nghttp2-client",
            "openssl": "openssl"}
LABEL = ("S2, S4 and S5 with a repeated token are cached against uncached beside any peer: none "
         "of them keeps verified tokens. The token.*.axum and token.*.haproxy rows have our cache "
         "off.")


class Bench:
    """What every side and probe needs to know."""

    def __init__(self, options, folder):
        self.rounds, self.seconds = options.rounds, options.seconds
        self.tollgate, self.built = options.tollgate, options.built
        self.idle_connections, self.allocations = options.idle_connections, options.allocations
        self.keys = material.Material(folder, self.tollgate,
                                      os.path.join(self.built, "peer-floor"))
        self.servers = servers.Servers(self.keys, self.tollgate, self.built, options.before)
        self.samples, self.failures, self.missing = {}, {}, {}

    def take(self, block, side):
        """One sample of one side; a side that failed once is not tried again."""
        key = (block, side.name)
        gone = [name for name in side.needs if not shutil.which(name)]
        if gone:
            packages = " ".join(PACKAGES[name] for name in gone)
            self.missing[key] = f"{' and '.join(gone)} missing: apt-get install {packages}"
        if key in self.missing or key in self.failures:
            return
        try:
            sample = side.run(self, self.seconds)
        except Exception as error:  # One row's failure is a sentence, and the others go on.
            self.failures[key] = f"{side.name}: {error}"
            say(f"  {self.failures[key]}")
            return
        self.samples.setdefault(key, []).append(sample)

    def column(self, block, name):
        return self.samples.get((block, name), [])


def say(sentence):
    print(sentence, file=sys.stderr, flush=True)


def measure_block(bench, block, chosen, lock):
    """Rounds over all sides that the chosen rows name; returns their lines."""
    twin = block.twin.again()
    sides = {side.name: side for row in chosen for side in row.sides}
    sides.setdefault(block.twin.name, block.twin)
    order = [block.twin.name, *[name for name in sides if name != block.twin.name]]
    # As far from its twin as the sides of a row are from each other, on average.
    order.insert(len(order) // 2 + 1, twin.name)
    sides[twin.name] = twin
    for turn in range(bench.rounds):
        say(f"{block.name}: round {turn + 1} of {bench.rounds}, {len(order)} sides")
        if lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        for name in order if turn % 2 == 0 else reversed(order):
            bench.take(block.name, sides[name])
        if lock:
            fcntl.flock(lock, fcntl.LOCK_UN)
    return [line_of(bench, block, row) for row in chosen]


def line_of(bench, block, row):
    keys = [(block.name, side.name) for side in row.sides]
    why = [bench.failures[key] for key in keys if key in bench.failures]
    gone = [bench.missing[key] for key in keys if key in bench.missing]
    if why or gone:
        answer = figures.failed(why[0]) if why else figures.not_measured(gone[0])
        return table.Line(row.name, row.goal, row.kind, answer)
    columns = {side.name: bench.column(block.name, side.name) for side in row.sides}
    turns = [dict(zip(columns, values)) for values in zip(*columns.values())]
    pair = [[getattr(sample, row.metric) for sample in bench.column(block.name, name)]
            for name in (block.twin.name, block.twin.again().name)]
    answer = figures.judge(row.kind, [row.value(turn) for turn in turns], row.bound, row.sense,
                           figures.noise_floor(row.kind, *pair))
    mine, *others = [shown(columns[side.name], row) for side in row.sides]
    names = [f"{side.name} {text}" for side, text in zip(row.sides[1:], others)]
    return table.Line(row.name, row.goal, row.kind, answer, mine, " + ".join(names))


def shown(column, row):
    us = statistics.median(getattr(sample, row.metric) for sample in column)
    text = f"{us:.2f} us{' user' if row.metric == 'user_us' else ''}"
    rate = statistics.median(sample.rps for sample in column)
    return f"{text}, {rate:.0f}/s" if row.rates else text


def measure_probe(bench, probe, names):
    try:
        found = probe.run(bench)
        answers = {name: found[name] for name in names}
    except probes.NotMeasured as why:
        answers = {name: (figures.not_measured(str(why)), "", "") for name in names}
    except Exception as error:  # As for a side: a sentence, and the others go on.
        say(f"  {error}")
        answers = {name: (figures.failed(str(error)), "", "") for name in names}
    return [table.Line(name, probe.goals[name], probe.kind, *answers[name]) for name in names]


def plan(wanted, before=None):
    """Blocks and probes with the rows of them that were asked for, by the beginning of a name.
    There are rows `before` only where there is a build before this one."""
    every = rows.all_blocks() + (builds.blocks() if before else [])
    known = [row.name for block in every for row in block.rows]
    known += [name for probe in probes.all_probes() for name in probe.goals]
    for want in wanted:
        if not any(fits(name, want) for name in known):
            say(f"peers.py: there is no row {want}; --list shows all")
            sys.exit(2)

    def is_wanted(name):
        return not wanted or any(fits(name, want) for want in wanted)
    blocks = [(block, [row for row in block.rows if is_wanted(row.name)])
              for block in every]
    singles = [(probe, [name for name in probe.goals if is_wanted(name)])
               for probe in probes.all_probes()]
    return [pair for pair in blocks if pair[1]], [pair for pair in singles if pair[1]]


def fits(name, want):
    return name == want or name.startswith(want + ".")


def build(options):
    """Builds the peers; cargo does nothing where nothing changed."""
    here, root = servers.HERE, probes.ROOT
    if not os.access(options.tollgate, os.X_OK):
        sys.exit(f"peers.py: {options.tollgate} is not there: cargo build --release, or --tollgate")
    if not shutil.which("openssl"):
        sys.exit("peers.py: openssl makes the keys of the tokens: apt-get install openssl")
    done = subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir",
                           os.path.join(root, "target", "peers"), "--manifest-path",
                           os.path.join(here, "servers", "Cargo.toml")], cwd=root, check=False)
    if done.returncode:
        sys.exit("peers.py: the peers in benches/peers/servers could not be built")
    options.built = os.path.join(root, "target", "peers", "release")


def version(words):
    if not shutil.which(words[0]):
        return f"{words[0]} missing"
    done = subprocess.run(words, capture_output=True, check=False, timeout=10)
    return (done.stdout + done.stderr).decode(errors="replace").strip().split("\n")[0]


def notes_of(bench, began, disturbed, taken):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=probes.ROOT,
                            capture_output=True, check=False).stdout.decode().strip()
    _, sure = figures.interval(list(range(bench.rounds)))
    level = min(sure, figures.LEVEL) * 100
    spread = f"medians with their {level:.0f}% intervals (sign test)" if sure else "no intervals"
    notes = [f"{time.strftime('%Y-%m-%d %H:%M', began)}, Linux {platform.release()}, "
             f"{os.cpu_count()} cores, tollgate {commit}; "
             + "; ".join(version(words) for words in (
                 ["nginx", "-v"], ["haproxy", "-v"], ["h2load", "--version"])) + ".",
             f"{bench.rounds} rounds of {bench.seconds:g} s; {spread}; us are medians of server CPU "
             "per request.", LABEL,
             "User CPU is split from the whole by the kernel's clock ticks: sampled, to about 3%."]
    if disturbed:
        notes.append(f"DISTURBED: in {disturbed} of {taken} slices other programs or the "
                     "hypervisor took part of the cores; measure again on a quiet machine.")
    return notes


def own_the_machine():
    """Gives this session's processes their weight back where the kernel groups by session."""
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write("-20")
    except OSError:
        say("peers.py: /proc/self/autogroup cannot be set; other sessions count as much as this.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default="", help="rows by name or the beginning of one, "
                        "separated by commas, such as plain,tls.get.s1")
    parser.add_argument("--list", action="store_true", help="show all rows and their goals")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one side's turn")
    parser.add_argument("--output-format", default="text", choices=("text", "markdown", "json"))
    parser.add_argument("-o", "--output", help="write the table here")
    parser.add_argument("--tollgate", default=os.path.join(probes.ROOT, "target/release/tollgate"))
    parser.add_argument("--before", help="an earlier build of tollgate: adds the rows before.*, "
                        "which hold this build against it")
    parser.add_argument("--idle-connections", type=int, default=memory.CONNECTIONS)
    parser.add_argument("--allocations", help="command that counts allocations, in place of ours")
    parser.add_argument("--strict", action="store_true", help="exit with 99 when a goal is missed")
    parser.add_argument("--lock", help="hold a lock on this file during each round, on a machine "
                        "where several measure")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds takes 1 or more and --seconds more than 0")
    options.tollgate = os.path.abspath(options.tollgate)
    options.before = options.before and os.path.abspath(options.before)
    return options


def report(bench, lines, options, began):
    # A hop's backend shares the server's core, so that every slice there has another program.
    taken = [sample for key, column in bench.samples.items() if "hop" not in key[0]
             for sample in column]
    disturbed = sum(bool(sample.disturbed) for sample in taken)
    notes = notes_of(bench, began, disturbed, len(taken))
    if options.output_format == "json":
        samples = {" / ".join(key): [vars(sample) for sample in column]
                   for key, column in bench.samples.items()}
        text = table.as_json(lines, notes, samples)
    else:
        text = getattr(table, options.output_format)(lines, notes)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")


def main():
    # Debian keeps nginx and haproxy where a user's PATH does not look.
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    options = arguments()
    blocks, singles = plan([want for want in options.rows.split(",") if want], options.before)
    if options.list:
        goals = [(row.name, row.goal) for _, chosen in blocks for row in chosen]
        goals += [(name, probe.goals[name]) for probe, names in singles for name in names]
        print("\n".join(f"{name:<28}{goal}" for name, goal in goals))
        return 0
    if not {servers.SERVER_CORE, servers.CLIENT_CORE} <= os.sched_getaffinity(0):
        sys.exit("peers.py: cores 0 and 1 are needed, one for the server, one for the client")
    build(options)
    own_the_machine()
    # A termination unwinds like an error, so that servers are stopped and the folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, lines, interrupted = time.localtime(), [], False
    lock = open(options.lock, "a", encoding="utf-8") if options.lock else None
    with tempfile.TemporaryDirectory(prefix="tollgate-peers-") as folder:
        bench = Bench(options, folder)
        try:
            for block, chosen in blocks:
                lines += measure_block(bench, block, chosen, lock)
            for probe, names in singles:
                say(", ".join(names))
                lines += measure_probe(bench, probe, names)
        except KeyboardInterrupt:
            interrupted = True
            say("peers.py: interrupted; what follows is what there is")
        report(bench, lines, options, began)
    if interrupted:
        return 130
    if any(line.answer.verdict == "failed" for line in lines):
        return 1
    missed = any(line.answer.verdict == "not reached" for line in lines)
    return 99 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
