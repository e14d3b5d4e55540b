"""Removes secrets from what is shown: URLs in messages and logs, and configurations in manifests and on pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

MASK = "…"
FROM_ENVIRONMENT = "env:"
"""Prefix of the name of an environment variable that holds a secret. The name itself is not secret."""
_SECRET_KEY = re.compile(r"(?:^|_)(?:token|password|passwd|secret|api_?key|credentials?)(?:$|_)", re.IGNORECASE)
_SECRET_URL_KEYS = {("webhook", "url")}
"""Keys, with the key above them, whose URL is a secret as a whole."""
_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(https?://[^\s?#]*)[?#]\S+", re.IGNORECASE)


def mask_url(url: str) -> str:
    """A URL whose user, path and query may be secret: only its scheme and host are shown, as in `https://example.org/…`.

    `env:NAME` is returned as it is. A text that is not a URL may hold the secret anywhere and is masked as a whole.
    """
    if url.startswith(FROM_ENVIRONMENT) and url.removeprefix(FROM_ENVIRONMENT).isidentifier():
        return url
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        return MASK
    if not scheme or not host or not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host):
        return MASK
    shown = f"{scheme}://{MASK + '@' if '@' in parts.netloc else ''}{host}"
    return shown if not (parts.path or parts.query or parts.fragment) else f"{shown}/{MASK}"


def mask_text(text: str) -> str:
    """A text without the users and passwords of the URLs in it, and without the queries of http and https URLs."""
    return _QUERY.sub(rf"\1?{MASK}", _USER.sub(f"{MASK}@", text))


def mask_secrets(content: Any) -> Any:
    """Plain values without secrets: values of keys such as `token` and `password`, the URL of a webhook, and `mask_text`."""
    return _masked(content, ("", ""))


def _masked(content: Any, keys: tuple[str, str]) -> Any:
    if isinstance(content, Mapping):
        return {key: _masked(value, (keys[1], str(key))) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_masked(value, keys) for value in content]
    if not isinstance(content, str):
        return content
    if keys in _SECRET_URL_KEYS:
        return mask_url(content)
    if _SECRET_KEY.search(keys[1]) and not content.startswith(FROM_ENVIRONMENT):
        return MASK
    return mask_text(content)
