"""Uses a login that is good for three uses of one route."""
import concurrent.futures
import threading

import requests

from talk import URL, denied, expect, logged_in, restart


def use(session):
    number = expect(session.get(URL + "/limited-info"), 200).json()
    if list(number) != ["Carlos favorite number"] or not 1 <= number["Carlos favorite number"] <= 100:
        raise AssertionError(f"answered {number}")


def spent(session):
    denied(session.get(URL + "/limited-info"), "Carlos")


# Three times, then never again; other routes stay open.
carlos = logged_in("Carlos", "carlos_pw")
for _ in range(3):
    use(carlos)
for _ in range(3):
    spent(carlos)
expect(carlos.get(URL + "/get-info"), 200, '{"Secret-number": 42}')
restart()
spent(carlos)

# A new login brings three more, and nothing to the old token.
old = carlos.cookies.get_dict()
carlos = logged_in("Carlos", "carlos_pw")
denied(requests.get(URL + "/limited-info", verify="pubkey.pem", cookies=old), "Carlos")
use(carlos)
denied(requests.get(URL + "/limited-info", verify="pubkey.pem", cookies=old), "Carlos")

# What is denied costs nothing, and neither do questions about the route.
denied(requests.get(URL + "/limited-info", verify="pubkey.pem"), "None")
mine = carlos.cookies.get_dict()
denied(requests.get(URL + "/limited-info", verify="pubkey.pem", cookies={**mine, "app1-username": "Bob"}), "Bob")
denied(requests.get(URL + "/limited-info", verify="pubkey.pem", cookies={**mine, "app1-token": mine["app1-token"][:-1]}), "Carlos")
for _ in range(5):
    expect(carlos.head(URL + "/limited-info"), 200, "")
    expect(carlos.options(URL + "/limited-info"), 204, "")
    expect(carlos.post(URL + "/limited-info"), 405)

# One is used, a second one too: after a crash one is left.
use(carlos)
restart()
use(carlos)
spent(carlos)

# Of 64 at once exactly three pass.
carlos = logged_in("Carlos", "carlos_pw")
cookies = carlos.cookies.get_dict()
together = threading.Barrier(64)


def at_once(_):
    together.wait()
    return requests.get(URL + "/limited-info", verify="pubkey.pem", cookies=cookies)


with concurrent.futures.ThreadPoolExecutor(64) as pool:
    answers = list(pool.map(at_once, range(64)))
passed = [a for a in answers if a.status_code == 200]
for a in answers:
    if a.status_code != 200:
        denied(a, "Carlos")
if len(passed) != 3:
    raise AssertionError(f"{len(passed)} of 64 passed")
spent(carlos)
print("done")
