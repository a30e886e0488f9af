"""The rows that are no pair of servers under load: memory of idle connections, allocations, the
stores, cores. Each probe measures once and answers its rows; the workspace's own tests and benches
do the counting where they exist, and a row says so where they do not."""

import glob
import json
import os
import subprocess

import client
import figures
import likeness
import memory
import servers

ROOT = os.path.normpath(os.path.join(servers.HERE, "..", ".."))
COMMAND_SECONDS_MAX = 900
SKUS = [f"SKU-{number}" for number in range(1000, 1064)]
RESERVATIONS = 100_000
SLICE_SECONDS_MAX = 20


class NotMeasured(Exception):
    """Why a row cannot be measured here: no failure."""


class Probe:
    """Rows that one run answers: their goals by name, and the run, which gives for each an
    `OutgoingResponse` and two texts, ours and what it is beside."""

    def __init__(self, goals, run, kind="once"):
        self.goals, self.run, self.kind = goals, run, kind


def idle(profile, word, bound):
    names = (f"memory.{word}", f"memory.{word}.used")
    goals = {names[0]: f"<= {bound} KB user memory, idle",
             names[1]: f"<= {bound} KB user memory, idle after a request"}

    def run(bench):
        count = min(memory.room(), bench.idle_connections)
        with bench.servers.ours(profile, "--connections-max", "20000") as server:
            found = memory.per_connection(server, bench.keys, servers.PATH, count)
        return {name: (figures.judge_once(value / 1024, bound, "at most"),
                       f"{value / 1024:.2f} KB", f"at {count} connections")
                for name, value in zip(names, found)}
    return Probe(goals, run)


def command(words):
    """Runs one of the workspace's own commands; its output with the exit code."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False,
                          timeout=COMMAND_SECONDS_MAX)
    return done.returncode, done.stdout.decode(errors="replace"), \
        done.stderr.decode(errors="replace")


def allocations():
    goal = {"allocations": "none of ours per request in steady state"}

    def run(bench):
        words = bench.allocations.split() if bench.allocations else own_allocations()
        code, out, errors = command(words)
        said = [line.strip() for line in out.splitlines() if "alloc" in line.lower()]
        text = "; ".join(said[-4:]) or f"exit code {code}"
        answer = figures.OutgoingResponse("reached" if code == 0 else "not reached",
                                "" if code == 0 else errors.strip()[-200:])
        return {"allocations": (answer, text, f"`{' '.join(words)}`")}
    return Probe(goal, run)


def own_allocations():
    """The workspace's counting test: that of whole requests, else that of a bare connection."""
    found = (glob.glob(os.path.join(ROOT, "tests", "alloc*.rs"))
             + glob.glob(os.path.join(ROOT, "*", "tests", "alloc*.rs")))
    if not found:
        raise NotMeasured("no test named tests/alloc*.rs; --allocations COMMAND names another")
    name = os.path.splitext(os.path.basename(found[0]))[0]
    package = os.path.relpath(found[0], ROOT).split(os.sep)[0]
    where = ["-p", "tollgate" if package == "tests" else package]
    return ["cargo", "test", "--release", *where, "--test", name, "--", "--nocapture"]


# Row: the bench's own id, the goal in ns. The first are per thread, both at it.
STORES = {"stores.reserve.one": ("inventory/counter, one hot SKU/1", 10),
          "stores.reserve.two": ("inventory/counter, one hot SKU/2", 30),
          "stores.insert": ("orders/insert/1", 50), "stores.get": ("orders/get/1", 50)}


def stores():
    goals = {name: f"<= {bound} ns: {full_id}" for name, (full_id, bound) in STORES.items()}

    def run(_bench):
        with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as manifest:
            if 'name = "stores"' not in manifest.read():
                raise NotMeasured("the workspace has no bench named stores")
        code, _, errors = command(["cargo", "bench", "--bench", "stores", "--",
                                   "--warm-up-time", "1", "--measurement-time", "2",
                                   "counter, one hot SKU|orders"])
        if code:
            raise RuntimeError(f"cargo bench --bench stores failed: {errors.strip()[-200:]}")
        found = estimates(os.path.join(ROOT, "target", "criterion"))
        return {name: store_answer(found, full_id, bound)
                for name, (full_id, bound) in STORES.items()}
    return Probe(goals, run)


