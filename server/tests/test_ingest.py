"""What publishers post, and how it is refused, without HTTP."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events import contract
from osint_events_server.ingest import JSON, NDJSON, Ingest, Limits, Refused
from osint_events_server.scope import Scope
from osint_events_server.store import Payload

EVENT_BYTES = 2000


@pytest.fixture(name="ingest", scope="module")
def fixture_ingest() -> Ingest:
    return Ingest(Limits(event_bytes=EVENT_BYTES, events=3, nesting=32))


def refusal(ingest: Ingest, body: bytes | str, *, content_type: str = JSON, to: str = "x") -> Refused:
    body = body.encode() if isinstance(body, str) else body
    with pytest.raises(Refused) as refused:
        ingest.events(to, body, content_type=content_type)
    return refused.value


def texts(payloads: Sequence[Payload]) -> tuple[bytes, ...]:
    return tuple(payload.data for payload in payloads)


def injected(injection: tuple[str, Payload]) -> tuple[str, bytes]:
    investigation_id, payload = injection
    return investigation_id, payload.data


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{" + "}" * levels


def test_an_event_is_kept_as_the_bytes_that_were_posted(ingest: Ingest) -> None:
    event = b'{ "type" : "custom",\n\t"n":1.0, "big":123456789012345678901234567890, "s":"\\u00e9\xc3\xa9" }'
    assert texts(ingest.events("x", b" \n" + event + b"\r\n", content_type=JSON)) == (event,)


def test_many_events_are_the_lines_that_are_not_empty(ingest: Ingest) -> None:
    body = b'{"a": 1}\r\n\n  \n {"a":2}\n{"a":"\xe2\x80\xa8"}'
    assert texts(ingest.events("x", body, content_type=NDJSON)) == (
        b'{"a": 1}',
        b'{"a":2}',
        b'{"a":"\xe2\x80\xa8"}',
    )


def test_one_bad_line_refuses_all_and_says_which(ingest: Ingest) -> None:
    refused = refusal(ingest, '{"a": 1}\n\n{"progress": 1.5}\n', content_type=NDJSON)
    assert (refused.status, refused.line, refused.path) == (HTTPStatus.UNPROCESSABLE_ENTITY, 3, "/progress")
    assert refused.body() == {
        "code": "invalid_message",
        "message": "line 3: /progress: 1.5 is greater than the maximum of 1",
        "line": 3,
        "path": "/progress",
    }


@pytest.mark.parametrize("body", ["", "\n", " \r\n \n"])
def test_a_body_of_no_event_is_refused(ingest: Ingest, body: str) -> None:
    assert refusal(ingest, body, content_type=NDJSON).status is HTTPStatus.BAD_REQUEST
    assert refusal(ingest, body).status is HTTPStatus.BAD_REQUEST


def test_the_number_of_events_is_limited(ingest: Ingest) -> None:
    assert len(ingest.events("x", b"{}\n" * 3, content_type=NDJSON)) == 3
    assert refusal(ingest, "{}\n" * 4, content_type=NDJSON).status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"type": 1}, "/type"),
        ({"type": "task_started"}, ""),
        ({"type": "task_anything", "task_id": ""}, "/task_id"),
        ({"progress": -0.001}, "/progress"),
        ({"progress": "0.5"}, "/progress"),
        ({"investigation_id": "y"}, "/investigation_id"),
        ({"investigation_id": "X"}, "/investigation_id"),
        ([], ""),
        ("text", ""),
    ],
)
def test_an_event_that_breaks_the_schema_is_refused_with_its_path(
    ingest: Ingest, event: Any, path: str
) -> None:
    refused = refusal(ingest, json.dumps(event))
    assert (refused.status, refused.path) == (HTTPStatus.UNPROCESSABLE_ENTITY, path)


@pytest.mark.parametrize("number", ["1e999", "9" * 5000, "1" + "0" * 400 + ".0"])
def test_a_number_beyond_a_double_is_compared_all_the_same(number: str) -> None:
    ingest = Ingest(Limits(event_bytes=100_000, events=1, nesting=32))
    assert refusal(ingest, f'{{"progress": {number}}}').path == "/progress"
    event = f'{{"anything": {number}}}'.encode()
    assert texts(ingest.events("x", event, content_type=JSON)) == (event,)


@pytest.mark.parametrize("event", [r'{"\ud800": 1}', r'{"a": ["\uDFFF"]}', r'{"a": "\udd8a\ud83e"}'])
def test_a_string_that_utf8_cannot_carry_is_refused(ingest: Ingest, event: str) -> None:
    assert refusal(ingest, event).status is HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_pair_of_surrogates_is_one_character_as_any_other(ingest: Ingest) -> None:
    event = rb'{"\ud83e\udd8a": "\uD83E\uDD8A"}'
    assert texts(ingest.events("x", event, content_type=JSON)) == (event,)


def test_a_path_is_a_json_pointer() -> None:
    assert refusal(Ingest(Limits(EVENT_BYTES, 1, 32)), '{"progress": 2}').path == "/progress"


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"a": NaN}',
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        nested(33),
        "[" * 100_000,
        b"\xff",
        b'"\xc3"',
    ],
)
def test_bad_json_is_400(ingest: Ingest, body: str | bytes) -> None:
    refused = refusal(ingest, body)
    assert (refused.status, refused.code) == (HTTPStatus.BAD_REQUEST, "invalid_json")


def test_32_levels_of_nesting_are_taken(ingest: Ingest) -> None:
    event = nested(32).encode()
    assert texts(ingest.events("x", event, content_type=JSON)) == (event,)
    assert injected(ingest.injection(b'{"investigation_id":"x","data":%b}' % event, content_type=JSON)) == (
        "x",
        event,
    )


def test_the_size_of_the_message_is_limited_inclusively(ingest: Ingest) -> None:
    around = len('{"type":"investigation_update","investigation_id":"x","data":{"a":""}}')
    fits = b'{"a":"%b"}' % (b"x" * (EVENT_BYTES - around))
    assert texts(ingest.events("x", fits, content_type=JSON)) == (fits,)
    refused = refusal(ingest, fits.replace(b'x"', b'xx"'))
    assert (refused.status, refused.code) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "message_too_large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/jsonx", ""])
def test_other_content_types_are_415(ingest: Ingest, content_type: str) -> None:
    assert refusal(ingest, "{}", content_type=content_type).status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    with pytest.raises(Refused) as refused:
        ingest.injection(b"{}", content_type=content_type)
    assert refused.value.status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize("investigation_id", ["", "x" * 256])
def test_an_id_of_wrong_length_is_422(ingest: Ingest, investigation_id: str) -> None:
    assert refusal(ingest, "{}", to=investigation_id).status is HTTPStatus.UNPROCESSABLE_ENTITY


@pytest.mark.parametrize("investigation_id", ["x", " ", "🦊" * 255, "a/b", ".."])
def test_ids_of_any_characters_are_taken(ingest: Ingest, investigation_id: str) -> None:
    assert texts(ingest.events(investigation_id, b"{}", content_type=JSON)) == (b"{}",)
    body = json.dumps({"investigation_id": investigation_id, "data": {}}).encode()
    assert injected(ingest.injection(body, content_type=JSON)) == (investigation_id, b"{}")


def test_an_injected_payload_is_kept_as_it_was_written(ingest: Ingest) -> None:
    data = rb'{ "data" : {"data": [1.0, 1E2]}, "type":5, "big":123456789012345678901234567890, "\ud800":"}" }'
    body = b'\n{ "data"\t:\n%b , "more": {"data": 1},"investigation_id" : "\\u0078" } ' % data
    assert injected(ingest.injection(body, content_type=JSON)) == ("x", data)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("[]", ""),
        ('{"data": {}}', "/investigation_id"),
        ('{"data": {}, "investigation_id": 1}', "/investigation_id"),
        ('{"data": {}, "investigation_id": ""}', "/investigation_id"),
        (r'{"data": {}, "investigation_id": "\ud800"}', "/investigation_id"),
        ('{"investigation_id": "x"}', "/data"),
        ('{"investigation_id": "x", "data": []}', "/data"),
        ('{"investigation_id": "x", "data": null}', "/data"),
    ],
)
def test_an_injection_without_id_or_object_is_422(ingest: Ingest, body: str, path: str) -> None:
    with pytest.raises(Refused) as refused:
        ingest.injection(body.encode(), content_type=JSON)
    assert (refused.value.status, refused.value.path) == (HTTPStatus.UNPROCESSABLE_ENTITY, path)


@pytest.mark.parametrize(
    "body", ['{"data": {}, "data": {}, "investigation_id": "x"}', '{"data": {"a":1,"a":1}}']
)
def test_an_injection_with_a_repeated_name_is_400(ingest: Ingest, body: str) -> None:
    with pytest.raises(Refused) as refused:
        ingest.injection(body.encode(), content_type=JSON)
    assert refused.value.status is HTTPStatus.BAD_REQUEST


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["task_started", "task_", "task", "x", ""]) | json_values,
        "status": json_values,
        "task_id": st.text(max_size=3) | json_values,
        "progress": st.floats(-1, 2) | st.integers(-1, 2) | json_values,
        "investigation_id": st.sampled_from(["x", "x", "y"]) | json_values,
        "other": json_values,
    },
)
second_opinion = jsonschema.Draft202012Validator(contract.bundled("event"))


@given(fields | json_values)
def test_what_is_taken_is_what_an_independent_validator_takes(event: Any) -> None:
    ingest = Ingest(Limits(event_bytes=1_000_000, events=1, nesting=100))
    body = json.dumps(event).encode()
    if second_opinion.is_valid(event) and event.get("investigation_id", "x") == "x":
        assert texts(ingest.events("x", body, content_type=JSON)) == (body,)
    else:
        assert refusal(ingest, body).status is HTTPStatus.UNPROCESSABLE_ENTITY


@pytest.mark.parametrize(
    ("event", "scope"),
    [
        ('{"type":"task_started","task_id":"t"}', Scope.TASKS),
        ('{"type":"investigation_started"}', Scope.SUMMARY),
        ('{"type":"custom"}', Scope.ALL),
    ],
)
def test_an_event_is_classified_once(ingest: Ingest, event: str, scope: Scope) -> None:
    (published,) = ingest.events("x", event.encode(), content_type=JSON)
    _, payload = ingest.injection(b'{"investigation_id":"x","data":%b}' % event.encode(), content_type=JSON)
    assert (published.scope, payload.scope) == (scope, scope)
