"""Is logged in as two people at once, in one client."""
import threading

import requests

from talk import URL, denied, expect, logged_in, restart

people = {name: logged_in(name, name.lower() + "_pw") for name in ("Diane", "Eshana")}


def check(name):
    answer = expect(people[name].get(URL + "/get-info"), 200).json()
    if answer != {"name": name, "Secret-number": 42}:
        raise AssertionError(f"{name} was answered {answer}")


for name in ["Diane", "Eshana"] * 5:
    check(name)

# At the same time, too.
failures = []


def ask(name):
    try:
        for _ in range(10):
            check(name)
    except Exception as e:
        failures.append(e)


threads = [threading.Thread(target=ask, args=(name,)) for name in ["Diane", "Eshana"] * 4]
for t in threads:
    t.start()
for t in threads:
    t.join()
if failures:
    raise failures[0]

# Cookies of two people do not mix, and one logging out leaves the other.
mixed = dict(people["Diane"].cookies.get_dict(), **{"app1-username": "Eshana"})
denied(requests.get(URL + "/get-info", verify="pubkey.pem", cookies=mixed), "Eshana")
restart()
for name in people:
    check(name)
expect(people["Diane"].post(URL + "/logout"), 200, "Logged out")
denied(people["Diane"].get(URL + "/get-info"), "None")
check("Eshana")
print("done")
