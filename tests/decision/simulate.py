#!/usr/bin/env python3
"""Closed-loop canary rollout simulator and scorer, and the reference of the decision rule.

Longer than the house allows: one file that can be copied and run by itself, next to any program that is to be scored.
SPDX-License-Identifier: Apache-2.0

Examples of its three uses:
  simulate.py --rule ev,flagger5 --set h0 --reps 1000      score built-in rules
  simulate.py --cmd "serin judge" --set all --reps 200      score an external program
  simulate.py --serve                                      reference judge on stdin/stdout
Also: --selftest (vectorised rule == scalar reference), --list, --scenarios FILE.json

Line protocol (one JSON object per line, one process serves many rollouts):
  -> {"op":"start","id":"x","tick_s":1,"stages":[1,5,10,25,50,100],"sticky":false,
      "baseline":{"req":600000,"bad":612},"config":{...optional overrides...}}
      baseline = the stable version's counts over the 10 minutes before the rollout
  <- {"ok":true}
  -> {"op":"tick","t":12,"stage":0,"weight":1,"stage_t":12,
      "s":{"req":11880,"bad":13,"c4":231,"lat":[5942,1201,117]},
      "c":{"req":120,"bad":0,"c4":3,"lat":[61,12,2]}}
      all counts are cumulative since the rollout began.  req = completed requests,
      bad = 5xx + resets + timeouts, c4 = 4xx, lat[i] = requests slower than the i-th
      latency threshold (p50, p90, p99 of the stable version; for "c" the threshold is
      already multiplied by 1+margin).  With "sticky":true each side also carries
      "ureq"/"ubad": requests of, and first failures of, keys that had not failed yet.
  <- {"d":"continue|promote|revert|hold|brake","loge":-0.69,"logf":0.1,"why":"text"}
  -> {"op":"end"}            (no reply)
Only "d" is required in a reply.  On "promote" the simulator moves to the next stage;
promotion into the last stage ends the rollout.  After "brake" the next second runs at the
first stage's weight (the stage stays); after anything else at the stage's weight.  Standard library + numpy + scipy only.
"""
import argparse
import json
import math
import subprocess
import sys
import time

import numpy as np
from scipy import special as sps
from scipy import stats as sst

CONT, PROMOTE, REVERT, HOLD, BRAKE = 0, 1, 2, 3, 4
DNAME = {"continue": CONT, "promote": PROMOTE, "revert": REVERT, "hold": HOLD, "brake": BRAKE}

