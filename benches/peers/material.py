"""Keys, certificates, tokens and bodies of a bench, made anew in a temporary folder at every start:
nothing of it is kept, and nothing of it is anybody's secret."""

import base64
import json
import os
import shutil
import subprocess

ISSUER, AUDIENCE, SCOPE = "https://issuer.example", "tollgate", "orders.read"
ALGORITHMS = ("ES256", "EdDSA", "RS256")
# As long as the answer of our own ping, so that every server sends as many bytes of body.
ANSWER = ('{"message":"pong","service":"somebody","answeredBy":"the peer, no upstream",'
          '"bodyBytes":0}')
ORDER = '{"customerId":"c-1","itemSkus":["SKU-1000"],"totalAmount":19.99}'
BODY_BYTES = 1024
# Tokens that our servers remember. Twice as many in turn make nearly every look-up a miss; the
# cache has sets of eight, and with four times as many no set is short of tokens by chance.
CACHE_ENTRIES = 4096
UNIQUE_TOKENS = 4 * CACHE_ENTRIES


def run(words, **more):
    """Runs a program to its end; its standard output, or a sentence why not."""
    done = subprocess.run(words, capture_output=True, timeout=120, check=False, **more)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise RuntimeError(f"{' '.join(words[:3])} failed: {said}")
    return done.stdout


def text_of(number_bytes):
    return base64.urlsafe_b64encode(number_bytes).rstrip(b"=").decode()


class Material:
    """Paths of everything in the folder."""

    def __init__(self, folder, tollgate, floor):
        self.folder, self.floor = folder, floor
        run([tollgate, "pki", "init", "--state", self.path("state")])
        for source, name in (("ca/ca.crt", "ca.crt"), ("certs/gateway.crt", "server.crt"),
                             ("certs/gateway.key", "server.key"),
                             ("clients/bench-runner.crt", "client.crt"),
                             ("clients/bench-runner.key", "client.key")):
            shutil.copy(self.path("state", source), self.path(name))
        both = self.read("server.crt") + self.read("server.key")
        self.write("server.pem", both)
        self.write("body.json", json.dumps({"text": "x" * (BODY_BYTES - 12)}))
        self.write("order.json", ORDER)
        self.write("jwks.json", json.dumps({"keys": [self._key(name) for name in ALGORITHMS]}))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def token_file(self, algorithm):
        """A file with one token, whose algorithm is this."""
        return self._once(f"token-{algorithm}.txt", lambda: self.token(algorithm) + "\n")

    def requests_file(self, algorithm, path):
        """A file of requests with a token of its own each, for `tollgate run`."""
        def lines():
            tokens = self._tokens(algorithm, UNIQUE_TOKENS)
            return "".join(json.dumps({"path": path, "headers": {
                "Authorization": f"Bearer {token}"}}) + "\n" for token in tokens)
        return self._once(f"requests-{algorithm}.jsonl", lines)

    def _once(self, name, make):
        return self.path(name) if os.path.exists(self.path(name)) else self.write(name, make())

    def token(self, algorithm, **claims):
        """One token with these claims laid over the usual ones."""
        return self._tokens(algorithm, 1, claims)[0]

    def _tokens(self, algorithm, count, claims=None):
        made = run([self.floor, "sign", self.folder, algorithm, str(count),
                    json.dumps(claims or {})])
        return made.decode().split()

    def _key(self, algorithm):
        """Makes a signing key; its public half as a file, and as a member of a key set."""
        private, public = f"token-{algorithm}.key", f"token-{algorithm}.pub"
        kind = {"ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "EdDSA": ["ED25519"],
                "RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}[algorithm]
        run(["openssl", "genpkey", "-algorithm", *kind, "-out", self.path(private)])
        run(["openssl", "pkey", "-in", self.path(private), "-pubout", "-out", self.path(public)])
        der = run(["openssl", "pkey", "-in", self.path(private), "-pubout", "-outform", "DER"])
        base = {"kid": algorithm, "alg": algorithm, "use": "sig"}
        # A public key's DER ends with the key itself: a point, or for Ed25519 its 32 bytes.
        if algorithm == "ES256":
            return {**base, "kty": "EC", "crv": "P-256", "x": text_of(der[-64:-32]),
                    "y": text_of(der[-32:])}
        if algorithm == "EdDSA":
            return {**base, "kty": "OKP", "crv": "Ed25519", "x": text_of(der[-32:])}
        said = run(["openssl", "rsa", "-pubin", "-in", self.path(public), "-noout", "-modulus"])
        modulus = bytes.fromhex(said.decode().strip().split("=")[1])
        return {**base, "kty": "RSA", "n": text_of(modulus), "e": text_of(b"\x01\x00\x01")}
