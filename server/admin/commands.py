"""``main.py status | load | unload | …``: commands for a gateway that runs.

The command finds the gateway by the note in its state folder, and the token in the file beside it,
so the operator types neither.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from server.admin.account_options import add_account_commands
from server.admin.model_options import add_model_commands
from server.admin.outcome import CommandError, carried_out
from server.admin.own_token import NAME, read_token
from server.admin.presence import Presence, gateways_in, local_url
from server.admin.show import reload_text, status_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from utils.config.settings import ServerSettings

NOT_RUNNING = 3
_OK = range(200, 300)
_CONNECT = 5.0
# With one of these there is a screen to show a browser on.
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def add_commands(parser: argparse.ArgumentParser, config: argparse.ArgumentParser) -> None:
    """Add the commands to ``parser``; each of them has the options of ``config`` too."""
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        title="commands",
        description="All but models, accounts, convert and route are for a gateway that runs.",
    )
    add_model_commands(commands, config)
    add_account_commands(commands, config)
    what = "print the configuration that means the same as that of another program"
    convert = commands.add_parser("convert", help=what, description=what)
    convert.add_argument(
        "file", type=Path, help="its configuration: docs/configuration.md says of which programs"
    )

    def add(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[config], help=what, description=what)

    add("status", "show models, engines, requests and the queue")
    add("open", "make a link to the admin page, which is good once, and open it in a browser")
    load = add("load", "start a model's engine, and wait until it is ready")
    load.add_argument("model")
    load.add_argument("--variant", help="start this variant, not the smallest")
    unload = add("unload", "stop a model's engine, or all engines")
    unload.add_argument("model", nargs="?")
    unload.add_argument("--force", action="store_true", help="do not wait for answers to end")
    reload = add("reload", "read the configuration file again")
    reload.add_argument("--dry-run", action="store_true", help="only show what would change")
    route = add("route", "show which model a request would go to, and why")
    route.add_argument("file", type=Path, help="the request as JSON, as a client sends it")
    route.add_argument("--path", default="/v1/chat/completions", help="its endpoint")
    route.add_argument("--header", action="append", default=[], help="a header: 'Name: value'")
    route.add_argument("--tier", default="", help="the tier of the client's key")
    route.add_argument("--hour", type=int, help="the hour of the day, instead of now")
    profile = add("profile", "show or switch the profile of the routes")
    profile.add_argument("profile", nargs="?", help='the new one, or "none"')
    logs = add("logs", "show the last lines of the log")
    logs.add_argument("model", nargs="?", help="only those of this model's engines")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with each new line")


def run_command(
    args: argparse.Namespace,
    settings: ServerSettings,
    folder: Path,
    decided: Callable[[bytes], dict[str, Any]],
) -> int:
    """Carry out the command in ``args`` and return the exit status.

    ``folder`` is the state folder of the gateway. ``settings`` are those of ``args.config`` if
    that is given. ``decided`` answers an order to try a route where no gateway runs.
    """

    def work() -> int:
        try:
            gateway = _found(args, settings, folder)
            client = AdminClient(gateway.url, _token(settings, folder))
            return _COMMANDS[args.command](args, client, gateway)
        except CommandError as error:
            if args.command != "route" or error.status != NOT_RUNNING:
                raise
        _tell_route(decided(json.dumps(_order(args)).encode()), " (no gateway runs)")
        return 0

    return carried_out(work)


class AdminClient:
    """A client of the admin paths of the gateway at ``url``."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._token = token

    def ask(self, method: str, path: str, order: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of the gateway's answer; raise CommandError if it refuses."""
        return json.loads(self._answer(method, path, order).read())

    def follow(self, path: str) -> None:
        """Print the text of the gateway's answer, each piece as it comes."""
        answer = self._answer("GET", path, None)
        while piece := answer.read1():
            sys.stdout.write(piece.decode("utf-8", "replace"))
            sys.stdout.flush()

    def _answer(
        self, method: str, path: str, order: Mapping[str, Any] | None
    ) -> http.client.HTTPResponse:
        parts = urlsplit(self._url)
        connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        headers = {"Connection": "close"}
        if self._token is not None:
            headers["X-Admin-Token"] = self._token
        body = None if order is None else json.dumps(order)
        try:
            connection.connect()
            # A load has no time limit here.
            connection.sock.settimeout(None)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"no gateway answers at {self._url}: {error}", NOT_RUNNING) from None
        if answer.status not in _OK:
            raise CommandError(_refusal(answer))
        return answer


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_CONNECT)
    # It does not leave this machine. The certificate is made for the names that clients use.
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_CONNECT, context=unchecked)


def _refusal(answer: http.client.HTTPResponse) -> str:
    try:
        error = json.loads(answer.read())["error"]
        return "\n".join([error["message"], *error.get("faults", ())])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered with status {answer.status}"


