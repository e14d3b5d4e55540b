"""Sends a verdict to a webhook: one POST of JSON."""

from __future__ import annotations

import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from microbench_ray.core.errors import ConfigError, EngineError

logger = logging.getLogger(__name__)

Shape = Literal["verdict", "slack"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
ATTEMPTS = 3
TIMEOUT_SECONDS = 10.0
MAX_FINDINGS = 10
SIGNS = {"ok": "\N{WHITE HEAVY CHECK MARK}", "attention": "\N{WARNING SIGN}", "violated": "\N{CROSS MARK}"}
FROM_ENVIRONMENT = "env:"


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
        An unknown shape, or neither a URL nor a variable.
    """

    url: str
    shape: Shape = "verdict"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ConfigError("Unknown shape.", where="webhook.shape", got=self.shape, hint=f"valid: {', '.join(SHAPES)}")
        if not self.url.startswith(FROM_ENVIRONMENT) and urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigError(
                "webhook.url must be an http or https URL, or env:NAME of an environment variable that holds one.",
                where="webhook.url",
                got=self.url,
                hint="webhook.url=env:WEBHOOK",
            )

    def resolve_url(self) -> str:
        """Return the URL; ConfigError if the environment variable holds none."""
        if not self.url.startswith(FROM_ENVIRONMENT):
            return self.url
        name = self.url.removeprefix(FROM_ENVIRONMENT)
        url = os.environ.get(name, "")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(
                "The environment variable of the webhook must hold an http or https URL.",
                where=name,
                got="not set" if not url else "another value",
                hint=f"export {name}=https://…",
            )
        return url


def send_verdict(hook: Webhook, verdict: Mapping[str, Any], page: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
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

    Raises
    ------
    ConfigError
        The environment variable holds no URL.
    EngineError
        The webhook did not accept the verdict. The message leaves out the URL, which may be a secret.
    """
    url = hook.resolve_url()
    content = dict(verdict) if hook.shape == "verdict" else {"text": slack_text(verdict, page)}
    body = json.dumps(content).encode()
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                return
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Other errors than OSError may quote the URL.
            problem = str(error) if isinstance(error, OSError) and str(error) else type(error).__name__
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


def slack_text(verdict: Mapping[str, Any], page: str) -> str:
    """The verdict as a few lines of Slack's markup, with names from data escaped."""
    lines = [f"{SIGNS.get(verdict['status'], '')} *{escape(verdict['headline'])}*"]
    findings = [finding for finding in verdict["findings"] if finding["severity"] in ("fail", "warn")]
    lines += [f"• {finding['severity']}: {escape(finding['text'])}" for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        lines.append(f"… and {len(findings) - MAX_FINDINGS} more")
    return "\n".join([*lines, escape(page)])


def escape(text: str) -> str:
    """Escape the three control characters of Slack's markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
