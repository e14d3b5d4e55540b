"""The answers of `microbench plan`: sentences and tables, Markdown, CSV, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from microbench_ray.core.shown import escape_controls
from microbench_ray.core.table_formats import Format, csv_text, markdown_table, markdown_text
from microbench_ray.data.truth import RANKED_BY
from microbench_ray.metrics.order_simulation import SIMULATED_SIZES
from microbench_ray.micro.sample_size import CLOSED_FORM

if TYPE_CHECKING:
    from rich.console import Console

JsonObject = dict[str, Any]
"""Plain values for JSON; differences and probabilities are fractions."""

ACCEPTABLE_RATE = 0.1
"""Rate of false alarms or misses of the recommended gate above which more items are advised."""
EXTRAPOLATED = "*"
"""Mark of a size beyond those that a method was swept at."""
MAX_NAMED = 5
"""Models, or splits of a budget, that a sentence names."""
FEW_PAIRS = 15
"""With fewer pairs of models than this, the report calls the prior weak."""


class AnswerTable(NamedTuple):
    """A table of an answer: its column names and its rows."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    @property
    def left(self) -> list[int]:
        """The positions of the columns of text."""
        return [place for place, name in enumerate(self.header) if name in ("method", "model", "without")]


def text(answers: JsonObject, shown_as: Format) -> str:
    """The answers as JSON, Markdown or CSV, with a newline at the end.

    In CSV every answer is a table with its own header, after an empty line, with fractions as in JSON.
    """
    if shown_as == "json":
        return json.dumps(answers, indent=2) + "\n"
    if shown_as == "csv":
        single = [[answers[key]] for key in ("affordable", "told_apart", "order_of_models", "order_of_scores") if key in answers]
        noise = [[answers["noise"] | {"with_effect": " ".join(answers["noise"]["with_effect"])}]] if "noise" in answers else []
        rows = [answers.get(key, {"rows": []})["rows"] for key in ("gate", "ranks")]
        tables = [answers["items"], *noise, answers.get("budget", []), *single, *rows]
        tables += [answers["left_out"]["boards"]] if "left_out" in answers else []
        return "\n".join(csv_text(rows) for rows in tables if rows)
    shown = [
        markdown_table(*part, left=part.left).rstrip() if isinstance(part, AnswerTable) else markdown_text(part)
        for part in _parts(answers)
    ]
    return "\n\n".join(shown) + "\n"


def show(answers: JsonObject, console: Console) -> None:
    """Print the answers as sentences and tables."""
    for part in _parts(answers):
        if isinstance(part, AnswerTable):
            _show_table(part, console)
        else:
            console.print(part)


def _parts(answers: JsonObject) -> Iterator[str | AnswerTable]:
    """The sentences and tables of all answers."""
    benchmark = escape_controls(answers["benchmark"])
    for note in answers["notes"]:
        yield f"{benchmark}: {escape_controls(note)}"
    yield (
        f"{benchmark}: {answers['n_models']} models, {answers['n_items']:,} items. A difference counts as detected if "
        f"{_percent(answers['threshold'])} of the pairs with it are ordered as by all items (ties: {answers['tie_policy']})."
    )
    if "truth" in answers:
        yield f"Models are ranked by {RANKED_BY[answers['truth']]}, and random items are weighted accordingly."
    if any(part["reference"] == "population" for part in _closed_form_answers(answers)):
        yield (
            f"These {answers['n_items']:,} items are few, or the micro-benchmark is all of them. Answers therefore refer to the "
            "population of items that these are a sample of: pairs are to be ordered as on that population."
        )
    if "drawn_samples" in answers:
        yield (
            "Graded or missing responses, and items that count differently, have no exact closed form: orders by up to "
            f"{SIMULATED_SIZES} items (or all but as many) are shares of {answers['drawn_samples']:,} drawn samples."
        )
    if "noise" in answers:
        yield " ".join(noise_sentences(answers["noise"]))
        yield _answers_for(answers["noise"]["answers_for"])
        if answers["budget"]:
            yield from _budget_parts(answers["budget"])
    if answers["items"]:
        yield from _items_parts(answers["items"])
    if "affordable" in answers:
        yield affordable_sentence(answers["affordable"])
    if "told_apart" in answers:
        yield detectable_sentence(answers["told_apart"])
    if "order_of_models" in answers:
        yield ranking_sentence(answers["order_of_models"], answers["n_items"])
    if "order_of_scores" in answers:
        yield posterior_sentence(answers["order_of_scores"])
    if "gate" in answers:
        yield from _gate_parts(answers["gate"])
    if "ranks" in answers:
        yield from _ranks_parts(answers["ranks"])
    if "left_out" in answers:
        yield left_out_sentence(answers["left_out"])
        yield _left_out_table(answers["left_out"]["boards"])


