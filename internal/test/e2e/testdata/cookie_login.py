"""Logs in with a form and shows cookies."""
import datetime

import requests

from talk import URL, denied, expect, login, logged_in, restart

# Failures, each with its realm.
expect(requests.post(URL + "/login", verify="pubkey.pem"), 401, "Verification failed", "Login required")
expect(requests.post(URL + "/login", verify="pubkey.pem", data={}), 401, "Verification failed", "Login required")
expect(login("", ""), 401, "Verification failed", "Login required")
expect(requests.post(URL + "/login", verify="pubkey.pem", data={"username": "Alice"}), 401, "Verification failed", "Login required")
expect(login("Mallory", "alice_pw"), 401, "Verification failed", "No such user")
for name in ("Alice", "Bob", "Carlos"):
    answer = expect(login(name, "wrong"), 403, "Verification failed", "Password incorrect")
    if answer.cookies:
        raise AssertionError("a failed login sets cookies")

# Without a login: no cookie at all, and names that nobody has proved.
denied(requests.get(URL + "/get-info", verify="pubkey.pem"), "None")
for name in ("Alice", "Mallory"):
    denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies={"app1-username": name}), name)
    for token in ("", "0", "null", "None", "A" * 49, "jtn_s_" + "A" * 43):
        cookies = {"app1-username": name, "app1-token": token}
        denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies=cookies), name)

# A login, by the function and by a session.
answer = expect(login("Alice", "alice_pw"), 200, "Logged in")
cookies = answer.cookies.get_dict()
if sorted(cookies) != ["app1-login-timestamp", "app1-token", "app1-username"]:
    raise AssertionError(f"cookies are {sorted(cookies)}")
if cookies["app1-username"] != "Alice":
    raise AssertionError(cookies["app1-username"])
if len(cookies["app1-token"].removeprefix("jtn_s_")) * 6 < 128:
    raise AssertionError("the token has less than 128 bits")
at = datetime.datetime.fromisoformat(cookies["app1-login-timestamp"] + "+00:00")
if abs(at - datetime.datetime.now(datetime.timezone.utc)) > datetime.timedelta(minutes=10):
    raise AssertionError(f"the login was at {at}")
expect(requests.get(URL + "/get-info", verify="pubkey.pem", cookies=cookies), 200, '{"Secret-number": 42}')
denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies={**cookies, "app1-username": "Bob"}), "Bob")
denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies={"app1-username": "Alice"}), "Alice")

alice = logged_in("Alice", "alice_pw")
if expect(alice.get(URL + "/get-info"), 200).json() != {"Secret-number": 42}:
    raise AssertionError("the answer is not the secret number")
if alice.cookies["app1-token"] == cookies["app1-token"]:
    raise AssertionError("two logins got one token")
denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies=cookies), "Alice")  # replaced

# A failed login takes nothing away, and logins outlive the server.
expect(login("Alice", "wrong", alice), 403, "Verification failed", "Password incorrect")
bob = logged_in("Bob", "bob_pw")
restart()
for session in (alice, bob):
    expect(session.get(URL + "/get-info"), 200, '{"Secret-number": 42}')
denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies=cookies), "Alice")
print("done")
