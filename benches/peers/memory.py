"""User memory of an idle connection: thousands are opened to one server, from several loopback
addresses, and the growth of its anonymous memory (Pss_Anon of /proc/PID/smaps_rollup, which counts
every page exactly) is divided by them. What the kernel keeps for a socket is not in it."""

import resource
import socket
import ssl
import time

CONNECTIONS = 10_000
SETTLE_SECONDS = 1.0
# Descriptors for everything else that this process has open.
SPARE_FILES = 200


def anonymous_bytes(rollup):
    for line in rollup.splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel's smaps_rollup has no Pss_Anon")


def of_process(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return anonymous_bytes(file.read())


def room():
    """How many connections the limit of open files allows, after it was raised."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(CONNECTIONS, hard - SPARE_FILES)


def trust(keys):
    context = ssl.create_default_context(cafile=keys.path("ca.crt"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def per_connection(server, keys, path, count):
    """Bytes for each idle connection: fresh, and after one request on each."""
    context = trust(keys) if server.tls else None
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    opened = []
    try:
        # What a first connection makes the server set up is no cost of the others.
        opened.append(_open(server.port, context, 0))
        _ask(opened[0], request)
        time.sleep(SETTLE_SECONDS)
        empty = of_process(server.pids[0])
        opened += [_open(server.port, context, at) for at in range(count)]
        time.sleep(SETTLE_SECONDS)
        fresh = of_process(server.pids[0])
        for connection in opened[1:]:
            _ask(connection, request)
        time.sleep(SETTLE_SECONDS)
        used = of_process(server.pids[0])
    finally:
        for connection in opened:
            connection.close()
    return (fresh - empty) / count, (used - empty) / count


def _open(port, context, at):
    connection = socket.socket()
    connection.settimeout(10)
    connection.bind((f"127.0.0.{2 + at % 8}", 0))
    connection.connect(("127.0.0.1", port))
    return context.wrap_socket(connection, server_hostname="127.0.0.1") if context else connection


def _ask(connection, request):
    connection.sendall(request)
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("an idle connection gave no good reply")
