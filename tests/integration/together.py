"""Runs the tests of a module at once, for tests that wait for clocks more than they compute.

    load_tests = together.load_tests
    load_tests = together.at_once(4)       # no more than four, for tests that compute as well

Every test keeps what unittest gives it (its own fixtures, subtests, a traceback); what is told of them comes when all have
ended, in their order. A test named on the command line runs alone, as usual.
"""
import concurrent.futures
import sys
import unittest
import unittest.case


class Recorder(unittest.TestResult):
    """What happened in one test, to be told later."""

    def __init__(self):
        super().__init__()
        self.told = []

    def replay(self, result):
        for name, *args in self.told:
            getattr(result, name)(*args)


def _recording(name):
    return lambda self, *args: self.told.append((name, *args))


for _name in ("startTest", "stopTest", "addSuccess", "addError", "addFailure", "addSkip", "addExpectedFailure",
              "addUnexpectedSuccess", "addSubTest"):
    setattr(Recorder, _name, _recording(_name))


def cases(suite):
    """The tests in it, and in the suites in it."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


class Together(unittest.TestSuite):
    """All tests of a module, `most` at once, each in a thread of its own; setUpModule before, its clean-ups behind. No class
    fixtures."""

    def __init__(self, tests, most):
        super().__init__(tests)
        self.most = most

    def run(self, result, debug=False):
        tests = list(cases(self))
        module = sys.modules[type(tests[0]).__module__]
        try:
            getattr(module, "setUpModule", lambda: None)()
            with concurrent.futures.ThreadPoolExecutor(self.most or len(tests)) as threads:
                for recorder in threads.map(self._run_one, tests):
                    recorder.replay(result)
        finally:
            unittest.case.doModuleCleanups()
        return result

    @staticmethod
    def _run_one(case):
        recorder = Recorder()
        case.run(recorder)
        return recorder


def at_once(most):
    """A module's load_tests; `most` is None for all of them."""
    return lambda _loader, tests, _pattern: unittest.TestSuite([Together(cases(tests), most)])


load_tests = at_once(None)