def _closed_form_answers(answers: JsonObject) -> list[JsonObject]:
    single = [answers[key] for key in ("told_apart", "order_of_models", "order_of_scores") if key in answers]
    return [*answers["items"], *single, *answers.get("gate", {"rows": []})["rows"]]


def _items_parts(rows: Sequence[JsonObject]) -> Iterator[str | AnswerTable]:
    header = ("difference, points", "method", "items", "95 % interval over models")
    cells = [
        (
            _points(row["difference"]),
            escape_controls(row["method"]),
            _size(row),
            ""
            if row["low"] is None
            else f"{row['low']:,} to {'more than all' if row['high'] is None else format(row['high'], ',')}",
        )
        for row in rows
    ]
    yield AnswerTable(header, cells)
    if any(row["extrapolated"] for row in rows):
        yield (
            f"{EXTRAPOLATED} Extrapolated beyond the sizes of the sweep, at none of which the difference is detected, as if the "
            "method gained from more items as random sampling does. Sweep larger sizes to know."
        )


def affordable_sentence(answer: JsonObject) -> str:
    """The answer of `affordable_items` in words."""
    return (
        f"A budget of {answer['cost']:,.10g} buys {answer['size']:,} random items, which cost {answer['mean_cost']:,.4g} each on "
        f"average (all items: {answer['total_cost']:,.10g}); 19 of 20 such draws cost at most {answer['high']:,.6g}."
    )


def noise_sentences(noise: JsonObject) -> Iterator[str]:
    """What `mb.noise` found in words."""
    low, high = noise["repeats_low"], noise["repeats_high"]
    yield (
        f"Answers were repeated up to {high} times{f' (of some models, {low})' if low < high else ''}: "
        f"{_percent(noise['share_within_low'])} to {_percent(noise['share_within_high'])} of the variance of a model's answers "
        f"(median {_percent(noise['share_within_median'])}) is between repeats."
    )
    floor, independent = _points(noise["floor"], 2), _points(noise["floor_without_effect"], 2)
    yield (
        f"One run of all {noise['n_items']:,} items orders two models right with probability {noise['threshold']:g} if they differ "
        f"by {floor} points; without effects of runs on all items, {independent}."
    )
    if noise["n_grouped"]:
        yield (
            f"Equal scores stand together among the repeats of {noise['n_grouped']} models: their order is not that of runs, so "
            "that effects of runs on all items cannot be told."
        )
    names = noise["with_effect"]
    if names:
        shown = ", ".join(escape_controls(name) for name in names[:MAX_NAMED]) + (" …" if len(names) > MAX_NAMED else "")
        yield (
            f"Runs of {len(names)} of {noise['n_models']} models have an effect on all items that more items do not lessen, of up "
            f"to {_points(noise['largest_effect'], 2)} points (standard deviation): {shown}."
        )
    elif not noise["n_grouped"]:
        yield "No effect of runs on all items was found."


def _answers_for(n_repeats: int) -> str:
    if n_repeats == 1:
        return "The answers below are for micro-scores of single runs; the right order is that of the means over many repeats."
    return (
        f"The answers below are for micro-scores that are means of {n_repeats} repeats of each item; the right order is that of "
        "the means over many repeats."
    )


