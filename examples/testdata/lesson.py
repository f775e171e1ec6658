"""Runs the interactive session in a file, and exits with the number of lines that print something else."""
import ast
import doctest
import sys


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


kinds = doctest.ELLIPSIS | doctest.REPORT_ONLY_FIRST_FAILURE
with open(sys.argv[1]) as f:
    lesson = doctest.DocTestParser().get_doctest(f.read(), {"__name__": "__main__"}, "README", sys.argv[1], 0)
result = doctest.DocTestRunner(Checker(), optionflags=kinds).run(lesson)
sys.exit(result.failed)
