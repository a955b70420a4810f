"""`fastgw version`: the versions of what runs, for a report."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from fastgw import __version__

LIBRARIES = ("uvloop", "httptools", "aiohttp", "pydantic", "orjson")


@click.command("version", short_help="Print the version.")
@click.option("-v", "--verbose", is_flag=True, help="Python, the system and the libraries too.")
def command(verbose: bool) -> None:
    """Print the version of fastgw.

    \b
    Examples:
      fastgw version
      fastgw version --verbose      what to put into a report
    """
    click.echo(f"fastgw {__version__}")
    if verbose:
        click.echo(f"{platform.python_implementation()} {platform.python_version()}")
        click.echo(f"{platform.system()} {platform.release()} {platform.machine()}")
        for library in LIBRARIES:
            click.echo(f"{library} {metadata.version(library)}")
