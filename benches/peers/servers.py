"""The servers of a bench: how each is started on the server's core, and how it ends. A server is a
list of processes; only those that `pids` names are measured. All of them are children of this
process, die with it, and are ended by their own id."""

import ctypes
import json
import os
import select
import signal
import socket
import string
import subprocess
import time

import material

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS = 10
PATH = "/api/ping"
# Our gateway passes this on to its orders service, which is another server in the hop rows.
HOP_PATH = "/api/orders/one"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def child(words, core, **more):
    """Starts a process on a core (None for anywhere), which ends when this one does."""
    def prepare():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core} if isinstance(core, int) else core)
    return subprocess.Popen(words, preexec_fn=prepare, **more)


def filled(name, **values):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return string.Template(file.read()).substitute(values)


class Server:
    """Running processes; `port` is where requests go, `pids` whose CPU counts."""

    def __init__(self, tls):
        self.tls, self.port, self.pids, self.admin, self._children = tls, None, [], None, []

    def start(self, words, log, core=SERVER_CORE, measured=True, port=None):
        """Starts one process; one without a known port says on standard output where it is."""
        with open(log, "ab") as errors:
            began = errors.tell()
            process = child(words, core, stderr=errors, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL if port else subprocess.PIPE)
        self._children.append(process)
        try:
            self.port = wait_for_port(process, port) if port else self._ready(process)
        except RuntimeError as error:
            self.stop()
            raise RuntimeError(f"{os.path.basename(words[0])} did not start: {error} "
                               f"{last_line(log, began)}") from None
        if measured:
            self.pids.append(process.pid)
        return self.port

    def _ready(self, process):
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else b""
        if not line:
            raise RuntimeError("it never said that it is ready.")
        ready = json.loads(line)["ready"]
        self.admin = ready["admin"]
        return int(ready["listen"].rsplit(":", 1)[1])

    def stop(self):
        for process in reversed(self._children):
            process.terminate()
        for process in self._children:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self._children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def last_line(log, began):
    """What a process said last; the log is that of all of them."""
    with open(log, "rb") as said:
        said.seek(began)
        lines = said.read().decode(errors="replace").split("\n")
    return next((line.strip()[-300:] for line in reversed(lines) if line.strip()), "")


def wait_for_port(process, port):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}.")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return port
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("its port never opened.")


