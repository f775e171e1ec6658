"""Follows the keys of the server: gets tokens and verifies them until it is told to stop."""
import os
import sys
import threading
import time
import uuid

import jwt
import requests

ISSUER, KEYS = os.environ["ISSUER"], os.environ["KEYS"]
with open(f"{KEYS}/ed.key", encoding="ascii") as f:
    private = f.read()
stop = threading.Event()


def listen():
    sys.stdin.readline()
    stop.set()


threading.Thread(target=listen, daemon=True).start()
session = requests.Session()
session.verify = "pubkey.pem"
jwks = jwt.PyJWKClient(ISSUER + "/.well-known/jwks.json")
seen, verified = set(), 0
while not stop.is_set():
    now = int(time.time())
    claims = {"iss": "ed", "sub": "ed", "aud": ISSUER, "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "client_assertion_type": kind, "audience": "reports",
            "client_assertion": jwt.encode(claims, private, algorithm="EdDSA")}
    answer = session.post(ISSUER + "/oauth2/token", data=form)
    if answer.status_code != 200:
        raise AssertionError(f"{answer.status_code} {answer.text}")
    token = answer.json()["access_token"]
    key = jwks.get_signing_key_from_jwt(token)
    jwt.decode(token, key.key, algorithms=["EdDSA"], audience="reports", issuer=ISSUER)
    verified += 1
    if key.key_id not in seen:
        seen.add(key.key_id)
        print("key", key.key_id, flush=True)
print("verified", verified, "by", len(seen), "keys: done", flush=True)
