"""What the clients beside this file share: they talk to the test that runs them."""
import os
import sys

import requests

URL = os.environ["URL"]


def restart():
    """Has the test kill -9 the server and start it again."""
    print("restart", flush=True)
    if sys.stdin.readline() != "restarted\n":
        raise SystemExit("the server was not restarted")


def expect(answer, status, body=None, realm=None):
    """Checks an answer, to the byte."""
    got = (answer.status_code, answer.text, answer.headers.get("WWW-Authenticate"))
    if status != answer.status_code:
        raise AssertionError(f"status is not {status}: {got}")
    if body is not None and answer.text.rstrip("\n") != body:
        raise AssertionError(f"body is not {body!r}: {got}")
    if realm is not None and got[2] != f'Basic realm="{realm}"':
        raise AssertionError(f"realm is not {realm!r}: {got}")
    return answer


def login(name, password, session=requests):
    return session.post(URL + "/login", verify="pubkey.pem", data={"username": name, "password": password})


def logged_in(name, password):
    """A session of its own, logged in."""
    session = requests.Session()
    session.verify = "pubkey.pem"
    expect(login(name, password, session), 200, "Logged in")
    return session


def denied(answer, name):
    expect(answer, 403, f"{name} denied access to resource")
    kind = answer.headers["Content-Type"]
    if not kind.startswith("text/plain"):
        raise AssertionError(f"a denial is {kind}")
