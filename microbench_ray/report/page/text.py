"""HTML, numbers and JSON as text: the one place where what comes from data is escaped."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from typing import Any

VOID = ("meta", "link", "input", "br", "hr")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element. Children and attributes are escaped, children that are `Html` are not.

    Parameters
    ----------
    name
        Of the element.
    children
        Texts or `Html`; None is left out.
    attributes
        `class_` is `class`, `data_column` is `data-column`; None and False are left out, True stands without a value.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        parts.append(label if value is True else f'{label}="{html.escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Children one after another, escaped where they are not `Html`."""
    return Html("".join(child if isinstance(child, Html) else html.escape(str(child)) for child in children if child is not None))


def script_json(content: object) -> Html:
    """JSON that may stand inside a script element, whatever strings are in it: none ends the element or begins a comment."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Html(text)


def is_missing(value: object) -> bool:
    """None, or a NaN: what is undefined."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, digits: int = 1, *, scale: float = 1.0, missing: str = "–") -> str:
    """A number with thousands apart and a minus sign of its own."""
    if value is None or is_missing(value):
        return missing
    return f"{scale * value:,.{digits}f}".replace("-", "−")


def points(value: float | None, *, missing: str = "never reached") -> str:
    """A difference of accuracies in points."""
    return number(value, scale=100, missing=missing)


def interval(low: float | None, high: float | None) -> str:
    """An interval in points: no upper end beside a lower one is unbounded, no lower end is no interval."""
    if is_missing(low):
        return ""
    return f"{points(low)}–{points(high, missing='∞')}"


def share(value: float | None, digits: int = 0) -> str:
    """A fraction in percent."""
    return "–" if is_missing(value) else f"{number(value, digits, scale=100)} %"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`3 models`, `1 model`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def facts(rows: Mapping[str, Any]) -> Html:
    """A list of names and values; what is None is left out."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows.items() if value is not None)
    return tag("dl", *pairs, class_="facts")


def table(head: list[str], rows: list[list[object]], *, caption: str, texts: tuple[int, ...] = ()) -> Html:
    """A table whose first column names its rows; of the others those in `texts` are texts, the rest numbers."""

    def kind(column: int) -> str | None:
        return "text" if column in texts else None

    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *(tag("th", each, scope="col", class_=kind(k)) for k, each in enumerate(head)))),
            tag(
                "tbody",
                *(
                    tag(
                        "tr",
                        tag("th", row[0], scope="row"),
                        *(tag("td", each, class_=kind(k)) for k, each in enumerate(row[1:], 1)),
                    )
                    for row in rows
                ),
            ),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )
