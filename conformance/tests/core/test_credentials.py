"""Tokens, and what is made of them: every spoilt one is another, and what it proves is gone."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from osint_events_conformance.credentials import SPOILT, Auth, Credentials, spoilt

KEYS = {"HS256": 32, "HS384": 48, "HS512": 64}
OPAQUE = ("0123456789abcdef", "A", "a.b", "dG9rZW4=", "x~y+z/=")


def token(algorithm: str) -> str:
    claims = {"exp": time.time() + 3600, "investigation_patterns": ["*"]}
    return jwt.encode(claims, "k" * KEYS[algorithm], algorithm=algorithm)


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("how", SPOILT)
def test_no_spoilt_json_web_token_is_accepted(algorithm: str, how: Auth) -> None:
    good = token(algorithm)
    jwt.decode(good, "k" * KEYS[algorithm], algorithms=[algorithm])
    bad = spoilt(good, how)
    assert bad is not None
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(bad, "k" * KEYS[algorithm], algorithms=[algorithm])


@pytest.mark.parametrize("good", OPAQUE)
@pytest.mark.parametrize("how", SPOILT)
def test_a_token_of_any_kind_is_changed_or_left_out(good: str, how: Auth) -> None:
    bad = spoilt(good, how)
    assert bad != good
    assert bad is None or bad.isascii()
    assert (bad is None) <= (how in {"claims", "unsigned", "case"})


def test_the_last_character_is_changed_where_it_counts() -> None:
    """The lowest bits of a signature's last character say nothing."""
    for _ in range(20):
        good = token("HS256")
        bad = spoilt(good, "flip_last")
        assert bad is not None
        signatures = [base64.urlsafe_b64decode(one.rpartition(".")[2] + "=") for one in (good, bad)]
        assert signatures[0] != signatures[1]


def test_an_unsigned_token_says_so() -> None:
    unsigned = spoilt(token("HS256"), "unsigned")
    assert unsigned is not None
    header, _, signature = unsigned.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "none", "typ": "JWT"}
    assert signature == ""


def test_which_token_a_connection_presents() -> None:
    credentials = Credentials("own-token", "other-token")
    assert credentials.headers("own") == {"Authorization": "Bearer own-token"}
    assert credentials.headers("trigger") == {"Authorization": "Bearer other-token"}
    assert credentials.headers("cut") == {"Authorization": "Bearer own-toke"}
    assert credentials.headers("empty") == {"Authorization": "Bearer"}
    assert credentials.headers("basic")["Authorization"].startswith("Basic ")
    assert credentials.headers("none") == {}
    assert Credentials().headers("own") == {}


def test_what_is_made_of_a_token_and_its_parts_are_secrets_too() -> None:
    good = token("HS256")
    secrets = Credentials(good).secrets
    assert {good, *good.split("."), spoilt(good, "flip_last"), spoilt(good, "cut")} <= set(secrets)
    assert list(secrets) == sorted(secrets, key=len, reverse=True)  # so that none is left in parts
    assert "invalid" not in secrets
