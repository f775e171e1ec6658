"""The teaching server of timed tokens that jeton replaces, in its own way: keys are PEM texts.

The benchmark runs it; nothing else does. Its keys lie beside it.
"""
import datetime
import pathlib

import jwt
from flask import Flask, request

here = pathlib.Path(__file__).parent
app = Flask(__name__)
private = (here / "timed.key").read_text()
public = (here / "timed.pub").read_text()
clients = {"client": (here / "timedclient.pub").read_text()}


@app.post("/login")
def login():
    assertion = request.get_data(as_text=True)
    try:
        issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
        if issuer not in clients:
            return "Unknown issuer", 401
        jwt.decode(assertion, clients[issuer], algorithms=["RS256"])
    except jwt.InvalidTokenError as e:
        return str(e), 403
    now = datetime.datetime.now(datetime.timezone.utc)
    return jwt.encode({"nbf": now, "exp": now + datetime.timedelta(hours=12)}, private, algorithm="RS256")


@app.post("/")
def quote():
    try:
        jwt.decode(request.get_data(as_text=True), public, algorithms=["RS256"])
    except jwt.InvalidTokenError as e:
        return str(e), 403
    return "Patience is a key that opens at its hour."


@app.get("/open")
def open_():
    return "ok"