def store_answer(found, full_id, bound):
    if full_id not in found:
        return figures.failed(f"criterion kept no estimate of {full_id}"), "", ""
    middle, low, high = found[full_id]
    answer = figures.judge_once(middle, bound, "at most", low, high)
    return answer, f"{middle:.1f} ns", "criterion's median"


def estimates(folder):
    """Medians with their 95% intervals, in ns, of the newest run of every bench below a folder."""
    found = {}
    for path in glob.glob(os.path.join(folder, "**", "new", "benchmark.json"), recursive=True):
        with open(path, encoding="utf-8") as file:
            full_id = json.load(file)["full_id"]
        with open(os.path.join(os.path.dirname(path), "estimates.json"), encoding="utf-8") as file:
            median = json.load(file)["median"]
        sure = median["confidence_interval"]
        found[full_id] = (median["point_estimate"], sure["lower_bound"], sure["upper_bound"])
    return found


def reservations():
    """As many reservations as a file may hold, each for an order of its own. A second one for the
    same order would find the first, so a slice ends when all were sent."""
    return "".join(json.dumps({
        "method": "POST", "path": "/api/inventory/reservations",
        "headers": {"Content-Type": "application/json"},
        "body": {"orderId": f"o-{number}",
                 "items": [{"sku": SKUS[number % len(SKUS)], "quantity": 1}]},
    }) + "\n" for number in range(RESERVATIONS))


def cores():
    goal = {"cores": "two workers >= 1.8x one, reserve over distinct SKUs"}

    def run(bench):
        available = sorted(os.sched_getaffinity(0))
        if len(available) < 3:
            raise NotMeasured(f"needs 3 cores or more, two for workers and one for the client; "
                              f"here are {len(available)}")
        requests = bench.keys.write("reservations.jsonl", reservations())
        stock = [word for sku in SKUS for word in ("--stock", f"{sku}=1000000000")]
        clients = available[2:]

        def cost(workers):
            mine = available[:workers]
            with bench.servers.ours("S0", "--workers", str(workers), "--cores",
                                    ",".join(map(str, mine)), *stock, service="inventory",
                                    core=mine) as server:
                return client.measure(bench.tollgate, bench.keys, server, SLICE_SECONDS_MAX,
                                      requests=requests, count=RESERVATIONS,
                                      threads=len(clients), cores=",".join(map(str, clients)))
        turns = [(cost(1), cost(2), cost(1)) for _ in range(bench.rounds)]
        # What two cores can do in one second of each, beside what one can.
        values = [2 * one.us / two.us for one, two, _ in turns]
        twin = figures.noise_floor("ratio", *zip(*((one.us, again.us) for one, _, again in turns)))
        one, two, _ = turns[-1]
        return {"cores": (figures.judge("ratio", values, 1.8, "at least", twin),
                          f"{two.us:.2f} us, {two.rps:.0f}/s", f"{one.us:.2f} us, "
                          f"{one.rps:.0f}/s with one")}
    return Probe(goal, run, "ratio")


def alike():
    goal = {"alike": "peers refuse the tokens and clients that ours refuses"}

    def run(bench):
        wrong, asked = likeness.check(bench.servers, bench.keys)
        answer = figures.judge_once(len(wrong), 0, "at most")
        answer.why = "; ".join(wrong)
        return {"alike": (answer, f"{asked - len(wrong)} of {asked} answers right", "")}
    return Probe(goal, run)


def all_probes():
    """The rows that are measured once."""
    return [alike(), idle("S0", "plain", 2), idle("S1", "tls", 12), allocations(), stores(),
            cores()]

