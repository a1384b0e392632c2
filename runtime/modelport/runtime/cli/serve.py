"""The command that serves packages over HTTP."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

import typer

from modelport.runtime.settings import resolve, table

_SETTINGS: Final = {setting.name: setting for setting in table()}


def _flag(name: str) -> Any:
    """Return the option for a setting. Its text is read by the settings, which name all that is wrong at once."""
    setting = _SETTINGS[name]
    default = f" [default: {setting.default}]" if setting.default else ""
    if setting.is_switch:
        flag = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
        return typer.Option(flag, help=setting.meaning, show_default=False)
    return typer.Option(setting.flag, metavar=name.upper(), help=f"{setting.meaning}{default}", show_default=False)


def serve(
    package: Annotated[
        list[str] | None, typer.Argument(metavar="PACKAGE...", help=_SETTINGS["package"].meaning, show_default=False)
    ] = None,
    *,
    digest: Annotated[str | None, _flag("digest")] = None,
    script: Annotated[str | None, _flag("script")] = None,
    reload: Annotated[bool | None, _flag("reload")] = None,
    host: Annotated[str | None, _flag("host")] = None,
    port: Annotated[str | None, _flag("port")] = None,
    workers: Annotated[str | None, _flag("workers")] = None,
    engine: Annotated[str | None, _flag("engine")] = None,
    providers: Annotated[str | None, _flag("providers")] = None,
    keys_file: Annotated[str | None, _flag("keys_file")] = None,
    tls_cert: Annotated[str | None, _flag("tls_cert")] = None,
    tls_key: Annotated[str | None, _flag("tls_key")] = None,
    cors_origins: Annotated[str | None, _flag("cors_origins")] = None,
    max_body_bytes: Annotated[str | None, _flag("max_body_bytes")] = None,
    max_pending: Annotated[str | None, _flag("max_pending")] = None,
    max_queue_wait: Annotated[str | None, _flag("max_queue_wait")] = None,
    max_connections: Annotated[str | None, _flag("max_connections")] = None,
    scoring_timeout: Annotated[str | None, _flag("scoring_timeout")] = None,
    header_timeout: Annotated[str | None, _flag("header_timeout")] = None,
    body_timeout: Annotated[str | None, _flag("body_timeout")] = None,
    answer_timeout: Annotated[str | None, _flag("answer_timeout")] = None,
    access_log: Annotated[bool | None, _flag("access_log")] = None,
    tracing: Annotated[bool | None, _flag("tracing")] = None,
    start_timeout: Annotated[str | None, _flag("start_timeout")] = None,
    watch: Annotated[str | None, _flag("watch")] = None,
    drain_delay: Annotated[str | None, _flag("drain_delay")] = None,
    drain_timeout: Annotated[str | None, _flag("drain_timeout")] = None,
    log_format: Annotated[str | None, _flag("log_format")] = None,
    log_level: Annotated[str | None, _flag("log_level")] = None,
) -> None:
    """Serve packages over HTTP, by the Open Inference Protocol V2 and Azure ML's contract.

    Every flag is also an environment variable, such as MODELPORT_PORT; a flag goes before it. SIGTERM and Ctrl-C stop
    the server once all requests under way are answered; a second one stops it at once.
    """
    flags = {**locals(), "package": package or None}
    from modelport.runtime.server.supervisor import serve as run  # noqa: PLC0415  asked for help, nothing else loads

    if status := run(resolve(flags, os.environ)):
        raise typer.Exit(status)
