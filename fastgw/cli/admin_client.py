"""How a verb talks to the running gateway: where its admin address is and with which token, one call, a stream of
events, and every failure in words.

What an answer means is the verb's own business.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastgw.cli.config_option import config_option
from fastgw.cli.figures import visible

if TYPE_CHECKING:
    from fastgw.cli.event_stream import Event
    from fastgw.config.address import Address

PATIENCE: Final = 60.0  # a document of 10,000 routes is read, checked and compiled in 3 s
SILENCE: Final = 35.0  # a stream says something every 10 s
MAX_ANSWER: Final = 256 * 1024 * 1024  # bytes; the largest document is 128 MB as a file
TOKEN_VARIABLE: Final = "FASTGW_ADMIN_TOKEN"


class AdminError(Exception):
    """No answer, or a refusal: `lines` are for the operator, `status` is 0 where nothing answered, `body` is the problem
    document as far as there is one."""

    def __init__(self, lines: list[str], status: int = 0, body: Mapping[str, Any] | None = None) -> None:
        # Whoever answered may be no gateway: nothing of it is for the terminal to obey.
        self.lines = [visible(line, 1000) for line in lines]
        super().__init__("\n".join(self.lines))
        self.status = status
        self.body: Mapping[str, Any] = body or {}


@dataclass(frozen=True, slots=True)
class AdminClient:
    """A connection per call: an operator's verb makes few."""

    address: Address
    token: str = ""
    patience: float = PATIENCE

    def call(self, method: str, path: str, body: object = None, fields: Mapping[str, str] | None = None) -> Any:
        """The JSON of a 2xx answer (its text where it is none). Raises AdminError."""
        with self._answer(method, path, body, fields, self.patience) as answer:
            data = answer.read(MAX_ANSWER)
            if answer.length:
                raise AdminError([f"fastgw: the gateway at {self.address} broke off in the middle of its answer"])
        try:
            return json.loads(data)
        except ValueError:
            return data.decode(errors="replace")

    def facts(self, method: str, path: str, keys: tuple[str, ...], body: object = None) -> dict[str, Any]:
        """As `call`, where the answer is an object with at least these keys."""
        answer = self.call(method, path, body)
        if not isinstance(answer, dict) or not all(key in answer for key in keys):
            raise self.stranger()
        return answer

    def stranger(self) -> AdminError:
        return AdminError(
            [f"fastgw: what answers at {self.address} is no fastgw gateway, or one of another version; "
             "-c FILE or --admin ADDRESS say where the admin address is"]
        )  # fmt: skip

    def events(
        self, path: str, on_open: Callable[[], None] = lambda: None, silence: float = SILENCE
    ) -> Iterator[Event]:
        """Server-sent events until the gateway ends the stream, in order. Raises AdminError where it does not begin, or
        breaks."""
        from fastgw.cli.event_stream import EventStream  # noqa: PLC0415

        stream = EventStream()
        with self._answer("GET", path, None, {"Accept": "text/event-stream"}, silence) as answer:
            on_open()
            while data := self._more(answer, silence):
                try:
                    found = stream.feed(data)
                except ValueError as error:
                    raise AdminError([f"fastgw: {self.address}: {error}"]) from None
                yield from found

    def _more(self, answer: http.client.HTTPResponse, silence: float) -> bytes:
        """What has come of a stream; empty at its end, also where that is a broken connection: a gateway that dies."""
        try:
            return answer.read1()
        except TimeoutError:
            raise AdminError(
                [f"fastgw: nothing was heard of the gateway at {self.address} for {silence:g} s"]
            ) from None
        except (OSError, http.client.HTTPException):
            return b""

    @contextmanager
    def _answer(
        self, method: str, path: str, body: object, fields: Mapping[str, str] | None, patience: float
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {**(fields or {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if method not in ("GET", "HEAD"):
            # Also without a body: a change has to say that it is JSON.
            headers.setdefault("Content-Type", "application/json")
            data = b"{}" if body is None else json.dumps(body).encode()
        connection = _Connection(self.address, patience)
        try:
            connection.request(method, path, body=data, headers=headers)
            with connection.getresponse() as answer:
                if answer.status // 100 != 2:
                    raise _refusal(answer)
                yield answer
        except TimeoutError:
            raise AdminError(
                [f"fastgw: the gateway at {self.address} did not answer within {patience:g} s"]
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = _words(error)
            raise AdminError(
                [f"fastgw: no gateway answers at {self.address}: {why}; is it running there? "
                 "-c FILE or --admin ADDRESS say where"]
            ) from None  # fmt: skip
        finally:
            connection.close()


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__


def _refusal(answer: http.client.HTTPResponse) -> AdminError:
    text = answer.read(MAX_ANSWER)
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    lines = _problems(body) or [f"{answer.status} {answer.reason}"]
    if answer.status == http.client.UNAUTHORIZED:
        lines.append(f"fastgw: the token comes from --token, {TOKEN_VARIABLE} or the file that -c names")
    return AdminError(lines, answer.status, body)


def _problems(body: Mapping[str, Any]) -> list[str]:
    """Of a problem document: each error on its line, or the detail, or the title."""
    from fastgw.config.errors import Problem  # noqa: PLC0415

    lines = []
    for each in body.get("errors") or ():
        try:
            lines.append(str(Problem(each["file"], each["line"], each["path"], each["message"])))
        except (TypeError, KeyError):
            lines.append(_error(each))
    return lines or [str(body[key]) for key in ("detail", "title") if body.get(key)][:1]


def _error(each: object) -> str:
    """One of a document that is no file: path and message."""
    if isinstance(each, dict) and "message" in each:
        return f"{each['path']}: {each['message']}" if each.get("path") else str(each["message"])
    return str(each)


def admin_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which gateway; the command gets them as the parameter `gateway`, an AdminClient."""

    @config_option("The configuration file, to find the admin address and its token.")
    @click.option("--admin", metavar="ADDRESS", help="The admin address, instead of the one in the file.")
    @click.option("--token", metavar="TOKEN", help=f"Default: {TOKEN_VARIABLE}, or the one in the file.")
    @functools.wraps(command)
    def asking(path: Path, admin: str | None, token: str | None, **rest: Any) -> None:
        command(gateway=find(path, admin, token), **rest)

    return asking


def find(path: Path, admin: str | None, token: str | None) -> AdminClient:
    """The gateway that the command line means. Ends the program with words where it means none."""
    from fastgw.config.errors import ConfigError  # noqa: PLC0415 (each verb imports what it uses, when it runs)

    try:
        address, known = where(path, admin)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except ConfigError as error:
        click.echo(str(error), err=True)
        click.echo(
            "fastgw: the gateway was not asked, for this file does not say where it is; "
            "name the file with -c FILE, or the address with --admin 127.0.0.1:9901",
            err=True,
        )
        sys.exit(1)
    chosen = token or os.environ.get(TOKEN_VARIABLE) or known
    if not (chosen.isascii() and chosen.isprintable()):
        # Not repeated: it is a secret all the same.
        raise click.UsageError("the token holds what none can (the end of a line, or a letter that is not ASCII)")
    return AdminClient(address, chosen)


def where(path: Path, admin: str | None) -> tuple[Address, str]:
    """The admin address and its token. What else the file says is not looked at: it may be wrong, which the gateway is to
    judge, and it may be large. ConfigError where it is no help, ValueError where `admin` is no address."""
    from fastgw.config.address import parse_address  # noqa: PLC0415

    if admin is not None:
        return parse_address(admin), ""
    found = as_written(path)
    if found is None:
        from fastgw.gateway.document.load import load_file  # noqa: PLC0415 (0.3 s)

        base = load_file(path, dict(os.environ)).base
        found = base.admin.address, base.admin.token
    return found


def as_written(path: Path) -> tuple[Address, str] | None:
    """From the file's `admin` alone; None where it is too broken to tell."""
    from fastgw.config.address import parse_address  # noqa: PLC0415
    from fastgw.config.yaml import parse  # noqa: PLC0415
    from fastgw.gateway.document.files import localise  # noqa: PLC0415

    try:
        source = parse(path.read_bytes(), str(path), os.environ)
        if not source.whole or not isinstance(source.plain, dict):
            return None
        written = source.plain.get("admin")
        if written is None:
            return _usual(), ""
        unreadable = list(localise({"admin": written}, path.absolute().parent))
        # A variable that is not set here leaves no token: it may be given in another way.
        missing = unreadable or ("admin", "token") in source.reported
        address = written.get("address")
        return (
            _usual() if address is None else parse_address(str(address)),
            "" if missing else str(written.get("token", "")),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _usual() -> Address:
    from fastgw.gateway.document.process import AdminOptions  # noqa: PLC0415 (0.2 s, only where the file says nothing)

    return AdminOptions().address


@contextmanager
def in_words() -> Iterator[None]:
    """What the gateway refuses, or that there is none, ends the verb with its words and exit code 1."""
    try:
        yield
    except AdminError as error:
        for line in error.lines:
            click.echo(line, err=True)
        sys.exit(1)


class _Connection(http.client.HTTPConnection):
    """To an address of either kind."""

    def __init__(self, address: Address, patience: float) -> None:
        super().__init__(address.host or "localhost", address.port or 80, timeout=patience)
        self._unix_path = address.path
        self._patience = patience

    def connect(self) -> None:
        if not self._unix_path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._patience)
        self.sock.connect(self._unix_path)
