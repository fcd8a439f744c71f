"""serin rolling-update beside the recorded kubectl: the same lines, with the corrections that are meant.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from rolling_rig import Rig, golden, without_names

CLASSIC = "--output-format=classic"


@pytest.fixture
def rig(tmp_path):
    with Rig(tmp_path) as one:
        yield one


def forward(rig, *more):
    return ("my-web-v1", "-f", rig.v2, *more)


def test_seed_classic(rig):
    out, err = rig.run(*forward(rig, CLASSIC))
    assert out == golden("v1.0.1/seed 1") and err == ""
    assert rig.rc("my-web-v1") is None and rig.size("my-web-v2") == 4
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5
    rig.check_writes()


def test_seed(rig):
    out, err = rig.run(*forward(rig))
    assert out == golden("v1.1.7/seed 1") and err == ""
    assert rig.rc("my-web-v1") is None and rig.annotations("my-web-v2") == {}
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5
    assert rig.what() == [
        "create replicationcontrollers", "update replicationcontrollers my-web-v1",
        *[f"update replicationcontrollers/scale my-web-v{v}" for _ in range(4) for v in (2, 1)],
        "update replicationcontrollers my-web-v2", "delete replicationcontrollers my-web-v1"]
    rig.check_writes()


@pytest.mark.parametrize("n, until, resumed, more", [
    (4, "v1.0.1/interrupt_resume 1", "v1.0.1/interrupt_resume 2", (CLASSIC,)),
    (4, "v1.1.7/interrupt_resume 1", "v1.1.7/interrupt_resume 2", ()),
    (5, "v1.12.2/interrupt_resume 1", "v1.12.2/interrupt_resume 2", ())], ids=["classic", "1.1", "1.12"])
def test_interrupted_and_resumed(rig, n, until, resumed, more):
    before = rig.killed_at(n, *forward(rig, *more))
    assert before and golden(until)[:len(before)] == before
    expected = golden(resumed)
    sizes = (rig.size("my-web-v1"), rig.size("my-web-v2"))
    out, _ = rig.run(*forward(rig, *more))
    if resumed.startswith("v1.12"):    # it renames with a file too
        expected = expected[:-3] + ["Update succeeded. Deleting my-web-v1",
                                    'replicationcontroller "my-web-v1" rolling updated to "my-web-v2"']
    assert out == expected, sizes
    assert rig.rc("my-web-v1") is None and rig.size("my-web-v2") == 4
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_rollback_classic(rig):
    rig.killed_at(6, *forward(rig, CLASSIC))
    assert (rig.size("my-web-v1"), rig.size("my-web-v2")) == (2, 2)
    out, _ = rig.run("my-web-v1", "my-web-v2", "--rollback", CLASSIC)
    expected = golden("v1.0.1/seed_rollback 3")
    assert expected[1] == "Found desired replicas.Continuing update with existing controller my-web-v1."
    assert expected[-1] == "my-web-v2"
    expected[1:2] = expected[1].replace(".C", ".\nC").split("\n")   # the line break that was missing
    expected[-1] = "my-web-v1"                                      # the one that is left
    assert out == expected
    assert rig.rc("my-web-v2") is None and rig.size("my-web-v1") == 4 and rig.annotations("my-web-v1") == {}
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5


ROLLED_BACK = 'replicationcontroller "my-web-v2" rolling updated to "my-web-v1"'


@pytest.mark.parametrize("form", ["names", "file", "one name"])
def test_rollback(rig, form):
    rig.killed_at(5, *forward(rig))
    assert (rig.size("my-web-v1"), rig.size("my-web-v2")) == (3, 2)
    words = {"names": ("my-web-v1", "my-web-v2"), "file": ("my-web-v1", "-f", rig.v2), "one name": ("my-web-v1",)}[form]
    out, _ = rig.run(*words, "--rollback")
    assert out == golden("v1.12.2/interrupt_rollback 3")[:-1] + [ROLLED_BACK]
    assert rig.rc("my-web-v2") is None and rig.size("my-web-v1") == 4 and rig.annotations("my-web-v1") == {}
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5
    rig.check_writes()


def test_rollback_interrupted_and_resumed(rig):
    rig.killed_at(5, *forward(rig))
    back = ("my-web-v1", "my-web-v2", "--rollback")
    before = rig.killed_at(4, *back)    # v1: 4, v2: 1
    assert golden("v1.12.2/rollback_interrupt 3")[:len(before)] == before
    out, _ = rig.run(*back)
    assert out == golden("v1.12.2/rollback_interrupt 4")[:-1] + ['Update succeeded. Deleting my-web-v2', ROLLED_BACK] or \
        out == golden("v1.12.2/rollback_interrupt 4") + [ROLLED_BACK]
    assert rig.rc("my-web-v2") is None and rig.size("my-web-v1") == 4 and rig.annotations("my-web-v1") == {}


def test_rollback_of_a_rollback(rig):
    rig.killed_at(6, *forward(rig))     # 2, 2
    rig.killed_at(4, "my-web-v1", "my-web-v2", "--rollback")
    out, _ = rig.run(*forward(rig))     # forward again out of it
    assert out[0] == "Continuing update with existing controller my-web-v2."
    assert out[-1] == 'replicationcontroller "my-web-v1" rolling updated to "my-web-v2"'
    assert rig.rc("my-web-v1") is None and rig.size("my-web-v2") == 4 and rig.annotations("my-web-v2") == {}
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5


@pytest.mark.parametrize("recorded, more", [("v1.1.7/image 1", ()), ("v1.0.1/image 1", (CLASSIC,))], ids=["1.1", "classic"])
def test_image(rig, recorded, more):
    out, _ = rig.run("my-web-v1", "--image=my-web:v2", *more)
    expected = without_names(golden(recorded))
    if more:    # a modern server refused its rename
        expected.append("my-web-v1")
    assert without_names(out) == expected
    assert [rc["metadata"]["name"] for rc in rig.standin.list("replicationcontrollers")] == ["my-web-v1"]
    assert rig.images() == ["my-web:v2"] * 4 and rig.annotations("my-web-v1") == {}
    rc = rig.rc("my-web-v1")
    assert rc["spec"]["selector"]["deployment"] == rc["spec"]["template"]["metadata"]["labels"]["deployment"]
    assert "serin.io/parked" not in rc["spec"]["selector"] and "serin.io/parked" not in rc["spec"]["template"]["metadata"]["labels"]
    assert rig.watch.least == 4 and rig.watch.most_pods == 5    # the rename moved no pod
    rig.check_writes()
    out, _ = rig.run("my-web-v1", "--image=my-web:v3", *more)   # and once more
    assert rig.images() == ["my-web:v3"] * 4 and rig.watch.least == 4


@pytest.mark.parametrize("n, recorded, more", [(8, "v1.1.7/image_interrupt", ()), (8, "v1.0.1/image_interrupt", (CLASSIC,))],
                         ids=["1.1", "classic"])
def test_image_interrupted_and_resumed(rig, n, recorded, more):
    words = ("my-web-v1", "my-web-v2", "--image=my-web:v2", *more)
    # marked, 4 pods labelled, selected, created, noted, up to 1
    before = rig.killed_at(n + 1, *words)
    assert (rig.size("my-web-v1"), rig.size("my-web-v2")) == (4, 1)
    assert golden(f"{recorded} 1")[:len(before)] == before
    out, _ = rig.run(*words)
    assert out == golden(f"{recorded} 2")
    assert rig.rc("my-web-v1") is None and rig.images() == ["my-web:v2"] * 4
    assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_image_order(rig):
    rig.run("my-web-v1", "my-web-v2", "--image=my-web:v2")
    what = [w.split(" my-web-v1-")[0] for w in rig.what()]
    assert what[:8] == ["update replicationcontrollers my-web-v1", *["patch pods"] * 4,
                        "update replicationcontrollers my-web-v1", "create replicationcontrollers",
                        "update replicationcontrollers my-web-v1"]


def test_rollback_of_an_image(rig):
    rig.killed_at(9, "my-web-v1", "--image=my-web:v2")
    out, _ = rig.run("my-web-v1", "--rollback")
    assert without_names(out)[-1] == 'replicationcontroller "<new>" rolling updated to "my-web-v1"'
    assert rig.images() == ["my-web:v1"] * 4 and rig.annotations("my-web-v1") == {} and rig.watch.least == 4


def test_rows_of_sizes(tmp_path):
    """The walk is that of the arithmetic for other sizes, surges and a file with its own count."""
    rows = [  # old, replicas in the file, flags, lines
        (4, 5, (), ["up to 2", "down to 3", "up to 3", "down to 2", "up to 4", "down to 1", "up to 5", "down to 0"]),
        (7, 2, (), ["down to 2", "up to 1", "down to 1", "up to 2", "down to 0"]),
        (2, 7, ("--max-surge=50%",), ["up to 7", "down to 0"]),
        (4, None, ("--max-surge=0", "--max-unavailable=50%"), ["down to 2", "up to 2", "down to 0", "up to 4"]),
        (1, None, (), ["up to 1", "down to 0"])]
    for at, (old, count, flags, lines) in enumerate(rows):
        folder = tmp_path / str(at)
        folder.mkdir()
        with Rig(folder, old) as rig:
            text = open(rig.v2, encoding="utf-8").read()
            path = rig.file("counted.yaml", text.replace("spec:\n  sel", f"spec:\n  replicas: {count}\n  sel") if count else text)
            out, _ = rig.run("my-web-v1", "-f", path, *flags)
            assert [" ".join(line.split()[2:]) for line in out if line.startswith("Scaling my-web")] == lines
            assert rig.size("my-web-v2") == (count or old)


def test_classic_tails(tmp_path):
    for at, (old, count, line) in enumerate([(2, 7, "Scaling my-web-v2 replicas: 2 -> 7"),
                                             (7, 2, "Stopping my-web-v1 replicas: 5 -> 0")]):
        folder = tmp_path / str(at)
        folder.mkdir()
        with Rig(folder, old) as rig:
            text = open(rig.v2, encoding="utf-8").read().replace("spec:\n  sel", f"spec:\n  replicas: {count}\n  sel")
            out, _ = rig.run("my-web-v1", "-f", rig.file("counted.yaml", text), CLASSIC)
            assert line in out and out[-1] == "my-web-v2" and rig.size("my-web-v2") == count


def test_dry_run_writes_nothing(rig):
    for words in (forward(rig), ("my-web-v1", "--image=my-web:v2"), ("my-web-v1", "my-web-v2", "--image=my-web:v2")):
        out, err = rig.run(*words, "--dry-run")
        assert without_names(out) in (["Rolling from:", "my-web-v1", "To:", "my-web-v2"],
                                      ["Rolling from:", "my-web-v1", "To:", "<new>"]) and err == ""
    rig.killed_at(5, *forward(rig))
    done = len(rig.standin.writes())
    rig.run(*forward(rig), "--dry-run")
    out, _ = rig.run("my-web-v1", "my-web-v2", "--rollback", "--dry-run")
    assert out == ["Rolling from:", "my-web-v2", "To:", "my-web-v1"]
    assert len(rig.standin.writes()) == done


def test_policies(rig):
    rig.run(*forward(rig, "--cleanup-policy=preserve"))
    assert rig.size("my-web-v1") == 0 and rig.annotations("my-web-v1") == {} and rig.size("my-web-v2") == 4
    out, _ = rig.run("my-web-v2", "-f", rig.file("v3.yaml", version="v3"), "--cleanup-policy=rename")
    assert out[-3:] == ["Update succeeded. Deleting old controller: my-web-v2", "Renaming my-web-v3 to my-web-v2",
                        'replicationcontroller "my-web-v2" rolling updated']
    assert rig.images() == ["my-web:v3"] * 4 and rig.rc("my-web-v3") is None and rig.watch.least == 4


def test_file_from_standard_input(rig):
    with open(rig.v2, encoding="utf-8") as f:
        out, _ = rig.run("my-web-v1", "-f", "-", stdin=f)
    assert out == golden("v1.1.7/seed 1")
