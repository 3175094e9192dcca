"""Every rule of check-tree, broken once in a tree of its own: the checker must name the breach, and nothing else."""
import os
import subprocess
import sys
import tempfile
import unittest

CHECK_TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check-tree")
CLEAN = {
    "README.md": "See [disk](disk/README.md).\n",
    "agent/README.md": "x\n",
    "agent/main.cpp": '#include "agent/cli/c.hpp"\n',
    "agent/text/README.md": "x\n",
    "agent/text/t.hpp": '#include "disk/core/error.hpp"\n',
    "agent/report/README.md": "x\n",
    "agent/report/r.hpp": '#include "agent/text/t.hpp"\n',
    "agent/osimage/README.md": "x\n",
    "agent/osimage/o.hpp": '#include "agent/text/t.hpp"\n',
    "agent/job/README.md": "x\n",
    "agent/job/a.hpp": '#include "agent/report/r.hpp"\n#include "disk/claim.hpp"\n#include "imaging/source.hpp"\n',
    "agent/cli/README.md": "x\n",
    "agent/cli/c.hpp": '#include "agent/job/a.hpp"\n#include "agent/osimage/o.hpp"\n',
    "disk/README.md": "x\n",
    "disk/claim.hpp": '#include <sys/stat.h>\n#include <vector>\n#include "disk/core/error.hpp"\n',
    "disk/core/README.md": "x\n",
    "disk/core/error.hpp": "#include <tl/expected.hpp>\n",
    "imaging/README.md": "x\n",
    "imaging/source.hpp": '#include "disk/core/error.hpp"\n',
    "imaging/source.cpp": '#include <curl/curl.h>\n#include "imaging/source.hpp"\n',
}


class CheckTree(unittest.TestCase):
    def breaches(self, **extra):
        files = dict(CLEAN)
        files.update({name.replace("__", "/"): text for name, text in extra.pop("files", {}).items()})
        for name in extra.pop("without", ()):
            del files[name]
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(text)
            done = subprocess.run([sys.executable, CHECK_TREE, root], capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines()
            self.assertEqual(done.returncode, 1 if lines else 0, done.stderr)
            return lines

    def only(self, word, **extra):
        lines = self.breaches(**extra)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(word, lines[0])

    def test_symbolic_links(self):
        with tempfile.TemporaryDirectory() as root:
            os.symlink("nowhere", os.path.join(root, "README.md"))
            done = subprocess.run([sys.executable, CHECK_TREE, root], capture_output=True, text=True, check=False)
        self.assertIn("README.md: links: is a symbolic link", done.stdout.splitlines())

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.breaches(), [])

    def test_imaging_must_not_know_disk(self):
        self.only("layering", files={"imaging/x.cpp": '#include "disk/claim.hpp"\n'})

    def test_disk_must_not_know_imaging(self):
        self.only("layering", files={"disk/x.cpp": '#include "imaging/source.hpp"\n'})

    def test_core_must_not_know_disk(self):
        self.only("layering", files={"disk/core/x.cpp": '#include "disk/claim.hpp"\n'})

    def test_nobody_below_knows_agent(self):
        self.only("layering", files={"disk/x.hpp": '#include "agent/job/a.hpp"\n'})
        self.only("layering", files={"imaging/x.hpp": '#include "agent/job/a.hpp"\n'})

    def test_no_room_reaches_where_it_may_not(self):
        for room, target in (("text", "agent/report/r.hpp"), ("text", "disk/claim.hpp"), ("report", "agent/job/a.hpp"),
                             ("report", "imaging/source.hpp"), ("report", "disk/claim.hpp"),
                             ("report", "agent/osimage/o.hpp"), ("osimage", "agent/job/a.hpp"),
                             ("osimage", "imaging/source.hpp"), ("osimage", "agent/report/r.hpp"),
                             ("job", "agent/cli/c.hpp"), ("job", "agent/osimage/o.hpp"),
                             ("cli", "imaging/source.hpp"), ("cli", "disk/claim.hpp")):
            with self.subTest(room=room, target=target):
                self.only("layering", files={f"agent/{room}/x.cpp": f'#include "{target}"\n'})

    def test_rooms_that_ask(self):
        for room, target in (("ironic", "imaging/source.hpp"), ("ironic", "agent/cli/c.hpp"),
                             ("provision", "disk/claim.hpp"), ("controller", "agent/job/a.hpp")):
            with self.subTest(room=room, target=target):
                self.only("layering", files={f"agent/{room}/README.md": "x\n",
                                             f"agent/{room}/x.cpp": f'#include "{target}"\n'})
        self.assertEqual(self.breaches(files={"agent/ironic/README.md": "x\n",
                                              "agent/ironic/x.cpp": '#include "agent/job/a.hpp"\n'}), [])

    def test_agent_is_made_of_rooms(self):
        self.only("rooms", files={"agent/x.cpp": "\n"})
        self.only("rooms", files={"agent/attic/README.md": "x\n"})

    def test_libraries_stay_out_of_headers(self):
        self.only("headers", files={"imaging/x.hpp": "#include <curl/curl.h>\n"})
        self.only("headers", files={"agent/job/x.hpp": "#include <boost/json.hpp>\n"})

    def test_include_form(self):
        self.only("include form", files={"disk/x.cpp": '#include "claim.hpp"\n'})
        self.only("include form", files={"disk/x.cpp": "#include <disk/claim.hpp>\n"})

    def test_folders(self):
        self.only("folders", files={"extra/README.md": "x\n"})
        self.only("folders", files={"notes.md": "x\n"})
        self.only("folders", without=["imaging/README.md"])
        self.only("folders", files={"imaging/qcow2/x.cpp": "\n"})

    def test_size(self):
        self.only("size", files={"disk/x.cpp": "\n" * 601})
        self.assertEqual(self.breaches(files={"disk/x.cpp": "\n" * 600}), [])

    def test_leftovers(self):
        self.only("leftovers", files={"disk/x.cpp": "// TO" + "DO later\n"})

    def test_constants(self):
        one = "namespace ingot::disk {\ninline constexpr int kMost = 1;\n}\n"
        self.only("constants", files={"disk/x.hpp": one, "disk/y.hpp": one})
        elsewhere = one.replace("ingot::disk", "ingot::imaging")
        self.assertEqual(self.breaches(files={"disk/x.hpp": one, "imaging/y.hpp": elsewhere}), [])

    def test_links(self):
        self.only("links", files={"disk/README.md": "[gone](../docs/gone.md)\n"})


if __name__ == "__main__":
    unittest.main()
