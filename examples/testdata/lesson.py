"""Runs the interactive session in a file, and exits with the number of lines that print something else."""
import ast
import doctest
import io
import sys
import threading
import time


# Python puts a text with an apostrophe between double quotes. The README shows
# single ones, and its "..." may stand for such a text.
class Checker(doctest.OutputChecker):
    def check_output(self, want, got, flags):
        return super().check_output(want, got, flags) or super().check_output(want, single(got), flags)


def single(got):
    def plain(value):
        if isinstance(value, tuple):
            return tuple(plain(v) for v in value)
        return value.replace("'", "\u2019") if isinstance(value, str) else value
    try:
        return repr(plain(ast.literal_eval(got))) + "\n"
    except (SyntaxError, ValueError):
        return got


class Pulse(threading.Thread):
    """Notices when the machine is so busy that a session cannot keep its times."""

    def __init__(self):
        super().__init__(daemon=True)
        self.late = False

    def run(self):
        while True:
            begun = time.monotonic()
            time.sleep(0.02)
            self.late = self.late or time.monotonic() - begun > 0.2


def session(text):
    """Returns the number of lines that print something else, and what they print."""
    lesson = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, "README", sys.argv[1], 0)
    out = io.StringIO()
    result = doctest.DocTestRunner(Checker(), optionflags=kinds).run(lesson, out=out.write)
    return result.failed, out.getvalue()


kinds = doctest.ELLIPSIS | doctest.REPORT_ONLY_FIRST_FAILURE
with open(sys.argv[1]) as f:
    text = f.read()

pulse = Pulse()
pulse.start()
for _ in range(10):
    pulse.late = False
    failed, out = session(text)
    # A session that asks at certain times proves nothing when the machine was late.
    if not failed or not pulse.late or "time.sleep" not in text:
        break

print(out, end="")
sys.exit(failed)
