"""The command line: scenarios, rounds, `--break`.

Exit codes: 0 thresholds hold, 1 not or void, 2 wrong use.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine, report
from bench.cli import keep_configurations, settle_tools, show
from bench.errors import BenchError, VoidError
from k6.runner import Outcome, Runner
from k6.scenario import SCENARIOS

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


def render(outcome: Outcome) -> str:
    rows = [
        [
            row.side,
            *(f"{value:.2f}" for value in (row.p50, row.p95, row.p99)),
            *(f"{value:,}" for value in (row.failed, row.wrong, row.dropped, row.requests)),
        ]
        for row in outcome.rows
    ]
    header = ["side", "p50 ms", "p95 ms", "p99 ms", "failed", "wrong", "dropped", "requests"]
    lines = [f"\n{outcome.scenario.name}: {outcome.scenario.title}, {outcome.scenario.rate}/s"]
    lines.append(report.grid(header, rows))
    lines += outcome.notes
    lines += [f"THRESHOLD of {side} not held: {text}" for side, text in outcome.broken]
    return "\n".join(lines)


def _break(runner: Runner, name: str) -> int:
    """Each threshold of the scenario must fail on a spoilt run: a guard that never failed proves nothing."""
    code = 0
    for chosen in SCENARIOS if name == "all" else _chosen(name, list(SCENARIOS), "scenario"):
        found = runner.spoil(SCENARIOS[chosen])
        print(f"\n{chosen}, spoilt on purpose:")
        for threshold in found.thresholds:
            print(f"  {'did not fail!' if threshold.held else 'failed, as it must:'} {threshold.text}")
        if not found.thresholds or any(threshold.held for threshold in found.thresholds):
            code = 1
    return code


def run(options: argparse.Namespace) -> int:
    scenarios = _chosen(options.scenarios, list(SCENARIOS), "scenario")
    sides = _chosen(options.sides, ("fastgw", "nginx"), "side")
    settle_tools(["k6", "nginx", "taskset", "setpriv"], options.install)
    folder: Path = options.out or HERE / "results" / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder.mkdir(parents=True, exist_ok=True)
    machine.raise_file_limit()
    rounds = options.rounds if options.rounds is not None else (1 if options.quick else 3)
    if rounds < 1:
        raise BenchError("--rounds must be at least 1")
    work = (folder / "work").resolve()
    runner = Runner(work, machine.usable_cores(), rounds, options.quick, tuple(sides))
    outcomes: list[Outcome] = []
    void = None
    try:
        if options.broken:
            return _break(runner, options.broken)
        for name in scenarios:
            outcome = runner.run(SCENARIOS[name])
            outcomes.append(outcome)
            print(render(outcome), flush=True)
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
    return 1 if any(side == "fastgw" for outcome in outcomes for side, _ in outcome.broken) else 0


def main(argv: Sequence[str]) -> int:
    try:
        return run(parser().parse_args(argv))
    except BenchError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        print("stopped")
        return 130
