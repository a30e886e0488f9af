"""The table: every row with its goal, the sides it compares and the formula between them. A side is
one server with one kind of traffic. A block is a set of sides that take turns in every round, with
one of ours measured twice as its noise floor. Nothing is started here."""

import client
import servers

MUTUAL, TOKEN = ("S3", "S4", "S5"), ("S2", "S4", "S5")


class Side:
    """One server under one kind of traffic."""

    def __init__(self, name, start, needs=(), traffic=None, measure=None, cache=None):
        self.name, self.start, self.needs = name, start, needs
        self.traffic, self.measure, self.cache = traffic or {}, measure, cache

    def again(self):
        """The same side under another name: what differs between the two is noise."""
        return Side(f"{self.name} again", self.start, self.needs, self.traffic, self.measure,
                    self.cache)

    def run(self, bench, seconds):
        if self.start is None:
            return self.measure(bench, seconds)
        with self.start(bench.servers) as server:
            if self.measure:
                return self.measure(server, seconds)
            sample = client.measure(bench.tollgate, bench.keys, server, seconds,
                                    **self._options(bench.keys))
            if self.cache:
                client.prove_tokens(server, self.cache)
            return sample

    def _options(self, keys):
        options = dict(self.traffic)
        algorithm, unique = options.pop("algorithm", None), options.pop("unique", False)
        if algorithm and unique:
            options["requests"] = keys.requests_file(algorithm, servers.PATH)
        elif algorithm:
            options["token"] = keys.token_file(algorithm)
        if "body" in options:
            options["body"] = keys.path(options["body"])
        return options


class Row:
    """One line: a formula over the samples of a round, and the goal for its median."""

    def __init__(self, name, goal, kind, sense, bound, sides, value, metric="us", rates=False):
        self.name, self.goal, self.kind, self.sense, self.bound = name, goal, kind, sense, bound
        self.sides, self.value, self.metric, self.rates = sides, value, metric, rates


class Block:
    def __init__(self, name, twin, rows):
        self.name, self.twin, self.rows = name, twin, rows


def traffic(profile, algorithm="ES256", **more):
    options = dict(more, mutual=profile in MUTUAL)
    if profile in TOKEN:
        options["algorithm"] = algorithm
    return options


def ours(profile, label="", options=(), **more):
    name = f"tollgate {profile} {label}".strip()
    cache = None
    if profile in TOKEN:
        cache = "off" if "off" in options else "miss" if more.get("unique") else "hit"
    return Side(name, lambda s: s.ours(profile, *options), (), traffic(profile, **more),
                cache=cache)


def axum(profile, algorithm="ES256", **more):
    return Side(f"axum {profile}", lambda s: s.axum(profile, algorithm), (),
                traffic(profile, algorithm, **more))


def naive(profile, **more):
    return Side(f"naive {profile}", lambda s: s.naive(profile), (), traffic(profile, **more))


def nginx(profile, hop=False, **more):
    return Side(f"nginx {profile}", lambda s: s.nginx(profile, hop), ("nginx",),
                traffic(profile, **more))


def haproxy(profile, algorithm="ES256", hop=False, **more):
    # In front of a backend it needs nginx as well, which every hop's backend is.
    needs = ("haproxy", "nginx") if hop else ("haproxy",)
    return Side(f"haproxy {profile}", lambda s: s.haproxy(profile, algorithm, hop), needs,
                traffic(profile, algorithm, **more))


def at_most(name, bound, mine, other, goal=None, metric="us"):
    """Ours costs at most `bound` times the other."""
    goal = goal or (f"CPU <= {bound}x {other.name}" if bound else "no goal of its own")
    return Row(name, goal, "ratio", "at most", bound, [mine, other],
               lambda r: getattr(r[mine.name], metric) / getattr(r[other.name], metric), metric)


def faster(name, bound, mine, other):
    """Ours answers at least `bound` times as many requests with the same CPU."""
    return Row(name, f"rate >= {bound}x {other.name}", "ratio", "at least", bound, [mine, other],
               lambda r: r[other.name].us / r[mine.name].us)


def above(name, bound, mine, bases, goal):
    """Ours costs at most `bound` microseconds more than the sum of the bases, factor by factor."""
    return Row(name, goal, "difference", "at most", bound,
               [mine] + [side for _, side in bases],
               lambda r: r[mine.name].us - sum(f * r[side.name].us for f, side in bases))


def plain(method):
    mine = ours("S0", method=method)
    name, more = f"plain.{method.lower()}", {"method": method}
    return Block(name, mine, [
        at_most(f"{name}.naive", 1.05, mine, naive("S0", **more)),
        faster(f"{name}.axum", 1.2, mine, axum("S0", **more)),
        faster(f"{name}.nginx", 1.2, mine, nginx("S0", **more)),
        at_most(f"{name}.haproxy", None, mine, haproxy("S0", **more)),
    ])


def tls(method):
    more = {"method": method}
    rows, base = [], ours("S0", **more)
    for profile in ("S1", "S3"):
        mine, name = ours(profile, **more), f"tls.{method.lower()}.{profile.lower()}"
        rows += [above(f"{name}.s0", 1.2, mine, [(1, base)], "CPU <= S0 + 1.2 us"),
                 faster(f"{name}.axum", 1.1, mine, axum(profile, **more)),
                 faster(f"{name}.nginx", 1.4, mine, nginx(profile, **more)),
                 faster(f"{name}.haproxy", 1.4, mine, haproxy(profile, **more))]
    mine = ours("S1", **more)
    rows.append(at_most(f"tls.{method.lower()}.s1.naive", None, mine, naive("S1", **more)))
    return Block(f"tls.{method.lower()}", mine, rows)


