"""The option -c, the same for every verb that reads the configuration or looks into it for the admin address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def config_option(help_text: str = "The configuration file.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The command gets it as the parameter `path`."""
    return click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("gateway.yaml"),
        show_default=True,
        help=help_text,
    )
