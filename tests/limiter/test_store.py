"""Getting in: passwords, users, databases, TLS, TCP; and the bounds and moves of the breaker."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fastgw.clock import SystemClock
from fastgw.limiter import limiter as limiter_module
from fastgw.limiter.limiter import Limiter, LimiterOptions
from fastgw.limiter.store import MOVES, State, Store
from tests.limiter.fakes import Asker, Desk, ScriptedStore, limit, well
from tests.support.valkey import Valkey


@pytest.fixture(scope="module")
def guarded() -> Iterator[Valkey]:
    with Valkey(
        ["--requirepass", "open sesame", "--user", "gateway", "on", ">pass/word", "~*", "+@all"], tcp=True
    ) as valkey:
        yield valkey


@pytest.mark.parametrize(
    ("who", "where"),
    [("unix://:open%20sesame@", "?db=0"), ("unix://gateway:pass%2Fword@", "?db=7")],
)
async def test_with_a_password_over_a_unix_socket(guarded: Valkey, who: str, where: str) -> None:
    desk = Desk(f"{who}{guarded.socket_path}{where}")
    assert (await desk.get((limit("a"), b"unix"))).mode == "redis"
    desk.close()
    client = guarded.client(password="open sesame", db=int(where[4:]))
    assert client.exists("t:{unix}r/a")


async def test_with_a_user_and_a_database_over_tcp(guarded: Valkey) -> None:
    desk = Desk(f"redis://gateway:pass%2Fword@127.0.0.1:{guarded.port}/5")
    assert (await desk.get((limit("a"), b"tcp"))).mode == "redis"
    desk.close()
    assert guarded.client(password="open sesame", db=5).exists("t:{tcp}r/a")


@pytest.mark.parametrize("who", ["", ":wrong@", "gateway:wrong@", "nobody:open%20sesame@"])
async def test_without_the_right_one(guarded: Valkey, who: str) -> None:
    desk = Desk(f"redis://{who}127.0.0.1:{guarded.port}")
    assert (await desk.get((limit("a"), b"v"))).mode == "local"
    await desk.until("local")
    assert "NOAUTH" in desk.said[0] or "WRONGPASS" in desk.said[0]
    assert "sesame" not in desk.said[0] and "wrong@" not in desk.said[0]
    desk.close()


# --- TLS -------------------------------------------------------------------------------------------------------------


class TlsStore(ScriptedStore):
    """On a port of the loopback, with a certificate for `localhost`."""

    port = 0

    async def start(self) -> TlsStore:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate = self.directory / "certificate.pem"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = self.directory / "key.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, private)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


@pytest.fixture
async def tls_store() -> AsyncIterator[TlsStore]:
    store = await TlsStore().start()
    yield store
    await store.stop()


async def over_tls(store: TlsStore, host: str, trusted: bool) -> tuple[str, list[str]]:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    trust = ssl.create_default_context(cafile=store.certificate) if trusted else None
    options = LimiterOptions(f"rediss://{host}:{store.port}", b"t:", 1.0)
    limiter = Limiter(loop, SystemClock(), options, workers=1, log=said.append, tls=trust)
    limiter.start()
    asker = Asker()
    verdict = limiter.decide((limit("a"),), [b"v"], asker, SystemClock().now())
    mode = (verdict or await asyncio.wait_for(asker.verdict, 5.0)).mode
    limiter.close()
    return mode, said


async def test_over_tls(tls_store: TlsStore) -> None:
    assert await over_tls(tls_store, "localhost", trusted=True) == ("redis", [])


async def test_a_certificate_that_nobody_trusts_is_refused(tls_store: TlsStore) -> None:
    mode, said = await over_tls(tls_store, "localhost", trusted=False)
    assert mode == "local"
    assert "certificate verify failed" in said[0].lower()
    assert tls_store.heard == []


async def test_a_certificate_of_another_name_is_refused(tls_store: TlsStore) -> None:
    mode, _ = await over_tls(tls_store, "127.0.0.1", trusted=True)
    assert mode == "local"
    assert tls_store.heard == []


# --- bounds and moves ------------------------------------------------------------------------------------------------


async def test_what_waits_is_bounded() -> None:
    store = await ScriptedStore(lambda words: None).start()
    desk = Desk(store.url, timeout=5.0)
    one = limit("one", rate=1e6, burst=1_000_000)
    waiting = [desk.ask((one, b"v")) for _ in range(limiter_module.MAX_PENDING + 50)]
    assert sum(asked.done() for asked in waiting) == 50
    assert desk.limiter.pending() == limiter_module.MAX_PENDING
    desk.close()
    assert desk.limiter.pending() == 0
    assert {asked.result().mode for asked in waiting} == {"local"}
    await store.stop()


class Deaf:
    def on_answered(self, command: object, outcomes: bytes) -> None: ...

    def on_failed(self, commands: object) -> None: ...


async def test_a_move_that_is_not_legal_is_a_defect() -> None:
    options = LimiterOptions("unix:///nowhere", b"", 1.0)
    store = Store(asyncio.get_running_loop(), SystemClock(), options, Deaf(), lambda line: None)
    for to in set(State) - MOVES[State.CLOSED]:
        with pytest.raises(RuntimeError, match="the store cannot go"):
            store._move(to)
    store.close()
    assert set(MOVES) == set(State)


def test_it_does_the_same_on_the_loop_of_the_workers(tmp_path: Path) -> None:
    """uvloop: a whole life, with a stall in the middle."""

    async def life() -> list[str]:
        with Valkey() as valkey:
            desk = Desk(valkey.url)
            modes = [(await desk.get((limit("a"), b"v"))).mode]
            valkey.stall()
            await asyncio.gather(*[desk.ask((limit("a"), b"%d" % number)) for number in range(9)])
            modes.append(desk.limiter.mode)
            valkey.resume()
            await desk.until("redis")
            modes.append((await desk.get((limit("b"), b"v"))).mode)
            valkey.kill()
            await desk.until("local")
            desk.close()
            return modes

    assert uvloop.run(life()) == ["redis", "local", "redis"]


async def test_a_host_without_a_name_is_no_end(tmp_path: Path) -> None:
    """What getaddrinfo cannot even encode: the store is down, and tried again."""
    desk = Desk(f"redis://{'a' * 70}.example")
    assert (await desk.get((limit("a"), b"v"))).mode == "local"
    await desk.until("local")
    assert len(desk.said) == 1
    desk.close()


async def test_a_changed_answer_of_the_greeting_is_seen(tmp_path: Path) -> None:
    store = await ScriptedStore(
        lambda words: well(words)[:-2] if words[0] == b"SCRIPT" else well(words)
    ).start()
    desk = Desk(store.url)
    await desk.get((limit("a"), b"v"))
    await desk.until("local")
    store.answer = well
    await desk.until("redis")
    desk.close()
    await store.stop()