# --------------------------------------------------------------------------- config
DEFAULTS = {
    "alpha": 0.01,            # P(ever revert | canary no worse) over the whole rollout
    "beta": 0.05,             # P(promote | canary worse than the stage margin), per stage
    "hold_e": 10.0,           # total e-value above which the rollout is not widened
    "cap": 2.0,               # most log-evidence one tick may add (nats)
    "brake_s": 30,            # on uncapped evidence fall back to the first weight this long
    "budget": 0.001,          # h: excess failures tolerated, as a share of all traffic
    "min_stage_s": 60, "max_stage_s": 600, "min_req": 50, "on_timeout": "advance",
    "epoch_s": 10, "mass0": 0.5,   # half of the prior on the start of trouble is at t = 0
    "grid_r": [1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 40.0, 200.0],
    "grid_psi": [1.1, 1.25, 1.5, 2.0, 3.0, 6.0, 20.0],
    "grid_abs": [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
    "grid_b": [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95],
    "fail": {"w": 0.45, "rho": 1.1, "delta": 2e-4},
    "c4": {"w": 0.10, "rho": 1.25, "delta": 5e-3},
    "ceil": {"w": 0.05, "c": 0.01},
    "lat": {"w": [0.10, 0.10, 0.20], "q": [0.5, 0.9, 0.99], "margin": 0.05,
            "prior_n": 50.0, "half_s": 300.0, "warmup_s": 120},
    "incident": {"fast_s": 10.0, "slow_s": 600.0, "ratio": 3.0, "prior_n": 20.0},
}


def config(over=None):
    c = json.loads(json.dumps(DEFAULTS))
    for k, v in (over or {}).items():
        if isinstance(v, dict) and isinstance(c.get(k), dict):
            c[k].update(v)
        else:
            c[k] = v
    return c


# ------------------------------------------------------- scalar reference judge (spec)
def lse(xs):
    m = max(xs)
    if m == -math.inf:
        return m
    return m + math.log(sum(math.exp(x - m) for x in xs))


def ratio_inc(r, rho0, delta, nC, xC, nS, xS):
    """log LR of one block, canary failures vs stable failures, alternative ratio r*rho0.
    Null: p_canary <= rho0 * p_stable + delta."""
    k = nC / nS
    a = math.expm1(math.log(r) + math.log1p(k * rho0) - math.log1p(k * rho0 * r))
    if delta > 0 and a > 0.5 / delta:
        a = 0.5 / delta
    return (xC * math.log1p(a * (1 - delta)) + (nC - xC) * math.log1p(-a * delta)
            + xS * math.log1p(-a * k * rho0))


def pair_inc(psi, th, nC, xC, nS, xS):
    """log LR of one block for a common indicator (latency above a threshold): stable
    rate th (predicted), canary odds psi times larger, null: equal rates."""
    tc = psi * th / (1 - th + psi * th)
    t0 = (nC * tc + nS * th) / (nC + nS)
    return (xC * math.log(tc / t0) + (nC - xC) * math.log((1 - tc) / (1 - t0))
            + xS * math.log(th / t0) + (nS - xS) * math.log((1 - th) / (1 - t0)))


def abs_inc(a, c, nC, xC):
    """log LR of one block for the ceiling, null: p_canary <= c; bet a (a*c < 1)."""
    return xC * math.log1p(a * (1 - c)) + (nC - xC) * math.log1p(-a * c)


def safe_inc(b, rho1, delta1, nC, xC, nS, xS):
    """log LR of one block against harm, null: p_canary >= rho1 * p_stable + delta1."""
    return (xC * math.log1p(-b * (1 - delta1)) + (nC - xC) * math.log1p(b * delta1)
            + xS * math.log1p(b * rho1 * nC / nS))


class Proc:
    """Mixture e-process with spread start times; grid weights are uniform."""

    def __init__(self, k, mass0):
        self.R = [-math.inf] * k
        self.rem, self.pend = 1.0, mass0

    def fold(self, incs, cap):
        lp = math.log(self.pend) if self.pend > 0 else -math.inf
        self.R = [lse([r, lp]) + min(cap, i) for r, i in zip(self.R, incs)]
        self.rem -= self.pend
        self.pend = 0.0

    def loge(self):
        return lse([lse(self.R) - math.log(len(self.R)), math.log(self.rem)])


class Judge:
    def __init__(self, stages, cfg=None, sticky=False, tick_s=1.0, baseline=None):
        c = self.c = config(cfg)
        self.stages, self.sticky, self.tick_s = stages, sticky, tick_s
        m0 = c["mass0"]
        nl = len(c["lat"]["q"])
        self.p = {"fail": Proc(len(c["grid_r"]), m0), "c4": Proc(len(c["grid_r"]), m0),
                  "rel": Proc(len(c["grid_r"]), m0), "abs": Proc(len(c["grid_abs"]), m0)}
        for i in range(nl):
            self.p["lat%d" % i] = Proc(len(c["grid_psi"]), m0)
        self.open = {k: [0, 0, 0, 0] for k in self.p}       # nC xC nS xS of open block
        self.openF = [0, 0, 0, 0]
        self.F = [0.0] * len(c["grid_b"])
        self.prev = None
        self.stage, self.epoch = 0, 0
        self.stage_req = 0
        self.latA = [0.0] * nl
        self.latB = 0.0
        b = baseline or {"req": 0, "bad": 0}                 # fast A,B slow A,B
        f = c["incident"]["fast_s"] / c["incident"]["slow_s"]
        self.inc = [b["bad"] * f, b["req"] * f, float(b["bad"]), float(b["req"])]
        # the ceiling can only be held against the canary if the stable version keeps it
        self.ceil_on = b["req"] >= 1000 and b["bad"] < c["ceil"]["c"] * b["req"]
        self.warm = True                                     # latency may hold, not revert
        self.U = [-math.inf] * len(c["grid_r"])              # uncapped twin of "fail"
        self.brk = 0.0

    def _delta(self, m):
        cur = {}
        for side in ("c", "s"):
            d = m[side]
            cur[side] = [d["req"], d["bad"], d.get("c4", 0)] + list(d.get("lat", [])) \
                + ([d["ureq"], d["ubad"]] if self.sticky else [])
        if self.prev is None:
            self.prev = {s: [0] * len(cur[s]) for s in cur}
        out = {s: [n - o if n >= o else n for n, o in zip(cur[s], self.prev[s])] for s in cur}
        self.prev = cur
        return out["c"], out["s"]

    def tick(self, m):
        c = self.c
        t, stage, stage_t = m["t"], m["stage"], m["stage_t"]
        if stage != self.stage:
            self.stage = stage
            self.F = [0.0] * len(c["grid_b"])
            self.openF = [0, 0, 0, 0]
            self.stage_req = 0
        while t > (self.epoch + 1) * c["epoch_s"]:
            self.epoch += 1
            h = (1 - c["mass0"]) / (self.epoch * (self.epoch + 1.0))
            for p in self.p.values():
                p.pend += h
        dc, ds = self._delta(m)
        nl = len(c["lat"]["q"])
        fc, fs = (dc[3 + nl:], ds[3 + nl:]) if self.sticky else (dc, ds)
        self.stage_req += dc[0]

        self._feed("fail", fc[0], fc[1], fs[0], fs[1])
        self._feed("rel", fc[0], fc[1], fs[0], fs[1])
        self._feed("abs", fc[0], fc[1], fs[0], fs[1])
        self._feed("c4", dc[0], dc[2], ds[0], ds[2])
        if self.warm and t > c["lat"]["warmup_s"]:
            self.warm = False                     # forget what was seen while warming up
            for i in range(nl):
                self.p["lat%d" % i] = Proc(len(c["grid_psi"]), c["mass0"])
                self.open["lat%d" % i] = [0, 0, 0, 0]
        for i in range(nl):
            self._feed("lat%d" % i, dc[0], dc[3 + i], ds[0], ds[3 + i])
        g = 2.0 ** (-self.tick_s / c["lat"]["half_s"])
        self.latB = self.latB * g + ds[0]
        for i in range(nl):
            self.latA[i] = self.latA[i] * g + ds[3 + i]
        self._feedF(fc[0], fc[1], fs[0], fs[1])

        le = self.loge()
        lf = self.logf()
        inc = self._incident(ds[0], ds[1])
        if self.loge(not self.warm) >= math.log(1 / c["alpha"]):
            return self._say("revert", le, lf, "evidence %.3g:1 that the canary is worse" % math.exp(min(le, 700)))
        lu = lse(self.U) - math.log(len(self.U)) + math.log(c["fail"]["w"])
        if self.brk <= 0 and stage > 0 and lu >= math.log(1 / c["alpha"]):
            self.brk = c["brake_s"]
        if self.brk > 0:
            self.brk -= self.tick_s
            if self.brk <= 0:
                if le >= math.log(c["hold_e"]):
                    self.brk = c["brake_s"]               # still suspicious: another round
                else:
                    self.U = list(self.p["fail"].R)       # it was a short burst: forget it
            return self._say("brake", le, lf, "sudden failures: back to the first weight")
        if le >= math.log(c["hold_e"]):
            return self._say("hold", le, lf, "suspicious: evidence %.3g:1" % math.exp(le))
        if inc:
            return self._say("hold", le, lf, "the stable version itself is failing: not widening")
        if stage + 1 < len(self.stages) and stage_t >= c["min_stage_s"]:
            if self.stage_req >= c["min_req"] and lf >= math.log(1 / c["beta"]):
                return self._say("promote", le, lf, "excess failures ruled out above the stage margin")
            if stage_t >= c["max_stage_s"]:
                if c["on_timeout"] == "advance":
                    return self._say("promote", le, lf, "low evidence: advanced on time")
                return self._say("hold", le, lf, "inconclusive: not enough evidence")
        return self._say("continue", le, lf, "collecting")

    @staticmethod
    def _say(d, le, lf, why):
        return {"d": d, "loge": le, "logf": lf, "why": why}

    def _feed(self, name, nC, xC, nS, xS):
        o = self.open[name]
        for i, v in enumerate((nC, xC, nS, xS)):
            o[i] += v
        if o[0] < 1 or (o[2] < 1 and name != "abs"):
            return
        c = self.c
        if name == "abs":
            inc = [abs_inc(a, c["ceil"]["c"], o[0], o[1]) for a in c["grid_abs"]]
        elif name.startswith("lat"):
            i = int(name[3:])
            q, pn = c["lat"]["q"][i], c["lat"]["prior_n"]
            th = (self.latA[i] + pn * (1 - q)) / (self.latB + pn)
            th = min(max(th, 1e-4), 1 - 1e-4)
            inc = [pair_inc(s, th, *o) for s in c["grid_psi"]]
        else:
            rho, de = (1.0, 0.0) if name == "rel" else (c[name]["rho"], c[name]["delta"])
            inc = [ratio_inc(r, rho, de, *o) for r in c["grid_r"]]
        if name == "fail":
            h = self.p[name].pend
            lp = math.log(h) if h > 0 else -math.inf
            self.U = [lse([u, lp]) + i for u, i in zip(self.U, inc)]
        self.p[name].fold(inc, c["cap"])
        self.open[name] = [0, 0, 0, 0]

    def _feedF(self, nC, xC, nS, xS):
        o = self.openF
        for i, v in enumerate((nC, xC, nS, xS)):
            o[i] += v
        if o[0] < 1 or o[2] < 1 or self.stage + 1 >= len(self.stages):
            return
        c = self.c
        d1 = max(c["budget"] * 100.0 / self.stages[self.stage + 1], 2 * c["fail"]["delta"])
        self.F = [f + safe_inc(b, c["fail"]["rho"], d1, *o) for f, b in zip(self.F, c["grid_b"])]
        self.openF = [0, 0, 0, 0]

    def _incident(self, n, x):
        i, c = self.c["incident"], self.inc
        gf, gs = 2.0 ** (-self.tick_s / i["fast_s"]), 2.0 ** (-self.tick_s / i["slow_s"])
        c[0], c[1] = c[0] * gf + x, c[1] * gf + n
        c[2], c[3] = c[2] * gs + x, c[3] * gs + n
        slow = c[2] / (c[3] + 1.0)
        fast = (c[0] + i["prior_n"] * slow) / (c[1] + i["prior_n"])
        return fast > max(self.c["ceil"]["c"], i["ratio"] * slow)

    def loge(self, lat=True):
        """log of the weighted mean e-value; lat=False counts latency as e-value 1."""
        c = self.c
        out = [math.log(c["fail"]["w"]) + self.p["fail"].loge(),
               math.log(c["c4"]["w"]) + self.p["c4"].loge(),
               math.log(c["ceil"]["w"]) + (min(self.p["abs"].loge(), self.p["rel"].loge())
                                           if self.ceil_on else 0.0)]
        for i, w in enumerate(c["lat"]["w"]):
            out.append(math.log(w) + (self.p["lat%d" % i].loge() if lat else 0.0))
        return lse(out)

    def logf(self):
        return lse(self.F) - math.log(len(self.F))


# ------------------------------------------------------------------------------ world
class Rows:
    """Struct of arrays with one row per replication; rows can be dropped."""

    def __init__(self, n):
        self.n, self._rows = n, []

    def add(self, **kw):
        for k, v in kw.items():
            setattr(self, k, v)
            self._rows.append(k)

    def keep(self, mask):
        for k in self._rows:
            setattr(self, k, getattr(self, k)[mask])
        self.n = int(mask.sum())


LAT = {"med": 50.0, "sigma": 0.5, "tail_frac": 0.03, "tail_xm": 100.0, "tail_alpha": 1.5}


def lat_sf(x, L, scale=1.0, tail=1.0):
    """P(latency > x ms): lognormal body + Pareto tail."""
    z = np.log(x / (scale * L["med"])) / L["sigma"]
    par = np.minimum(1.0, (L["tail_xm"] * tail * scale / x) ** L["tail_alpha"])
    return (1 - L["tail_frac"]) * sps.ndtr(-z) + L["tail_frac"] * par


def lat_quantile(q, L):
    lo, hi = 0.01, 1e7
    for _ in range(200):
        mid = math.sqrt(lo * hi)
        lo, hi = (mid, hi) if lat_sf(mid, L) > 1 - q else (lo, mid)
    return hi


class World(Rows):
    def __init__(self, sc, n, rng, margin):
        super().__init__(n)
        self.sc, self.rng, self.t = sc, rng, 0
        self.L = dict(LAT, **sc.get("latency", {}))
        self.th = np.array([lat_quantile(q, self.L) for q in (0.5, 0.9, 0.99)])
        self.thc = self.th * (1 + margin)
        self.can = sc.get("canary", {})
        self.wave = rng.uniform(0, 2 * np.pi, n)
        self._rows.append("wave")
        self.env = []
        for i, e in enumerate(sc.get("env", [])):
            k = e["kind"]
            if k in ("outage", "latspike"):
                self.add(**{"e%d" % i: rng.uniform(*e["t0"], n)})
            elif k == "bursts":
                self.add(**{"e%d" % i: np.zeros(n)})
            self.env.append((i, e))
        lo = sc.get("local")
        if lo:
            self.add(burS=np.zeros((n, lo["dur"]), int), burC=np.zeros((n, lo["dur"]), int))
        st = sc.get("sticky")
        if st:
            u = rng.uniform(size=(n, st["users"]))
            self.add(u=u, marked=np.zeros((n, st["users"]), bool))
        p0 = sc.get("base", {}).get("p", 0.001)
        n0 = int(600 * sc.get("rps", 1000))
        self.add(base_req=np.full(n, n0), base_bad=rng.binomial(n0, p0, n))
        if "onset_spread" in self.can:
            self.add(onset=self.can.get("onset", 0) + rng.uniform(0, self.can["onset_spread"], n))
        else:
            self.add(onset=np.full(n, float(self.can.get("onset", 0))))

    def tick(self, w):
        """One second with canary weight w (row vector, 0..1)."""
        sc, rng, n, t = self.sc, self.rng, self.n, self.t
        self.t += 1
        base = sc.get("base", {})
        p = np.full(n, base.get("p", 0.001))
        p4 = base.get("p4", 0.02)
        rps = np.full(n, float(sc.get("rps", 1000)))
        scale = np.ones(n)
        for i, e in self.env:
            k = e["kind"]
            if k == "wave":
                s = 1 + e["amp"] * np.sin(2 * np.pi * t / e["period"] + self.wave)
                p = p * s if e.get("on", "p") == "p" else p
                rps = rps * s if e.get("on", "p") == "rps" else rps
                scale = scale * s if e.get("on", "p") == "lat" else scale
            elif k == "ramp":
                f = min(1.0, max(0.0, (t - e["t0"]) / (e["t1"] - e["t0"])))
                p = p + f * (e["p1"] - base.get("p", 0.001))
            elif k == "outage":
                on = (t >= getattr(self, "e%d" % i)) & (t < getattr(self, "e%d" % i) + e["dur"])
                p = np.where(on, np.maximum(p, e["p"]), p)
                scale = np.where(on, scale * e.get("lat", 1.0), scale)
            elif k == "latspike":
                on = (t >= getattr(self, "e%d" % i)) & (t < getattr(self, "e%d" % i) + e["dur"])
                scale = np.where(on, scale * e["x"], scale)
            elif k == "bursts":
                left = getattr(self, "e%d" % i)
                new = rng.uniform(size=n) < 1.0 / e["every"]
                left[:] = np.where(left > 0, left - 1,
                                   np.where(new, rng.integers(e["dur"][0], e["dur"][1] + 1, n), 0))
                p = np.where(left > 0, np.maximum(p, e["p"]), p)
        can = self.can
        on = t >= self.onset
        if "flap" in can:
            on = on & ((t - self.onset) % (can["flap"][0] + can["flap"][1]) < can["flap"][0])
        grow = np.clip((t - self.onset) / can["grow"], 0, 1) if "grow" in can else 1.0
        pc = np.where(on, p * (1 + grow * (can.get("mult", 1.0) - 1)) + grow * can.get("add", 0.0), p)
        p4c = np.where(on, p4 + can.get("p4add", 0.0), p4)
        sclc = scale * np.where(on, can.get("lat", 1.0), 1.0)
        tail = np.where(on, can.get("tail", 1.0), 1.0)
        if "warm" in can:
            sclc = sclc * (1 + (can["warm"][0] - 1) * math.exp(-t / can["warm"][1]))
        lo = sc.get("local")
        pS = p
        if lo:
            k = t % lo["dur"]
            iS = lo["instances"]
            iC = np.maximum(1, np.rint(w * iS)).astype(int)
            self.burS[:, k] = rng.binomial(iS, lo["rate"], n)
            self.burC[:, k] = rng.binomial(iC, lo["rate"])
            fS = np.minimum(1, self.burS.sum(1) / iS)
            fC = np.minimum(1, self.burC.sum(1) / iC)
            pS = p + fS * (lo["p"] - p)
            pc = pc + fC * (lo["p"] - pc)
        pS, pc = np.clip(pS, 0, 1), np.clip(pc, 0, 1)
        N = rng.poisson(rps)
        nC = rng.binomial(N, w)
        nS = N - nC
        o = Rows(n)
        xC, xS = rng.binomial(nC, pc), rng.binomial(nS, pS)
        o.nC, o.nS, o.xC, o.xS = nC, nS, xC, xS
        o.c4C, o.c4S = rng.binomial(nC - xC, p4c), rng.binomial(nS - xS, p4)
        qS = np.array([lat_sf(x, self.L, scale) for x in self.th])
        qC = np.array([lat_sf(x, self.L, sclc, tail) for x in self.thc])
        o.eS, o.eC = self._chain(nS, qS), self._chain(nC, qC)
        f5 = lat_sf(500.0, self.L, sclc, tail)
        o.over5C = rng.binomial(o.eC[2], np.clip(f5 / np.maximum(qC[2], 1e-12), 0, 1))
        st = sc.get("sticky")
        if st:
            r = rng.poisson(st["rate"], self.u.shape)
            inC = self.u < w[:, None]
            bad = rng.binomial(r, st.get("p", 1.0))
            first = (bad > 0) & ~self.marked
            live = r * ~self.marked                    # requests of keys not yet failed
            o.unC = nC + (live * inC).sum(1)
            o.unS = nS + (live * ~inC).sum(1)
            o.uxC, o.uxS = xC + (first & inC).sum(1), xS + (first & ~inC).sum(1)
            self.marked |= first
            o.nC, o.nS = nC + (r * inC).sum(1), nS + (r * ~inC).sum(1)
            o.xC, o.xS = xC + (bad * inC).sum(1), xS + (bad * ~inC).sum(1)
        else:
            o.unC, o.unS, o.uxC, o.uxS = nC, nS, xC, xS
        o.excess = nC * np.maximum(pc - pS, 0.0) * on
        # what a full promotion would cost per second from now on
        o.rate_full = rps * np.maximum(pc - pS, 0.0) * on
        o.on = on
        return o

    def _chain(self, n, q):
        out, prev, left = [], np.ones(self.n), n
        for x in q:
            x = np.minimum(x, prev)
            left = self.rng.binomial(left, np.clip(x / np.maximum(prev, 1e-300), 0, 1))
            out.append(left)
            prev = x
        return out


# ------------------------------------------------------------------------------ rules
class Rule(Rows):
    name = "?"
    stages = None                                    # override of the scenario's stages
    action_code = None

    def __init__(self, sc, n):
        super().__init__(n)
        self.sc = sc

    def enter(self, mask):
        """Rows in mask have just moved to a new stage."""

    def baseline(self, req, bad):
        """Counts of the stable version before the rollout."""

    def step(self, t, o, w, stage, stage_t):
        raise NotImplementedError


class EV(Rule):
    """Vectorised form of Judge (same arithmetic)."""
    name = "ev"

    def __init__(self, sc, n, cfg=None):
        super().__init__(sc, n)
        self.c = c = config(cfg)
        self.nl = len(c["lat"]["q"])
        self.sticky = bool(sc.get("sticky")) and sc["sticky"].get("dedupe", True)
        self.names = ["fail", "rel", "abs", "c4"] + ["lat%d" % i for i in range(self.nl)]
        self.lr = np.log(np.array(c["grid_r"]))
        self.r = np.array(c["grid_r"])
        self.psi = np.array(c["grid_psi"])
        self.ga = np.array(c["grid_abs"])
        self.gb = np.array(c["grid_b"])
        for m in self.names:
            k = len(self.ga) if m == "abs" else len(self.psi) if m[0] == "l" else len(self.r)
            self.add(**{"R_" + m: np.full((n, k), -np.inf), "rem_" + m: np.ones(n),
                        "pend_" + m: np.full(n, c["mass0"]), "o_" + m: np.zeros((n, 4)),
                        "le_" + m: np.zeros(n)})
        self.add(F=np.zeros((n, len(self.gb))), oF=np.zeros((n, 4)), U=np.full((n, len(self.r)), -np.inf), brk=np.zeros(n),
                 ceil_on=np.zeros(n, bool), sreq=np.zeros(n), latA=np.zeros((n, self.nl)), latB=np.zeros(n),
                 inc=np.zeros((n, 4)), stage=np.zeros(n, int), le=np.zeros(n), lf=np.zeros(n))
        self.epoch, self.warm = 0, True

    def baseline(self, req, bad):
        f = self.c["incident"]["fast_s"] / self.c["incident"]["slow_s"]
        self.inc[:] = np.stack([bad * f, req * f, bad, req], 1)
        self.ceil_on[:] = (req >= 1000) & (bad < self.c["ceil"]["c"] * req)

    def _fold(self, m, mask, inc):
        R, pend, rem = getattr(self, "R_" + m), getattr(self, "pend_" + m), getattr(self, "rem_" + m)
        with np.errstate(divide="ignore"):
            lp = np.log(pend[mask])[:, None]
        if m == "fail":
            self.U[mask] = np.logaddexp(self.U[mask], lp) + inc
        R[mask] = np.logaddexp(R[mask], lp) + np.minimum(self.c["cap"], inc)
        rem[mask] -= pend[mask]
        pend[mask] = 0.0
        with np.errstate(divide="ignore"):
            getattr(self, "le_" + m)[mask] = np.logaddexp(
                sps.logsumexp(R[mask], axis=1) - math.log(R.shape[1]), np.log(rem[mask]))

    def _feed(self, m, nC, xC, nS, xS, th=None):
        o = getattr(self, "o_" + m)
        o += np.stack([nC, xC, nS, xS], 1)
        mask = o[:, 0] >= 1 if m == "abs" else (o[:, 0] >= 1) & (o[:, 2] >= 1)
        if not mask.any():
            return
        n1, x1, n2, x2 = (o[mask, i][:, None] for i in range(4))
        c = self.c
        if m == "abs":
            ce = c["ceil"]["c"]
            inc = x1 * np.log1p(self.ga * (1 - ce)) + (n1 - x1) * np.log1p(-self.ga * ce)
        elif m[0] == "l":
            th = th[mask][:, None]
            tc = self.psi * th / (1 - th + self.psi * th)
            t0 = (n1 * tc + n2 * th) / (n1 + n2)
            inc = (x1 * np.log(tc / t0) + (n1 - x1) * np.log((1 - tc) / (1 - t0))
                   + x2 * np.log(th / t0) + (n2 - x2) * np.log((1 - th) / (1 - t0)))
        else:
            rho, de = (1.0, 0.0) if m == "rel" else (c[m]["rho"], c[m]["delta"])
            k = n1 / n2
            a = np.expm1(self.lr + np.log1p(k * rho) - np.log1p(k * rho * self.r))
            if de > 0:
                a = np.minimum(a, 0.5 / de)
            inc = (x1 * np.log1p(a * (1 - de)) + (n1 - x1) * np.log1p(-a * de)
                   + x2 * np.log1p(-a * k * rho))
        self._fold(m, mask, inc)
        o[mask] = 0

    def enter(self, mask):
        self.F[mask] = 0
        self.oF[mask] = 0
        self.sreq[mask] = 0

    def step(self, t, o, w, stage, stage_t):
        c = self.c
        while t > (self.epoch + 1) * c["epoch_s"]:
            self.epoch += 1
            h = (1 - c["mass0"]) / (self.epoch * (self.epoch + 1.0))
            for m in self.names:
                getattr(self, "pend_" + m)[:] += h
        f = (o.unC, o.uxC, o.unS, o.uxS) if self.sticky else (o.nC, o.xC, o.nS, o.xS)
        self.sreq += o.nC
        for m in ("fail", "rel", "abs"):
            self._feed(m, *f)
        self._feed("c4", o.nC, o.c4C, o.nS, o.c4S)
        L = c["lat"]
        if self.warm and t > L["warmup_s"]:
            self.warm = False
            for i in range(self.nl):
                m = "lat%d" % i
                getattr(self, "R_" + m)[:] = -np.inf
                getattr(self, "rem_" + m)[:] = 1.0
                getattr(self, "pend_" + m)[:] = c["mass0"]
                getattr(self, "o_" + m)[:] = 0
                getattr(self, "le_" + m)[:] = 0
        for i in range(self.nl):
            th = (self.latA[:, i] + L["prior_n"] * (1 - L["q"][i])) / (self.latB + L["prior_n"])
            self._feed("lat%d" % i, o.nC, o.eC[i], o.nS, o.eS[i], np.clip(th, 1e-4, 1 - 1e-4))
        g = 2.0 ** (-1.0 / L["half_s"])
        self.latB[:] = self.latB * g + o.nS
        for i in range(self.nl):
            self.latA[:, i] = self.latA[:, i] * g + o.eS[i]
        # promotion evidence
        self.oF += np.stack(f, 1)
        stg = np.array(self.sc_stages())
        mask = (self.oF[:, 0] >= 1) & (self.oF[:, 2] >= 1) & (stage + 1 < len(stg))
        if mask.any():
            nxt = stg[np.minimum(stage + 1, len(stg) - 1)][mask]
            d1 = np.maximum(c["budget"] * 100.0 / nxt, 2 * c["fail"]["delta"])[:, None]
            n1, x1, n2, x2 = (self.oF[mask, i][:, None] for i in range(4))
            b = self.gb
            self.F[mask] += (x1 * np.log1p(-b * (1 - d1)) + (n1 - x1) * np.log1p(b * d1)
                             + x2 * np.log1p(b * c["fail"]["rho"] * n1 / n2))
            self.oF[mask] = 0
        le = [math.log(c["fail"]["w"]) + self.le_fail, math.log(c["c4"]["w"]) + self.le_c4,
              math.log(c["ceil"]["w"]) + np.where(self.ceil_on, np.minimum(self.le_abs, self.le_rel), 0.0)]
        base = le + [np.full(self.n, math.log(x)) for x in L["w"]]
        le = le + [math.log(L["w"][i]) + getattr(self, "le_lat%d" % i) for i in range(self.nl)]
        self.le = le = sps.logsumexp(np.stack(le, 1), axis=1)
        lrev = sps.logsumexp(np.stack(base, 1), axis=1) if self.warm else le
        self.lf = lf = sps.logsumexp(self.F, axis=1) - math.log(len(self.gb))
        i = c["incident"]
        gf, gs = 2.0 ** (-1.0 / i["fast_s"]), 2.0 ** (-1.0 / i["slow_s"])
        I = self.inc
        I[:] = I * np.array([gf, gf, gs, gs])
        I[:, 0] += o.xS; I[:, 1] += o.nS; I[:, 2] += o.xS; I[:, 3] += o.nS
        slow = I[:, 2] / (I[:, 3] + 1.0)
        fast = (I[:, 0] + i["prior_n"] * slow) / (I[:, 1] + i["prior_n"])
        incident = fast > np.maximum(c["ceil"]["c"], i["ratio"] * slow)
        act = np.zeros(self.n, np.int8)
        last = stage + 1 >= len(stg)
        ok = ~last & (stage_t >= c["min_stage_s"]) & (
            (self.sreq >= c["min_req"]) & (lf >= math.log(1 / c["beta"])))
        late = ~last & (stage_t >= c["max_stage_s"])
        act[late] = PROMOTE if c["on_timeout"] == "advance" else HOLD
        act[ok] = PROMOTE
        act[(le >= math.log(c["hold_e"])) | incident] = HOLD
        rev = lrev >= math.log(1 / c["alpha"])
        lu = sps.logsumexp(self.U, axis=1) - math.log(len(self.r)) + math.log(c["fail"]["w"])
        self.brk[~rev & (self.brk <= 0) & (stage > 0) & (lu >= math.log(1 / c["alpha"]))] = c["brake_s"]
        inb = ~rev & (self.brk > 0)
        act[inb] = BRAKE
        self.brk[inb] -= 1
        out = inb & (self.brk <= 0)
        stay = out & (le >= math.log(c["hold_e"]))
        self.brk[stay] = c["brake_s"]
        self.U[out & ~stay] = self.R_fail[out & ~stay]
        act[rev] = REVERT
        return act

    def sc_stages(self):
        return self.sc.get("stages", STAGES)


STAGES = [1, 5, 10, 25, 50, 100]


class Flagger(Rule):
    """Fixed threshold on the canary's own last-minute success rate (and share of requests
    over 500 ms); a failed or empty check stops the advance; at the failure threshold the
    rollback happens one interval later."""

    def __init__(self, sc, n, thr=5, min_ok=0.99, every=60, name=None, advance=60):
        super().__init__(sc, n)
        self.thr, self.min_ok, self.every, self.advance = thr, min_ok, every, advance
        self.name = name or "flagger%d" % thr
        self.add(wn=np.zeros(n), wx=np.zeros(n), w5=np.zeros(n), failed=np.zeros(n, int))

    def step(self, t, o, w, stage, stage_t):
        self.wn += o.nC; self.wx += o.xC; self.w5 += o.over5C
        act = np.zeros(self.n, np.int8)
        if t % self.every:
            return act
        back = self.failed >= self.thr
        n = np.maximum(self.wn, 1)
        ok = (self.wn > 0) & (1 - self.wx / n >= self.min_ok) & (self.w5 / n <= 0.01)
        self.failed += ~ok
        if t % self.advance == 0:
            act[ok] = PROMOTE
        act[back] = REVERT
        self.wn[:] = 0; self.wx[:] = 0; self.w5[:] = 0
        return act


class Argo(Rule):
    """Background analysis: one measurement a minute, failed > failureLimit aborts; the steps
    advance on their own 60 s pauses.  No data is an error (five in a row abort)."""

    def __init__(self, sc, n, min_ok=0.95, limit=3, every=60, name=None):
        super().__init__(sc, n)
        self.min_ok, self.limit, self.every = min_ok, limit, every
        self.name = name or "argo%g/%d" % (min_ok * 100, limit)
        self.add(wn=np.zeros(n), wx=np.zeros(n), failed=np.zeros(n, int), err=np.zeros(n, int))

    def step(self, t, o, w, stage, stage_t):
        self.wn += o.nC; self.wx += o.xC
        act = np.zeros(self.n, np.int8)
        if t % self.every:
            return act
        none = self.wn == 0
        bad = ~none & (1 - self.wx / np.maximum(self.wn, 1) < self.min_ok)
        self.failed += bad
        self.err[:] = np.where(none, self.err + 1, 0)
        act[:] = PROMOTE
        act[(self.failed > self.limit) | (self.err > 4)] = REVERT
        self.wn[:] = 0; self.wx[:] = 0
        return act


class Kayenta(Rule):
    """10 % canary, three judgements (every `every` s) over all minutes so far; Mann-Whitney
    98 % interval of the shift of the per-minute error rate against 0.25 * |estimate|."""
    stages = [10, 100]

    def __init__(self, sc, n, every=600, runs=3, name=None):
        super().__init__(sc, n)
        self.every, self.runs = every, runs
        self.name = name or "kayenta%d" % (every // 60)
        m = every * runs // 60
        self.add(mc=np.zeros((n, m)), ms=np.zeros((n, m)), acc=np.zeros((n, 4)))

    @staticmethod
    def high(c, s):
        n, m = len(c), len(s)
        if np.array_equal(c, s):
            return False
        d = np.sort((c[:, None] - s[None, :]).ravel())
        est = np.median(d)
        # normal approximation with tie correction, 98 % two-sided
        allv = np.concatenate([c, s])
        _, cnt = np.unique(allv, return_counts=True)
        N = n + m
        var = n * m / 12.0 * (N + 1 - (cnt ** 3 - cnt).sum() / (N * (N - 1)))
        if var <= 0:
            return False
        k = int(max(0, math.floor(n * m / 2.0 - 2.326348 * math.sqrt(var))))
        return d[min(k, len(d) - 1)] > 0.25 * abs(est)

    def step(self, t, o, w, stage, stage_t):
        self.acc += np.stack([o.nC, o.xC, o.nS, o.xS], 1)
        act = np.zeros(self.n, np.int8)
        if t % 60:
            return act
        j = t // 60 - 1
        if j < self.mc.shape[1]:
            self.mc[:, j] = self.acc[:, 1] / np.maximum(self.acc[:, 0], 1)
            self.ms[:, j] = self.acc[:, 3] / np.maximum(self.acc[:, 2], 1)
            self.acc[:] = 0
        if t % self.every == 0:
            k = t // 60
            hi = np.array([self.high(self.mc[i, :k], self.ms[i, :k]) for i in range(self.n)])
            if t >= self.every * self.runs:
                act[:] = PROMOTE
            act[hi] = REVERT
        return act


class Timed(Rule):
    """Base of the statistical rivals: promote every 60 s unless rejected."""

    def __init__(self, sc, n):
        super().__init__(sc, n)
        self.add(tot=np.zeros((n, 4)), stg=np.zeros((n, 4)))
        self.nst = max(1, len(sc.get("stages", STAGES)) - 1)

    def enter(self, mask):
        self.stg[mask] = 0

    def reject(self, t, o, w, stage, stage_t):
        raise NotImplementedError

    def step(self, t, o, w, stage, stage_t):
        v = np.stack([o.nC, o.xC, o.nS, o.xS], 1)
        self.tot += v
        self.stg += v
        act = np.zeros(self.n, np.int8)
        act[stage_t >= 60] = PROMOTE
        act[self.reject(t, o, w, stage, stage_t)] = REVERT
        return act


def two_prop_z(v):
    n1, x1, n2, x2 = v.T
    n1, n2 = np.maximum(n1, 1e-9), np.maximum(n2, 1e-9)
    p = (x1 + x2) / (n1 + n2)
    se = np.sqrt(np.maximum(p * (1 - p) * (1 / n1 + 1 / n2), 1e-300))
    return np.where(x1 + x2 > 0, (x1 / n1 - x2 / n2) / se, 0.0)


class Ztest(Timed):
    name = "ztest1s"

    def reject(self, t, o, w, stage, stage_t):
        return (two_prop_z(self.tot) > 2.326) & (self.tot[:, 0] >= 30)


class MSPRT(Timed):
    """Normal-mixture sequential test of the difference, cumulative over the rollout."""
    name = "msprt"
    tau = 0.01

    def reject(self, t, o, w, stage, stage_t):
        n1, x1, n2, x2 = self.tot.T
        n1, n2 = np.maximum(n1, 1), np.maximum(n2, 1)
        p = (x1 + x2) / (n1 + n2)
        V = np.maximum(p * (1 - p), 1e-12) * (1 / n1 + 1 / n2)
        d = x1 / n1 - x2 / n2
        s = V + self.tau ** 2
        ll = 0.5 * np.log(V / s) + self.tau ** 2 * d * d / (2 * V * s)
        return (ll >= math.log(100)) & (d > 0) & (self.tot[:, 0] >= 30)


class BetaBin(Timed):
    """Conditional beta-binomial mixture on the canary's share of the failures, restarted at
    every stage with alpha split evenly; null: share = weight (no margin)."""
    name = "betabin"

    def reject(self, t, o, w, stage, stage_t):
        x1, x2 = self.stg[:, 1], self.stg[:, 3]
        a, b = 10 * w, 10 * (1 - w)
        ll = (sps.betaln(x1 + a, x2 + b) - sps.betaln(a, b)
              - x1 * np.log(w) - x2 * np.log1p(-w))
        return (ll >= math.log(self.nst / 0.01)) & (x1 * (1 - w) > x2 * w)


class SPRT(Timed):
    """Wald test on whose failure it is: ratio 1 against ratio 2."""
    name = "sprt2"

    def __init__(self, sc, n, rho=2.0):
        super().__init__(sc, n)
        self.rho = rho
        self.add(S=np.zeros(n))

    def reject(self, t, o, w, stage, stage_t):
        den = np.log1p(w * (self.rho - 1))
        self.S += o.xC * (math.log(self.rho) - den) - o.xS * den
        return self.S >= math.log(100)


class Cusum(Timed):
    """Poisson CUSUM of the canary's failures against the pre-rollout rate, no control."""
    name = "cusum"

    def __init__(self, sc, n):
        super().__init__(sc, n)
        self.p0 = max(sc.get("base", {}).get("p", 0.001), 1e-5)
        self.add(S=np.zeros(n))

    def reject(self, t, o, w, stage, stage_t):
        self.S[:] = np.maximum(0, self.S + o.xC * math.log(2) - o.nC * self.p0)
        return self.S >= 9.0


def gst_bounds(alpha, K, spend):
    """One-sided group-sequential z bounds, equal information steps (numeric recursion)."""
    g = np.linspace(-8, 8, 3201)
    h = g[1] - g[0]
    f, out, used = None, [], 0.0
    for k in range(1, K + 1):
        inc = max(spend(k / K, alpha) - used, 0.0)
        used += inc
        # density of S_k (variance k) over paths not yet stopped
        if f is None:
            x = g * math.sqrt(k)
            f = sst.norm.pdf(x)
            hx = h * math.sqrt(k)
        else:
            xn = g * math.sqrt(k)
            f = (sst.norm.pdf(xn[:, None] - x[None, :]) * (f * hx)[None, :]).sum(1)
            x, hx = xn, h * math.sqrt(k)
        tail = np.cumsum((f * hx)[::-1])[::-1]
        z = g[np.searchsorted(-tail, -inc)] if inc > 1e-12 else 8.0
        out.append(float(z))
        f = np.where(g >= z, 0.0, f)
    return out


_gst = {}


class GST(Timed):
    """Group-sequential z test inside each stage, 12 looks (every 5 s), alpha split evenly
    over the stages; spending: obf (Lan-DeMets) or lin."""

    def __init__(self, sc, n, kind="lin"):
        super().__init__(sc, n)
        self.name = "gst-" + kind
        f = (lambda t, a: a * t) if kind == "lin" else \
            (lambda t, a: 2 * (1 - sst.norm.cdf(sst.norm.ppf(1 - a / 2) / math.sqrt(t))))
        key = (kind, self.nst)
        if key not in _gst:
            _gst[key] = gst_bounds(0.01 / self.nst, 12, f)
        self.b = np.array(_gst[key])

    def reject(self, t, o, w, stage, stage_t):
        look = (stage_t % 5 == 0) & (stage_t <= 60)
        k = np.clip(stage_t // 5, 1, 12).astype(int)
        return look & (two_prop_z(self.stg) > self.b[k - 1])


RULES = {
    "ev": EV, "flagger5": lambda s, n: Flagger(s, n, 5), "flagger10": lambda s, n: Flagger(s, n, 10),
    "flagger1": lambda s, n: Flagger(s, n, 1),
    "flagger-fast": lambda s, n: Flagger(s, n, 3, every=10),   # tuned: 10 s checks, threshold 3
    "argo95": lambda s, n: Argo(s, n, 0.95, 3), "argo99": lambda s, n: Argo(s, n, 0.99, 0),
    "kayenta": lambda s, n: Kayenta(s, n, 600), "kayenta60": lambda s, n: Kayenta(s, n, 3600),
    "ztest1s": Ztest, "msprt": MSPRT, "betabin": BetaBin, "sprt2": SPRT, "cusum": Cusum,
    "gst-lin": lambda s, n: GST(s, n, "lin"), "gst-obf": lambda s, n: GST(s, n, "obf"),
}


# ----------------------------------------------------------------------------- runner
def run_builtin(make, sc, reps, seed, cfg=None):
    rng = np.random.default_rng([seed, sc.get("seed", 0)])
    rule = make(sc, reps) if cfg is None else make(sc, reps, cfg)
    world = World(sc, reps, rng, config(cfg)["lat"]["margin"])
    rule.baseline(world.base_req, world.base_bad)
    stages = np.array(rule.stages or sc.get("stages", STAGES), float)
    H = sc.get("horizon", 3600)
    res = {k: np.full(reps, np.nan) for k in
           ("end", "outcome", "harm", "creq", "slow", "onset", "stage")}
    st = Rows(reps)
    st.add(id=np.arange(reps), stage=np.zeros(reps, int), stage_t=np.zeros(reps),
           low=np.zeros(reps, bool),
           harm=np.zeros(reps), creq=np.zeros(reps))
    for t in range(1, H + 1):
        w = np.where(st.low, stages[0], stages[st.stage]) / 100.0
        st.stage_t += 1
        o = world.tick(w)
        st.harm += o.excess
        st.creq += o.nC * o.on
        act = rule.step(t, o, w, st.stage, st.stage_t)
        st.low[:] = act == BRAKE
        nxt = (act == PROMOTE) & (not sc.get("no_promote"))
        full = nxt & (st.stage + 2 >= len(stages))
        done = (act == REVERT) | full | (t == H)
        if done.any():
            i = st.id[done]
            res["end"][i] = t
            res["outcome"][i] = np.where(act[done] == REVERT, 2, np.where(full[done], 1, 0))
            res["harm"][i] = st.harm[done] + np.where(full[done], o.rate_full[done] * (H - t), 0)
            res["creq"][i] = st.creq[done]
            res["onset"][i] = world.onset[done]
            res["stage"][i] = st.stage[done]
        move = nxt & ~done
        if move.any():
            st.stage[move] += 1
            st.stage_t[move] = 0
            rule.enter(move)
        keep = ~done
        if not keep.any():
            break
        if done.any():
            st.keep(keep); world.keep(keep); rule.keep(keep)
    return res


class External:
    """Drives one external decision process through one rollout at a time."""

    def __init__(self, cmd):
        self.p = subprocess.Popen(cmd, shell=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1 << 16)

    def send(self, m, reply=True):
        self.p.stdin.write(json.dumps(m, separators=(",", ":")) + "\n")
        self.p.stdin.flush()
        if not reply:
            return None
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit("external program ended early")
        return json.loads(line)

    def close(self):
        self.p.stdin.close()
        self.p.wait(timeout=10)


def run_external(ext, sc, reps, seed, margin, cfg=None, trace=None):
    rng = np.random.default_rng([seed, sc.get("seed", 0)])
    stages = sc.get("stages", STAGES)
    H = sc.get("horizon", 3600)
    sticky = bool(sc.get("sticky")) and sc["sticky"].get("dedupe", True)
    res = {k: np.full(reps, np.nan) for k in
           ("end", "outcome", "harm", "creq", "slow", "onset", "stage")}
    for r in range(reps):
        world = World(sc, 1, np.random.default_rng([seed, sc.get("seed", 0), r]), margin)
        m = {"op": "start", "id": "%s/%d" % (sc["name"], r), "tick_s": 1, "stages": stages,
             "sticky": sticky,
             "baseline": {"req": int(world.base_req[0]), "bad": int(world.base_bad[0])}}
        if cfg:
            m["config"] = cfg
        ext.send(m)
        cum = {s: np.zeros(8, np.int64) for s in "cs"}
        stage, stage_t, harm, creq, outcome, low = 0, 0, 0.0, 0, 0, False
        for t in range(1, H + 1):
            weight = stages[0] if low else stages[stage]
            w = weight / 100.0
            stage_t += 1
            o = world.tick(np.array([w]))
            harm += float(o.excess[0])
            creq += int(o.nC[0] * o.on[0])
            cum["c"] += [o.nC[0], o.xC[0], o.c4C[0], o.eC[0][0], o.eC[1][0], o.eC[2][0], o.unC[0], o.uxC[0]]
            cum["s"] += [o.nS[0], o.xS[0], o.c4S[0], o.eS[0][0], o.eS[1][0], o.eS[2][0], o.unS[0], o.uxS[0]]
            m = {"op": "tick", "t": t, "stage": stage, "weight": weight, "stage_t": stage_t}
            for s in "cs":
                v = [int(x) for x in cum[s]]
                m[s] = {"req": v[0], "bad": v[1], "c4": v[2], "lat": v[3:6]}
                if sticky:
                    m[s]["ureq"], m[s]["ubad"] = v[6], v[7]
            a = ext.send(m)
            if trace is not None:
                trace.append((m, a))
            d = DNAME[a["d"]]
            low = d == BRAKE
            if d == REVERT:
                outcome = 2
                break
            if d == PROMOTE and not sc.get("no_promote"):
                if stage + 2 >= len(stages):
                    outcome = 1
                    harm += float(o.rate_full[0]) * (H - t)
                    break
                stage, stage_t = stage + 1, 0
        ext.send({"op": "end"}, reply=False)
        for k, v in (("end", t), ("outcome", outcome), ("harm", harm), ("creq", creq),
                     ("onset", world.onset[0]), ("stage", stage)):
            res[k][r] = v
    return res


def summarise(sc, rule, res):
    n = len(res["end"])
    rev = res["outcome"] == 2
    d = (res["end"] - res["onset"])[rev]
    pre = rev & (res["end"] < res["onset"])
    row = {"scenario": sc["name"], "kind": sc.get("kind", "h0"), "rule": rule, "reps": n,
           "revert_pct": 100.0 * rev.mean(), "promote_pct": 100.0 * (res["outcome"] == 1).mean(),
           "stuck_pct": 100.0 * (res["outcome"] == 0).mean(),
           "early_false_pct": 100.0 * pre.mean(),
           "delay_med_s": float(np.median(d)) if len(d) else float("nan"),
           "delay_p95_s": float(np.percentile(d, 95)) if len(d) else float("nan"),
           "creq_med": float(np.median(res["creq"][rev])) if rev.any() else float("nan"),
           "harm_mean": float(res["harm"].mean()), "harm_med": float(np.median(res["harm"])),
           "harm_p95": float(np.percentile(res["harm"], 95)),
           "end_med_s": float(np.median(res["end"])),
           "promote_med_s": float(np.median(res["end"][res["outcome"] == 1]))
           if (res["outcome"] == 1).any() else float("nan")}
    return row


def serve():
    judge = None
    for line in sys.stdin:
        m = json.loads(line)
        if m["op"] == "start":
            judge = Judge(m["stages"], m.get("config"), m.get("sticky", False), m.get("tick_s", 1),
                          m.get("baseline"))
            print('{"ok":true}', flush=True)
        elif m["op"] == "tick":
            print(json.dumps(judge.tick(m)), flush=True)


# -------------------------------------------------------------------------- scenarios
def S(name, kind, **kw):
    return dict(name=name, kind=kind, **kw)


def public_scenarios():
    out = []
    b = lambda p, p4=0.02: {"p": p, "p4": p4}
    # --- canary no worse than stable (every revert is false)
    out += [S("h0-p0.1%", "h0", base=b(.001)), S("h0-p1%", "h0", base=b(.01)),
            S("h0-p0", "h0", base=b(0.)), S("h0-p0.01%", "h0", base=b(.0001)),
            S("h0-p20%", "h0", base=b(.2)),
            S("h0-p0.5%-50rps", "h0", base=b(.005), rps=50),
            S("h0-p0.5%-10rps", "h0", base=b(.005), rps=10, horizon=7200),
            S("h0-p1%-1rps", "h0", base=b(.01), rps=1, horizon=7200),
            S("h0-p0-1rps", "h0", base=b(0.), rps=1, horizon=7200),
            S("h0-1:99-1h", "h0", base=b(.005), no_promote=True, horizon=3600),
            S("h0-diurnal", "h0", base=b(.005),
              env=[{"kind": "wave", "amp": .9, "period": 240},
                   {"kind": "wave", "amp": .6, "period": 300, "on": "rps"}]),
            S("h0-outage2m-30%", "h0", env=[{"kind": "outage", "t0": [20, 280], "dur": 120, "p": .3, "lat": 5}]),
            S("h0-outage8m-20%", "h0", env=[{"kind": "outage", "t0": [20, 280], "dur": 480, "p": .2, "lat": 3}]),
            S("h0-total-outage1m", "h0", env=[{"kind": "outage", "t0": [20, 280], "dur": 60, "p": 1.0, "lat": 20}]),
            S("h0-drift-with-ramp", "h0", base=b(.001),
              env=[{"kind": "ramp", "t0": 30, "t1": 360, "p1": .02}]),
            S("h0-shared-bursts", "h0", base=b(.001),
              env=[{"kind": "bursts", "every": 30, "dur": [1, 5], "p": .5}]),
            S("h0-latspikes", "h0", env=[{"kind": "latspike", "t0": [40, 280], "dur": 60, "x": 8}]),
            S("h0-lat-wave", "h0", env=[{"kind": "wave", "amp": .5, "period": 200, "on": "lat"}]),
            S("h0-warmup-x2-10s", "h0", canary={"warm": [2.0, 10]}),
            S("h0-warmup-x3-30s", "h0", canary={"warm": [3.0, 30]}),
            S("h0-sticky-badclients-raw", "h0", base=b(.001),
              sticky={"users": 20, "rate": .5, "dedupe": False}),
            S("h0-sticky-badclients-dedupe", "h0", base=b(.001), sticky={"users": 20, "rate": .5}),
            S("h0-instance-bursts-3s", "h0", base=b(.001),
              local={"instances": 20, "rate": 1 / 1200., "dur": 3, "p": .5}),
            S("h0-instance-blip-1s", "h0", base=b(.001),
              local={"instances": 20, "rate": 1 / 600., "dur": 1, "p": .5}),
            S("h0-instance-bursts-100rps", "h0", base=b(.001), rps=100, horizon=7200,
              local={"instances": 20, "rate": 1 / 1200., "dur": 3, "p": .5}),
            S("h0-1:999", "h0", base=b(.002), stages=[.1, 1, 10, 100]),
            S("h0-linear-10x10", "h0", base=b(.002), stages=list(range(10, 101, 10))),
            # --- worse, but inside the margin (a revert is unwanted)
            S("m-p1%+0.05pp", "margin", base=b(.01), canary={"add": .0005}),
            S("m-p0+0.01pp", "margin", base=b(0.), canary={"add": .0001}),
            S("m-p0.1%+0.02pp", "margin", base=b(.001), canary={"add": .0002}),
            S("m-lat+3%", "margin", canary={"lat": 1.03}),
            S("edge-p0.5%-at-margin-1%", "margin", base=b(.005), canary={"mult": 1.1, "add": 2e-4}, no_promote=True),
            S("edge-p0.5%-at-margin-50%", "margin", base=b(.005), canary={"mult": 1.1, "add": 2e-4}, no_promote=True,
              stages=[50], rps=300),
            S("edge-p0-at-margin-10%", "margin", base=b(0.), canary={"add": 2e-4}, no_promote=True, stages=[10]),
            S("edge-lat-at-margin-10%", "margin", canary={"lat": 1.05}, no_promote=True, stages=[10]),
            ]
    # --- regressions
    for rps in (1000, 100, 10, 1):
        for add, lab in ((.001, "0.1"), (.005, "0.5"), (.01, "1"), (.05, "5"), (.5, "50"), (.999, "outage")):
            out.append(S("h1-%srps-+%s" % (rps, lab), "h1", rps=rps, base=b(.001), canary={"add": add},
                         horizon=3600 if rps >= 100 else 7200))
    out += [S("h1-p0-+0.1pp", "h1", base=b(0.), canary={"add": .001}),
            S("h1-p0-+1pp", "h1", base=b(0.), canary={"add": .01}),
            S("h1-p1%-+0.5pp", "h1", base=b(.01), canary={"add": .005}),
            S("h1-p1%-+1pp", "h1", base=b(.01), canary={"add": .01}),
            S("h1-p5%-x1.5", "h1", base=b(.05), canary={"mult": 1.5}),
            S("h1-late200s-+1pp", "h1", canary={"add": .01, "onset": 200, "onset_spread": 60}),
            S("h1-late200s-+5pp", "h1", canary={"add": .05, "onset": 200, "onset_spread": 60}),
            S("h1-late200s-outage", "h1", canary={"add": .999, "onset": 200, "onset_spread": 60}),
            S("h1-late270s-+5pp", "h1", canary={"add": .05, "onset": 245, "onset_spread": 50}),
            S("h1-1%10min-then-+5pp", "h1", no_promote=True, horizon=3600,
              canary={"add": .05, "onset": 600, "onset_spread": 60}),
            S("h1-leak-to-5pp-in-10min", "h1", canary={"add": .05, "grow": 600}),
            S("h1-flap5/55-50%", "h1", canary={"add": .5, "flap": [5, 55]}),
            S("h1-under-outage-+20pp", "h1", canary={"add": .2},
              env=[{"kind": "outage", "t0": [0, 60], "dur": 240, "p": .2}]),
            S("h1-4xx+10pp", "h1", canary={"p4add": .10}),
            S("h1-4xx+5pp", "h1", canary={"p4add": .05}),
            S("h1-lat-all+10%", "h1", canary={"lat": 1.10}),
            S("h1-lat-all+20%", "h1", canary={"lat": 1.20}),
            S("h1-lat-all-x2", "h1", canary={"lat": 2.0}),
            S("h1-p99-x2", "h1", canary={"tail": 2.0}),
            S("h1-p99-x4", "h1", canary={"tail": 4.0}),
            S("h1-100rps-lat-all+20%", "h1", rps=100, canary={"lat": 1.20}),
            S("h1-100rps-p99-x2", "h1", rps=100, canary={"tail": 2.0}),
            S("h1-1rps-start25%-+5", "h1", rps=1, canary={"add": .05}, stages=[25, 50, 100], horizon=7200),
            S("h1-1rps-start25%-+50", "h1", rps=1, canary={"add": .5}, stages=[25, 50, 100], horizon=7200),
            S("h1-10rps-start10%-+1", "h1", rps=10, canary={"add": .01}, stages=[10, 25, 50, 100], horizon=7200),
            S("h1-10rps-start10%-+5", "h1", rps=10, canary={"add": .05}, stages=[10, 25, 50, 100], horizon=7200),
            S("h1-sticky-+5pp", "h1", canary={"add": .05}, sticky={"users": 20, "rate": .5}),
            ]
    for s in out:
        s["seed"] = sum(ord(ch) * 31 ** i for i, ch in enumerate(s["name"])) % 1000003
    return out


COLS = [("scenario", "%-26s"), ("rule", "%-10s"), ("reps", "%5d"), ("revert_pct", "%7.2f"),
        ("promote_pct", "%7.1f"), ("stuck_pct", "%6.1f"), ("delay_med_s", "%8.0f"),
        ("delay_p95_s", "%8.0f"), ("creq_med", "%9.0f"), ("harm_mean", "%10.1f"),
        ("harm_p95", "%10.1f"), ("promote_med_s", "%8.0f")]


def header():
    return " ".join((f.replace("d", "s") if "d" in f else "%" + f[1:].split(".")[0] + "s") % c[:int(
        ''.join(ch for ch in f.split(".")[0] if ch.isdigit()))] for c, f in COLS)


def show(row):
    print(" ".join(f % row[c] for c, f in COLS), flush=True)


def selftest(n=6):
    """Scalar reference and vectorised rule must agree on the same counts."""
    worst = 0.0
    for sc in public_scenarios():
        if sc["name"] not in ("h0-p1%", "h0-p1%-1rps", "h1-1000rps-+1", "h1-p99-x2", "h1-late200s-+5pp",
                              "h0-instance-blip-1s", "h0-sticky-badclients-dedupe", "h0-outage2m-30%"):
            continue
        for r in range(n):
            w = World(sc, 1, np.random.default_rng([7, r]), DEFAULTS["lat"]["margin"])
            ev, stages = EV(sc, 1), sc.get("stages", STAGES)
            j = Judge(stages, None, ev.sticky, 1.0, {"req": int(w.base_req[0]), "bad": int(w.base_bad[0])})
            ev.baseline(w.base_req, w.base_bad)
            cum = {s: np.zeros(8, np.int64) for s in "cs"}
            st, stt, low = 0, 0, False
            for t in range(1, 900):
                stt += 1
                o = w.tick(np.array([stages[0 if low else st] / 100.0]))
                cum["c"] += [o.nC[0], o.xC[0], o.c4C[0], o.eC[0][0], o.eC[1][0], o.eC[2][0], o.unC[0], o.uxC[0]]
                cum["s"] += [o.nS[0], o.xS[0], o.c4S[0], o.eS[0][0], o.eS[1][0], o.eS[2][0], o.unS[0], o.uxS[0]]
                m = {"t": t, "stage": st, "stage_t": stt}
                for s in "cs":
                    v = [int(x) for x in cum[s]]
                    m[s] = {"req": v[0], "bad": v[1], "c4": v[2], "lat": v[3:6], "ureq": v[6], "ubad": v[7]}
                a = j.tick(m)
                b = ev.step(t, o, None, np.array([st]), np.array([float(stt)]))
                err = max(abs(a["loge"] - ev.le[0]), abs(a["logf"] - ev.lf[0])) / max(1, abs(a["loge"]), abs(a["logf"]))
                worst = max(worst, err)
                assert DNAME[a["d"]] == b[0], (sc["name"], t, a, b)
                low = b[0] == BRAKE
                if b[0] == REVERT or (b[0] == PROMOTE and st + 2 >= len(stages)):
                    break
                if b[0] == PROMOTE:
                    st, stt = st + 1, 0
                    ev.enter(np.array([True]))
    print("selftest ok, worst relative difference %.2e" % worst)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rule", default="ev")
    ap.add_argument("--cmd", help="external decision program (line protocol)")
    ap.add_argument("--set", default="all", help="all, h0, margin, h1 or comma list of names")
    ap.add_argument("--scenarios", help="JSON file with a list of scenarios")
    ap.add_argument("--reps", type=int, default=500)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--config", help="JSON with overrides of the rule's parameters")
    ap.add_argument("--out", help="append result rows as JSON lines")
    ap.add_argument("--serve", action="store_true")
    ap.add_argument("--selftest", action="store_true")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    if a.serve:
        return serve()
    if a.selftest:
        return selftest()
    scs = json.load(open(a.scenarios)) if a.scenarios else public_scenarios()
    if a.set != "all":
        want = a.set.split(",")
        scs = [s for s in scs if s.get("kind") in want or s["name"] in want]
    if a.list:
        for s in scs:
            print(json.dumps(s))
        return
    cfg = json.loads(a.config) if a.config else None
    print(header())
    sink = open(a.out, "a") if a.out else None
    for sc in scs:
        for rn in (["external"] if a.cmd else a.rule.split(",")):
            t0 = time.time()
            if a.cmd:
                ext = External(a.cmd)
                res = run_external(ext, sc, a.reps, a.seed, config(cfg)["lat"]["margin"], cfg)
                ext.close()
            else:
                res = run_builtin(RULES[rn], sc, a.reps, a.seed, cfg if rn == "ev" else None)
            row = summarise(sc, rn, res)
            show(row)
            if sink:
                row["cpu_s"] = time.time() - t0
                sink.write(json.dumps(row) + "\n")
                sink.flush()


if __name__ == "__main__":
    main()
