"""Who is who."""

from __future__ import annotations

from hashlib import sha256

import pytest

from fastgw.model.identity import NEVER_EXPIRES
from fastgw.policy.auth.directory import MAX_API_KEY, Directory
from fastgw.policy.auth.options import ConsumerOptions

KEY = b"a key of the app"
LONG = b"x" * (MAX_API_KEY + 1)


def directory() -> Directory:
    digests = [f"sha256:{sha256(key).hexdigest()}" for key in (KEY, b"another", LONG)]
    return Directory(
        [
            ConsumerOptions.model_validate(
                {
                    "name": "app", "tier": "gold", "scopes": ["a", "b"], "keys": digests,
                    "subjects": [{"issuer": "main", "subject": "app-7731"}],
                }
            ),
            ConsumerOptions.model_validate({"name": "plain"}),
        ]
    )  # fmt: skip


def test_a_key_is_its_consumer() -> None:
    found = directory().by_key(KEY)
    assert found is not None
    assert (found.consumer, found.tier, found.scopes, found.issuer) == ("app", "gold", {"a", "b"}, "")
    assert found.expires == NEVER_EXPIRES
    assert directory().by_key(b"another") is not None


@pytest.mark.parametrize(
    "key", [b"", b"a", KEY + b" ", KEY.upper(), sha256(KEY).hexdigest().encode(), sha256(KEY).digest(), LONG]
)
def test_nothing_else_is(key: bytes) -> None:
    assert directory().by_key(key) is None


def test_a_declared_subject_is_the_consumer_with_its_tier_and_scopes() -> None:
    found = directory().identity("main", "app-7731", frozenset({"c"}), {"sub": "app-7731"}, 5.0)
    assert (found.consumer, found.issuer, found.tier, found.expires) == ("app", "main", "gold", 5.0)
    assert found.scopes == {"a", "b", "c"}
    assert found.claims == {"sub": "app-7731"}


@pytest.mark.parametrize(
    ("issuer", "subject"), [("dev", "app-7731"), ("main", "app"), ("main", "APP-7731"), ("main", "gold"), ("", "app")]
)
def test_a_token_cannot_name_itself_into_a_consumer(issuer: str, subject: str) -> None:
    found = directory().identity(issuer, subject, frozenset({"c"}), {"tier": "gold"}, 5.0)
    assert (found.consumer, found.tier, found.scopes) == (f"{issuer}:{subject}", "", {"c"})
