# Prints known password hashes as JSON, a list of [scheme, password, hash]: those that
# passlib's own tests know to be right, and some made by werkzeug and Django where they are
# there. Run by the tests with Debian's python3.
import importlib, json, sys

out = []


def add(scheme, password, made):
    if isinstance(password, bytes):
        try:
            password = password.decode("utf-8")
        except UnicodeDecodeError:
            return  # JSON cannot carry it
    if [scheme, password, made] not in out:  # passlib tests each of its back ends
        out.append([scheme, password, made])


for name in ["test_handlers", "test_handlers_bcrypt", "test_handlers_argon2", "test_handlers_scrypt", "test_handlers_django", "test_handlers_pbkdf2"]:
    module = importlib.import_module("passlib.tests." + name)
    for case in vars(module).values():
        handler = getattr(case, "handler", None)
        if handler is None or getattr(case, "known_correct_hashes", None) is None:
            continue
        for known in case.known_correct_hashes:
            if isinstance(known[0], tuple):
                continue  # it takes the user's name besides
            add("passlib " + handler.name, known[0], known[1])

try:
    from werkzeug.security import generate_password_hash
    for method in ["pbkdf2:sha1:1000", "pbkdf2:sha256:2000", "pbkdf2:sha512:1000", "pbkdf2:sha256", "scrypt", "scrypt:1024:4:2"]:
        try:
            add("werkzeug", "pässwörd", generate_password_hash("pässwörd", method))
        except ValueError:
            pass  # this version does not know the method
except ImportError:
    print("no werkzeug", file=sys.stderr)

try:
    from django.conf import settings
    if not settings.configured:  # passlib's tests may have done it
        settings.configure()
    from django.contrib.auth import hashers
    for name in ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "ScryptPasswordHasher", "Argon2PasswordHasher", "BCryptSHA256PasswordHasher"]:
        try:
            h = getattr(hashers, name)()
            add("django", "pässwörd", h.encode("pässwörd", h.salt()))
        except (AttributeError, ValueError):
            pass  # this version does not have it, or not the library that it needs
except ImportError:
    print("no django", file=sys.stderr)

json.dump(out, sys.stdout)
