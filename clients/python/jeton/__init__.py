"""Calls services with an identity of Jeton.

In a command of `jeton run` the token is that of the job. Elsewhere, or where an identity is named, the program `jeton`
gives the token of an identity of the wallet. A token is sent only to the service that it is for: redirects are not
followed, and plain HTTP passes no proxy. Errors and reprs have no token.

A service exchanges the token of its caller for one of the next service with exchange().
"""

import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

__all__ = ["Error", "Exchanged", "exchange", "headers", "urlopen"]

# Seconds in which the wallet has to answer. It waits up to 30 for a token that is not valid yet.
_WALLET_TIMEOUT = 60

_URL = re.compile(r"(?ai)(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?((?:[/?][!-\"$-\[\]-~]*)?)")


class Error(Exception):
    """There is no token for a request. The text names the place and the fix.

    After a refused exchange, code is that of the issuer, such as "invalid_target".
    """

    code = None


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

    return _open(request, origin, cafile, timeout)


def _open(request, origin, cafile, timeout):
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


class Exchanged:
    """A token of the next service: token, headers, expires_in (seconds), scope and max_uses (None: not counted)."""

    def __init__(self, answer):
        self.token = answer["access_token"]
        self.headers = _Headers(Authorization="Bearer " + self.token)
        self.expires_in = answer.get("expires_in")
        self.scope = str(answer.get("scope", "")).split()
        self.max_uses = answer.get("max_uses")

    def __repr__(self):
        return f"Exchanged(expires_in={self.expires_in}, scope={self.scope}, max_uses={self.max_uses})"


def exchange(
    token,
    service,
    *,
    issuer,
    client,
    secret,
    scope=None,
    max_uses=None,
    shared_uses=False,
    lifetime=None,
    cafile=None,
    timeout=30,
):
    """Exchange a caller's token for one of the next service (RFC 8693), and return it as an Exchanged.

    The client proves itself with its secret, and acts for the owner of the token. The new token is never more than the
    token and the rule of the client allow: scope, max_uses, shared_uses and lifetime, in seconds, narrow it further.
    """
    place = f"exchange for {service} at {issuer}"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": service,
        "client_id": client,
        "client_secret": secret,
    }
    if scope is not None:
        form["scope"] = scope if isinstance(scope, str) else " ".join(scope)
    if max_uses is not None:
        form["max_uses"] = max_uses
    if shared_uses:
        form["shared_uses"] = "true"
    if lifetime is not None:
        form["expires_in"] = lifetime

    found = _ask(place, _endpoint(place, issuer, cafile, timeout), form, cafile, timeout)
    bearer = str(found.get("token_type")).lower() == "bearer"
    if not bearer or not re.fullmatch(r"[!-~]+", str(found.get("access_token", ""))):
        raise Error(f"{place}: the issuer returned no Bearer token")

    return Exchanged(found)


_endpoints = {}  # of issuers


def _endpoint(place, issuer, cafile, timeout):
    """Return the token endpoint of an issuer, which is at its own origin (RFC 8414)."""
    if (issuer, cafile) in _endpoints:
        return _endpoints[issuer, cafile]

    origin, path = _split(issuer)
    if origin.startswith("http:") and not re.match(r"http://(localhost|127\.0\.0\.1|\[::1\])(:|$)", origin):
        raise Error(f"{place}: plain http: the secret and the token can be read on the network; want https")

    found = _ask(place, f"{origin}/.well-known/oauth-authorization-server{path.rstrip('/')}", None, cafile, timeout)
    endpoint = str(found.get("token_endpoint"))
    if found.get("issuer") != issuer or endpoint.startswith("/") or _split(endpoint)[0] != origin:
        raise Error(f"{place}: the metadata name another issuer, or an endpoint at another origin")

    _endpoints[issuer, cafile] = endpoint
    return endpoint


# What a code of the issuer means.
_HINTS = {
    "invalid_request": "the token that is exchanged, or a parameter, is refused",
    "invalid_target": "no rule of the client allows it, or the owner of the token may not use the service; "
    "the audit log of the issuer says which (jeton audit --action token.exchange)",
    "invalid_scope": "the rule of the client or the token lacks a scope",
    "invalid_client": "the secret of the client is refused",
    "unsupported_grant_type": "the issuer exchanges no tokens",
}


def _ask(place, url, form, cafile, timeout):
    """Send a request to the issuer, and return the document of the answer."""
    origin, rest = _split(url)
    data = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(origin + rest, data, {"Accept": "application/json"})

    # An error is raised after the except clauses: it must not carry theirs.
    status = 0
    try:
        with _open(request, origin, cafile, timeout) as answer:
            status, text = answer.status, answer.read(65536)
    except urllib.error.HTTPError as err:
        with err:
            status, text = err.code, err.read(65536)
    except OSError as err:
        problem = f"no answer: {getattr(err, 'reason', None) or err}"

    if status:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        problem = f"status {status}"
        if isinstance(found, dict) and found.get("error") in _HINTS:
            problem = f"{found['error']}: {_HINTS[found['error']]}"
            problem += _description(found.get("error_description"), form)

    refused = Error(f"{place}: {problem}")
    if status and isinstance(found, dict) and found.get("error") in _HINTS:
        refused.code = found["error"]
    raise refused


def _description(text, form):
    """Return what the issuer says about a refusal, but not if it echoes a secret."""
    secrets = [str(form[name]) for name in ("subject_token", "client_secret")] if form else []
    if not isinstance(text, str) or not 0 < len(text) <= 500 or any(secret in text for secret in secrets):
        return ""

    return ": " + " ".join(text.split())


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
