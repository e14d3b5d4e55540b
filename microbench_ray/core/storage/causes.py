"""Causes of an object store's errors: certain from the error's class, code or HTTP status, and a guess from its words.

Arrow raises a plain OSError for most errors, with a code of the store in its text. Names of buckets and objects are in the text
too, so a word alone ("token", "connect") tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from microbench_ray.core.errors import first_line


class Cause(NamedTuple):
    """The cause of a failure in an object store."""

    what: str
    hint: str


class _Signs(NamedTuple):
    """The signs of a cause: classes, codes and HTTP statuses are certain; words are not."""

    cause: Cause
    classes: tuple[type[Exception], ...]
    names: frozenset[str]
    """Names of classes of other packages, and codes, as `_plain` writes them."""
    statuses: frozenset[str]
    words: tuple[str, ...]


CAUSES = (
    _Signs(
        Cause(what="The bucket does not exist.", hint="create the bucket, or give the name of an existing one"),
        (),
        frozenset({"nosuchbucket", "containernotfound"}),
        frozenset(),
        ("bucket does not exist", "container does not exist"),
    ),
    _Signs(
        Cause(
            what="The object store rejected the credentials.",
            hint="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the client's configuration files: they need write access",
        ),
        (PermissionError,),
        frozenset(
            {
                "accessdenied",
                "invalidaccesskeyid",
                "signaturedoesnotmatch",
                "invalidsignature",
                "incompletesignature",
                "invalidclienttokenid",
                "invalidtoken",
                "expiredtoken",
                "missingauthenticationtoken",
                "tokenrefreshrequired",
                "unrecognizedclient",
                "requestexpired",
                "nocredentialserror",
                "partialcredentialserror",
                "defaultcredentialserror",
                "refresherror",
                "permissiondenied",
                "unauthenticated",
                "authenticationfailed",
                "authorizationfailure",
                "authorizationpermissionmismatch",
            }
        ),
        frozenset({"401", "403"}),
        ("unable to locate credentials", "default credentials", "access denied", "expired token", "signature does not match"),
    ),
    _Signs(
        Cause(
            what="The object store cannot be reached.",
            hint="check the network and the store's address: AWS_ENDPOINT_URL, or endpoint_override in the URL",
        ),
        (ConnectionError, TimeoutError),
        frozenset(
            {
                "networkconnection",
                "requesttimeout",
                "serviceunavailable",
                "unavailable",
                "deadlineexceeded",
                "gaierror",
                "clientconnectionerror",
                "endpointconnectionerror",
                "connecttimeouterror",
                "readtimeouterror",
            }
        ),
        frozenset({"503", "504"}),
        ("could not connect", "failed to connect", "connection refused", "timed out", "timeout was reached", "resolve host"),
    ),
)
UNKNOWN = Cause(what="The request to the object store failed.", hint="try again, or use another location")

_NAMES = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"|\w+://\S+")
"""Quoted names, such as those of buckets and objects, and URLs."""
_STATUS = re.compile(r"(?:HTTP(?: response)?(?: status)?(?: code)?|status(?: code)?)[ :]+(\d{3})\b", re.IGNORECASE)


def diagnose(error: Exception) -> Cause:
    """Find the cause of an object store's error.

    Returns
    -------
    Cause
        `UNKNOWN` where there is no sign of any; with the guess in its hint where only words of the error speak for it.
    """
    text = _NAMES.sub(" ", str(error))
    codes = [word for word in re.findall(r"\w+", text) if sum(letter.isupper() for letter in word) > 1]
    names = {_plain(name) for name in (*(each.__name__ for each in type(error).__mro__), *codes)}
    statuses = set(_STATUS.findall(text))
    certain: tuple[Callable[[_Signs], bool], ...] = (
        lambda signs: isinstance(error, signs.classes),
        lambda signs: bool(names & signs.names),
        lambda signs: bool(statuses & signs.statuses),
    )
    for is_certain in certain:
        for signs in CAUSES:
            if is_certain(signs):
                return signs.cause
    for signs in CAUSES:
        if any(words in text.lower() for words in signs.words):
            what, hint = signs.cause
            return UNKNOWN._replace(hint=f"perhaps {what[0].lower()}{what[1:-1]}: {hint}")
    return UNKNOWN


def _plain(name: str) -> str:
    """The common form of a code that stores and clients write as NO_SUCH_BUCKET or NoSuchBucket."""
    return name.replace("_", "").lower()


def one_line(error: Exception) -> str:
    """An error in one line: the operating system's description if there is one."""
    return getattr(error, "strerror", None) or first_line(error)
