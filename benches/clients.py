#!/usr/bin/env python3
"""Client CPU per request of `tollgate run` beside other load generators, in one interleaved run.

Measures: user and system time of each client's whole process, start-up included, divided by the
requests that the server counted. Every client runs once a round, in an order that turns, against
the same nginx with one worker on core 0; clients run on core 1. The answer has about 100 bytes.
Leaves out: latency, rate, and whether a client's own figures are right.
Do not compare: figures of different runs or machines. Only ratios within one run mean anything,
and those are taken round by round.

Needs nginx (with stub_status), openssl and wrk; h2load and oha take part where they are installed.
Loopback only. From a clone: `cargo build --release && benches/clients.py`.
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SERVER_CORE, CLIENT_CORE = 0, 1
ANSWER = ('{"id":"o-1234567890","status":"accepted","items":3,"total":1999,"currency":"EUR",'
          '"customer":"client-1"}')
CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json;
  keepalive_requests 1000000000; keepalive_timeout 60s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
  ssl_protocols TLSv1.3;
  server {{ listen 127.0.0.1:{plain}; location / {{ return 200 '{answer}'; }} }}
  server {{ listen 127.0.0.1:{tls} ssl; location / {{ return 200 '{answer}'; }} }}
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
}}
"""
# Filled in: {url}, {port}, {tls} ("--tls" or nothing), {c} connections, {s} seconds.
CLIENTS = {
    "tollgate": "{tollgate} run {url} -k -c {c} -d {s}s --warmup 0s --output-format quiet "
                "--runs none",
    "wrk": "wrk -t1 -c{c} -d{s}s {url}",
    "h2load": "h2load --h1 -c{c} -t1 -D {s} {url}",
    "oha": "oha --no-tui --insecure -c {c} -z {s}s {url}",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """One nginx with one worker, on a port for each scheme and one that counts requests."""

    def __init__(self, folder):
        self.plain, self.tls, self.status = free_port(), free_port(), free_port()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.crt",
             "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True)
        user = "user root;" if os.geteuid() == 0 else ""
        with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as out:
            out.write(CONFIG.format(folder=folder, user=user, answer=ANSWER, plain=self.plain,
                                    tls=self.tls, status=self.status))
        self.process = subprocess.Popen(
            ["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"],
            preexec_fn=lambda: os.sched_setaffinity(0, [SERVER_CORE]))
        for _ in range(100):
            try:
                self.requests()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        sys.exit(f"nginx did not start: {open(f'{folder}/error.log', encoding='utf-8').read()}")

    def requests(self):
        """All requests so far, this one included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status}/", timeout=5) as reply:
            return int(reply.read().split()[9])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def run(command, nginx, seconds):
    """Runs one client; returns CPU us per request (user, system), requests per second and MiB."""
    before = nginx.requests()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, [CLIENT_CORE]))
    deadline = time.monotonic() + seconds + 20
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            child.kill()
        time.sleep(0.02)
    child.returncode = os.waitstatus_to_exitcode(status)
    requests = nginx.requests() - before - 1
    # 3: tollgate says that its measurement is not valid, such as when it has no core of its own.
    if child.returncode not in (0, 3) or requests < 100:
        sys.exit(f"{' '.join(command)}: exit code {child.returncode}, {requests} requests")
    return (usage.ru_utime * 1e6 / requests, usage.ru_stime * 1e6 / requests,
            requests / seconds, usage.ru_maxrss / 1024)


def measure(scheme, clients, nginx, options, lock):
    port = nginx.plain if scheme == "plain" else nginx.tls
    fill = {"url": f"{'http' if scheme == 'plain' else 'https'}://127.0.0.1:{port}/", "port": port,
            "tls": "" if scheme == "plain" else "--tls", "c": options.connections,
            "s": options.seconds, "tollgate": options.tollgate}
    commands = {name: command.format(**fill).split() for name, command in clients.items()}
    rows = {name: [] for name in commands}
    names = list(commands)
    for turn in range(options.rounds):
        first = turn % len(names)
        if lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names[first:] + names[:first]:
            rows[name].append(run(commands[name], nginx, options.seconds))
        if lock:
            fcntl.flock(lock, fcntl.LOCK_UN)
    return rows


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}, {max(values):.2f})"


def show(scheme, rows, against):
    print(f"\n| {scheme} | CPU, us per request | user | system | requests/s | MiB |"
          + "".join(f" tollgate / {name} |" for name in against))
    print("|---" * (6 + len(against)) + "|")
    cost = {name: [row[0] + row[1] for row in row_list] for name, row_list in rows.items()}
    for name, row_list in rows.items():
        middle = [statistics.median(column) for column in zip(*row_list)]
        cells = [name, spread(cost[name]), f"{middle[0]:.2f}", f"{middle[1]:.2f}",
                 f"{middle[2]:.0f}", f"{middle[3]:.1f}"]
        for other in against:
            ratios = [mine / theirs for mine, theirs in zip(cost["tollgate"], cost[other])]
            cells.append(spread(ratios) if name == "tollgate" else "")
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--tollgate", default=f"{here}/../target/release/tollgate",
                        help="the command to measure")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2, help="length of one client's turn")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--schemes", default="plain,tls")
    parser.add_argument("--only", help="clients to run, separated by commas")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND",
                        help="another client; {url} {port} {tls} {c} {s} are filled in")
    parser.add_argument("--lock", help="hold a lock on this file during each round, on a machine "
                        "where several measure")
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the server, one for the client")
    clients = dict(CLIENTS)
    clients.update(entry.split("=", 1) for entry in options.also)
    wanted = options.only.split(",") if options.only else list(clients)
    clients = {name: command for name, command in clients.items() if name in wanted
               and shutil.which(command.format_map({**vars(options), **dict.fromkeys(
                   ("url", "port", "tls", "c", "s"), "x")}).split()[0])}
    for needed in ("tollgate", "wrk"):
        if needed in wanted and needed not in clients:
            sys.exit(f"{needed} was not found; see --help")
    lock = open(options.lock, "a", encoding="utf-8") if options.lock else None
    against = [name for name in clients if name != "tollgate"]
    with tempfile.TemporaryDirectory(prefix="tollgate-clients-") as folder:
        nginx = Nginx(folder)
        try:
            for scheme in options.schemes.split(","):
                show(scheme, measure(scheme, clients, nginx, options, lock), against)
        finally:
            nginx.stop()


if __name__ == "__main__":
    main()
