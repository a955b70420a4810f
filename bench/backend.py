"""The one upstream that all sides share: nginx for answers and files, the sink for uploads.

Writes its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench import tools
from bench.load import traffic
from bench.sides.nginx import preamble, temp_paths

FILES_PREFIX = "/files/"
UPLOAD_PATH = "/upload/body"
# About 125 bytes, and it names the request: a mixed-up answer is seen by the comparison of bodies.
_BODY = '{"path":"$uri","name":"brushed steel kettle","price":4990,"currency":"EUR","stock":17}'


@dataclass(frozen=True)
class Fault:
    """What a k6 scenario is broken with on purpose: shares in percent of answers that are 503, or wrong."""

    failing: int = 0
    wrong: int = 0


def _trap(fault: Fault) -> tuple[str, str]:
    """(http-level, location-level) text of an upstream that fails or lies now and then; nothing without a fault."""
    if not fault.failing and not fault.wrong:
        return "", ""
    fates = f"{fault.failing}% failing; {fault.wrong}% wrong; * fine;"
    split = f'  split_clients "$request_id" $fate {{ {fates} }}\n'
    return split, (
        'if ($fate = failing) { return 503; } if ($fate = wrong) { return 200 \'{"path":"/elsewhere"}\\n\'; } '
    )


def answer_to(target: str) -> str:
    """What a client must get for a target outside the files."""
    return _BODY.replace("$uri", target.partition("?")[0]) + "\n"


def render(folder: Path, port: int, fault: Fault | None = None) -> str:
    split, trap = _trap(fault or Fault())
    answer = f"{trap}return 200 '{_BODY}\\n';"
    return (
        preamble(folder, 1)
        + "http {\n  access_log off;\n  sendfile on;\n"
        + temp_paths(folder)
        + split
        + "  keepalive_requests 1000000000; keepalive_timeout 1h;\n"
        + "  default_type application/json;\n"
        + "  server {\n"
        + f"    listen 127.0.0.1:{port} backlog=4096;\n"
        + "    add_header Cache-Control no-store;\n"
        + f"    location {FILES_PREFIX} {{ {trap}root {folder}; default_type application/octet-stream; }}\n"
        + f"    location {traffic.HOSTILE_PREFIX}/ {{\n"
        + "      add_header Cache-Control no-store; add_header X-Trace $request_id;\n"
        + f"      {answer}\n    }}\n"
        + f"    location / {{ {answer} }}\n"
        + "  }\n}\n"
    )


def write(folder: Path, port: int, fault: Fault | None = None) -> list[str]:
    (folder / "files").mkdir(exist_ok=True)
    config = folder / "upstream.conf"
    config.write_text(render(folder, port, fault))
    return [tools.path_of("nginx"), "-c", str(config), "-e", f"{folder}/error.log"]
