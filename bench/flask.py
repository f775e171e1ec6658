"""The teaching servers that jeton replaces, in their own way: Flask, tokens in a dict.

The benchmark runs it; nothing else does. Counts are lost when it ends.
"""
import datetime
import functools
import secrets
import threading

from flask import Flask, jsonify, make_response, request

app = Flask(__name__)
passwords = {"u%06d" % i: "correct-horse-battery" for i in range(1000)}
tokens = {}
uses = {}
lock = threading.Lock()


@app.post("/login")
def login():
    name, password = request.form.get("username"), request.form.get("password")
    if name not in passwords:
        return "Unknown user", 401
    if passwords[name] != password:
        return "Wrong password", 401
    token = secrets.token_hex(32)
    tokens[name] = token
    uses[name] = 1_000_000_000
    answer = make_response("Logged in")
    answer.set_cookie("app1-username", name)
    answer.set_cookie("app1-token", token)
    answer.set_cookie("app1-login-timestamp", datetime.datetime.now().isoformat())
    return answer


def logged_in(view):
    @functools.wraps(view)
    def checked(*args, **kwargs):
        name, token = request.cookies.get("app1-username"), request.cookies.get("app1-token")
        if name not in tokens or tokens[name] != token:
            return "%s denied access to resource" % name, 403
        return view(name, *args, **kwargs)

    return checked


@app.get("/get-info")
@logged_in
def get_info(name):
    return jsonify({"Secret-number": 42})


@app.get("/limited-info")
@logged_in
def limited_info(name):
    with lock:
        if uses[name] <= 0:
            return "%s denied access to resource" % name, 403
        uses[name] -= 1
    return jsonify({"Secret-number": 42})


@app.get("/open")
def open_():
    return jsonify({"ok": True})
