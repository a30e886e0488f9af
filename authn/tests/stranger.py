"""Judges tokens with PyJWT, a stranger's library, as tests/stranger.rs asks.

Standard input has a line of JSON with the keys, the issuer, the audiences, the leeway and the time,
and then a token a line, in hexadecimal. Each is answered with a line of JSON: the claims, or null.
What PyJWT leaves to its caller stands here in the way that it documents: the key is found by `kid`,
and the algorithms are those of the key.
"""

import datetime
import json
import sys

import jwt
import jwt.api_jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

REQUIRED = ["iss", "aud", "sub", "client_id", "jti", "iat", "exp"]
KINDS = {
    "EC": (ECAlgorithm, ["ES256"]),
    "OKP": (OKPAlgorithm, ["EdDSA", "Ed25519"]),
    "RSA": (RSAAlgorithm, ["RS256"]),
}


def read_keys(document):
    """The keys, each with its kid and the algorithms that it is for."""
    for jwk in document["keys"]:
        algorithm, names = KINDS[jwk["kty"]]
        key = algorithm.from_jwk(json.dumps(jwk))
        yield jwk["kid"], [jwk["alg"]] if "alg" in jwk else names, key


def judge(token, keys, expected):
    header = jwt.get_unverified_header(token)
    for kid, algorithms, key in keys:
        if kid == header["kid"] and header["alg"] in algorithms:
            return jwt.decode(
                token, key, algorithms=algorithms, issuer=expected["issuer"],
                audience=expected["audiences"], leeway=expected["leeway"],
                options={"require": REQUIRED},
            )
    raise KeyError("no key")


def shown(value):
    """A value as a string; of those that Python reads some are no JSON."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def main():
    expected = json.loads(sys.stdin.readline())

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(expected["now"], tz)

    jwt.api_jwt.datetime = Clock
    # RFC 9864 is younger than this version.
    jwt.register_algorithm("Ed25519", OKPAlgorithm())
    keys = list(read_keys(expected["keys"]))
    for line in sys.stdin:
        try:
            claims = judge(bytes.fromhex(line), keys, expected)
        except Exception:  # Whatever is raised, the token was not accepted.
            claims = None
        print(json.dumps(claims and {name: shown(claims[name]) for name in REQUIRED}))


main()
