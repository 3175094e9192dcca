"""Runs the tests of a module at once, for tests that wait for clocks more than they compute.

    load_tests = together.load_tests

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


def _cases(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _cases(test)
        else:
            yield test


class Together(unittest.TestSuite):
    """All tests of a module, each in a thread of its own; setUpModule before, its clean-ups behind. No class fixtures."""

    def run(self, result, debug=False):
        cases = list(_cases(self))
        module = sys.modules[type(cases[0]).__module__]
        try:
            module.setUpModule()
            with concurrent.futures.ThreadPoolExecutor(len(cases)) as threads:
                for recorder in threads.map(self._run_one, cases):
                    recorder.replay(result)
        finally:
            unittest.case.doModuleCleanups()
        return result

    @staticmethod
    def _run_one(case):
        recorder = Recorder()
        case.run(recorder)
        return recorder


def load_tests(_loader, tests, _pattern):
    return unittest.TestSuite([Together(_cases(tests))])
