"""The architecture, checked: the project keeps the rules of the house, and each rule finds a small tree that breaks it.

SPDX-License-Identifier: Apache-2.0
"""
import os

import pytest

import house

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HEAD = "/* Says what it is for.\n * SPDX-License-Identifier: Apache-2.0 */\n"


@pytest.mark.parametrize("check", house.CHECKS, ids=lambda c: c.__name__)
def test_project_keeps(check):
    found = check(ROOT)
    assert not found, f"{check.__doc__}\n" + "\n".join(found)


def plant(root, tree):
    for path, source in tree.items():
        path = root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return str(root)


def body(lines):
    return "int f(void)\n{\n" + "    g();\n" * (lines - 3) + "}\n"


BAD = [  # check, tree, a part of the finding
    ("arrows", {"proxy/http/a.c": '#include "proxy/route/b.h"\n', "include/proxy/route/b.h": ""}, "proxy/http may not use proxy/route"),
    ("arrows", {"metrics/a.c": '#include "rollout/b.h"\n', "include/rollout/b.h": ""}, "metrics may not use rollout"),
    ("arrows", {"proxy/flow/a.c": '#include "rollout/rollout.h"\n', "include/rollout/rollout.h": ""}, "proxy/flow may not use rollout"),
    ("arrows", {"proxy/route/a.c": '#include "proxy/upstream/b.h"\n', "include/proxy/upstream/b.h": ""}, "may not use proxy/upstream"),
    ("arrows", {"proxy/conf/a.c": '#include "rollout/decide/judge.h"\n', "include/rollout/decide/judge.h": ""}, "may not use rollout/decide"),
    ("arrows", {"include/base/a.h": '#include "metrics/b.h"\n', "include/metrics/b.h": ""}, "base may not use metrics"),
    ("arrows", {"proxy/http/a.c": '#include "head.h"\n'}, "no header under include/"),
    ("pure", {"proxy/route/a.c": "#include <time.h>\n"}, "may not include <time.h>"),
    ("pure", {"include/rollout/decide/a.h": "#  include <event2/event.h>\n"}, "may not include <event2/event.h>"),
    ("pure", {"include/base/a.h": "#include <sys/socket.h>\n"}, "base is pure"),
    ("pure", {"rollout/kube/scale_plan.c": "#include <time.h>\n"}, "scale_plan.c is pure"),
    ("pure", {"include/rollout/kube/objects.h": "#include <curl/curl.h>\n"}, "objects.h is pure"),
    ("sizes", {"proxy/flow/a.c": body(71)}, "f has 71 lines"),
    ("sizes", {"proxy/flow/a.c": "int x[] = {\n1 };\nint g(int (*a)(void), struct b c)\n{\n}\n" + body(80)}, ":6: f has 80 lines"),
    ("sizes", {"proxy/flow/a.c": "\n" * 501}, "501 lines"),
    ("heads", {"proxy/flow/a.c": "int x;\n"}, "purpose"),
    ("heads", {"proxy/flow/a.c": "/* A file.\n */\n"}, "no SPDX"),
    ("heads", {"tests/run": "#!/bin/sh\nset -e\n"}, "purpose"),
    ("headers", {"proxy/flow/a.c": "int f(void)\n{\n}\n"}, "offers f(), which no header"),
    ("headers", {"proxy/flow/a.c": "int f(void)\n{\n}\n", "include/proxy/flow/a.h": "int f(void);\n"}, "offers f(), which no header"),
    ("headers", {"include/base/all.h": '#ifndef SERIN_ALL_H\n#define SERIN_ALL_H\n#include "base/a.h"\n#endif\n'}, "umbrella"),
    ("words", {"metrics/a.c": "/* TO" "DO later */\n"}, "unfinished"),
    ("words", {"README.md": "see ../sha" "red/design\n"}, "path of one machine"),
    ("words", {"conf/a.yaml": "dir: /wo" "rk/main\n"}, "path of one machine"),
    ("top", {"src/a.c": ""}, "src: does not belong"),
]


@pytest.mark.parametrize("check, tree, finding", BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_bad_tree_is_found(tmp_path, check, tree, finding):
    found = getattr(house, "check_" + check)(plant(tmp_path, tree))
    assert any(finding in f for f in found), found


GOOD = {
    "proxy/flow/a.c": HEAD + '#include "proxy/flow/a.h"\n#include <event2/event.h>\n#include "base/err.h"\n'
                      'static const char *x = "} {"; /* } */\nstruct s {\n    int a;\n};\nint f(void)\n{\n    return \'{\';\n}\n'
                      "/* " + house.LONGER + " a table. */\nstatic int t(void)\n{\n" + "    g();\n" * 90 + "}\n",
    "include/proxy/flow/a.h": HEAD + "int f(void);\n",
    "include/base/err.h": HEAD + "enum err { OK };\n",
    "include/rollout/decide/plan.h": HEAD + "struct plan;\n",
    "proxy/conf/b.c": HEAD + '#include "rollout/decide/plan.h"\nstatic int g(void)\n{\n}\n',
}


@pytest.mark.parametrize("check", house.CHECKS, ids=lambda c: c.__name__)
def test_good_tree_passes(tmp_path, check):
    assert check(plant(tmp_path, GOOD)) == []
