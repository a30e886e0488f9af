"""The clients of a bench. Nearly every row is measured with `tollgate run`: it warms up, reads the
kernel's CPU accounting of the server's processes around its steady window, and counts what came back. Only
pipelining, which it does not do, is left to h2load, and those processes are read here."""

import glob
import json
import os
import re
import subprocess
import urllib.request

import material
import servers

CONNECTIONS, HANDSHAKE_CONNECTIONS = 64, 16
WARMUP = "300ms"
# For different tokens. A slice begins with the first ones of the file again, and those of the
# warm-up would be hits.
WARMUP_UNIQUE = "1ms"
PRIME_SECONDS_MAX = 20
# Replies that may be missing of all: connections that the end of a slice cut.
ERRORS_SHARE_MAX = 0.001
# Tokens of a slice that must have met the cache as the row says; the first one never does.
PROOF_SHARE_MIN = 0.99


class Sample:
    """What one slice gave: microseconds of server CPU per request, and of that user time; requests
    per second; what disturbed it."""

    def __init__(self, us, rps=None, user_us=None, disturbed=()):
        self.us, self.rps, self.user_us, self.disturbed = us, rps, user_us, list(disturbed)


def words_of(tollgate, keys, server, seconds, path, mutual=False, method="GET", token=None,
             requests=None, per_connection=None, body=None, threads=1, cores=None, count=None):
    """The command line of one slice. One of a number of requests has no warm-up, since those of
    before would be the same ones."""
    scheme = "https" if server.tls else "http"
    many = HANDSHAKE_CONNECTIONS if per_connection else CONNECTIONS
    warmup = "0s" if count else WARMUP_UNIQUE if requests else WARMUP
    words = [tollgate, "run", f"{scheme}://127.0.0.1:{server.port}{path}", "-d",
             f"{round(seconds * 1000)}ms", "--warmup", warmup,
             "-c", str(many), "--wait", "spin", "-t", str(threads),
             "--cores", cores or str(servers.CLIENT_CORE),
             "--server-pid", ",".join(map(str, server.pids)), "--output-format", "json",
             "--runs", "none"]
    if server.tls:
        words += ["--cacert", keys.path("ca.crt")]
    if mutual:
        words += ["--cert", keys.path("client.crt"), "--key", keys.path("client.key")]
    if method == "POST":
        words += ["-m", "POST", "-H", "Content-Type: application/json",
                  "--body-file", body or keys.path("body.json")]
    if token:
        words += ["--token-file", token]
    if requests:
        words += ["--requests-file", requests]
    if count:
        words += ["-n", str(count)]
    if per_connection:
        words += ["--requests-per-connection", str(per_connection)]
    return words


def sample_of(text):
    """Reads the JSON of `tollgate run`. Replies that are not good are a failure, not a sample."""
    said = json.loads(text)
    asked, good = said["requests"], said["requests"]["ok"]
    if good < 10 or asked["errors"] > ERRORS_SHARE_MAX * asked["sent"]:
        examples = [f"{kind}: {error['count']} ({error['example']})"
                    for kind, error in said["errors"].items()]
        raise RuntimeError(f"{asked['errors']} of {asked['sent']} requests had no good reply; "
                           + "; ".join(examples))
    accounting = said["server"]
    user_ns = sum(process["user_ns"] for process in accounting["processes"])
    return Sample(accounting["cpu_ns"] / asked["sent"] / 1e3, said["achieved_per_s"],
                  user_ns / asked["sent"] / 1e3, said["breaches"])


def measure(tollgate, keys, server, seconds, path=servers.PATH, **more):
    """One slice of `tollgate run` against a server."""
    if more.get("requests") and not more.get("count"):
        # Every token once, so that those at the beginning of the file have left the cache again.
        measure(tollgate, keys, server, PRIME_SECONDS_MAX, path, **more,
                count=material.UNIQUE_TOKENS)
    words = words_of(tollgate, keys, server, seconds, path, **more)
    done = _finish(words, seconds + 30, None)
    # 3: something disturbed it; the breaches are in the JSON, and the row counts them. 1: errors,
    # which the JSON has too, if it came to that.
    if done.returncode not in (0, 1, 3) or not done.stdout.strip():
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-300:]
        raise RuntimeError(f"tollgate run ended with {done.returncode}: {said}")
    return sample_of(done.stdout)


def prove_tokens(server, cache):
    """Holds our server's own counters against what a row says of it: that nearly all tokens were
    found in the cache (hit), not found (miss), or that there was no cache (off)."""
    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=5) as page:
        counts = token_counts(page.read().decode())
    if counts.get(cache, 0) < PROOF_SHARE_MIN * max(1, sum(counts.values())):
        raise RuntimeError(f"tokens were to be cache={cache}, and the server counted {counts}")


def token_counts(page):
    """Tokens that were found good, by whether the cache knew them."""
    name = 'tollgate_token_verifications_total{result="ok",cache="'
    found = re.findall(re.escape(name) + r'(\w+)"} (\d+)', page)
    return {cache: int(count) for cache, count in found}


def pipelined(server, seconds, depth):
    """One slice of h2load over HTTP/1.1 with so many requests under way on each connection. The
    server's CPU is that of the whole slice, its connections' beginning included."""
    url = f"http://127.0.0.1:{server.port}{servers.PATH}"
    before = sum(map(cpu_ns, server.pids))
    done = _finish(["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-m{depth}", "-D",
                    str(max(1, round(seconds))), url], seconds + 30, servers.CLIENT_CORE)
    spent = sum(map(cpu_ns, server.pids)) - before
    requests, rps = h2load_counts(done.stdout.decode(errors="replace"))
    return Sample(spent / requests / 1e3, rps)


def h2load_counts(text):
    """Good requests and requests per second from what h2load prints."""
    good = re.search(r"(\d+) succeeded, (\d+) failed", text)
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", text)
    if not good or not rate or not int(good[1]) or int(good[2]) > int(good[1]) // 1000:
        raise RuntimeError(f"h2load measured nothing: {text.strip()[-200:]}")
    return int(good[1]), float(rate[1])


def cpu_ns(pid):
    """Run time of all threads of a process and of its children, from the kernel's CPU accounting."""
    total = 0
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
            with open(f"{task}/children", encoding="ascii") as file:
                total += sum(cpu_ns(int(each)) for each in file.read().split())
        except FileNotFoundError:
            continue
    return total


def floor(built, words, seconds):
    """Runs `peer-floor` alone on the server's core."""
    command = [os.path.join(built, "peer-floor"), *words, str(seconds)]
    done = _finish(command, seconds + 30, servers.SERVER_CORE)
    if done.returncode:
        raise RuntimeError(f"peer-floor: {done.stderr.decode(errors='replace').strip()[-200:]}")
    us = json.loads(done.stdout)["us"]
    return Sample(us, 1e6 / us, us)


def _finish(words, seconds_max, core):
    process = servers.child(words, core, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, errors = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{words[0]} did not end within {seconds_max:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, errors)
