"""Which tokens are accepted, and what their claims allow."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from osint_events_server.auth import Unauthorized
from osint_events_server.auth.jwt import JwtAuthenticator, KeysError, KeySet, matches, shared_secret

SECRET = b"s" * 32
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def claims(**more: Any) -> dict[str, Any]:
    return {"exp": time.time() + 60, **more}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


RSA_JWK = {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "rsa", "alg": "RS256", "use": "sig"}
EC_JWK = {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "ec"}
ED_JWK = {**json.loads(OKPAlgorithm.to_jwk(ED.public_key())), "kid": "ed"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks(RSA_JWK, EC_JWK, ED_JWK))
    return path


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("case-*", "case-", True),
        ("case-*", "case-1", True),
        ("case-*", "Case-1", False),
        ("case-*", "xcase-1", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a**b", "ab", True),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("*a*b*b", "ab", False),
        ("", "", True),
        ("", "x", False),
        ("*" * 100 + "x", "y" * 255, False),
    ],
)
def test_a_star_stands_for_any_characters_and_all_else_for_itself(
    pattern: str, text: str, expected: bool
) -> None:
    assert matches(pattern, text) is expected


async def test_ids_are_exact_even_ones_that_look_like_patterns() -> None:
    authenticator = JwtAuthenticator(shared_secret(SECRET))
    principal = await authenticator.authenticate(jwt.encode(claims(investigations=["*", "1"]), SECRET))
    assert [principal.may_see(id_) for id_ in ("*", "1", "2", "01", "1 ")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not principal.may_publish("1")
    assert not principal.may_inject("1")


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")]
)
async def test_a_key_of_the_set_is_chosen_by_its_kid(path: Path, key: Any, algorithm: str, kid: str) -> None:
    authenticator = JwtAuthenticator(KeySet(path))
    token = jwt.encode(claims(investigations=["x"]), key, algorithm, headers={"kid": kid})
    assert (await authenticator.authenticate(token)).may_see("x")


async def test_a_key_is_used_with_its_own_algorithm_only(path: Path) -> None:
    authenticator = JwtAuthenticator(KeySet(path))
    public = RSA_JWK["n"].encode()
    for token in (
        jwt.encode(claims(), RSA, "RS512", headers={"kid": "rsa"}),
        jwt.encode(claims(), RSA, "RS256", headers={"kid": "ec"}),
        jwt.encode(claims(), RSA, "RS256", headers={"kid": "nobody"}),
        jwt.encode(claims(), RSA, "RS256"),  # there are several
        jwt.encode(claims(), public, "HS256", headers={"kid": "rsa"}),  # the public key as a secret
        jwt.encode(claims(), "", "none", headers={"kid": "rsa"}),
    ):
        with pytest.raises(Unauthorized):
            await authenticator.authenticate(token)


async def test_a_secret_verifies_no_public_key_algorithm() -> None:
    with pytest.raises(Unauthorized):
        await JwtAuthenticator(shared_secret(SECRET)).authenticate(jwt.encode(claims(), RSA, "RS256"))


@pytest.mark.parametrize(
    ("expected", "given", "accepted"),
    [
        ({"audience": "us"}, {"aud": "us"}, True),
        ({"audience": "us"}, {"aud": ["them", "us"]}, True),
        ({"audience": "us"}, {"aud": "them"}, False),
        ({"audience": "us"}, {}, False),
        ({}, {"aud": "them"}, False),
        ({"issuer": "us"}, {"iss": "us"}, True),
        ({"issuer": "us"}, {"iss": "them"}, False),
        ({"issuer": "us"}, {}, False),
        ({}, {"iss": "anybody"}, True),
        ({"leeway": 1000}, {"exp": time.time() - 500}, True),
        ({"leeway": 100}, {"exp": time.time() - 500}, False),
    ],
)
async def test_issuer_audience_and_time_are_those_that_are_asked_for(
    expected: dict[str, Any], given: dict[str, Any], accepted: bool
) -> None:
    authenticator = JwtAuthenticator(shared_secret(SECRET), **expected)
    token = jwt.encode(claims() | given, SECRET)
    if accepted:
        await authenticator.authenticate(token)
    else:
        with pytest.raises(Unauthorized):
            await authenticator.authenticate(token)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": "soon"},
        {"exp": None},
        {"exp": 1e400},
        {"exp": [1]},
        {"investigations": "x"},
        {"investigations": [1]},
        {"investigation_patterns": {"a": 1}},
        {"permissions": "publish"},
        {"aud": 5},
        {"nbf": "x"},
        {"iat": {}},
        {"sub": 1},
    ],
)
async def test_claims_of_a_wrong_shape_are_refused_and_never_quoted(wrong: dict[str, Any]) -> None:
    token = jwt.api_jws.encode(json.dumps(claims() | wrong).encode(), SECRET, "HS256")
    with pytest.raises(Unauthorized) as refused:
        await JwtAuthenticator(shared_secret(SECRET)).authenticate(token)
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "e30.e30.", "🦊" * 10_000, "[" * 5000]
)
async def test_any_text_is_refused(path: Path, token: str) -> None:
    for authenticator in (JwtAuthenticator(shared_secret(SECRET)), JwtAuthenticator(KeySet(path))):
        with pytest.raises(Unauthorized):
            await authenticator.authenticate(token)


def test_a_file_that_is_read_again_brings_its_new_keys_and_a_bad_one_changes_nothing(path: Path) -> None:
    path.write_text(jwks(EC_JWK))
    keys = KeySet(path)
    authenticator = JwtAuthenticator(keys)
    token = jwt.encode(claims(), RSA, "RS256", headers={"kid": "rsa"})
    with pytest.raises(Unauthorized):
        asyncio.run(authenticator.authenticate(token))
    path.write_text(jwks(RSA_JWK))
    keys.reload()
    asyncio.run(authenticator.authenticate(token))
    path.write_text("{")
    with pytest.raises(KeysError):
        keys.reload()
    asyncio.run(authenticator.authenticate(token))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "no JSON object"),
        (jwks(), "holds no key"),
        (jwks({**RSA_JWK, "use": "enc"}), "holds no key"),
        (jwks(EC_JWK, EC_JWK), "key 2 has the kid of another"),
        (jwks({"kty": "secret-type"}), "key 1 cannot be used"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "key 1 is no public key"),
        (jwks(json.loads(ECAlgorithm.to_jwk(EC))), "key 1 is no public key"),
        ('{"keys": ["secret"]}', "key 1 cannot be used"),
        ('{"keys": 5}', "no JSON object"),
    ],
)
def test_a_wrong_file_of_keys_is_named_and_not_quoted(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    with pytest.raises(KeysError) as wrong:
        KeySet(path)
    assert str(wrong.value).startswith(f"{path}: ")
    assert problem in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_a_missing_file_of_keys_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"nowhere\.json: No such file"):
        KeySet(tmp_path / "nowhere.json")
