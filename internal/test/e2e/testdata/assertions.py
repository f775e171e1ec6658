"""Software that proves itself with keys, as PyJWT and requests do it."""
import base64
import os
import time
import uuid

import jwt
import requests

from talk import URL, expect, restart

ISSUER, KEYS = os.environ["ISSUER"], os.environ["KEYS"]
about = expect(requests.get(ISSUER + "/.well-known/oauth-authorization-server", verify="pubkey.pem"), 200).json()
if about["issuer"] != ISSUER:
    raise AssertionError(f"the issuer calls itself {about['issuer']}")

CLIENTS = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}  # by the algorithm of their key
SERVICES = {"EdDSA": "reports", "ES256": "ledger", "RS256": "archive"}  # by that of their tokens
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def private(alg):
    with open(f"{KEYS}/{CLIENTS[alg]}.key", encoding="ascii") as f:
        return f.read()


def assertion(alg, **changes):
    now = int(time.time())
    claims = {"iss": CLIENTS[alg], "sub": CLIENTS[alg], "aud": ISSUER, "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}
    claims.update(changes)
    return jwt.encode(claims, private(alg), algorithm=alg)


def by_credentials(proof, **more):
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": proof, **more}
    return requests.post(about["token_endpoint"], data=form, verify="pubkey.pem")


def by_grant(proof, **more):
    return requests.post(about["token_endpoint"], data={"grant_type": GRANT, "assertion": proof, **more}, verify="pubkey.pem")


def refused(answer, status, code):
    expect(answer, status, '{"error":"' + code + '"}')


# Every kind of key, both ways, a token for every algorithm of ours: verified by the
# published keys, and good at the door of the service that it is for.
jwks = jwt.PyJWKClient(about["jwks_uri"])
for theirs, client in CLIENTS.items():
    for way in (by_credentials, by_grant):
        for ours, service in SERVICES.items():
            answer = expect(way(assertion(theirs), audience=service), 200).json()
            if answer["token_type"] != "Bearer" or answer["expires_in"] <= 0:
                raise AssertionError(f"answered {answer}")
            token = answer["access_token"]
            head = jwt.get_unverified_header(token)
            if head["alg"] != ours or head["typ"] != "at+jwt":
                raise AssertionError(f"the token for {service} is of {head}")
            need = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]
            key = jwks.get_signing_key_from_jwt(token).key
            claims = jwt.decode(token, key, algorithms=[ours], audience=service, issuer=ISSUER, options={"require": need})
            if claims["sub"] != client or claims["client_id"] != client:
                raise AssertionError(f"the token of {client} says {claims}")
            if service == "reports":
                bearer = {"Authorization": "Bearer " + token}
                expect(requests.get(URL + "/who", headers=bearer, verify="pubkey.pem"), 200, client)
                expect(requests.get(URL + "/who", auth=(token, "x"), verify="pubkey.pem"), 200, client)
                expect(requests.get(URL + "/who", auth=("x", token), verify="pubkey.pem"), 200, client)
            else:
                bearer = {"Authorization": "Bearer " + token}
                expect(requests.get(URL + "/who", headers=bearer, verify="pubkey.pem"), 401)

# Once is once: the other way in, and after a crash.
used = {alg: assertion(alg) for alg in CLIENTS}
for proof in used.values():
    expect(by_credentials(proof, audience="reports"), 200)


def replay():
    for proof in used.values():
        refused(by_credentials(proof, audience="reports"), 401, "invalid_client")
        refused(by_grant(proof, audience="reports"), 400, "invalid_grant")


replay()
restart()
replay()

# What is wrong is refused, and the caller is told no more than the standard has a word for.
now = int(time.time())
for wrong in (
    assertion("EdDSA", aud="https://elsewhere.example"),
    assertion("EdDSA", aud=[ISSUER, "https://elsewhere.example"]),
    assertion("EdDSA", iat=now - 120, exp=now - 60),
    assertion("EdDSA", exp=now + 3600),
    assertion("EdDSA", sub="rsa"),
    assertion("EdDSA", iss="rsa", sub="rsa"),
    assertion("EdDSA", jti=None),
    jwt.encode({"iss": "ed", "sub": "ed", "aud": ISSUER, "iat": now, "exp": now + 60, "jti": "1"}, None, algorithm="none"),
    jwt.encode({"iss": "ed", "sub": "ed", "aud": ISSUER, "iat": now, "exp": now + 60, "jti": "2"}, "x" * 32, algorithm="HS256"),
):
    refused(by_credentials(wrong, audience="reports"), 401, "invalid_client")
    refused(by_grant(wrong, audience="reports"), 400, "invalid_grant")
if expect(by_credentials("", audience="reports"), 400).json()["error"] != "invalid_request":
    raise AssertionError("an empty proof is not called a bad request")

# A token of before the crash is good after it; one byte more or less is not.
token = expect(by_credentials(assertion("EdDSA"), audience="reports"), 200).json()["access_token"]
restart()
expect(requests.get(URL + "/who", headers={"Authorization": "Bearer " + token}, verify="pubkey.pem"), 200, "ed")
head, body, signature = token.split(".")
raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
raw[0] ^= 1
for wrong in (head + "." + body + "." + base64.urlsafe_b64encode(raw).decode().rstrip("="), token[:-4], head + "." + body + "."):
    expect(requests.get(URL + "/who", headers={"Authorization": "Bearer " + wrong}, verify="pubkey.pem"), 401)
print("done")
