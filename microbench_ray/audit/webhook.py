"""Sends a verdict to a webhook: one POST of JSON. No message or log shows more of the URL than its host: it may be a secret."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from microbench_ray.core.deadline import within
from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.core.masking import FROM_ENVIRONMENT, MASK, mask_url
from microbench_ray.data.names import escape_controls, show_name

logger = logging.getLogger(__name__)

Shape = Literal["verdict", "slack"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
ATTEMPTS = 3
TIMEOUT_SECONDS = 10.0
MAX_FINDINGS = 10
SIGNS = {"ok": "\N{WHITE HEAVY CHECK MARK}", "attention": "\N{WARNING SIGN}", "violated": "\N{CROSS MARK}"}
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


@dataclass(frozen=True)
class Webhook:
    """Where to send a verdict.

    Parameters
    ----------
    url
        An http or https URL, or `env:NAME` for the environment variable that holds it, as such a URL is often a secret.
    shape
        `verdict` for the content of verdict.json; `slack` for a text, as Slack, Mattermost and others accept it.

    Raises
    ------
    ConfigError
        An unknown shape, or neither a valid URL nor a variable.
    """

    url: str = field(repr=False)
    shape: Shape = "verdict"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ConfigError("Unknown shape.", where="webhook.shape", got=self.shape, hint=f"valid: {', '.join(SHAPES)}")
        if not self.url.startswith(FROM_ENVIRONMENT):
            _check(self.url, "webhook.url", "webhook.url=env:WEBHOOK, with the URL in the environment variable WEBHOOK")
        elif not _VARIABLE.fullmatch(self.url.removeprefix(FROM_ENVIRONMENT)):
            what = "env: must be followed by the name of an environment variable."
            raise ConfigError(what, where="webhook.url", got=FROM_ENVIRONMENT + MASK, hint="webhook.url=env:WEBHOOK")

    def check(self) -> None:
        """Raise ConfigError if the environment variable is set to something else than a valid URL.

        An unset variable is not an error before the verdict is sent: a night without a webhook is better than no night.
        """
        if self.url.startswith(FROM_ENVIRONMENT) and os.environ.get(self.url.removeprefix(FROM_ENVIRONMENT)):
            self.resolve_url()

    def resolve_url(self) -> str:
        """Return the URL; ConfigError if the environment variable holds no valid one."""
        if not self.url.startswith(FROM_ENVIRONMENT):
            return self.url
        name = self.url.removeprefix(FROM_ENVIRONMENT)
        url = os.environ.get(name, "")
        hint = f"export {name}=https://…"
        if not url:
            raise ConfigError(
                "The environment variable of the webhook must hold an http or https URL.", where=name, got="not set", hint=hint
            )
        _check(url, name, hint)
        return url


def _check(url: str, where: str, hint: str) -> None:
    """Raise ConfigError for a URL that cannot be opened."""
    if problem := _url_problem(url):
        what = "The webhook must be an http or https URL, or env:NAME of an environment variable that holds one."
        raise ConfigError(what, where=where, got=f"{mask_url(url)}: {problem}", hint=hint)


def _url_problem(url: str) -> str:
    """What is wrong with a URL, without quoting it; empty if it can be opened."""
    if any(not "!" <= each <= "~" for each in url):
        return "it contains a space, a control character, or a character outside ASCII"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its host or port is not valid"
    if parts.scheme not in ("http", "https"):
        return "the scheme is not http or https"
    if "@" in parts.netloc:
        return "it contains a user or password"
    bracketed = parts.netloc.startswith("[")  # an IPv6 address, which `urlsplit` has checked
    if port == 0 or parts.netloc.endswith(":") or len(host) > 253 or not (bracketed or _HOST.fullmatch(host)):
        return "its host or port is not valid"
    return ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: followed, it would turn the POST into a GET without the verdict."""

    def redirect_request(self, *args: object) -> None:
        """Follow no redirect."""


def send_verdict(
    hook: Webhook,
    verdict: Mapping[str, Any],
    page: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Send a verdict, in up to three attempts.

    Parameters
    ----------
    hook
        Where to send it.
    verdict
        Content of verdict.json.
    page
        Location of the night's page, shown in a text.
    sleep
        Waits between attempts.
    timeout
        Seconds for each attempt as a whole, from the look-up of the host to the last header of the answer.

    Raises
    ------
    ConfigError
        The environment variable holds no valid URL.
    EngineError
        The webhook did not accept the verdict, for whatever reason.
    """
    url = hook.resolve_url()
    content = dict(verdict) if hook.shape == "verdict" else {"text": slack_text(verdict, page)}
    body = json.dumps(content).encode()
    problem = ""
    for attempt in range(ATTEMPTS):
        error = _attempt(url, body, timeout)
        if error is None:
            return
        problem = _describe(error, timeout)
        logger.debug("Attempt %d of %d to send the verdict failed: %s", attempt + 1, ATTEMPTS, problem)
        if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429:
            break
        if attempt < ATTEMPTS - 1:
            sleep(2.0**attempt)
    raise EngineError(
        "The verdict could not be sent to the webhook.",
        where=f"{urlsplit(url).hostname}",
        got=problem,
        hint="check webhook.url and rerun the command; the night itself is complete",
    )


def _attempt(url: str, body: bytes, timeout: float) -> Exception | None:
    """Send the body once; the error, or None. The timeout of a socket starts anew with each byte, so the attempt is bounded too."""

    def post() -> None:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise

    try:
        within(timeout, post)
    except Exception as error:  # whatever the server sends must not end the night
        return error
    return None


def _describe(error: Exception, timeout: float) -> str:
    """An error in one line, without the URL, which errors of other classes than OSError may quote."""
    if isinstance(error, urllib.error.HTTPError):
        redirect = "; redirects are not followed" if 300 <= error.code < 400 else ""
        return show_name(f"HTTP {error.code} {error.reason}") + redirect
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no complete answer within {timeout:g} s"
    if isinstance(cause, http.client.HTTPException):
        return f"the answer is not valid HTTP ({type(cause).__name__})"
    return show_name(cause) if isinstance(cause, OSError) and str(cause) else type(cause).__name__


def slack_text(verdict: Mapping[str, Any], page: str) -> str:
    """The verdict as a few lines of Slack's markup, with names from data escaped."""
    lines = [f"{SIGNS.get(verdict['status'], '')} *{escape(verdict['headline'])}*"]
    findings = [finding for finding in verdict["findings"] if finding["severity"] in ("fail", "warn")]
    lines += [f"• {finding['severity']}: {escape(finding['text'])}" for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        lines.append(f"… and {len(findings) - MAX_FINDINGS} more")
    return "\n".join([*lines, escape(page)])


def escape(text: str) -> str:
    """Escape unprintable characters, such as line breaks, and the three control characters of Slack's markup."""
    return escape_controls(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
