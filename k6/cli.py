"""The command line: scenarios, rounds, `--break`.

Exit codes: 0 thresholds hold, 1 not or void, 2 wrong use.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine, report, tools
from bench.cli import keep_configurations, settle_tools, show
from bench.errors import BenchError, VoidError
from bench.sides.table import BASE, OURS
from k6.faulty import FaultyRunner
from k6.guarded import GuardedRunner
from k6.outcome import Outcome
from k6.runner import Runner
from k6.scenario import SCENARIOS, Scenario
from k6.setting import Setting

HERE = Path(__file__).resolve().parent


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python k6/run.py",
        description="k6 scenarios (constant arrival rate) against fastgw and nginx, interleaved, with thresholds.",
    )
    names = ", ".join(SCENARIOS)
    found.add_argument("--scenarios", default=",".join(SCENARIOS), help=f"of {names}; all unless said")
    found.add_argument("--rounds", type=int, help="rounds of each side (3, quick: 1)")
    found.add_argument("--quick", action="store_true", help="one short round")
    found.add_argument("--sides", default="fastgw,nginx", help="which sides to load (fastgw,nginx)")
    found.add_argument(
        "--break",
        dest="broken",
        metavar="SCENARIO",
        help="spoil the scenario (or `all`) so that every threshold of it must fail, and fail if one does not",
    )
    found.add_argument("--install", action="store_true", help="install what is missing (apt as root, pip)")
    found.add_argument("--show-config", action="store_true", help="print the configurations in full")
    found.add_argument("--out", type=Path, help="folder of the results (k6/results/TIME)")
    return found


def _chosen(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise BenchError(f"unknown {what} {', '.join(unknown) or 'none'}; there are {', '.join(known)}")
    return names


def runnable(names: Sequence[str], sides: Sequence[str]) -> list[str]:
    """Without those that none of the sides can run."""
    found = []
    for name in names:
        if set(SCENARIOS[name].sides) & set(sides):
            found.append(name)
        else:
            print(f"{name}: left out, it is for {', '.join(SCENARIOS[name].sides)} only")
    return found


def _runner(setting: Setting, scenario: Scenario) -> Runner | GuardedRunner | FaultyRunner:
    if scenario.services:
        return FaultyRunner(setting)
    return Runner(setting) if scenario.guards is None else GuardedRunner(setting)


def _break(setting: Setting, name: str) -> int:
    """Each threshold of the scenario must fail on a spoilt run: a guard that never failed proves nothing."""
    code = 0
    for chosen in SCENARIOS if name == "all" else _chosen(name, list(SCENARIOS), "scenario"):
        thresholds = _runner(setting, SCENARIOS[chosen]).spoil(SCENARIOS[chosen])
        print(f"\n{chosen}, spoilt on purpose:")
        for threshold in thresholds:
            print(f"  {'did not fail!' if threshold.held else 'failed, as it must:'} {threshold.text}")
        if not thresholds or any(threshold.held for threshold in thresholds):
            code = 1
    return code


def run(options: argparse.Namespace) -> int:
    sides = _chosen(options.sides, (OURS, BASE), "side")
    scenarios = runnable(_chosen(options.scenarios, list(SCENARIOS), "scenario"), sides)
    needed = ["k6", "nginx", "taskset", "setpriv"]
    guarded = any(SCENARIOS[name].guards for name in scenarios) or options.broken
    settle_tools([*needed, tools.STORE] if guarded else needed, options.install)
    folder: Path = options.out or HERE / "results" / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder.mkdir(parents=True, exist_ok=True)
    machine.raise_file_limit()
    rounds = options.rounds if options.rounds is not None else (1 if options.quick else 3)
    if rounds < 1:
        raise BenchError("--rounds must be at least 1")
    work = (folder / "work").resolve()
    setting = Setting(work, machine.usable_cores(), rounds, options.quick, tuple(sides))
    outcomes: list[Outcome] = []
    void = None
    try:
        if options.broken:
            return _break(setting, options.broken)
        for name in scenarios:
            outcome = _runner(setting, SCENARIOS[name]).run(SCENARIOS[name])
            outcomes.append(outcome)
            print(outcome.render(), flush=True)
            for timeline in outcome.timelines:
                (folder / timeline.file).write_text(timeline.csv())
    except VoidError as error:
        void = str(error)
    finally:
        kept = keep_configurations(work, folder / "configurations")
        shutil.rmtree(work, ignore_errors=True)
    show(kept, options.show_config)
    about = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine.describe().plain()}
    content = {**about, "void": void, "scenarios": [outcome.plain() for outcome in outcomes]}
    report.save(folder / "result.json", content)
    print(f"\nresult: {folder / 'result.json'}; configurations: {folder / 'configurations'}")
    if void is not None:
        print(f"VOID: {void}")
        return 1
    missed = any(not verdict.held for outcome in outcomes for verdict in outcome.verdicts)
    return 1 if missed or any(side != BASE for outcome in outcomes for side, _ in outcome.broken) else 0


def main(argv: Sequence[str]) -> int:
    try:
        return run(parser().parse_args(argv))
    except BenchError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        print("stopped")
        return 130
