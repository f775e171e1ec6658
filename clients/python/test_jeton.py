"""Run by a Go test, which also runs README.md against a server: python3 -m unittest."""

import http.server
import json
import os
import stat
import tempfile
import threading
import traceback
import unittest
import urllib.error
import urllib.parse
from unittest import mock

import jeton

TOKEN = "jtn_canary"
JOB = {"JETON_URL": "https://reports.example", "JETON_TOKEN": TOKEN, "JETON_RUN_VARS": "JETON_URL,JETON_TOKEN"}


def environment(variables):
    return mock.patch.dict(os.environ, {"PATH": "/usr/bin:/bin", **variables}, clear=True)


class Service(http.server.BaseHTTPRequestHandler):
    """Redirects /away to another origin, and prints the credential of other requests."""

    def do_GET(self):
        self.server.paths.append(self.path)
        away = self.path == "/away"
        self.send_response(302 if away else 200)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.wfile.write(self.headers.get("Authorization", "none").encode())

    def log_message(self, *_):
        pass


class InAJob(unittest.TestCase):
    def test_each_way_to_pass_the_token(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(TOKEN + "\n")
            file.flush()
            read, write = os.pipe()
            os.write(write, TOKEN.encode())
            os.close(write)
            for way in ({"JETON_TOKEN": TOKEN}, {"JETON_TOKEN_FILE": file.name}, {"JETON_TOKEN_FD": str(read)}):
                with environment({"JETON_URL": "https://reports.example:443/", **way}):
                    # Twice: a pipe can be read once.
                    for url in ("https://reports.example/1", "/2"):
                        self.assertEqual(jeton.headers(url)["Authorization"], "Bearer " + TOKEN)

        with environment({"JETON_URL": "http://127.0.0.1:1/random", "JETON_RUN_VARS": "JETON_URL"}):
            self.assertEqual(jeton.headers("/1"), {}, "under --proxy")

    def test_another_origin_gets_no_token(self):
        for url in (
            "https://other.example/",
            "http://reports.example/",
            "https://reports.example:8443/",
            "https://reports.example.other.example/",
            "https://reports.example@other.example/",
            "https://user:password@reports.example/",
            "https://other.example\\@reports.example/",
            "https://other.example#@reports.example/",
            "https://reports.example\n.other.example/",
            "//other.example/",
            "reports.example",
        ):
            with self.subTest(url), environment(JOB):
                if url.startswith("//"):  # a path of the service
                    self.assertEqual(jeton._split(url), ("https://reports.example", url))
                    continue
                with self.assertRaises(jeton.Error):
                    jeton.headers(url)

    def test_no_token_in_errors_and_reprs(self):
        with environment(JOB):
            self.assertNotIn(TOKEN, repr(jeton.headers("/")))

        for way in ({"JETON_TOKEN": TOKEN + "\nHost: x"}, {"JETON_TOKEN_FD": TOKEN}, {"JETON_TOKEN_FILE": TOKEN}, {}):
            with self.subTest(str(way.keys())), environment({"JETON_URL": "https://reports.example", **way}):
                with self.assertRaises(jeton.Error) as caught:
                    jeton.headers("/")
                self.assertNotIn(TOKEN, "".join(traceback.format_exception(None, caught.exception, None)))

    def test_a_redirect_is_not_followed(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), Service)
        server.paths = []
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        self.addCleanup(server.server_close)
        self.addCleanup(serving.join)
        self.addCleanup(server.shutdown)

        base = f"http://127.0.0.1:{server.server_port}"
        with environment({"JETON_URL": base, "JETON_TOKEN": TOKEN, "http_proxy": "http://127.0.0.1:1"}):
            with jeton.urlopen("/1", timeout=60) as answer:
                self.assertEqual(answer.read().decode(), "Bearer " + TOKEN)
            with self.assertRaises(urllib.error.HTTPError) as caught:
                jeton.urlopen("/away", timeout=60)

        caught.exception.close()
        self.assertEqual((caught.exception.code, server.paths), (302, ["/1", "/away"]))


