"""Every setting of the gateway, and the only place that reads the environment.

A value is taken from the first of these that has it: what the caller passes (the command line), the environment, the
file `.env`, the file `polyglot.toml`, the default. In the environment and in `.env` a setting has its name in upper
case; variables that are not settings are ignored there. In `polyglot.toml` an unknown key is an error, because nobody
but the gateway reads that file.

Apps, their keys and their channel rules (`settings_apps.py`) stand only in `polyglot.toml`, and can be read again while
the gateway runs.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from polyglot_gateway import _core
from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings_apps import (
    Apps,
    AppSettings,
    EventBytes,
    HistorySize,
    KeySettings,
    Number,
    RuleSettings,
    Scope,
    Seconds,
    expired_keys,
    keys_that_everybody_knows,
    too_long_histories,
)
from polyglot_gateway.settings_processor import ProcessorSettings
from polyglot_gateway.settings_redis import RedisSettings
from polyglot_gateway.settings_tokens import TokenSettings, is_loopback
from polyglot_gateway.settings_traces import TraceSettings

__all__ = ["AppSettings", "KeySettings", "RuleSettings", "Scope", "Settings", "load_settings"]

DEFAULT_CONFIG = Path("polyglot.toml")

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#,]+", re.IGNORECASE)
_OTHER_NAMES = {
    "mix_env": "polyglot_env",
    "go_processor_url": "processor_url",
    "go_processor_grpc_port": "processor_grpc_port",
}
"""Of settings, in the environment and in `.env`; a setting's own name goes before."""
_SECRET = {"keys", "jwt_secret", "jwt_jwks", "redis_url", "redis_password", "processor_url"}


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _origin(text: str) -> str:
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError("must be * or an origin such as https://example.com, without a path")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8") from None
    return text


def _bind(text: str) -> str:
    if text.startswith("unix:"):
        if len(text) == len("unix:"):
            raise ValueError("must name the socket: unix:/run/polyglot.sock")
        return text
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be host:port or unix:path, with a port from 1 to 65535")
    return text


