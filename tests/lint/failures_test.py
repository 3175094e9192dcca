"""What tests/support/failures says of a ctest in which tests failed in every way, and of the log of another step."""
import os
import subprocess
import tempfile
import unittest

FAILURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support", "failures")
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(failures NONE)
enable_testing()
add_test(NAME good COMMAND sh -c "echo all is well")
add_test(NAME bad COMMAND sh -c "echo 'FAIL: test_first'; seq 100; exit 1")
add_test(NAME late COMMAND sleep 60)
set_tests_properties(late PROPERTIES TIMEOUT 1)
add_test(NAME missing COMMAND ./not-built)
add_test(NAME skipped COMMAND sh -c "echo SKIPPED")
set_tests_properties(skipped PROPERTIES SKIP_REGULAR_EXPRESSION SKIPPED)
"""


class Failures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def said(self, *words):
        return subprocess.run([FAILURES, *words], capture_output=True, text=True, check=True).stdout.splitlines()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def junit(self, *options):
        self.file("CMakeLists.txt", PROJECT)
        results = os.path.join(self.folder, "ctest.xml")
        subprocess.run(["cmake", "-B", "build"], cwd=self.folder, check=True, capture_output=True)
        subprocess.run(["ctest", "--test-dir", "build", "--output-junit", results, *options], cwd=self.folder, check=False,
                       capture_output=True)
        return results

    def test_failed_tests(self):
        lines = self.said(f"asan={self.junit()}")
        self.assertEqual([line.split(" (")[0] for line in lines[:4]],
                         ["######## failed: 3", "  asan: bad", "  asan: late", "  asan: missing"])
        bad = lines[5:lines.index(next(line for line in lines if line.startswith("---- asan: late")))]
        self.assertEqual(bad, ["  FAIL: test_first", *(f"  {number}" for number in range(87, 101))])
        self.assertNotIn("skipped", "\n".join(lines))

    def test_nothing_failed(self):
        self.assertEqual(self.said(f"dev={self.junit('-R', '^(good|skipped)$')}"), [])

    def test_log_of_a_build(self):
        log = self.file("log", "x\n" * 100 + "a.cpp:1:2: error: no such thing\n" + "y\n" * 100)
        lines = self.said(f"test={log}")
        self.assertEqual(lines[3:5], ["  a.cpp:1:2: error: no such thing", "  y"])

    def test_many_are_bounded(self):
        case = '<testcase name="{}" time="1" status="fail"><failure/><system-out>{}</system-out></testcase>'
        results = self.file("many.xml", "<testsuite>" + "".join(case.format(f"t{i}", "line\n" * 50) for i in range(300)) +
                            "</testsuite>")
        lines = self.said(f"dev={results}")
        self.assertLessEqual(len(lines), 80)
        self.assertIn("  … and 280 more", lines)


if __name__ == "__main__":
    unittest.main()
