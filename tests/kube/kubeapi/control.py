"""The stand-in's own paths, for tests that run it as a process: faults, switches, pods, hooks and the request log.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

from . import jsonish
from .request import Answer

SWITCHES = ("cut_watches", "bookmark", "expire_history", "restart", "pause_controllers", "resume_controllers", "clear")
PODS = ("set_ready", "crash", "remove", "script")


def answer(standin, request):
    """POST /standin/faults {"act", "times", "skip", "match": {}, ...}; GET, DELETE /standin/faults
    POST /standin/do {"do": SWITCH, ...} (away: {"seconds"}); POST /standin/pods {"do": "set_ready", "name", "ready"}
    POST /standin/kill {"pid", "signal", "after", "when", "match"}; GET, DELETE /standin/requests; GET /standin/writes"""
    parts = request.path.strip("/").split("/")[1:]
    try:
        data = jsonish.loads(request.body.decode()) if request.body else {}
        return Answer(body=act(standin, request.method, parts, dict(data)))
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        return Answer(400, {"error": f"{type(e).__name__}: {e}", "usage": answer.__doc__})


def act(standin, method, parts, data):
    what = (method, parts[0] if parts else "")
    if what == ("GET", "requests"):
        return {"requests": [e.seen() for e in standin.requests()]}
    if what == ("GET", "writes"):
        return {"requests": [e.seen() for e in standin.writes()]}
    if what == ("DELETE", "requests"):
        standin.log.clear()
    elif what == ("GET", "faults"):
        return {"faults": [r.seen() for r in standin.faults.rules]}
    elif what == ("DELETE", "faults"):
        for rule in list(standin.faults.rules):
            if len(parts) < 2 or rule.id == int(parts[1]):
                rule.remove()
    elif what == ("POST", "faults"):
        name, match = data.pop("act"), data.pop("match", {})
        if name not in ("status", "drop_request", "drop_answer", "delay", "cut_watch", "slow_watch", "silent_watch",
                        "expired_watch"):
            raise ValueError(f"no fault is called {name}")
        return getattr(standin.faults, name)(**data, **match).seen()
    elif what == ("POST", "do"):
        switch(standin, data)
    elif what == ("POST", "pods"):
        if data.get("do") not in PODS:
            raise ValueError(f"do is one of {', '.join(PODS)}")
        getattr(standin.pods, data.pop("do"))(**data)
    elif what == ("POST", "kill"):
        pid, number = int(data["pid"]), int(data.get("signal", signal.SIGKILL))
        standin.on_write(int(data["after"]), lambda entry: os.kill(pid, number), data.get("when", "answered"),
                         **data.get("match", {}))
    else:
        raise ValueError("no such path")
    return {"done": True}


def switch(standin, data):
    name = data.pop("do")
    if name == "away":
        # From the scheduler's thread, after this answer; and back again the same way.
        standin.scheduler.at(0.02, lambda: standin.aside(standin.faults.away))
        standin.scheduler.at(0.02 + float(data["seconds"]), lambda: standin.aside(standin.faults.back))
    elif name == "restart":
        standin.scheduler.at(0.02, lambda: standin.aside(standin.faults.restart))
    elif name in SWITCHES:
        getattr(standin.faults, name)(**data)
    else:
        raise ValueError(f"do is one of away, {', '.join(SWITCHES)}")