class _EnvironmentSource(EnvSettingsSource):
    """The environment, without the apps, which stand only in the toml file, and with the other names of settings."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name == "apps":
            return None, field_name, False
        return super().get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = EnvSettingsSource.__call__(self)
        for name, setting in _OTHER_NAMES.items():
            if value := self.env_vars.get(name):
                values.setdefault(setting, value)
        return values


class _DotEnvSource(_EnvironmentSource, DotEnvSettingsSource):
    """The file `.env`, read by the rules of the environment."""


class Settings(TraceSettings, TokenSettings, ProcessorSettings, RedisSettings):
    """Every setting, checked. Make it with `load_settings`, which reports what is wrong as a SettingsError."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="forbid")

    polyglot_config: Path = Field(DEFAULT_CONFIG, description="the toml file; it may be absent unless it is named")
    polyglot_env: Literal["dev", "prod"] = Field("dev", description="dev or prod; MIX_ENV is another name for it")
    bind: Annotated[str, BeforeValidator(lambda v: _bind(v) if isinstance(v, str) else v)] = Field(
        default_factory=lambda known: "127.0.0.1:4000" if known.get("polyglot_env") == "dev" else "0.0.0.0:4000",
        description="host:port or unix:path",
    )
    port: Number | None = Field(None, ge=1, le=65_535, description="replaces the port of bind")
    workers: Number = Field(
        default_factory=lambda: min(len(os.sched_getaffinity(0)), 64), ge=1, le=64, description="worker processes"
    )
    server: Literal["native", "wsgi"] = Field("native", description="native or wsgi: which server answers")
    data_dir: Path = Field(Path("data"), description="folder of history.pgs")
    history_size: HistorySize = Field(1000, description="events kept per channel")
    history_ttl: Seconds = Field(0.0, description="seconds that events are kept; 0 for no limit")
    history_bytes: Number = Field(134_217_728, ge=1_048_576, le=2**40, description="bytes of the log of all channels")
    max_channels: Number = Field(10_000, ge=1, le=1_000_000, description="channels kept at a time")
    max_event_bytes: EventBytes = Field(65_536, description="largest body of a publish")
    max_batch_bytes: Number = Field(1_048_576, ge=64, le=2**30, description="largest body of a batch or broadcast")
    idempotency_keys: Number = Field(65_536, ge=1, le=2**24, description="keys remembered for five minutes")
    durability: Literal["process", "interval", "sync"] = Field("process", description="what an ack survives")
    cors_origins: Annotated[
        list[Annotated[str, BeforeValidator(lambda v: _origin(v) if isinstance(v, str) else v)]],
        NoDecode,
        BeforeValidator(_words),
    ] = Field([], description="origins of web pages that may call, comma separated; * for any")
    trusted_proxies: Annotated[
        list[Annotated[str, BeforeValidator(lambda v: _network(v) if isinstance(v, str) else v)]],
        NoDecode,
        BeforeValidator(_words),
    ] = Field(["127.0.0.1", "::1"], description="addresses and networks whose X-Forwarded-For is believed")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["console", "json"] = Field(
        default_factory=lambda known: "console" if known.get("polyglot_env") == "dev" else "json",
        description="console or json",
    )
    graceful_timeout: Number = Field(30, ge=0, le=3600, description="seconds that SIGTERM gives to open requests")
    console: bool = Field(
        default_factory=lambda known: known.get("polyglot_env") == "dev",
        description="whether there is a page at /console",
    )
    apps: Apps = Field({}, description="apps with their keys, channel rules and limits; only in the toml file")

    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources as the module says."""
        sources = (init_settings, _EnvironmentSource(settings_cls), _dotenv_source(settings_cls))
        found = [source() for source in sources]
        named = next((path for values in found if (path := values.get("polyglot_config"))), None)
        found.append(_toml_source(settings_cls, Path(named or DEFAULT_CONFIG), must_exist=named is not None)())
        return tuple(InitSettingsSource(settings_cls, init_kwargs=values) for values in _own_ports_only(found))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if wrong := self._wrong_together():
            raise ValueError("\n".join(wrong))
        if self.port is not None and not self.bind.startswith("unix:"):
            self.bind = f"{self.bind.rpartition(':')[0]}:{self.port}"
        return self

    def _wrong_together(self) -> list[str]:
        """What no field can know alone, one line each."""
        wrong = too_long_histories(self.apps, self.history_size) + self.wrong_redis() + self.wrong_processor()
        wrong += self.wrong_traces()
        if "*" in self.apps and self.apps["*"].keys:
            wrong.append("apps.*.keys: not allowed; only rules may stand there")
        if self.polyglot_env == "prod" and not any(app.keys for app in self.apps.values()):
            wrong.append(
                "apps: no app has a key, so nobody could publish; with POLYGLOT_ENV=prod at least one must stand in "
                f"{self.polyglot_config}, as `polyglot keys generate APP` prints it"
            )
        if self.polyglot_env == "prod":
            wrong += keys_that_everybody_knows(self.apps) + self.weak_tokens()
            if self.authorize and "*" in self.cors_origins:
                wrong.append(
                    "cors_origins: '*': any web page could open sockets with the cookies of who visits it, which the "
                    "authorize hook is shown; with POLYGLOT_ENV=prod and authorize name the origins one by one"
                )
        return wrong

    @property
    def development(self) -> bool:
        """Whether any app exists, with a key that everybody knows."""
        return self.polyglot_env == "dev"

    def access(self) -> _core.Access:
        """Who may do what, as the core wants it."""
        access = _core.Access(development=self.development)
        for app, settings in self.apps.items():
            if app != "*":
                access.add_app(app)
            for key in settings.keys:
                access.add_key(app, key.sha256, key.scopes, key.expires_at())
        return access

    def rules(self) -> _core.Rules:
        """The channel rules, as the core wants them.

        In development every channel can be read without a key, and those without a rule take what sockets publish and
        track their members.
        """
        without_rule = RuleSettings(channels="*", client_publish=self.development, presence=self.development)
        rules = _core.Rules(self._rule(without_rule))
        for app, settings in self.apps.items():
            for rule in settings.rules:
                rules.add(app, rule.channels, self._rule(rule))
        return rules

    def limits(self) -> _core.Limits:
        """How much each app may publish and have open, as the core wants it."""
        limits = _core.Limits()
        for app, settings in self.apps.items():
            if settings.limits is not None:
                limits.add(app, **settings.limits.model_dump(exclude_none=True))
        return limits

    def _rule(self, rule: RuleSettings) -> _core.ChannelRule:
        return _core.ChannelRule(
            history_size=self.history_size if rule.history_size is None else rule.history_size,
            history_ttl=self.history_ttl if rule.history_ttl is None else rule.history_ttl,
            max_event_bytes=self.max_event_bytes if rule.max_event_bytes is None else rule.max_event_bytes,
            public_read=rule.public_read or self.development,
            client_publish=rule.client_publish,
            presence=rule.presence,
            conflate=rule.conflate,
            processor=rule.processor,
            bypass_processor=rule.on_processor_down == "bypass",
        )

    def warnings(self) -> list[str]:
        """What the one who starts the gateway should know, one sentence each."""
        said = [
            *expired_keys(self.apps),
            *(
                f"apps.{app}.limits: channels is not looked at, because the channels are in Redis"
                for app, settings in self.apps.items()
                if self.redis() and settings.limits is not None and settings.limits.channels is not None
            ),
        ]
        if not self.development:
            return said
        said += [
            "POLYGLOT_ENV=dev: valid_key_<app> is a key of any app and every channel can be read without a key; "
            "set POLYGLOT_ENV=prod before others can reach this gateway",
        ]
        if not self.bind.startswith("unix:") and not is_loopback(self.bind.rpartition(":")[0].strip("[]")):
            said.append(f"POLYGLOT_ENV=dev listens on {self.bind}, which others may be able to reach")
        return said

    def shown(self) -> dict[str, Any]:
        """Every setting as JSON values, fit to be printed: of keys only names and scopes, of a secret stars."""
        return self.model_dump(
            mode="json", exclude={"port": True, "apps": {"__all__": {"keys": {"__all__": {"sha256"}}}}}
        )

    def with_apps_of(self, fresh: Settings) -> Settings:
        """These settings with the apps and the log level of `fresh`; all others stay as they are: they need a restart.

        Raises:
            SettingsError: The apps do not go with the settings that stay.
        """
        settings = self.model_copy(update={"apps": fresh.apps, "log_level": fresh.log_level})
        if wrong := settings._wrong_together():
            raise SettingsError("\n".join(wrong))
        return settings

    def reread(self) -> Settings:
        """These settings with the apps and the log level that polyglot.toml gives now.

        Raises:
            SettingsError: Something is wrong, be it used now or at the next start.
        """
        return self.with_apps_of(load_settings(**self._overrides))

    def waiting_for_a_start(self) -> list[str]:
        """Names of the settings that have another value by now than here; the apps are none of them.

        Raises:
            SettingsError: As reread.
        """
        fresh = load_settings(**self._overrides)
        names = (name for name in type(self).model_fields if name != "apps")
        return [name for name in names if getattr(self, name) != getattr(fresh, name)]


def load_settings(**overrides: Any) -> Settings:
    """Read and check every setting; `overrides` go before the environment, None among them means not given.

    Raises:
        SettingsError: One line for each wrong setting: its name, its value and what is allowed.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        # A default that follows from another setting cannot be made when any is wrong; that alone is no mistake.
        details = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        raise SettingsError("\n".join(map(_line, details))) from None
    settings._overrides = given
    return settings