def _budget_parts(rows: Sequence[JsonObject]) -> Iterator[str | AnswerTable]:
    header = ("answers of a model", "items", "repeats of each", "MDAD, points", "pairs ordered right", "as good, within 2 %")
    cells = [
        (
            f"{row['budget']:,}",
            f"{row['size']:,}",
            str(row["n_repeats"]),
            "none" if row["mdad"] is None else _points(row["mdad"]),
            _percent(row["mean_agreement"]),
            ", ".join(f"{size:,} × {repeats}" for size, repeats in row["equal"][:MAX_NAMED])
            + (" …" if len(row["equal"]) > MAX_NAMED else ""),
        )
        for row in rows
    ]
    yield AnswerTable(header, cells)


def detectable_sentence(answer: JsonObject) -> str:
    """The answer of `detectable_difference` in words."""
    low, high = answer["mdad_low"], answer["mdad_high"]
    if answer["mdad"] is None:
        interval = "none" if low is None else f"from {_points(low)} points to none"
        detects = f"detect no difference reliably (95 % interval over models: {interval})"
    else:
        interval = f"{_points(low)} to {'none' if high is None else _points(high)}"
        detects = f"detect differences of {_points(answer['mdad'])} points or more (95 % interval over models: {interval})"
    return (
        f"{answer['size']} random items {detects}: {_percent(answer['share_of_pairs'])} of the pairs of this leaderboard. "
        f"They order {_percent(answer['mean_agreement'])} of all pairs correctly."
    )


def ranking_sentence(answer: JsonObject, n_items: int) -> str:
    """The answer of `ranking_probability` in words; `n_items` are the items of the benchmark."""
    interval = f"{_points(answer['difference_low'], 2)} to {_points(answer['difference_high'], 2)} points"
    if answer["better"] is None:
        return (
            "The two models are tied on all items, so neither order is right. On the population of items like these, the 95 % "
            f"interval of their difference is {interval}."
        )
    answered = answer["n_answered"]
    where = "on all items"
    if min(answered) < n_items:
        where = f"on the {answered[0]:,} and {answered[1]:,} items that they answered"
    better, worse = escape_controls(answer["better"]), escape_controls(answer["worse"])
    first = f"{better} is {_points(answer['difference'], 2)} points better than {worse} {where}."
    beyond = (
        f"On other items like these {n_items:,}, the order is the same with probability {answer['right_beyond']:.3f}, and the "
        f"95 % interval of the difference is {interval}."
    )
    target = "as on the population of items" if answer["reference"] == "population" else "in this order"
    return (
        f"{first} {answer['size']} random items rank them {target} with probability {answer['right']:.3f}, and tie them with "
        f"probability {answer['tied']:.3f}. {beyond}{_power(answer, better)}"
    )


def _power(answer: JsonObject, better: str) -> str:
    if answer["power"] is None:
        return ""
    return (
        f" `microbench compare` on {answer['size']} such items finds {better} better (95 % interval above 0) with probability "
        f"{answer['power']:.3f}."
    )


def posterior_sentence(answer: JsonObject) -> str:
    """The answer of `posterior_ranking_probability` in words."""
    higher, lower = sorted(answer["scores"], reverse=True)
    if answer["right"] is None:
        return f"{higher:g} and {lower:g} on {answer['size']} items are tied, which says nothing about the order."
    weak = " So few pairs say little: use a benchmark with more models at that level." if answer["n_pairs"] < FEW_PAIRS else ""
    return (
        f"{higher:g} against {lower:g} on {answer['size']} random items: the order is right with probability "
        f"{answer['right']:.3f}, for two models like the pairs of this leaderboard at their level: {answer['n_pairs']:,} pairs of "
        f"models with accuracies of {_points(answer['accuracy_low'])} to {_points(answer['accuracy_high'])} %. Pairs with such "
        f"scores differ by {_points(answer['expected_difference'])} points on average.{weak}"
    )


