"""Large bodies both ways: CPU time per byte, and how much each side grows while it passes them on."""

from __future__ import annotations

from bench import compare, cpu, stats
from bench.backend import FILES_PREFIX, UPLOAD_PATH
from bench.load import bodies, traffic
from bench.load.bodies import Job
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import rows_of
from bench.setting import BASE, OURS, Setting
from bench.world import Instance, Wanted, World

MB = 1 << 20
PER_BYTE = Goal(1.0, 0.45)
GROWTH_MB = Goal(4.0, 1.0)

Sizes = dict[str, dict[int, int]]  # side -> process -> resident bytes before the first body


def _jobs(setting: Setting, size_mb: int, instance: Instance, file: str) -> dict[str, Job]:
    """About 0.6 s of one core a round: enough for the clock, short enough to interleave."""
    if size_mb == 1:
        requests, connections = (160, 8) if setting.quick else (480, 8)
    else:
        requests, connections = (2, 2) if setting.quick else (6, 2)
    size = size_mb * MB
    down = Job(instance.port, f"{FILES_PREFIX}{size_mb}m", requests, connections, size)
    return {"down": down, "up": Job(instance.port, UPLOAD_PATH, requests, connections, size, file)}


def _growth(instance: Instance, start: dict[int, int]) -> float:
    """MB by which the process that grew most is above its size before the first body."""
    grown = [peak - start[pid] for pid, peak in cpu.peaks(instance.pids()).items() if pid in start]
    return max(grown) / MB


def _direction(
    setting: Setting, world: World, size_mb: int, direction: str, *, file: str, start: Sizes
) -> CaseResult:
    rounds: dict[str, list[dict[str, float]]] = {instance.label: [] for instance in world.instances}
    for instance in world.instances:
        bodies.run(_jobs(setting, size_mb, instance, file)[direction], world.cores.load)  # warm
    for number in range(setting.rounds):
        for instance in stats.rotated(world.instances, number):
            before = instance.sample()
            moved = bodies.run(_jobs(setting, size_mb, instance, file)[direction], world.cores.load)
            used = cpu.between(before, instance.sample())
            per_mb = 1e6 / (moved.bytes / MB)
            rounds[instance.label].append(
                {
                    "user us/MB": used.user * per_mb,
                    "kernel us/MB": used.kernel * per_mb,
                    "total us/MB": used.total * per_mb,
                    "MB/s": moved.bytes / MB / moved.seconds,
                    "grown MB": _growth(instance, start[instance.label]),
                }
            )
        setting.say(
            f"{size_mb} MB {direction}, round {number + 1}/{setting.rounds}: "
            + ", ".join(f"{label} {found[-1]['total us/MB']:.0f} us/MB" for label, found in rounds.items())
        )
    rows = rows_of(rounds, "total us/MB", dict.fromkeys(rounds, BASE))
    title = f"{size_mb} MB bodies, {direction}" + (
        " (nginx spools them to a file first)" if direction == "up" else ""
    )
    result = CaseResult(
        f"bodies-{size_mb}m-{direction}", title, "CPU time per byte, to nginx with its defaults", rows
    )
    ours = result.row(OURS)
    if ours is not None and ours.ratio is not None:
        grown = max(one["grown MB"] for one in rounds[OURS])
        result.verdicts.append(Verdict("CPU per byte", ours.ratio.median, "x nginx", PER_BYTE))
        result.verdicts.append(Verdict("growth of a process", grown, "MB", GROWTH_MB))
    return result


def _size(setting: Setting, size_mb: int) -> list[CaseResult]:
    results = []
    with setting.world(f"bodies-{size_mb}m") as world:
        file = bodies.make_file(world.folder / "upstream" / "files" / f"{size_mb}m", size_mb * MB)
        for wanted in [*setting.wanted(), Wanted("nginx-tuned", "nginx", tuned=True)]:
            world.start(wanted)
        # Small requests first: pools and code paths are warm before the sizes are taken.
        compare.same_answers(world.upstream_port, world.instances, traffic.paths(count=100))
        start = {}
        for instance in world.instances:
            cpu.reset_peaks(instance.pids())
            start[instance.label] = cpu.resident(instance.pids())
        compare.same_answers(world.upstream_port, world.instances, [f"{FILES_PREFIX}{size_mb}m"])
        compare.same_upload(world.instances, UPLOAD_PATH, file)
        for direction in ("down", "up"):
            results.append(_direction(setting, world, size_mb, direction, file=str(file), start=start))
        world.check_alive()
    file.unlink()
    return results


def run(setting: Setting) -> list[CaseResult]:
    return [*_size(setting, 1), *_size(setting, 100)]
