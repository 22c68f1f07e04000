"""Every setting and limit of the server, said once: flags, environment, help and documentation follow."""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from osint_events.features import FEATURES, Feature
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from osint_events_server.logs import LogFormat
from osint_events_server.tokens import MIN_KEY_BYTES

MIN_SECRET_BYTES: Final = 32
"""Of a secret that tokens are signed with, as RFC 7518, section 3.2, asks for with HS256."""

ENV_PREFIX = "OSINT_EVENTS_"

MEMORY: Final = "memory"
_MAX_BATCH: Final = 1000  # of JetStream's atomic batches


class SettingsError(Exception):
    """A setting is wrong; the message says which, where it was given, and what is expected."""


class Settings(BaseSettings):
    """What a server is started with. Sizes are in bytes, times in seconds, limits inclusive."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address or host name to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    enable_inject: bool = Field(
        default=False, description="Serve POST /inject, by which a conformance check makes the server emit."
    )
    console: bool = Field(
        default=False, description="Serve the live console at /, a page that watches investigations."
    )
    store: str = Field(
        MEMORY,
        repr=False,
        description="Where events are kept: memory, or nats://host:port for a NATS JetStream server that any "
        "number of nodes share; several servers of a cluster separated by commas. With a password in it, "
        "better in the environment or the file.",
    )
    fallback: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Send an event that nobody is subscribed to to all connections (DEL-3). auto: on with "
        "the memory store, off with a shared one, where no node knows who is subscribed on others.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins that browsers may connect from besides the server's own (SEC-3): "
        "scheme://host[:port], several separated by commas.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names of the server itself, without ports, whose own pages may connect (SEC-3), several "
        "separated by commas. Without any: addresses and localhost where it listens on the loopback "
        "interface, else any name.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-For, -Proto and -Host "
        "are believed, several separated by commas.",
    )
    tls_cert: Path | None = Field(
        None,
        description="PEM file with the certificate and those between it and the root: serve TLS. It is read "
        "again on SIGHUP.",
    )
    tls_key: Path | None = Field(
        None, description="PEM file with the private key, where it is not in the certificate's."
    )
    metrics: bool = Field(default=True, description="Serve GET /metrics, for Prometheus.")
    log_format: LogFormat = Field("text", description="Log lines for people, or JSON objects for machines.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "WARNING", description="Least severity that is logged, to standard error."
    )

    compression: bool = Field(
        default=False, description="Compress messages (permessage-deflate) for clients that offer it (CMP-1)."
    )
    token_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="Secrets of 32 bytes or more that replay tokens are signed with, the first one, and "
        "verified, all of them (RPL-3), separated by commas; without any a random one serves until the end. "
        "Better in the environment or the file, where other users do not see it.",
    )

    auth_secret: str | None = Field(
        None,
        repr=False,
        description="Secret of 32 bytes or more that clients' JSON Web Tokens are signed with (HS256, HS384, "
        "HS512). Given, authentication is on (SEC-1). Better in the environment or the file, where other "
        "users do not see it.",
    )
    auth_jwks: Path | None = Field(
        None,
        description="JWKS file with the public keys that clients' JSON Web Tokens are verified with. Given, "
        "authentication is on; it is read again on SIGHUP.",
    )
    auth_hook: str | None = Field(
        None,
        description="MODULE:FACTORY of an authenticator of your own. Given, authentication is on.",
    )
    auth_issuer: str | None = Field(None, description="The issuer (`iss`) that a token has to have.")
    auth_audience: str | None = Field(
        None,
        description="The audience (`aud`) that a token has to name; without it a token may name none.",
    )
    auth_leeway: float = Field(
        10, ge=0, description="Time by which the clocks of the issuer and of this server may differ."
    )
    auth_timeout: float = Field(
        10, gt=0, description="Time for the hello that authenticates, where no header did (SEC-1)."
    )

    max_message_bytes: int = Field(
        65536, ge=65536, description="Largest message taken from a client (ROB-4)."
    )
    max_event_bytes: int = Field(262144, ge=65536, description="Largest message that an event may become.")
    max_ingest_bytes: int = Field(1048576, ge=65536, description="Largest body of a request that publishes.")
    max_ingest_events: int = Field(1000, ge=1, description="Events that one request may publish.")
    max_nesting: int = Field(64, ge=32, le=200, description="Levels of nesting of an event.")
    max_header_bytes: int = Field(
        8190, ge=1024, le=65536, description="Longest path, and longest value of a header, of a request."
    )
    max_connections: int = Field(20_000, ge=1, description="WebSocket connections in all.")
    max_connections_per_address: int = Field(
        20_000,
        ge=1,
        description="WebSocket connections from one IP address, or IPv6 network of 64 bits.",
    )
    max_subscriptions: int = Field(128, ge=128, description="Subscriptions of one connection (SUB-3).")
    max_client_id: int = Field(128, ge=128, description="Characters of a client_id (CONN-1).")
    max_queue_messages: int = Field(1024, ge=1, description="Messages that wait for one connection (ROB-5).")
    max_queue_bytes: int = Field(1048576, ge=1, description="Bytes that wait for one connection (ROB-5).")
    messages_per_second: float = Field(
        100,
        gt=0,
        description="Messages taken from one connection in the long run; more are read more slowly.",
    )
    burst: int = Field(512, ge=1, description="Messages taken from one connection at once.")
    ping_interval: float = Field(
        25,
        gt=0,
        description="Silence after which a connection is pinged; half as long again without a sign of life "
        "ends it where it has no `heartbeat`.",
    )
    pong_timeout: float = Field(
        10,
        gt=0,
        description="Time after a ping without a sign of life, after which a connection with the "
        "capability `heartbeat` is closed (HB-2).",
    )
    write_timeout: float = Field(
        10, gt=0, description="Time in which a peer reads nothing of what waits for it, and is ended."
    )
    request_timeout: float = Field(
        10, gt=0, description="Time for a request, a handshake's too, to arrive with its body."
    )
    close_timeout: float = Field(
        5, gt=0, description="Time for the closing handshake, after which the connection is aborted."
    )
    drain_time: float = Field(
        0,
        ge=0,
        description="Time over which connections are closed with 1012 on SIGTERM, while no new ones are "
        "taken; 0: all at once, with 1001.",
    )
    shutdown_timeout: float = Field(5, gt=0, description="Time for all connections to close at the end.")
    features: Annotated[tuple[Feature, ...], NoDecode] = Field(
        FEATURES, description="Capabilities that are offered to who says hello (NEG-1), separated by commas."
    )
    history_events: int = Field(
        1000, ge=1, description="Events kept of one investigation; by the memory store only."
    )
    history_ttl: float = Field(
        300,
        gt=0,
        description="Age up to which events and idempotency keys are kept; by NATS, keys for 120 s at most.",
    )
    history_bytes: int = Field(268435456, ge=0, description="Size of all events kept.")
    max_replay_events: int = Field(
        1000, ge=0, description="Events that a client may have missed and is still sent (RPL-4)."
    )

    nats_stream: str = Field(
        "OSINT_EVENTS",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the stream at NATS, and first part of its subjects.",
    )
    nats_replicas: int = Field(
        0, ge=0, le=5, description="NATS servers that keep each event; 0 for 3 in a cluster, else 1."
    )
    nats_timeout: float = Field(
        5, gt=0, description="Time for NATS to answer: a start, a publisher, a client that resumes."
    )
    nats_credentials: Path | None = Field(
        None, description="File with the user's JWT and seed at NATS (.creds)."
    )
    nats_ca: Path | None = Field(
        None, description="File with the certificates of the authorities that NATS's own comes from."
    )

    @property
    def has_fallback(self) -> bool:
        """Whether an event that nobody is subscribed to goes to all connections (DEL-3)."""
        return self.fallback == "on" or (self.fallback == "auto" and self.store == MEMORY)

    @property
    def nats_servers(self) -> tuple[str, ...]:
        """The URLs of the NATS servers, none where the store is in memory."""
        return () if self.store == MEMORY else tuple(self.store.replace(",", " ").split())

    @field_validator("store")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if value == MEMORY:
            return value
        for url in value.replace(",", " ").split() or [""]:
            try:
                parts = urlsplit(url)
                is_right = parts.scheme in {"nats", "tls"} and bool(parts.hostname) and parts.port != 0
            except ValueError:
                is_right = False
            if not is_right:  # and is not quoted, since it may hold a password
                raise ValueError("memory, nats://host:port or tls://host:port, several separated by commas")
        return value

    @field_validator("fallback")
    @classmethod
    def _check_fallback(cls, value: str, info: ValidationInfo) -> str:
        if value == "on" and info.data.get("store", MEMORY) != MEMORY:
            raise ValueError("on needs the memory store: a node does not know who is subscribed on others")
        return value

    @field_validator("nats_credentials", "nats_ca")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("max_ingest_events")
    @classmethod
    def _check_ingest(cls, value: int, info: ValidationInfo) -> int:
        if value > _MAX_BATCH and info.data.get("store", MEMORY) != MEMORY:
            raise ValueError(f"NATS stores up to {_MAX_BATCH} events together")
        return value

    @field_validator(
        "allowed_hosts", "allowed_origins", "features", "token_keys", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("token_keys")
    @classmethod
    def _check_token_keys(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("store", MEMORY) != MEMORY:
            raise ValueError(
                "nodes that share a store need the same key, so that a client can resume on any (RPL-9); "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
            )
        if any(len(key.encode()) < MIN_KEY_BYTES for key in value):
            raise ValueError(f"a key has {MIN_KEY_BYTES} bytes at least")  # and is not quoted
        return value

    @field_validator("auth_hook")
    @classmethod
    def _check_hook(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^:\s]+:[^:\s]+", value):
            raise ValueError(f"{value!r} is not MODULE:FACTORY")
        return value

    @field_validator("auth_secret")
    @classmethod
    def _check_auth_secret(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret has {MIN_SECRET_BYTES} bytes at least")  # and is not quoted
        return value

    @model_validator(mode="after")
    def _check_one_authenticator(self) -> Self:
        names = ("auth_secret", "auth_jwks", "auth_hook")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"of {', '.join(map(flag, given))} only one can be used")
        return self

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_origin, value))

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host):
                raise ValueError(f"{host!r} is no host name or address without a port")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"{network!r} is no address or network") from error
        return value

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError(f"{flag('tls_key')} takes {flag('tls_cert')}")
        return self


def _origin(text: str) -> str:
    """Return an origin as browsers write it (RFC 6454, section 6.2): in lower case, without a usual port."""
    scheme, separator, rest = text.lower().partition("://")
    if not (scheme and separator and rest) or "/" in rest:
        raise ValueError(f"{text!r} is not scheme://host[:port]")
    return f"{scheme}://{rest.removesuffix({'http': ':80', 'https': ':443'}.get(scheme, ':'))}"


def load(flags: Mapping[str, Any], *, config: Path | None = None) -> Settings:
    """Return the settings: flags before the environment, before the TOML file, before the defaults.

    Args:
        flags: settings by name, those that were given.
        config: a TOML file with settings at its top level.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown or wrong.

    """
    if config is not None:
        _check_toml(config)

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config))

    try:
        return Layered(**flags)
    except ValidationError as error:
        problems = (_describe(item["loc"], item["msg"], flags, config) for item in error.errors())
        raise SettingsError("; ".join(problems)) from error


def flag(name: str) -> str:
    """Return the command line's flag of a setting."""
    return f"--{name.replace('_', '-')}"


def env(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{ENV_PREFIX}{name.upper()}"


def _check_toml(config: Path) -> None:
    try:
        tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: {error.strerror}") from error
    except ValueError as error:  # bad TOML and bad UTF-8 alike
        raise SettingsError(f"{config}: no TOML: {error}") from error


def _describe(
    place: tuple[int | str, ...], problem: str, flags: Mapping[str, Any], config: Path | None
) -> str:
    problem = problem.removeprefix("Value error, ")
    if not place:  # of several settings, which it names
        return problem
    name = str(place[0])
    if name in flags:
        where = flag(name)
    elif env(name) in {variable.upper() for variable in os.environ}:
        where = env(name)
    elif config is None:
        where = flag(name)
    else:
        where = f"{config}: {name}"
    if name not in Settings.model_fields:
        problem = "no such setting"
    return f"{where}: {problem}"
