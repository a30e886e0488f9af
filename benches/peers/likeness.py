"""Whether the servers that verify are alike: a peer that lets a bad token through would be fast and
no peer. Asks each of them under S4 and S5 what it must accept and what it must refuse."""

import http.client
import shutil
import ssl

import servers

REFUSED = "refused"


def check(starter, keys):
    """The wrong answers as sentences, and how many were asked for."""
    wrong, asked = [], 0
    for profile in ("S4", "S5"):
        for name, start in (("tollgate", starter.ours), ("axum", starter.axum),
                            ("haproxy", starter.haproxy)):
            if name == "haproxy" and not shutil.which(name):
                continue
            with start(profile) as server:
                for label, token, certificate, expected in questions(keys, profile):
                    found = ask(server.port, keys, token, certificate)
                    asked += 1
                    if found != expected:
                        wrong.append(f"{name} {profile} {label}: {found}, not {expected}")
    return wrong, asked


def questions(keys, profile):
    """What is asked: a name, the token, whether a client certificate is shown, the answer."""
    good = keys.token("ES256")
    # A character in the middle of the signature: the last one may have bits that count for nothing.
    at = good.rindex(".") + 20
    tampered = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1:]
    return [
        ("good token", good, True, 200),
        ("no token", None, True, 401),
        ("tampered signature", tampered, True, 401),
        ("other audience", keys.token("ES256", aud="somebody"), True, 401),
        ("other issuer", keys.token("ES256", iss="https://other.example"), True, 401),
        ("expired", keys.token("ES256", exp=1_600_000_000), True, 401),
        ("no scope", keys.token("ES256", scope="orders.readx"), True,
         403 if profile == "S5" else 200),
        ("no client certificate", good, False, REFUSED),
    ]


def ask(port, keys, token, certificate):
    context = ssl.create_default_context(cafile=keys.path("ca.crt"))
    if certificate:
        context.load_cert_chain(keys.path("client.crt"), keys.path("client.key"))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", servers.PATH, headers=headers)
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError, http.client.HTTPException):
        return REFUSED
    finally:
        connection.close()