class Servers:
    """Starts any of the servers over one bench's material."""

    def __init__(self, keys, tollgate, built, before=None):
        self.keys, self.tollgate, self.built = keys, tollgate, built
        self.log = keys.path("servers.log")
        # The same servers of an earlier build of ours, where one is given.
        self.before = before and Servers(keys, before, built)

    def ours(self, profile, *options, service="gateway", server=None, core=SERVER_CORE):
        """One of our own services; another one of the same server where one is given."""
        keys, own = self.keys, self.keys.path("state", "certs", service)
        server = server or Server(profile != "S0")
        server.start(
            [self.tollgate, "serve", service, "--profile", profile, "--listen", "127.0.0.1:0",
             "--admin", "127.0.0.1:0", "--server-cert", f"{own}.crt",
             "--server-key", f"{own}.key", "--client-ca", keys.path("ca.crt"),
             "--jwks", keys.path("jwks.json"), "--issuer", material.ISSUER,
             "--audience", material.AUDIENCE, "--drain-ms", "500",
             "--token-cache-entries", str(material.CACHE_ENTRIES), *options], self.log, core)
        return server

    def shop(self, profile="S0"):
        """Inventory, orders and gateway, a process each; requests go to the gateway."""
        server = Server(profile != "S0")
        scheme = "http" if profile == "S0" else "https"
        try:
            for service, calls in (("inventory", None), ("orders", "inventory"),
                                   ("gateway", "orders")):
                options = ["--stock", "SKU-1000=1000000000"] if service == "inventory" else []
                if calls:
                    options += [f"--{calls}", f"{scheme}://127.0.0.1:{server.port}"]
                self.ours(profile, *options, service=service, server=server)
        except RuntimeError:
            server.stop()
            raise
        return server

    def ours_hop(self, profile, *options):
        server = Server(profile != "S0")
        backend = self._backend(server)
        try:
            return self.ours(profile, "--orders", f"http://127.0.0.1:{backend}",
                             "--upstream-profile", "S0", *options, server=server)
        except RuntimeError:
            server.stop()
            raise

    def naive(self, profile):
        return self._built("peer-naive", profile, "ES256", [])

    def axum(self, profile, algorithm="ES256"):
        return self._built("peer-axum", profile, algorithm, ["no-tickets"])

    def _built(self, name, profile, algorithm, more):
        server, port = Server(profile != "S0"), free_port()
        words = [os.path.join(self.built, name), profile, f"127.0.0.1:{port}", self.keys.folder,
                 algorithm, material.ANSWER, *more]
        server.start(words, self.log, port=port)
        return server

    def nginx(self, profile, hop=False, tickets=False):
        server = Server(profile != "S0")
        backend = self._backend(server) if hop else None
        self._nginx(server, profile, backend, tickets=tickets)
        return server

    def _backend(self, server):
        """The same plain nginx behind every gateway; its CPU is nobody's."""
        return self._nginx(server, "S0", None, measured=False)

    def _nginx(self, server, profile, backend, measured=True, tickets=False):
        keys, port = self.keys, free_port()
        tls, upstream = "", ""
        if profile != "S0":
            tls = (f"ssl_certificate {keys.path('server.crt')}; "
                   f"ssl_certificate_key {keys.path('server.key')}; ssl_protocols TLSv1.3;")
            if not tickets:
                tls += " ssl_session_tickets off; ssl_session_cache off;"
        if profile == "S3":
            tls += f" ssl_client_certificate {keys.path('ca.crt')}; ssl_verify_client on;"
        answer = f"return 200 '{material.ANSWER}';"
        if backend:
            upstream = (f"upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; "
                        "keepalive_requests 1000000000; }")
            answer = ('proxy_pass http://backend; proxy_http_version 1.1; '
                      'proxy_set_header Connection "";')
        text = filled("nginx.conf.in", folder=keys.folder, port=port, tls=tls, upstream=upstream,
                      user="user root;" if os.geteuid() == 0 else "", answer=answer,
                      ssl="" if profile == "S0" else " ssl")
        path = keys.write(f"nginx-{port}.conf", text)
        return server.start(["nginx", "-c", path, "-e", keys.path("nginx.log")], self.log,
                            measured=measured, port=port)

    def haproxy(self, profile, algorithm="ES256", hop=False):
        keys, port, server = self.keys, free_port(), Server(profile != "S0")
        tls, token, scope = "", "", ""
        if profile != "S0":
            tls = f" ssl crt {keys.path('server.pem')} ssl-min-ver TLSv1.3 no-tls-tickets"
        if profile in ("S3", "S4", "S5"):
            tls += f" ca-file {keys.path('ca.crt')} verify required"
        if profile in ("S2", "S4", "S5"):
            token = filled("haproxy-token.cfg.in", algorithm=algorithm, issuer=material.ISSUER,
                           audience=material.AUDIENCE, key=keys.path(f"token-{algorithm}.pub"))
        if profile == "S5":
            word = material.SCOPE.replace(".", "\\.")
            scope = ("  http-request deny deny_status 403 unless { var(txn.token),"
                     f"jwt_payload_query('$.scope') -m reg (^|\\ ){word}(\\ |$) }}\n")
        text = material.ANSWER.replace('"', '\\"')
        answer = ('  http-request return status 200 content-type application/json string "'
                  f'{text}"\n')
        if hop:
            answer = ("  default_backend behind\n\nbackend behind\n  http-reuse always\n"
                      f"  server one 127.0.0.1:{self._backend(server)}\n")
        path = keys.write(f"haproxy-{port}.cfg", filled(
            "haproxy.cfg.in", port=port, tls=tls, token=token, scope=scope, answer=answer))
        server.start(["haproxy", "-db", "-q", "-f", path], self.log, port=port)
        return server
