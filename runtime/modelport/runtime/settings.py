"""The settings of a server, each declared once: name, type, limits, default and meaning.

A setting called `max_body_bytes` is the flag `--max-body-bytes` and the environment variable
`MODELPORT_MAX_BODY_BYTES`. A flag goes before the environment, the environment before the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from .errors import InvalidSettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "MODELPORT_"

LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


_Text = Annotated[str, Meta(min_length=1)]
_Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
_Key = Annotated[str, Meta(pattern="^[!-~]{8,512}$")]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server is told.

    The metadata of each field is its limits, what an error says was expected (`title`, where the type does not say),
    and its line in docs/settings.md (`description`).
    """

    package: Annotated[
        tuple[_Text, ...],
        Meta(
            min_length=1,
            title="a directory",
            description="directory or archive of the package to serve; several with commas between",
        ),
    ]
    digest: Annotated[
        tuple[_Digest, ...],
        Meta(
            title="`sha256:` and 64 hexadecimal digits",
            description="the digest that the package must have, any other is refused; of several packages one each",
        ),
    ] = ()
    script: Annotated[
        _Text | None,
        Meta(
            title="a file",
            description="file with an entry script to use in place of the package's own: for developing one",
        ),
    ] = None
    reload: Annotated[
        bool,
        Meta(title="true or false", description="whether that script is read again when it changes"),
    ] = False
    host: Annotated[
        str,
        Meta(min_length=1, title="an address", description="address to listen on; `0.0.0.0` is every IPv4 network"),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one, and says so")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=256, description="processes that score, each with the model loaded; one a core is plenty")
    ] = 1
    engine: Annotated[str, Meta(min_length=1, title="an engine", description="what executes the model")] = "onnxruntime"
    providers: Annotated[
        tuple[str, ...],
        Meta(
            title="names with commas between",
            description="execution providers, the preferred first, with commas between: `cuda,cpu`",
        ),
    ] = ()
    keys: Annotated[
        tuple[_Key, ...],
        Meta(
            title="one or two keys of 8 to 512 characters with a comma between",
            description="keys of which a request must have one, as `Authorization: Bearer KEY`; "
            "one or two, with a comma between",
            extra={"flag": False},
        ),
    ] = ()
    keys_file: Annotated[
        _Text | None,
        Meta(
            title="a file",
            description="file with one or two such keys, one a line, read again when it changes",
        ),
    ] = None
    tls_cert: Annotated[
        _Text | None,
        Meta(
            title="a file",
            description="file with the certificate and its chain (PEM), for TLS 1.2 and 1.3; it and its key are read "
            "again when they change",
        ),
    ] = None
    tls_key: Annotated[
        _Text | None, Meta(title="a file", description="file with the key of that certificate (PEM), not encrypted")
    ] = None
    cors_origins: Annotated[
        tuple[_Text, ...],
        Meta(
            title="origins with commas between",
            description="origins whose pages may ask, such as `https://example.com`, with commas between; `*` is all",
        ),
    ] = ()
    max_body_bytes: Annotated[
        int, Meta(ge=1, le=1 << 40, description="largest request body in bytes; a larger one is answered with 413")
    ] = 64 << 20
    max_pending: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="requests that may wait for their turn in a worker; a further one is answered with 429",
        ),
    ] = 1024
    max_queue_wait: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="seconds that a request may have to wait for its turn, by an estimate from those before; one "
            "that would wait longer is answered with 429",
        ),
    ] = 1.0
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="connections that a worker holds open at once; more wait until one is closed",
        ),
    ] = 10_000
    scoring_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            title="a number above 0 up to 86400",
            description="seconds in which a request must be scored once it is its turn; one that takes longer is "
            "stopped and answered with 504",
        ),
    ] = 60.0
    header_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            title="a number above 0 up to 3600",
            description="seconds in which the head of a request must have come, also that of the next one on a "
            "connection that is kept; the connection is closed then",
        ),
    ] = 15.0
    body_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            title="a number above 0 up to 3600",
            description="seconds in which the body of a request must have come; it is answered with 408 then",
        ),
    ] = 60.0
    answer_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            title="a number above 0 up to 3600",
            description="seconds over which a client must take at least 1000 bytes of its answer a second; its "
            "connection is closed then (on Linux)",
        ),
    ] = 60.0
    access_log: Annotated[bool, Meta(title="true or false", description="whether every request is logged")] = False
    tracing: Annotated[
        bool,
        Meta(
            title="true or false",
            description="whether a span a request is sent by OpenTelemetry (extra `otel`), which is told where by its "
            "own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`",
        ),
    ] = False
    start_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            title="a number above 0 up to 86400",
            description="seconds in which a worker must have loaded the packages and passed their golden samples, "
            "when it starts and when it loads them anew",
        ),
    ] = 300.0
    watch: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="seconds between two looks at whether a package has changed; it is loaded anew then, as on "
            "SIGHUP; 0 does not look",
        ),
    ] = 0.0
    drain_delay: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="seconds after SIGTERM in which new connections are still accepted while `ready` says no: "
            "time for a load balancer to notice",
        ),
    ] = 0.0
    drain_timeout: Annotated[
        float,
        Meta(ge=0, le=3600, description="seconds after `drain_delay` in which the requests under way must finish"),
    ] = 25.0
    log_format: Annotated[
        LogFormat, Meta(description="`text`, `json` (one object a line), or `auto`: text on a terminal, else json")
    ] = "auto"
    log_level: Annotated[LogLevel, Meta(description="the least severe messages that are logged")] = "info"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as people meet it: its names, its default as text and its meaning; a secret has no flag."""

    name: str
    variable: str
    flag: str
    default: str
    meaning: str
    is_switch: bool = False


def table() -> Iterator[Setting]:
    """Yield every setting in the order in which the struct declares them."""
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        meta: Meta = hints[field.name].__metadata__[0]
        flag = field.name.upper() if field.required else f"--{field.name.replace('_', '-')}"
        if not (meta.extra or {}).get("flag", True):  # a secret on a command line is seen by everybody
            flag = ""
        yield Setting(
            name=field.name,
            variable=f"{PREFIX}{field.name.upper()}",
            flag=flag,
            default=_as_text(field.default),
            meaning=meta.description or "",
            is_switch=hints[field.name].__origin__ is bool,
        )


def resolve(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """Return the settings that `flags` (by name, None where not given) and `environment` come to.

    An empty variable counts as not set. Raises `InvalidSettingError` naming every setting that cannot be.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    hints = get_type_hints(Settings, include_extras=True)
    for setting in table():
        source, given = _given(setting, flags, environment)
        if given is None:
            if setting.name == "package":
                problems.append(f"`{setting.flag}` or `{setting.variable}`: expected a directory, got nothing")
            continue
        hint = hints[setting.name]
        try:
            values[setting.name] = msgspec.convert(_parts(hint.__origin__, given), hint, strict=False)
        except msgspec.ValidationError:
            got = f"`{str(given)[:80]}`" if setting.flag else "others"
            problems.append(f"`{source}`: expected {_expected(hint)}, got {got}")
    problems += _contradictions(values)
    if problems:
        raise InvalidSettingError("\n".join(problems), hint="docs/settings.md lists every setting")
    return Settings(**values)  # type: ignore[arg-type]


