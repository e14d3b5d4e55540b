"""HTML, numbers and JSON as text. All escaping of data happens here."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from microbench_ray.core.shown import escape_lines

VOID = ("meta", "link", "input", "br", "hr")


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element. Attributes are escaped, and so are children that are not `Html`.

    Parameters
    ----------
    name
        Name of the element.
    children
        Texts or `Html`; None is skipped.
    attributes
        `class_` is `class`, `data_column` is `data-column`; None and False are skipped, True gives an attribute without a value.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        parts.append(label if value is True else f'{label}="{_by_reference(html.escape(str(value)))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Children in sequence, escaped where they are not `Html`; unprintable characters in texts are shown as in the terminal."""
    present = (child for child in children if child is not None)
    return Html("".join(child if isinstance(child, Html) else html.escape(escape_lines(str(child))) for child in present))


def _by_reference(text: str) -> str:
    """A text whose unprintable characters are references to them, so that an attribute keeps its value."""
    return "".join(each if each.isprintable() else f"&#{ord(each)};" for each in text)


def script_json(content: object) -> Html:
    """JSON that is safe inside a script element: no string in it can end the element or open a comment."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    if text.isprintable():
        return Html(text)
    return Html("".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text))


def is_missing(value: object) -> bool:
    """Whether a value is None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, digits: int = 1, *, scale: float = 1.0, missing: str = "–") -> str:
    """A number with thousands separators and a typographic minus sign."""
    if value is None or is_missing(value):
        return missing
    return f"{scale * value:,.{digits}f}".replace("-", "−")


def points(value: float | None, *, missing: str = "never reached") -> str:
    """A difference of accuracies (a fraction) in points."""
    return number(value, scale=100, missing=missing)


def interval(low: float | None, high: float | None) -> str:
    """An interval in points; a missing upper end is ∞, and without a lower end there is no interval."""
    if is_missing(low):
        return ""
    return f"{points(low)}–{points(high, missing='∞')}"


def share(value: float | None, digits: int = 0) -> str:
    """A fraction in percent."""
    return "–" if is_missing(value) else f"{number(value, digits, scale=100)} %"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `3 models`, `1 model`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def names(labels: Sequence[str]) -> Html:
    """Names in a row, none of which is broken inside where it fits a line."""
    return join(*(part for k, label in enumerate(labels) for part in ((", " if k else None), tag("bdi", label, class_="name"))))


def facts(rows: Mapping[str, Any]) -> Html:
    """A list of names and values; None is skipped."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows.items() if value is not None)
    return tag("dl", *pairs, class_="facts")


def table(head: list[str], rows: list[list[object]], *, caption: str, texts: tuple[int, ...] = ()) -> Html:
    """A table with row headings in the first column; columns in `texts` are texts, the others numbers."""

    def kind(column: int) -> str | None:
        return "text" if column in texts else None

    return tag(
        "div",
        tag(
            "table",
            tag("caption", tag("span", caption)),
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
