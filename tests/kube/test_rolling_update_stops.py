"""serin rolling-update killed, interrupted, refused, without an answer, without a server: the same command goes on, and
no moment has too few pods or too many.

SPDX-License-Identifier: Apache-2.0
"""
import signal

import pytest

from rolling_rig import FAST, Rig

BAD = ("--update-period=0s", "--poll-interval=20ms", "--timeout=1s")     # also of a single call: a slow machine answers


def state(rig):
    """What must be the same in the end, however often it was stopped."""
    return {rc["metadata"]["name"]: (rc["spec"]["replicas"], rc["spec"]["template"]["spec"]["containers"][0]["image"],
                                     rig.annotations(rc["metadata"]["name"]), sorted(rc["spec"]["selector"]))
            for rc in rig.standin.list("replicationcontrollers")}, rig.images()


def prepare_rollback(rig):
    assert rig.killed_at(6, "my-web-v1", "-f", rig.v2) is not None


SCENARIOS = {   # what is done before, the command, flags, its exit code; an exit code that the one after the last write may have
    "forward": (None, lambda r: ("my-web-v1", "-f", r.v2), FAST, 0, (0,)),
    "classic": (None, lambda r: ("my-web-v1", "-f", r.v2, "--output-format=classic"), FAST, 0, (0,)),
    "surge": (None, lambda r: ("my-web-v1", "-f", r.v2, "--max-surge=2", "--max-unavailable=1"), FAST, 0, (0,)),
    "preserve": (None, lambda r: ("my-web-v1", "-f", r.v2, "--cleanup-policy=preserve"), FAST, 0, (0,)),
    "rename": (None, lambda r: ("my-web-v1", "-f", r.v2, "--cleanup-policy=rename"), FAST, 0, (0,)),
    "rollback": (prepare_rollback, lambda r: ("my-web-v1", "my-web-v2", "--rollback"), FAST, 0, (0,)),
    "image": (None, lambda r: ("my-web-v1", "my-web-v2", "--image=my-web:v2"), FAST, 0, (0,)),
    # the same image again is an error by itself
    "image, same name": (None, lambda r: ("my-web-v1", "--image=my-web:v2"), FAST, 0, (0, 1)),
    # once it is reverted the command begins anew, and is reverted again
    "bad image": (None, lambda r: ("my-web-v1", "-f", r.file("bad.yaml", image="my-web:bad")), BAD, 4, (4,)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_after_every_write(tmp_path, name):
    prepare, words, flags, code, codes = SCENARIOS[name]
    replicas, surge, unavailable = 2, 1, 0
    if name == "surge":
        replicas, surge, unavailable = 4, 2, 1
    if prepare:
        replicas = 4
    wanted, n = None, 0
    while True:
        folder = tmp_path / str(n)
        folder.mkdir()
        with Rig(folder, replicas) as rig:
            if prepare:
                prepare(rig)
            if n and rig.killed_at(n, *words(rig), fast=flags) is None:
                break
            for _ in range(1 if n == 0 else 2):     # twice: what is done is done
                process = rig.start(*words(rig), fast=flags)
                out, err = process.communicate(timeout=30)
                assert process.returncode in ((code,) if n == 0 else codes), (n, process.returncode, out, err)
                if process.returncode:
                    break
            wanted = wanted or state(rig)
            assert state(rig) == wanted, (n, out, err)
            assert rig.watch.least >= replicas - unavailable, (n, rig.watch.least)
            assert rig.watch.most_wanted <= replicas + surge and rig.watch.most_pods <= replicas + surge, n
            rig.check_writes()
        n += 1
    assert n >= 5


def test_conflicts_and_lost_answers(tmp_path):
    """Every kind of write meets conflicts, loses its answer, or never arrives; nothing is done twice."""
    with Rig(tmp_path) as rig:
        faults = rig.standin.faults
        for sub in ("replicationcontrollers/scale", "replicationcontrollers/"):
            faults.status(409, times=5, verb="update", resource=sub)
            faults.drop_answer(times=2, skip=6, verb="update", resource=sub)
            faults.drop_request(times=2, skip=9, verb="update", resource=sub)
            faults.status(500, times=1, skip=12, verb="update", resource=sub)
        faults.drop_answer(verb="create", resource="replicationcontrollers")
        faults.drop_answer(verb="delete", resource="replicationcontrollers")
        faults.status(429, times=1, verb="list", resource="pods")
        out, err = rig.run("my-web-v1", "-f", rig.v2)
        assert len(out) == len(set(out)) == 12, out    # nothing is said twice
        assert rig.rc("my-web-v1") is None and rig.size("my-web-v2") == 4
        assert len([e for e in rig.standin.writes(verb="create") if e.status == 201 or e.fault]) == 1
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_lost_answers_of_a_rename(tmp_path):
    with Rig(tmp_path, 2) as rig:
        for verb in ("create", "delete", "patch", "update"):
            rig.standin.faults.drop_answer(times=4, verb=verb, resource=("replicationcontrollers/", "pods"))
        rig.run("my-web-v1", "--image=my-web:v2")
        assert rig.images() == ["my-web:v2"] * 2 and rig.watch.least == 2 and rig.watch.most_pods == 3


def test_somebody_else_writes(tmp_path):
    """Other writes between a read and a write are conflicts of the real kind."""
    with Rig(tmp_path) as rig:
        def touch(entry):
            if entry.verb == "get" and entry.resource == "replicationcontrollers" and entry.name and rig.rc(entry.name):
                rig.standin.change("replicationcontrollers", entry.name, lambda o: {**o, "metadata": {
                    **o["metadata"], "labels": {**(o["metadata"].get("labels") or {}), "touched": str(entry.n)}}})
        answered, count = rig.standin.log.answered, [0]

        def hooked(entry, request, status):
            count[0] += 1
            if count[0] % 7 in (0, 3, 5):       # not each third: a try that takes three requests would never get through
                touch(entry)
            answered(entry, request, status)
        rig.standin.log.answered = hooked
        rig.run("my-web-v1", "-f", rig.v2)
        assert any(e.status == 409 for e in rig.standin.writes())
        assert rig.rc("my-web-v1") is None and rig.size("my-web-v2") == 4
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_server_away_for_a_while(tmp_path):
    with Rig(tmp_path) as rig:
        def leave(entry):
            rig.standin.faults.away()
            rig.standin.scheduler.at(0.5, rig.standin.aside, rig.standin.faults.back)
        hook = rig.standin.on_write(5, when="answered", call=lambda entry: rig.standin.aside(lambda: leave(entry)))
        out, err = rig.run("my-web-v1", "-f", rig.v2)
        assert hook.reached.is_set() and out[-1].endswith('to "my-web-v2"')
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path, number):
    with Rig(tmp_path) as rig:
        out, err, code = rig.interrupted_at(4, "my-web-v1", "-f", rig.v2, number=number)
        assert code == 128 + number
        assert "interrupted: my-web-v1 has 3 replicas, my-web-v2 has 1 of 4" in err
        assert "the same command again; to go back: serin rolling-update my-web-v1 my-web-v2 --rollback" in err
        assert (rig.size("my-web-v1"), rig.size("my-web-v2")) == (3, 1)
        rig.run("my-web-v1", "-f", rig.v2)
        assert rig.size("my-web-v2") == 4


@pytest.mark.parametrize("more", [(), ("--output-format=classic",)], ids=["kubectl", "classic"])
def test_bad_image_is_reverted(tmp_path, more):
    with Rig(tmp_path) as rig:
        bad = rig.file("bad.yaml", image="my-web:bad")
        out, err = rig.run("my-web-v1", "-f", bad, *more, code=4, fast=BAD)
        assert "timed out waiting for any update progress to be made: going back from my-web-v2 to my-web-v1" in err
        assert out[-1] == ("my-web-v1" if more else 'replicationcontroller "my-web-v2" rolling updated to "my-web-v1"')
        assert rig.rc("my-web-v2") is None and rig.size("my-web-v1") == 4 and rig.annotations("my-web-v1") == {}
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_quota_is_reverted(tmp_path):
    with Rig(tmp_path) as rig:
        rig.standin.limit_pods(4)
        rig.run("my-web-v1", "-f", rig.v2, code=4, fast=BAD)
        assert rig.rc("my-web-v2") is None and rig.size("my-web-v1") == 4 and rig.watch.least == 4


def test_min_ready_seconds(tmp_path):
    """A new pod counts when it has been ready for minReadySeconds."""
    with Rig(tmp_path, 1) as rig:
        text = open(rig.v2, encoding="utf-8").read().replace("spec:\n  sel", "spec:\n  minReadySeconds: 3600\n  sel")
        rig.run("my-web-v1", "-f", rig.file("slow.yaml", text), code=4, fast=BAD)
        assert rig.size("my-web-v1") == 1


def test_rollback_of_one_unready(tmp_path):
    """One replica, and a new pod that never is ready: back without waiting for it."""
    with Rig(tmp_path, 1) as rig:
        bad = rig.file("bad.yaml", image="my-web:bad")
        rig.killed_at(3, "my-web-v1", "-f", bad)
        assert (rig.size("my-web-v1"), rig.size("my-web-v2")) == (1, 1)
        out, _ = rig.run("my-web-v1", "my-web-v2", "--rollback")
        assert "Scaling my-web-v2 down to 0" in out and rig.size("my-web-v1") == 1 and rig.rc("my-web-v2") is None


def test_rollback_gives_the_old_size_back(tmp_path):
    """From 3 to 6 and back: 3, not 6."""
    with Rig(tmp_path, 3) as rig:
        text = open(rig.v2, encoding="utf-8").read().replace("spec:\n  sel", "spec:\n  replicas: 6\n  sel")
        rig.killed_at(5, "my-web-v1", "-f", rig.file("six.yaml", text))
        rig.run("my-web-v1", "my-web-v2", "--rollback")
        assert rig.size("my-web-v1") == 3 and rig.rc("my-web-v2") is None


def test_no_stale_memory(tmp_path):
    """A size of an earlier update does not come back."""
    with Rig(tmp_path, 2) as rig:
        rig.killed_at(4, "my-web-v1", "-f", rig.v2)
        rig.run("my-web-v1", "my-web-v2", "--rollback")
        rig.standin.scale("my-web-v1", 5)
        rig.standin.settle("my-web-v1")
        rig.killed_at(4, "my-web-v1", "-f", rig.v2)
        rig.run("my-web-v1", "my-web-v2", "--rollback")
        assert rig.size("my-web-v1") == 5


def test_scaled_by_hand(tmp_path):
    with Rig(tmp_path) as rig:
        rig.standin.on_write(5, when="answered", call=lambda entry: rig.standin.scale("my-web-v1", 6))
        rig.run("my-web-v1", "-f", rig.v2)
        assert rig.size("my-web-v2") == 4 and rig.rc("my-web-v1") is None and rig.watch.least >= 4


@pytest.mark.parametrize("name", ["my-web-v1", "my-web-v2"])
def test_deleted_by_somebody(tmp_path, name):
    with Rig(tmp_path) as rig:
        rig.standin.on_write(5, when="answered", call=lambda entry: rig.standin.delete("replicationcontrollers", name))
        _, err = rig.run("my-web-v1", "-f", rig.v2, code=1)
        assert f'replicationcontrollers "{name}"' in err and "deleted by somebody" in err


def test_two_at_once(tmp_path):
    """The one that comes later has it; the other stops before it writes again."""
    with Rig(tmp_path) as rig:
        hook = rig.standin.on_write(4, when="acted")
        first = rig.start("my-web-v1", "-f", rig.v2)
        assert hook.reached.wait(10)
        held = rig.standin.on_write(2, when="acted")    # the second has taken over
        second = rig.start("my-web-v1", "-f", rig.v2)
        assert held.reached.wait(10)
        hook.release()
        _, err = first.communicate(timeout=30)
        assert first.returncode == 1 and "another rolling-update has taken my-web-v2 over" in err
        held.release()
        out, _ = second.communicate(timeout=30)
        assert second.returncode == 0 and rig.size("my-web-v2") == 4
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_two_create_at_once(tmp_path):
    with Rig(tmp_path) as rig:
        rig.standin.faults.delay(0.3, verb="create", resource="replicationcontrollers")
        both = [rig.start("my-web-v1", "-f", rig.v2) for _ in range(2)]
        ends = [p.communicate(timeout=30) for p in both]
        assert sorted(p.returncode for p in both) == [0, 1], ends
        assert rig.size("my-web-v2") == 4 and rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_supersede(tmp_path):
    with Rig(tmp_path) as rig:
        rig.killed_at(5, "my-web-v1", "-f", rig.v2)
        other = rig.file("other.yaml", image="my-web:v2b")
        writes = len(rig.standin.writes())
        _, err = rig.run("my-web-v1", "-f", other, code=1)
        assert "another template of my-web-v2" in err and len(rig.standin.writes()) == writes
        out, _ = rig.run("my-web-v1", "-f", other, "--supersede")
        assert rig.images() == ["my-web:v2b"] * 4 and rig.rc("my-web-v1") is None
        assert rig.watch.least == 4 and rig.watch.most_wanted == 5


def test_goes_on_after_kubectl(tmp_path):
    """An update that kubectl began: no hash and no record; the server's defaults in the template do not count."""
    with Rig(tmp_path) as rig:
        old = rig.rc("my-web-v1")
        rig.standin.create("replicationcontrollers", open(rig.v2, encoding="utf-8").read())
        rig.standin.change("replicationcontrollers", "my-web-v2", lambda o: {
            **o, "spec": {**o["spec"], "replicas": 1}, "metadata": {**o["metadata"], "annotations": {
                "kubectl.kubernetes.io/update-source-id": f"my-web-v1:{old['metadata']['uid']}",
                "kubectl.kubernetes.io/desired-replicas": "4"}}})
        rig.standin.settle("my-web-v2")
        other = rig.file("other.yaml", image="my-web:v2b")
        rig.run("my-web-v1", "-f", other, code=1)
        out, _ = rig.run("my-web-v1", "-f", rig.v2)
        assert out[0] == "Continuing update with existing controller my-web-v2."
        assert rig.size("my-web-v2") == 4 and rig.watch.least == 4
