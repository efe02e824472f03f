"""Uploads the JavaScript panel to a Comet workspace; the key stays in the user's configuration, and in no message."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from attnlog.commands.reach import Stay, comet_key
from attnlog.delivery.redact import describe, redact
from attnlog.errors import ArgumentError, TrackerError
from attnlog_integrations.comet.panel import panel_zip

#: Seconds for the whole upload of a third of a megabyte.
TIMEOUT = 60.0
_NAME = re.compile(r"[\w.-]{1,100}")


def upload_panel(workspace: str, template: str | None = None) -> str:
    """Upload the panel to a workspace, as a new one or in the place of one.

    Args:
        workspace: the workspace's name, as in the address of its page.
        template: the id of a panel that is replaced; None: a new one.

    Returns:
        What Comet calls the panel, or nothing where it does not say.

    Raises:
        ArgumentError: that is no name of a workspace, or no id.
        TrackerError: there is no key, Comet refuses, or it cannot be reached.
        ViewerMissingError: the viewer was not built.
    """
    for what, name in (("a workspace", workspace), ("a panel's id", template)):
        if name is not None and not _NAME.fullmatch(name):
            raise ArgumentError(f"{name!r} is not the name of {what}: give it as it stands in the address of its page")
    key, address = comet_key()
    if key is None:
        raise TrackerError("there is no Comet API key: set COMET_API_KEY, or run comet login; get one in your account's settings")
    shown = redact(address)
    if urlsplit(address).scheme not in ("http", "https"):
        raise TrackerError(f"{shown} is no address of a Comet: see COMET_URL_OVERRIDE")
    query = {"teamName": workspace, **({"templateId": template} if template else {})}
    kind, body = _multipart(panel_zip())
    request = urllib.request.Request(  # noqa: S310 - http or https, checked
        f"{address}/api/rest/v2/write/template/upload?{urlencode(query)}",
        data=body,
        headers={"Authorization": key, "Content-Type": kind},
        method="POST",
    )
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            said = answer.read(100_000)
    except urllib.error.HTTPError as error:
        with error:
            raise TrackerError(_refusal(error.code, shown, workspace, template)) from None
    except OSError as error:
        reason = getattr(error, "reason", None)
        why = redact(str(reason)) if reason else describe(error)
        raise TrackerError(f"{shown} cannot be reached ({why}): is it up, and the address right? See COMET_URL_OVERRIDE") from None
    return _named(said)


def _refusal(status: int, address: str, workspace: str, template: str | None) -> str:
    if status == 401:
        return f"{address} refuses the API key (401): get one in your account's settings, and set COMET_API_KEY"
    if status == 403:
        return f"{address} does not let this API key add panels to the workspace {workspace} (403): ask its owner, or name another"
    if status == 404:
        what = f"the workspace {workspace}, or the panel {template}" if template else f"the workspace {workspace}"
        return f"{address} does not know {what} (404): give the name as it stands in the address of its page"
    if status >= 500:
        return f"{address} answers {status}: try again later, or write the panel to a file and upload it by hand"
    return f"{address} does not take the panel ({status}): write it to a file and upload it by hand (Panels → Add → Upload)"


def _multipart(data: bytes) -> tuple[str, bytes]:
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="attnlog-panel.zip"\r\n'
    head += "Content-Type: application/zip\r\n\r\n"
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def _named(said: bytes) -> str:
    """The new panel's id, in whichever of its words Comet gives it."""
    try:
        answer = json.loads(said)
    except ValueError:
        return ""
    names = [answer.get(name) for name in ("templateId", "id")] if isinstance(answer, dict) else []
    return next((name for name in names if isinstance(name, str) and _NAME.fullmatch(name)), "")
