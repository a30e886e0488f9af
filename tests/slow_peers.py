#!/usr/bin/env python3
"""Peers that are slow and do nothing wrong, against the built gateway with its default limits, on
both drivers: an upload at 2.5 KB/s to an upstream that reads no faster, and a stream of events with
long pauses. Both must come through whole; the gateway must count no deadline.

    tests/slow_peers.py [--long] [TOLLGATE]

Without --long: 64 KiB and a byte, and 15 seconds of events (half a minute in all), as ./test runs
it beside everything else. With --long: 1 MiB, and two minutes (seven minutes in all).
"""
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

RATE = 2500  # bytes a second
STEP = 0.2  # seconds between two pieces
EVENT_GAP = 7  # seconds, longer than the window of --min-rate
LONG = "--long" in sys.argv
WORDS = [word for word in sys.argv[1:] if word != "--long"]
TOLLGATE = WORDS[0] if WORDS else "target/debug/tollgate"
UPLOAD_BYTES = 1024 * 1024 if LONG else 64 * 1024 + 1
STREAM_S = 120 if LONG else 15
FAILURES = []


def read_head(sock):
    """The head of a message, and what came behind it."""
    kept = b""
    while b"\r\n\r\n" not in kept:
        piece = sock.recv(65536)
        if not piece:
            raise OSError("the connection ended within a head")
        kept += piece
    head, _, rest = kept.partition(b"\r\n\r\n")
    return head.decode("ascii"), rest


def upstream():
    """A slow upstream on a free port: it takes uploads at RATE and sends events."""
    listener = socket.socket()
    # Small, so that its slowness is felt at the other end.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def answer(sock):
    """One request of either kind."""
    head, rest = read_head(sock)
    if head.startswith("POST"):
        count = len(rest)
        while count < UPLOAD_BYTES:
            time.sleep(STEP)
            piece = sock.recv(int(RATE * STEP))
            if not piece:
                return
            count += len(piece)
        body = str(count).encode()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n")
    end = time.monotonic() + STREAM_S
    while time.monotonic() < end:
        sock.sendall(b"c\r\ndata: tick\n\n\r\n")
        time.sleep(max(0, min(EVENT_GAP, end - time.monotonic())))
    sock.sendall(b"0\r\n\r\n")


class Gateway:
    """The built gateway on free ports, with its default limits."""

    def __init__(self, driver, upstream_port):
        self.driver = driver
        words = [TOLLGATE, "serve", "gateway", "--profile", "S0", "--driver", driver,
                 "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                 "--results", f"http://127.0.0.1:{upstream_port}"]
        self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True)
        ready = json.loads(self.child.stdout.readline())["ready"]
        host, port = ready["listen"].rsplit(":", 1)
        self.address = (host, int(port))
        self.admin = ready["admin"]

    def deadlines(self):
        """How many deadlines it has counted."""
        page = urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10).read().decode()
        lines = [line for line in page.splitlines() if line.startswith("tollgate_deadlines_total{")]
        assert lines, "the page has no deadlines"
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=20)


def upload(gateway):
    """The body at RATE; the upstream must say that it got all of it."""
    sock = socket.create_connection(gateway.address, 60)
    head = f"POST /api/runs HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n"
    sock.sendall(head.encode())
    begun, sent = time.monotonic(), 0
    while sent < UPLOAD_BYTES:
        due = min(UPLOAD_BYTES, int((time.monotonic() - begun) * RATE))
        sock.sendall(b"x" * (due - sent))
        sent = due
        time.sleep(STEP)
    head, body = read_head(sock)
    expected = str(UPLOAD_BYTES).encode()
    while len(body) < len(expected):
        body += sock.recv(4096) or b"!" * len(expected)
    assert head.startswith("HTTP/1.1 200") and body == expected, (head, body)


def events(gateway):
    """The stream, to its last chunk."""
    sock = socket.create_connection(gateway.address, 60)
    sock.sendall(b"GET /api/runs HTTP/1.1\r\nHost: a\r\n\r\n")
    head, body = read_head(sock)
    while not body.endswith(b"0\r\n\r\n"):
        piece = sock.recv(4096)
        assert piece, f"the stream was cut off: {body!r}"
        body += piece
    ticks = body.count(b"data: tick")
    assert head.startswith("HTTP/1.1 200") and ticks >= STREAM_S // EVENT_GAP, (head, ticks)


def case(run, gateway):
    begun = time.monotonic()
    try:
        run(gateway)
        outcome = "unharmed"
    except (AssertionError, OSError) as error:
        outcome = f"HARMED: {type(error).__name__}: {error}"
        FAILURES.append(outcome)
    print(f"{run.__name__} on {gateway.driver}, {time.monotonic() - begun:.0f} s: {outcome}",
          flush=True)


def main():
    port = upstream()
    gateways = [Gateway(driver, port) for driver in ("auto", "epoll")]
    try:
        threads = [threading.Thread(target=case, args=(run, gateway))
                   for run in (upload, events) for gateway in gateways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for gateway in gateways:
            if gateway.deadlines() > 0:
                FAILURES.append(f"a deadline expired on {gateway.driver}")
    finally:
        for gateway in gateways:
            gateway.stop()
    for failure in FAILURES:
        print(failure, file=sys.stderr)
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