class WithTheWallet(unittest.TestCase):
    def headers(self, script):
        """Ask for an identity's headers, where the program jeton is a script."""
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "jeton")
            with open(program, "w", encoding="ascii") as file:
                file.write("#!/bin/sh\n" + script)
            os.chmod(program, stat.S_IRWXU)
            # A job's token is not that of the identity.
            with environment({**JOB, "PATH": folder + ":/usr/bin:/bin"}):
                return jeton.headers("https://other.example/x?y", identity="ci")

    def test_the_identity_is_asked_for_the_origin_alone(self):
        want = "token_print_https://other.example_--as=ci"
        self.assertEqual(self.headers('IFS=_; echo "$*"; echo valid >&2'), {"Authorization": "Bearer " + want})

    def test_errors_show_what_the_wallet_reports(self):
        cases = {
            "echo jtn_canary; echo 'log in again' >&2; exit 4": "log in again",
            "echo jtn_canary; exec sleep 60": "seconds",
            "echo jtn_canary two": "no valid token",
        }
        for script, want in cases.items():
            limit = 0.5 if "sleep" in script else 60
            with self.subTest(want), mock.patch.object(jeton, "_WALLET_TIMEOUT", limit):
                with self.assertRaises(jeton.Error) as caught:
                    self.headers(script)
                self.assertIn(want, str(caught.exception))
                self.assertIsNone(caught.exception.__context__)
                self.assertNotIn(TOKEN, str(caught.exception))

    def test_without_the_program(self):
        with environment({"PATH": "/nowhere"}), self.assertRaisesRegex(jeton.Error, "install jeton"):
            jeton.headers("https://other.example")


class Issuer(http.server.BaseHTTPRequestHandler):
    """Refuses the service named "closed" with what was sent, and exchanges for others with the terms of the form."""

    def answer(self, status, document):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def do_GET(self):
        base = f"http://127.0.0.1:{self.server.server_port}"
        self.answer(200, {"issuer": base, "token_endpoint": base + "/token"})

    def do_POST(self):
        sent = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.server.forms.append(sent)
        if sent["audience"] == "closed":
            self.answer(400, {"error": "invalid_target", "error_description": "no: " + sent["client_secret"]})
        elif sent["audience"] == "odd":
            self.answer(400, {"error": "invalid_request", "error_description": "invalid max_uses"})
        else:
            self.answer(200, {"access_token": "jtn_canary_2", "token_type": "Bearer", "scope": "a b", "max_uses": 2})

    def log_message(self, *_):
        pass


class ForTheNextService(unittest.TestCase):
    def setUp(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Issuer)
        self.server.forms = []
        serving = threading.Thread(target=self.server.serve_forever)
        serving.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(serving.join)
        self.addCleanup(self.server.shutdown)

    def exchange(self, service, **terms):
        issuer = f"http://127.0.0.1:{self.server.server_port}"
        given = {"issuer": issuer, "client": "reports", "secret": TOKEN + "s", "timeout": 60, **terms}
        return jeton.exchange(TOKEN, service, **given)

    def test_the_terms_are_sent_and_returned(self):
        got = self.exchange("archive", scope=["a", "b"], max_uses=2, shared_uses=True, lifetime=20)
        self.assertEqual((got.token, got.scope, got.max_uses, got.expires_in), ("jtn_canary_2", ["a", "b"], 2, None))
        self.assertEqual(got.headers, {"Authorization": "Bearer jtn_canary_2"})
        self.assertNotIn(TOKEN, repr(got) + repr(got.headers))

        sent = self.server.forms[0]
        proof = (sent["subject_token"], sent["client_id"], sent["client_secret"])
        self.assertEqual(proof, (TOKEN, "reports", TOKEN + "s"))
        terms = [sent[name] for name in ("scope", "max_uses", "shared_uses", "expires_in")]
        self.assertEqual(terms, ["a b", "2", "true", "20"])

        self.exchange("archive")
        self.assertEqual({"scope", "max_uses", "shared_uses", "expires_in"} & set(self.server.forms[1]), set())

    def test_a_refusal_says_why_and_echoes_no_secret(self):
        for service, code, text in (
            ("closed", "invalid_target", "no rule of the client"),
            ("odd", "invalid_request", ": invalid max_uses"),
        ):
            with self.assertRaises(jeton.Error) as caught:
                self.exchange(service)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(text, str(caught.exception))
            self.assertNotIn(TOKEN, "".join(traceback.format_exception(None, caught.exception, None)))

    def test_nothing_is_sent_to_another_issuer_or_in_plain_text(self):
        for issuer, want in {
            "http://auth.example": "want https",
            f"http://localhost:{self.server.server_port}": "another issuer",
        }.items():
            with self.assertRaisesRegex(jeton.Error, want):
                self.exchange("archive", issuer=issuer)
        self.assertEqual(self.server.forms, [])


if __name__ == "__main__":
    unittest.main()
