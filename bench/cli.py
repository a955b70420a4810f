"""The command line of the bench.

Exit codes: 0 valid, 1 void or failed, 2 wrong use or missing tools, 3 `--strict` and over.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine, profile, report, tools
from bench.cases.table import CASES, LIMITED, TIMED
from bench.errors import BenchError, VoidError
from bench.machine import Machine
from bench.process import ROOT
from bench.results import CaseResult
from bench.setting import BASE, OURS, Setting
from bench.sides.table import PEERS

SHOWN_LINES = 60  # of a configuration on the terminal; the whole file is in the results folder


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m bench",
        description="fastgw beside nginx (and HAProxy and Envoy): one upstream, pinned cores, interleaved "
        "rounds, CPU time of all processes of each side. A run with one error is void.",
    )
    found.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}; all unless said")
    found.add_argument("--quick", action="store_true", help="2 short rounds: does it work, not how fast")
    found.add_argument("--rounds", type=int, help="rounds of each side (9, quick: 2)")
    found.add_argument("--seconds", type=float, help="seconds a round of the request cases (3, quick: 1)")
    found.add_argument(
        "--peers", default=",".join(PEERS), help="nginx is always there; haproxy and envoy if named"
    )
    found.add_argument(
        "--without-fastgw", action="store_true", help="only the peers, to try the bench itself"
    )
    found.add_argument("--install", action="store_true", help="install what is missing (apt as root, pip)")
    found.add_argument("--show-config", action="store_true", help="print the configurations in full")
    found.add_argument("--out", type=Path, help="folder of the results (bench/results/TIME)")
    found.add_argument(
        "--against", type=Path, help="result.json of an earlier run: print how the ratios moved"
    )
    found.add_argument(
        "--strict", action="store_true", help="exit with 3 when a bound that must hold is missed"
    )
    found.add_argument(
        "--profile",
        nargs="?",
        const=profile.PLAIN,
        choices=(profile.PLAIN, profile.CHAIN),
        help="count what one request costs in fastgw instead: plain, or through the whole chain",
    )
    return found


def _names(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BenchError(f"unknown {what} {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def needed_tools(cases: Sequence[str], peers: Sequence[str], profiling: str | None) -> list[str]:
    names = ["nginx", "wrk", "taskset", "setpriv", *(peer for peer in peers if peer != BASE)]
    if profiling:
        return [*names[:4], "strace", *([tools.STORE] if profiling == profile.CHAIN else [])]
    names += ["h2load"] if TIMED.intersection(cases) else []
    return [*names, tools.STORE] if LIMITED.intersection(cases) else names


def settle_tools(names: Sequence[str], install: bool) -> None:
    absent = tools.missing(names)
    if absent and install:
        tools.install(absent)
        absent = tools.missing(names)
    if absent:
        lines = [f"{tool.name} is missing: {tool.install}" for tool in absent]
        raise BenchError("\n".join([*lines, "or run again with --install"]))


def setting_of(options: argparse.Namespace, peers: Sequence[str], folder: Path) -> Setting:
    rounds = options.rounds if options.rounds is not None else (2 if options.quick else 9)
    seconds = options.seconds if options.seconds is not None else (1.0 if options.quick else 3.0)
    if rounds < 1 or seconds < 1:
        raise BenchError("--rounds and --seconds must be at least 1")
    ours = () if options.without_fastgw else (OURS,)
    sides = (BASE, *ours, *(peer for peer in peers if peer != BASE))
    return Setting(folder / "work", machine.usable_cores(), rounds, seconds, options.quick, sides)


def _about(setting: Setting, host: Machine, names: Sequence[str]) -> dict[str, object]:
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": host.plain(),
        "tools": {name: tools.version_of(name) for name in names if name not in ("taskset", "setpriv")},
        "rounds": setting.rounds,
        "seconds": setting.seconds,
        "quick": setting.quick,
    }


def keep_configurations(work: Path, target: Path) -> list[Path]:
    """Copy every side's configuration of every case beside the result, then drop the work folder's bulk."""
    kept = []
    for name in ("*.conf", "*.cfg", "*.yaml", "envoy.json"):
        for file in sorted(work.rglob(name)):
            to = target / "-".join(file.relative_to(work).parts)
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
            kept.append(to)
    return kept


def show(files: Sequence[Path], whole: bool) -> None:
    for file in files:
        if not whole and not file.name.startswith("plain-"):
            continue
        lines = file.read_text().splitlines()
        shown = lines if whole else lines[:SHOWN_LINES]
        print(f"\n--- {file}")
        print("\n".join(shown))
        if len(shown) < len(lines):
            print(f"... {len(lines) - len(shown)} more lines in the file")


def _measure(setting: Setting, cases: Sequence[str], results: list[CaseResult]) -> str | None:
    """Runs the cases; the reason why the run is void, or None."""
    for case in cases:
        print(f"\n{case}: {', '.join(setting.sides)}, {setting.rounds} rounds", flush=True)
        try:
            found = CASES[case](setting)
        except VoidError as error:
            return f"{case}: {error}"
        results.extend(found)
        for result in found:
            print(report.render(result), flush=True)
    return None


def run(options: argparse.Namespace) -> int:
    cases = _names(options.cases, list(CASES), "case")
    peers = _names(options.peers, PEERS, "peer")
    names = needed_tools(cases, peers, options.profile)
    settle_tools(names, options.install)
    folder: Path = options.out or ROOT / "bench" / "results" / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder.mkdir(parents=True, exist_ok=True)
    machine.raise_file_limit()
    setting = setting_of(options, peers, folder.resolve())
    if options.profile:
        return profile.run(setting, options.profile)
    host = machine.describe()
    pinned = setting.pinning()
    print(f"{host.cpu}, {host.cores} cores, Linux {host.kernel}, Python {host.python}")
    print(f"gateways on core {pinned.gateway}, load, upstream and stores on {pinned.load}")
    about = _about(setting, host, names)
    results: list[CaseResult] = []
    try:
        void = _measure(setting, cases, results)
    finally:
        kept = keep_configurations(setting.folder, folder / "configurations")
        shutil.rmtree(setting.folder, ignore_errors=True)
    show(kept, options.show_config)
    report.save(folder / "result.json", report.document(about, results, void))
    print(f"\nresult: {folder / 'result.json'}; configurations of all sides: {folder / 'configurations'}")
    if void is not None:
        print(f"VOID: {void}")
        return 1
    if options.against is not None:
        print("\n" + report.against(results, json.loads(options.against.read_text())))
    over = [verdict for result in results for verdict in result.verdicts if verdict.word == "OVER"]
    return 3 if over and options.strict else 0


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    try:
        return run(options)
    except VoidError as error:
        print(f"VOID: {error}")
        return 1
    except BenchError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        print("stopped")
        return 130