def _own_ports_only(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop each `port` from a source below the one that has `bind`: it speaks about another address."""
    bound = next((index for index, values in enumerate(sources) if "bind" in values), len(sources))
    return [
        {name: value for name, value in values.items() if index <= bound or name != "port"}
        for index, values in enumerate(sources)
    ]


def _dotenv_source(settings_cls: type[BaseSettings]) -> PydanticBaseSettingsSource:
    try:
        return _DotEnvSource(settings_cls, env_file=".env", env_file_encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f".env: is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f".env: cannot be read: {error.strerror}; make it readable, or move it away") from None


def _toml_source(settings_cls: type[BaseSettings], path: Path, must_exist: bool) -> PydanticBaseSettingsSource:
    if must_exist and not path.is_file():
        raise SettingsError(f"polyglot_config: {str(path)!r}: there is no such file; name an existing one or none")
    try:
        return TomlConfigSettingsSource(settings_cls, toml_file=path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"polyglot_config: {str(path)!r} is not TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"polyglot_config: {str(path)!r} cannot be read: {error.strerror}") from None


def _line(detail: ErrorDetails) -> str:
    """One wrong setting in one line; never the value of what might be a key."""
    where = ".".join(str(part) for part in detail["loc"])
    what = detail["msg"].removeprefix("Value error, ")
    if not where:
        return what
    if detail["type"] == "extra_forbidden":
        return f"{where}: there is no such setting"
    if detail["type"] == "missing" or _SECRET.intersection(detail["loc"]):
        return f"{where}: {what}"
    return f"{where}: {detail['input']!r}: {what}"
