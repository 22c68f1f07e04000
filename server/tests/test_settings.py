"""Where settings come from, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest
from osint_events_server.settings import Settings, SettingsError, env, flag, load


def test_the_defaults_are_those_of_the_protocol() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.enable_inject, settings.fallback) == (
        "127.0.0.1",
        8000,
        False,
        "auto",
    )
    assert settings.has_fallback
    assert (settings.max_message_bytes, settings.max_event_bytes) == (64 * 1024, 256 * 1024)
    assert (settings.max_subscriptions, settings.max_client_id) == (128, 128)
    assert (settings.max_queue_bytes, settings.max_queue_messages) == (1024 * 1024, 1024)
    assert (settings.messages_per_second, settings.burst) == (100, 512)
    assert (settings.ping_interval, settings.write_timeout) == (25, 10)
    assert (settings.history_events, settings.history_ttl) == (1000, 300)
    assert settings.history_bytes == 256 * 1024 * 1024


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "server.toml"
    config.write_text('host = "file"\nport = 1\nburst = 1\nfallback = "off"\n')
    monkeypatch.setenv(env("host"), "environment")
    monkeypatch.setenv(env("port"), "2")
    settings = load({"port": 3}, config=config)
    assert (settings.port, settings.host, settings.burst, settings.fallback) == (3, "environment", 1, "off")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://a.example", ("https://a.example",)),
        ("https://a.example, http://b.example:8080", ("https://a.example", "http://b.example:8080")),
        ("", ()),
    ],
)
def test_origins_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv(env("allowed_origins"), text)
    assert load({}).allowed_origins == origins


def test_origins_are_a_list_in_a_file(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('allowed_origins = ["https://a.example", "http://b.example"]\n')
    assert load({}, config=config).allowed_origins == ("https://a.example", "http://b.example")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port = ", "no TOML"),
        ("port = 70000", "port: Input should be less than or equal to 65535"),
        ('port = "x"', "port: Input should be a valid integer"),
        ("prot = 8000", "prot: no such setting"),
        ('fallback = "maybe"', "fallback: Input should be 'auto', 'on' or 'off'"),
        ('allowed_origins = ["a.example"]', "allowed_origins: 'a.example' is not scheme://host[:port]"),
        ('allowed_origins = ["https://a.example/"]', "is not scheme://host[:port]"),
        ("max_message_bytes = 65535", "max_message_bytes: Input should be greater than or equal to 65536"),
        ("[server]\nport = 1", "server: no such setting"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    config = tmp_path / "server.toml"
    config.write_text(text)
    with pytest.raises(SettingsError) as wrong:
        load({}, config=config)
    assert str(wrong.value).startswith(f"{config}: ")
    assert problem in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_file_that_is_no_utf8_is_no_toml(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_bytes(b'host = "\xff"')
    with pytest.raises(SettingsError, match="no TOML"):
        load({}, config=config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: No such file"):
        load({}, config=tmp_path / "nowhere.toml")


def test_a_wrong_setting_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(env("burst"), "0")
    with pytest.raises(SettingsError) as wrong:
        load({"max_queue_bytes": 0})
    assert "--max-queue-bytes: Input should be" in str(wrong.value)
    assert "OSINT_EVENTS_BURST: Input should be" in str(wrong.value)


def test_token_keys_are_split_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = "n" * 32, "o" * 40
    monkeypatch.setenv(env("token_keys"), f"{new}, {old}")
    settings = load({})
    assert settings.token_keys == (new, old)
    assert new not in repr(settings)
    monkeypatch.setenv(env("token_keys"), f"{new},secret-too-short")
    with pytest.raises(SettingsError) as wrong:
        load({})
    assert str(wrong.value) == "OSINT_EVENTS_TOKEN_KEYS: a key has 32 bytes at least"


def test_a_secret_is_long_enough_and_never_shown() -> None:
    secret = "s" * 32
    assert secret not in repr(load({"auth_secret": secret}))
    with pytest.raises(SettingsError) as wrong:
        load({"auth_secret": secret[1:]})
    assert str(wrong.value) == "--auth-secret: a secret has 32 bytes at least"


def test_there_is_one_way_to_authenticate() -> None:
    with pytest.raises(SettingsError) as wrong:
        load({"auth_secret": "s" * 32, "auth_hook": "a:b"})
    assert str(wrong.value) == "of --auth-secret, --auth-hook only one can be used"


def test_features_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(env("features"), "heartbeat,errors")
    assert load({}).features == ("heartbeat", "errors")
    monkeypatch.setenv(env("features"), "")
    assert load({}).features == ()
    monkeypatch.setenv(env("features"), "hartbeat")
    with pytest.raises(SettingsError, match="OSINT_EVENTS_FEATURES: Input should be 'heartbeat'"):
        load({})


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    field: Any = Settings.model_fields[name]
    assert field.description.endswith(".")
    assert flag(name).startswith("--")
