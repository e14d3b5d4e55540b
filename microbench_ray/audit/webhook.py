"""Telling others of a verdict: one POST of JSON."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from microbench_ray.core.errors import ConfigError, EngineError

Shape = Literal["verdict", "slack"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
ATTEMPTS = 3
SECONDS = 10.0
MAX_FINDINGS = 10
SIGNS = {"ok": "\N{WHITE HEAVY CHECK MARK}", "attention": "\N{WARNING SIGN}", "violated": "\N{CROSS MARK}"}
FROM_ENVIRONMENT = "env:"


@dataclass(frozen=True)
class Webhook:
    """Whom to tell.

    Parameters
    ----------
    url
        An http or https URL, or `env:NAME` for the environment variable that holds it: such a URL is often a secret.
    shape
        `verdict`: verdict.json as it is; `slack`: a text, as Slack, Mattermost and others take it.
    """

    url: str
    shape: Shape = "verdict"

    def __post_init__(self) -> None:
        """ConfigError for what is no URL and no variable."""
        if self.shape not in SHAPES:
            raise ConfigError("Unknown shape.", where="webhook.shape", got=self.shape, hint=f"one of {', '.join(SHAPES)}")
        if not self.url.startswith(FROM_ENVIRONMENT) and urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigError(
                "A webhook is an http or https URL, or the environment variable that holds one.",
                where="webhook.url",
                got=self.url,
                hint="webhook.url=env:WEBHOOK",
            )

    def address(self) -> str:
        """The URL; ConfigError where the environment has none."""
        if not self.url.startswith(FROM_ENVIRONMENT):
            return self.url
        name = self.url.removeprefix(FROM_ENVIRONMENT)
        url = os.environ.get(name, "")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(
                "The environment variable of the webhook holds no http or https URL.", where=name, hint=f"export {name}=https://…"
            )
        return url


def tell(hook: Webhook, verdict: Mapping[str, Any], page: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Send a verdict; tried three times.

    Parameters
    ----------
    hook
        Whom to tell.
    verdict
        The verdict.
    page
        Where the report is.
    sleep
        Waits between attempts.

    Raises
    ------
    EngineError
        It did not arrive. The URL is not in the message: it may be a secret.
    """
    url = hook.address()
    content = dict(verdict) if hook.shape == "verdict" else {"text": slack_text(verdict, page)}
    body = json.dumps(content).encode()
    said = ""
    for attempt in range(ATTEMPTS):
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):
                return
        except (OSError, ValueError) as error:
            said = str(error)
            if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429:
                break
        if attempt < ATTEMPTS - 1:
            sleep(2.0**attempt)
    raise EngineError(
        "The webhook was not told.", where=f"{urlsplit(url).hostname}", got=said, hint="see webhook.url; the verdict is there"
    )


def slack_text(verdict: Mapping[str, Any], page: str) -> str:
    """The verdict in a few lines of Slack's markup, in which names from data stay what they are."""
    lines = [f"{SIGNS.get(verdict['status'], '')} *{escaped(verdict['headline'])}*"]
    findings = [finding for finding in verdict["findings"] if finding["severity"] in ("fail", "warn")]
    lines += [f"• {finding['severity']}: {escaped(finding['text'])}" for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        lines.append(f"… and {len(findings) - MAX_FINDINGS} more")
    return "\n".join([*lines, escaped(page)])


def escaped(text: str) -> str:
    """As Slack asks for: the three signs of its markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
