"""The rows that hold this build against an earlier one: `peers.py --before PATH --rows before`. Each
row is a block of its own, so that the two builds take turns within a few seconds of each other.
Nothing is started here; `rows.py` has the sides."""

import rows
import servers

# What both builds are measured on: name, start, traffic and what the token cache must say.
CASES = [
    ("ping.s0", "S0", lambda s: s.ours("S0"), {}, None),
    ("ping.s1", "S1", lambda s: s.ours("S1"), {}, None),
    ("ping.s4", "S4", lambda s: s.ours("S4"), {}, "hit"),
    ("ping.s4.off", "S4", lambda s: s.ours("S4", "--token-cache", "off"), {}, "off"),
    *((f"hop.{profile.lower()}", profile, lambda s, profile=profile: s.ours_hop(profile),
       {"path": servers.HOP_PATH}, None) for profile in ("S0", "S1", "S3", "S4")),
    *((f"orders.{profile.lower()}", profile, lambda s, profile=profile: s.shop(profile),
       {"method": "POST", "path": "/api/orders", "body": "order.json"}, None)
      for profile in ("S0", "S3")),
]


def blocks():
    """One block a case: this build twice, and the one before it once, in every round."""
    return [block(*case) for case in CASES]


def block(name, profile, start, traffic, cache):
    needs = ("nginx",) if name.startswith("hop") else ()
    traffic = rows.traffic(profile, **traffic)
    now = rows.Side("this build", start, needs, traffic, cache=cache)
    before = rows.Side("the build before", lambda s: start(s.before), needs, traffic, cache=cache)
    row = rows.at_most(f"before.{name}", None, now, before, "CPU beside the build before")
    return rows.Block(f"before {name}", now, [row])