def repeat():
    side = {profile: ours(profile) for profile in ("S1", "S2", "S3", "S4", "S5")}
    within = [at_most(f"repeat.{mine.lower()}", 1.08, side[mine], side[base],
                      f"CPU <= 1.08x {base}, token cached")
              for mine, base in (("S2", "S1"), ("S4", "S3"), ("S5", "S3"))]
    policy = above("repeat.policy", 0.2, side["S5"], [(1, side["S4"])], "S5 <= S4 + 0.2 us")
    label = "cached against uncached: no goal"
    beside = [at_most(f"repeat.s4.{peer.name.split()[0]}", None, side["S4"], peer, label)
              for peer in (axum("S4"), haproxy("S4"))]
    return Block("repeat", side["S4"], within + [policy] + beside)


def token(algorithm):
    name, base = f"token.{algorithm.lower()}", ours("S3")
    unique = ours("S4", "unique tokens", algorithm=algorithm, unique=True)
    off = ours("S4", "cache off", ("--token-cache", "off"), algorithm=algorithm)
    verify = Side(f"ring verify {algorithm}", None, (), None, lambda bench, seconds: client.floor(
        bench.built, ["verify", bench.keys.folder, algorithm, bench.keys.token_file(algorithm)],
        seconds))
    goal = "CPU <= S3 + 1.1 x ring's verify + 1.5 us"
    rows = [above(f"{name}.unique", 1.5, unique, [(1, base), (1.1, verify)], goal),
            above(f"{name}.off", 1.5, off, [(1, base), (1.1, verify)], goal + ", cache off"),
            at_most(f"{name}.axum", 0.95, off, axum("S4", algorithm))]
    # HAProxy 2.6 knows no EdDSA.
    if algorithm != "EdDSA":
        rows.append(at_most(f"{name}.haproxy", 0.8, off, haproxy("S4", algorithm)))
    return Block(name, off, rows)


def handshake(profile, word, kind, to_nginx):
    more = {"per_connection": 1}
    name, mine = f"handshake.{word}", ours(profile, **more)
    memory = Side(f"rustls in memory, {word}", None, (), None, lambda bench, seconds: client.floor(
        bench.built, ["handshake", bench.keys.folder, kind], seconds))
    # nginx as it comes makes two tickets a connection, with the client's certificate inside.
    tickets = Side(f"nginx {profile} with tickets", lambda s: s.nginx(profile, tickets=True),
                   ("nginx",), traffic(profile, **more))
    return Block(name, mine, [
        at_most(f"{name}.rustls", 1.05, mine, memory, f"user CPU <= 1.05x {memory.name}",
                "user_us"),
        at_most(f"{name}.axum", 1.0, mine, axum(profile, **more)),
        at_most(f"{name}.nginx", to_nginx, mine, nginx(profile, **more)),
        at_most(f"{name}.nginx.tickets", None, mine, tickets),
        at_most(f"{name}.haproxy", None, mine, haproxy(profile, **more)),
    ])


def hop():
    path = {"path": servers.HOP_PATH}
    rows = []

    def mine(profile, *options):
        return Side(f"tollgate hop {profile}", lambda s: s.ours_hop(profile, *options),
                    ("nginx",), traffic(profile, **path))
    for profile in ("S0", "S1"):
        for peer in (nginx, haproxy):
            other = peer(profile, hop=True, **path)
            rows.append(at_most(f"hop.{profile.lower()}.{other.name.split()[0]}", 0.75,
                                mine(profile), other))
    off = mine("S4", "--token-cache", "off")
    rows.append(at_most("hop.s4.haproxy", 0.85, off, haproxy("S4", hop=True, **path)))
    return Block("hop", mine("S0"), rows)


def orders():
    create = Side("tollgate orders-create", lambda s: s.shop(), (),
                  {"method": "POST", "path": "/api/orders", "body": "order.json"})
    return Block("orders", create, [at_most("orders.create", 6.0, create, ours("S0", "ping"),
                                            "CPU of 3 services <= 6x one S0 ping")])


def pipeline():
    def side(depth):
        return Side(f"tollgate x{depth}", lambda s: s.ours("S0"), ("h2load",), None,
                    lambda server, seconds: client.pipelined(server, seconds, depth))
    deep, one = side(16), side(1)
    return Block("pipelined", deep, [Row(
        "pipelined", "rate x16 >= 4x rate x1 (CPU; client: h2load)", "ratio", "at least", 4.0,
        [deep, one], lambda r: r[one.name].us / r[deep.name].us, rates=True)])


def all_blocks():
    """The rows that are measured in rounds, block by block."""
    return [plain("GET"), plain("POST"), tls("GET"), tls("POST"), repeat(),
            *(token(algorithm) for algorithm in ("ES256", "EdDSA", "RS256")),
            handshake("S1", "full", "server", 0.55), handshake("S3", "mutual", "mutual", 0.3),
            hop(), orders(), pipeline()]