def _ranks_parts(ranks: JsonObject) -> Iterator[str | AnswerTable]:
    yield (
        f"Ranks with 95 % intervals over {ranks['over']}, each by itself. Models of one group are not worse beyond chance than the "
        "best of the group:"
    )
    cells = [
        (
            escape_controls(row["model"]),
            _points(row["accuracy"]),
            str(row["rank"]),
            f"{row['rank_low']} to {row['rank_high']}",
            str(row["tie_group"]),
        )
        for row in ranks["rows"]
    ]
    yield AnswerTable(("model", "accuracy, %", "rank", "interval", "group"), cells)


def _gate_parts(gate: JsonObject) -> Iterator[str | AnswerTable]:
    yield (
        f"A gate on {gate['size']} items, for a true drop of {_points(gate['drop'])} points. It alarms if the micro-score falls "
        "by more than the tolerance. Pairs of models of this leaderboard stand for two versions of a model:"
    )
    rates = ("false_alarm", "miss", "false_alarm_fresh", "miss_fresh")
    header = ("tolerance", "false alarms, same items", "misses", "false alarms, fresh items", "misses")
    rows = [(_points(row["tolerance"], 2), *(_percent(row[rate]) for rate in rates)) for row in gate["rows"]]
    yield AnswerTable(header, rows)
    yield _gate_advice(next(row for row in gate["rows"] if row["recommended"]))


def _gate_advice(recommended: Mapping[str, Any]) -> str:
    advice = (
        f"Recommended tolerance: {_points(recommended['tolerance'], 2)} points. On the same items it has "
        f"{_percent(recommended['false_alarm'])} false alarms and {_percent(recommended['miss'])} misses; no other tolerance has a "
        "smaller maximum of the two."
    )
    if max(recommended["false_alarm"], recommended["miss"]) <= ACCEPTABLE_RATE:
        return advice
    return f"{advice} That is above {_percent(ACCEPTABLE_RATE)}: to detect such a drop, use more items."


def left_out_sentence(answer: JsonObject) -> str:
    """What the rows of `leave_out_boards` are compared with, in words."""
    return (
        f"{answer['size']:,.0f} items of all boards, drawn by Neyman allocation and read with a prediction of the rest, estimate "
        f"the suite's average of {answer['n_models']:,} held-out models with an error of {_points(answer['rmse'], 2)} points (root "
        f"mean square) and Kendall's tau of {answer['tau']:.3f}. Without one board, at the same "
        f"{'cost' if answer['cost'] else 'number of items'} of the others, with the changes and their 95 % intervals over models; "
        "own: the accuracy on that board itself, predicted from the items of the others:"
    )


def _left_out_table(rows: Sequence[JsonObject]) -> AnswerTable:
    header = ("without", "share", "items", "error", "change", "tau", "change", "own error", "own tau")
    cells = [
        (
            escape_controls(row["board"]),
            _percent(row["weight"]),
            f"{row['size']:,.0f}",
            _points(row["rmse"], 2),
            f"{100 * row['rmse_change']:+.2f} ({100 * row['rmse_low']:+.2f} to {100 * row['rmse_high']:+.2f})",
            f"{row['tau']:.3f}",
            f"{row['tau_change']:+.3f} ({row['tau_low']:+.3f} to {row['tau_high']:+.3f})",
            _points(row["own_rmse"], 1),
            f"{row['own_tau']:.2f}",
        )
        for row in rows
    ]
    return AnswerTable(header, cells)


def _show_table(part: AnswerTable, console: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(part.header):
        table.add_column(name, justify="left" if place in part.left else "right")
    for row in part.rows:
        table.add_row(*row)
    console.print(table, soft_wrap=False)


def _points(fraction: float, decimals: int = 1) -> str:
    return f"{fraction * 100:.{decimals}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _size(row: JsonObject) -> str:
    if row["size"] is None:  # the curve of a sweep ends where its sizes do
        return "never" if row["method"] == CLOSED_FORM else "unknown"
    return f"{row['size']:,}{EXTRAPOLATED if row['extrapolated'] else ''}"