def _found(args: argparse.Namespace, settings: ServerSettings, folder: Path) -> Presence:
    """Return the gateway for the command.

    Raises CommandError if none runs, or if several run and the options do not say which.
    """
    try:
        # Without this check, a folder that cannot be read would look like one without notes.
        with contextlib.suppress(FileNotFoundError):
            next(folder.iterdir(), None)
    except OSError as error:
        raise _unreadable(folder, error) from None
    known = gateways_in(folder)
    if args.config is None:
        if not known:
            hint = "if its configuration sets state_dir, name the file: -c FILE"
            raise CommandError(f"no gateway runs with its state in {folder}; {hint}", NOT_RUNNING)
        plain = [each for each in known if not each.config]
        if len(plain) == 1:
            return plain[0]
        if len(known) > 1:
            files = ", ".join(f"-c {each.config}" for each in known)
            raise CommandError(f"{len(known)} gateways run; say which: {files}")
        return known[0]
    config = str(args.config.absolute())
    mine = [each for each in known if each.config == config]
    # Without a note the gateway may still run at the address in the configuration file.
    return mine[0] if mine else Presence(0, local_url(settings.listen[0], settings.scheme), config)


def _token(settings: ServerSettings, folder: Path) -> str | None:
    try:
        return read_token(folder) or settings.admin_token
    except OSError as error:
        if settings.admin_token is not None:
            return settings.admin_token
        raise _unreadable(folder / NAME, error) from None


def _unreadable(path: Path, error: OSError) -> CommandError:
    reason = (error.strerror or str(error)).lower()
    return CommandError(f"{path}: {reason}; run this as the user who runs the gateway")


def _status(_args: argparse.Namespace, client: AdminClient, gateway: Presence) -> int:
    running = client.ask("GET", "/running")
    models = client.ask("GET", "/v1/models")["data"]
    process = f", process {gateway.pid}" if gateway.pid else ""
    config = gateway.config or "the models of this machine"
    _say(f"{gateway.url}{process}, {config}\n\n{status_text(running, models)}")
    return 0


def _open(_args: argparse.Namespace, client: AdminClient, gateway: Presence) -> int:
    url = client.ask("POST", "/admin/links", {})["url"]
    # The gateway may know itself by another name than the one that leads to it from here.
    url = f"{gateway.url}{url[url.index('/admin/') :]}"
    _say(f"{url}\n")
    if sys.platform in ("darwin", "win32") or any(map(os.environ.get, _SCREENS)):
        import webbrowser  # noqa: PLC0415 - the other commands do not need it

        webbrowser.open(url)
    return 0


def _load(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    order: dict[str, Any] = {"model": args.model}
    if args.variant is not None:
        order["variant"] = int(args.variant) if args.variant.isdecimal() else args.variant
    loaded = client.ask("POST", "/admin/load", order)
    seconds = loaded["load_seconds"]
    how = f"ready after {seconds:.1f} s" if seconds else "ready, it was running"
    _say(f"{loaded['variant']}: {how}\n")
    return 0


def _unload(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    order: dict[str, Any] = {"force": args.force}
    path = "/admin/reload"
    if args.model is not None:
        order["model"] = args.model
        path = "/admin/unload"
    gone = client.ask("POST", path, order)["unloaded"]
    _say("".join(f"{label}: unloaded\n" for label in gone) or "no engine was running\n")
    return 0


def _reload(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    _say(reload_text(client.ask("POST", f"/admin/config/reload?dry_run={args.dry_run:d}", {})))
    return 0


def _logs(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    path = "/logs/stream" if args.follow else "/logs"
    client.follow(path if args.model is None else f"{path}?model={quote(args.model, safe='')}")
    return 0


def _route(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    _tell_route(client.ask("POST", "/admin/route", _order(args)))
    return 0


def _order(args: argparse.Namespace) -> dict[str, Any]:
    try:
        request = json.loads(args.file.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{args.file}: {error}") from None
    headers = dict(header.split(": ", 1) for header in args.header if ": " in header)
    order = {"request": request, "path": args.path, "headers": headers, "tier": args.tier}
    return order if args.hour is None else order | {"hour": args.hour}


def _tell_route(told: Mapping[str, Any], more: str = "") -> None:
    then = f"; then {', '.join(told['then'])}" if told["then"] else ""
    route = f"{told['route']} -> " if told["route"] else ""
    _say(f"{route}{told['model']}: {told['reason']}{then}{more}\n")


def _profile(args: argparse.Namespace, client: AdminClient, _gateway: Presence) -> int:
    if args.profile is None:
        told = client.ask("GET", "/admin/profile")
    else:
        told = client.ask("POST", "/admin/profile", {"profile": args.profile})
    known = ", ".join(told["profiles"]) or "none"
    _say(f"{told['profile'] or 'none'} (known: {known})\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text)


_COMMANDS = {
    "status": _status,
    "open": _open,
    "load": _load,
    "unload": _unload,
    "reload": _reload,
    "route": _route,
    "profile": _profile,
    "logs": _logs,
}
