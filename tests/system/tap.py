"""A unittest main that prints TAP, for tests/run.

    import unittest
    import tap

    class Submission(unittest.TestCase):
        def test_plain(self):
            ...

    if __name__ == "__main__":
        tap.main()

Arguments choose tests as unittest does: test_x.py Submission.test_plain. The
plan comes last: a program that dies on the way has none, and has failed.
"""

import sys
import time
import unittest


class _TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.started = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def _line(self, good, test, comment=""):
        self.number += 1
        name = str(test.id()).replace("__main__.", "")
        if not comment:
            name += f" ({time.monotonic() - self.started:.2f} s)"
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}{comment}",
              flush=True)

    def _bad(self, test, err):
        self._line(False, test)
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f"# {line}", flush=True)

    def addSuccess(self, test):
        self._line(True, test)

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(True, test, f" # SKIP {' '.join(reason.split())}")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._line(True, test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._line(False, test)


class _TapRunner:
    def run(self, test):
        result = _TapResult()
        test(result)
        print(f"1..{result.number}", flush=True)
        return result


def main():
    """Runs the tests of the program that calls it, and exits."""
    sys.stdout.reconfigure(errors="backslashreplace")
    unittest.main(module="__main__", testRunner=_TapRunner())