def _contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between settings that are each fine."""
    if values.get("reload") and "script" not in values:
        yield "`--reload`: expected a `--script` with it, got none"
    if "script" in values and len(values.get("package", ())) > 1:
        yield f"`--script`: expected one package with it, got {len(values['package'])}"
    if ("tls_cert" in values) != ("tls_key" in values):
        yield "`--tls-cert` and `--tls-key`: expected both or neither, got one"
    digests, packages = len(values.get("digest", ())), len(values.get("package", ()))
    if digests and packages and digests != packages:
        yield f"`--digest`: expected one for each of {packages} packages, got {digests}"


def _as_text(default: object) -> str:
    if default in (msgspec.NODEFAULT, None, ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def _given(setting: Setting, flags: Mapping[str, object], environment: Mapping[str, str]) -> tuple[str, object]:
    """Return where a setting comes from and what it says, None where it is not given."""
    if (flag := flags.get(setting.name)) is not None:
        return setting.flag or setting.name, flag
    return setting.variable, environment.get(setting.variable) or None


def _parts(kind: Any, given: object) -> object:
    """Return text with commas as its parts, where several values can be given."""
    if get_origin(kind) is tuple and isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    return given


def _expected(hint: Any) -> str:
    """Return in words what a setting can be."""
    kind, meta = hint.__origin__, hint.__metadata__[0]
    if meta.title is not None:
        return str(meta.title)
    if kind in (int, float):
        return f"{'an integer' if kind is int else 'a number'} from {meta.ge} to {meta.le}"
    return "one of " + ", ".join(f"`{choice}`" for choice in kind.__args__)
