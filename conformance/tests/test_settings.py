"""Settings: flags, TOML, the published schema, and what is said of wrong ones."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from osint_events_conformance import settings
from osint_events_conformance.settings import SettingsError

URL = "ws://127.0.0.1:1/ws"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(["[tool.osint-events.conformance]", *lines, ""]), encoding="utf-8")
    return file


def published() -> dict[str, Any]:
    text = (files("osint_events_conformance") / "settings.schema.json").read_text(encoding="utf-8")
    assert text == settings.schema(), "python -m osint_events_conformance.settings prints the new one"
    schema: dict[str, Any] = json.loads(text)
    return schema


def test_the_published_schema_is_that_of_the_settings() -> None:
    jsonschema.Draft202012Validator.check_schema(published())


def test_the_published_schema_knows_every_setting_and_no_other() -> None:
    assert set(published()["properties"]) == {
        settings.toml_key(name) for name in settings.Settings.model_fields
    }
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"max_time": 3}, published())


def test_a_table_gives_settings_and_flags_win_over_it(toml: Path) -> None:
    write(toml, f'url = "{URL}"', "max-time = 7", "workers = 3", 'header = ["A: b"]')
    made = settings.load({"workers": 5}, toml)
    assert (made.url, made.max_time, made.workers, made.headers) == (URL, 7, 5, {"A": "b"})


def test_every_setting_of_the_schemas_types_can_stand_in_a_table(toml: Path) -> None:
    table = {
        "url": URL, "trigger-url": "GET http://h/{investigation_id}", "fallback": "on", "profile": "core",
        "only": ["SUB-*"], "skip": ["SUB-1"], "strict": True, "patient": True, "seed": 1, "examples": 2,
        "max-time": 3.5, "workers": 4, "timeout-scale": 2, "known-failing": "f", "header": ["A: b"],
        "subprotocol": "x", "origin": "http://o", "cacert": "c", "cert": "d", "key": "e",
        "report-json": "g", "report-junit": "h", "report-html": "i", "trace": "j",
    }  # fmt: skip
    jsonschema.validate(table, published())
    write(toml, *(f"{name} = {json.dumps(value)}" for name, value in table.items()))
    assert settings.load({}, toml).max_time == 3.5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("max_time = 3", "max_time: no such setting; is max-time meant?"),
        ("hedaer = []", "hedaer: no such setting; is header meant?"),
        ("zzz = 1", "zzz: no such setting"),
        ("workers = 0", "workers: Input should be greater than or equal to 1"),
        ('max-time = "soon"', "max-time: Input should be a valid number, unable to parse string as a number"),
        ("max-time = inf", "max-time: Input should be a finite number"),
        ('only = ["SUB-99"]', "only: 'SUB-99' matches no clause; `osint-events-conformance list` shows them"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(toml: Path, line: str, said: str) -> None:
    write(toml, f'url = "{URL}"', line)
    with pytest.raises(SettingsError) as caught:
        settings.load({}, toml)
    assert str(caught.value) == f"{toml}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool", "no TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("[tool.other]", "there is no table [tool.osint-events.conformance]"),
        ('[tool.osint-events]\nconformance = "x"', "[tool.osint-events.conformance] is no table"),
    ],
)
def test_a_file_without_the_table_is_named(toml: Path, text: str, said: str) -> None:
    toml.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        settings.load({}, toml)
    assert str(caught.value) == f"{toml}: {said}"


def test_a_file_that_is_not_there_is_named(toml: Path) -> None:
    with pytest.raises(SettingsError, match=r"settings\.toml: No such file or directory"):
        settings.load({}, toml)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "which server? Give its URL: osint-events-conformance run ws://HOST:PORT/ws"),
        ({"url": "http://h/ws"}, "URL: 'http://h/ws' is no ws:// or wss:// URL"),
        ({"url": "ws://h:99999/ws"}, "URL: Port out of range 0-65535"),
        ({"url": "ws://h/ws?a=b"}, "URL: 'ws://h/ws?a=b' has a query; a client_id is appended to it"),
        (
            {"url": "ws://u:p@h/ws"},
            "URL: credentials belong into --header 'Authorization: …', which reports leave out",
        ),
        ({"inject": "h/inject"}, "--inject: 'h/inject' is no http:// or https:// URL"),
        ({"inject": "http://h", "observe": 3}, "--inject and --observe: one of them is enough"),
        ({"trigger_url": "http://h"}, "--trigger-url: it does not say where the {investigation_id} goes"),
        ({"trigger_command": "x '{investigation_id}"}, "--trigger-command: No closing quotation"),
        ({"header": ("nothing",)}, "--header: 'nothing' is no 'Name: value'"),
        ({"header": ("A b: c",)}, "--header: 'A b' is no 'Name: value'"),
        ({"header": ("A: b\r\nC: d",)}, "--header: the value of A is no printable ASCII"),
        ({"header": ("A: é",)}, "--header: the value of A is no printable ASCII"),
        ({"origin": "http://o\n"}, "--origin: it is no printable ASCII"),
        ({"cert": Path("c")}, "--cert and --key go together"),
        ({"forbidden_id": "x"}, "--forbidden-id goes with --token"),
        ({"trigger_token": "x"}, "--trigger-token goes with --token"),
        (
            {"token": "x", "trigger_token": "y", "trigger_command": "c {investigation_id}"},
            "--trigger-token goes with --inject or --trigger-url",
        ),
        ({"token": "Bearer x"}, "--token: it is no bearer token: one word, without the Bearer before it"),
        ({"token": ""}, "--token: it is no bearer token: one word, without the Bearer before it"),
        ({"token": "é"}, "--token: it is no printable ASCII"),
        (
            {"token": "x", "header": ("authorization: y",)},
            "--token and --header Authorization: one of them is enough",
        ),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({"url": URL, **flags} if flags else {})
    assert str(caught.value) == said


def test_tls_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", encoding="ascii")
    made = settings.load({"url": URL, "cacert": tmp_path / "ca.pem"})
    with pytest.raises(SettingsError, match=r"^TLS files .*ca\.pem: "):
        made.tls()


def test_the_values_of_headers_are_not_shown() -> None:
    made = settings.load({"url": URL, "header": ("Authorization: Bearer sekret", "Cookie: a=b")})
    assert made.secrets == ("Bearer sekret", "a=b", "sekret")
    assert made.redacted()["header"] == ["Authorization: (redacted)", "Cookie: (redacted)"]


def test_tokens_come_from_flags_then_from_the_environment_then_from_the_table(toml: Path) -> None:
    write(toml, f'url = "{URL}"', 'inject = "http://h"', 'token = "table"', 'trigger-token = "table"')
    told = {"OSINT_EVENTS_TOKEN": "told", "OSINT_EVENTS_TRIGGER_TOKEN": "", "OSINT_EVENTS_BURST": "1"}
    made = settings.load({}, toml, told)
    assert (made.token, made.trigger_token) == ("told", "table")
    assert settings.load({"token": "flag"}, toml, told).token == "flag"  # noqa: S105 - no secret


def test_a_wrong_token_in_the_environment_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({"url": URL}, None, {"OSINT_EVENTS_TOKEN": "hush hush"})
    assert str(caught.value) == (
        "OSINT_EVENTS_TOKEN: it is no bearer token: one word, without the Bearer before it"
    )


def test_tokens_are_presented_and_not_shown() -> None:
    made = settings.load(
        {"url": URL, "inject": "http://h", "token": "own-hush", "trigger_token": "other-hush"}
    )
    assert made.endpoint().credentials.headers("own") == {"Authorization": "Bearer own-hush"}
    assert made.trigger_headers == {"Authorization": "Bearer other-hush"}
    assert (made.redacted()["token"], made.redacted()["trigger_token"]) == ("(redacted)", "(redacted)")
    assert {"own-hush", "other-hush"} <= set(made.secrets)
    assert "hush" not in f"{made!r} {made.endpoint()!r}"


def test_the_trigger_gets_the_one_token_where_there_is_no_other() -> None:
    made = settings.load({"url": URL, "inject": "http://h", "token": "own", "header": ("X: y",)})
    assert made.trigger_headers == {"X": "y", "Authorization": "Bearer own"}
