"""Calls services with an identity of Jeton.

In a command of `jeton run` the token is that of the job. Elsewhere, or where an identity is named, the program `jeton`
gives the token of an identity of the wallet. A token is sent only to the service that it is for: redirects are not
followed, and plain HTTP passes no proxy. Errors and reprs have no token.
"""

import contextlib
import os
import re
import ssl
import subprocess
import threading
import urllib.request

__all__ = ["Error", "headers", "urlopen"]

# Seconds in which the wallet has to answer. It waits up to 30 for a token that is not valid yet.
_WALLET_TIMEOUT = 60

_URL = re.compile(r"(?ai)(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?((?:[/?][!-\"$-\[\]-~]*)?)")


class Error(Exception):
    """There is no token for a request. The text names the place and the fix."""


def urlopen(url, data=None, *, method=None, headers=None, identity=None, cafile=None, timeout=30):
    """Open a URL as urllib.request.urlopen does, with the token of the job or of an identity of the wallet.

    A url that begins with a slash is a path of the job's service. Other statuses than 2xx, redirects too, raise
    urllib.error.HTTPError. The certificate is checked against the file cafile (PEM), else against that of the job,
    else against those of the system. The timeout, in seconds, is that of each operation of the connection.
    """
    origin, rest = _split(url)
    # Built again of what was checked, so that no other reading of the URL leads to another server.
    request = urllib.request.Request(origin + rest, data, headers or {}, method=method)
    for name, value in _headers(origin, identity).items():
        request.add_unredirected_header(name, value)

    if cafile is None and identity is None:
        cafile = os.environ.get("JETON_CACERT") or None
    handlers = [_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cafile))]
    if origin.startswith("http:"):
        handlers.append(urllib.request.ProxyHandler({}))

    return urllib.request.build_opener(*handlers).open(request, timeout=timeout)


def headers(url, identity=None):
    """Return the headers that authorize a request to a URL, for other HTTP libraries.

    Under `jeton run --proxy` there are none: the listener adds them. Send them to this origin alone: let the library
    follow no redirects.
    """
    return _headers(_split(url)[0], identity)


class _Headers(dict):
    def __repr__(self):
        return repr(dict.fromkeys(self, "[secret]"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def _split(url):
    """Return the origin of a URL, and what follows it."""
    if url.startswith("/"):
        base = os.environ.get("JETON_URL")
        if not base:
            raise Error("JETON_URL is not set: run the program with 'jeton run', or give the whole URL")
        url = base.rstrip("/") + url

    match = _URL.fullmatch(url)
    if match is None:
        raise Error("invalid URL: want https://host/path in ASCII, without a user name and without a fragment")

    scheme, host, port, rest = match.groups()
    origin = f"{scheme}://{host}".lower()
    if port and int(port) != {"http": 80, "https": 443}[scheme.lower()]:
        origin += f":{int(port)}"

    return origin, rest if rest.startswith("/") else "/" + rest


def _headers(origin, identity):
    if identity is None and os.environ.get("JETON_URL"):
        token, place = _of_job(origin)
    else:
        token, place = _of_wallet(origin, identity), "jeton token print"

    if token is None:
        return _Headers()

    token = token.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise Error(f"{place}: no valid token: want one line of visible ASCII")

    return _Headers(Authorization="Bearer " + token)


def _of_job(origin):
    """Return the token of the job and the variable that has it, or None under --proxy."""
    if origin != _split(os.environ["JETON_URL"])[0]:
        raise Error(f"the token of this job (JETON_URL) is not for {origin}: name an identity of the wallet")
    if os.environ.get("JETON_RUN_VARS") == "JETON_URL":
        return None, "JETON_URL"

    if os.environ.get("JETON_TOKEN"):
        return os.environ["JETON_TOKEN"], "JETON_TOKEN"
    for name in ("JETON_TOKEN_FILE", "JETON_TOKEN_FD"):
        if os.environ.get(name):
            return _read(name, os.environ[name]), name

    raise Error("the job has no JETON_TOKEN, JETON_TOKEN_FILE or JETON_TOKEN_FD: leave out --env, --netrc and --git")


_pipes = {}  # tokens by descriptor, each of which can be read once
_reading = threading.Lock()


def _read(name, place):
    is_pipe = name == "JETON_TOKEN_FD"
    with contextlib.suppress(OSError, ValueError), _reading:
        if is_pipe and place in _pipes:
            return _pipes[place]
        with open(int(place) if is_pipe else place, encoding="ascii") as file:
            token = file.read()
        if is_pipe:
            _pipes[place] = token
        return token

    raise Error(f"{name}: cannot read the token: start the program with 'jeton run' again")


def _of_wallet(origin, identity):
    command = ["jeton", "token", "print", origin, *([] if identity is None else [f"--as={identity}"])]

    # An error is raised after the except clauses: it must not carry theirs, which have the output.
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_WALLET_TIMEOUT)
    except OSError as err:
        problem = f"cannot start it ({err.strerror}): install jeton in a folder of PATH"
    except subprocess.TimeoutExpired:
        problem = f"no answer in {_WALLET_TIMEOUT} seconds: run it in a terminal to see why"
    else:
        if done.returncode == 0:
            return done.stdout.decode("ascii", "replace")
        problem = " ".join(done.stderr.decode("utf-8", "replace").split())[:500]

    raise Error(f"{' '.join(command)}: {problem}")
