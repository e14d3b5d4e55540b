"""One board as tables of many shapes, drawn with a seed: what people have, and what is wrong with it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather

from tests.helpers.score_board import Board

Outcome = Literal["same", "refused", "told"]


@dataclass(frozen=True)
class Table:
    """A file, how to read it, and what comes out.

    Attributes
    ----------
    write
        Writes the file.
    suffix
        The file's.
    keys
        Of `read_scores`.
    outcome
        `same`: the scores of the board; `refused`: one message; `told`: read as something else, with a warning.
    board
        What is expected, made of the board.
    ids
        Whether the ids of items are the board's; else the items are in its order.
    """

    write: Callable[[Board, Path, np.random.Generator], None]
    suffix: str
    keys: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "same"
    board: Callable[[Board], Board] = lambda board: board
    ids: bool = True


TABLES: dict[str, Table] = {}


def table(suffix: str, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a writer under its name."""

    def register(write: Callable[..., None]) -> Callable[..., None]:
        TABLES[write.__name__] = Table(write=write, suffix=suffix, **options)
        return write

    return register


def shuffled(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return frame.iloc[rng.permutation(len(frame))]


# -- files


@table(".csv")
def commas(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False)


@table(".csv")
def byte_order_mark(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")


@table(".csv")
def utf_16(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False, encoding="utf-16")


@table(".tsv")
def tabs(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False, sep="\t")


@table(".csv")
def semicolons_and_decimal_commas(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False, sep=";", decimal=",")


@table(".csv")
def a_line_of_excel(board: Board, path: Path, rng: np.random.Generator) -> None:
    path.write_text("sep=;\n" + board.wide().to_csv(index=False, sep=";"))


@table(".csv")
def bars(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path, index=False, sep="|")


@table(".csv.gz")
def compressed(board: Board, path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(gzip.compress(board.wide().to_csv(index=False).encode()))


@table(".feather")
def feather(board: Board, path: Path, rng: np.random.Generator) -> None:
    pyarrow.feather.write_feather(pa.Table.from_pandas(board.wide()), str(path), compression="zstd")


@table(".jsonl")
def wide_json_lines(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_json(path, orient="records", lines=True)


@table(".xlsx")
def excel(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_excel(path, index=False)


# -- wide


@table(".csv")
def question_ids(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().rename(columns={"item_id": "Question ID", "subtask": "category"}).to_csv(path, index=False)


@table(".csv")
def ids_in_an_index_without_a_name(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().to_csv(path)


@table(".parquet")
def ids_in_an_index_of_pandas(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().to_parquet(path)


@table(".csv")
def row_numbers_beside_ids(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().to_csv(path)


@table(".csv", ids=False)
def no_ids(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().to_csv(path, index=False)


@table(".csv", ids=False)
def ids_from_1(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().set_axis(range(1, len(board.items) + 1)).rename_axis("id").to_csv(path)


@table(".csv")
def models_as_rows(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().T.rename_axis("model").to_csv(path)


@table(".csv")
def models_as_rows_with_a_key(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().T.rename_axis("name").to_csv(path)


TABLES["models_as_rows_with_a_key"] = Table(models_as_rows_with_a_key, ".csv", keys={"shape": "models"})


@table(".csv", outcome="told")
def models_called_items(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().T.rename_axis("item_id").to_csv(path)


@table(".csv")
def models_called_items_with_a_key(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().T.rename_axis("item_id").to_csv(path)


TABLES["models_called_items_with_a_key"] = Table(models_called_items_with_a_key, ".csv", keys={"shape": "models"})


@table(".csv", outcome="refused")
def names_that_tell_nothing(board: Board, path: Path, rng: np.random.Generator) -> None:
    columns = [f"{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(len(board.models))]
    rows = [f"x{chr(97 + k // 676)}{chr(97 + k // 26 % 26)}{chr(97 + k % 26)}" for k in range(len(board.items))]
    board.plain().set_axis(columns, axis=1).set_axis(rows).to_csv(path)


@table(".csv")
def empty_columns_and_rows(board: Board, path: Path, rng: np.random.Generator) -> None:
    lines = board.wide().to_csv(index=False).splitlines()
    path.write_text("".join(f"{line},,\n" for line in [*lines, "," * (len(board.models) + 1)]))


@table(".csv")
def texts_beside_the_scores(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.wide()
    frame.insert(1, "question", [f"What is {k} and {k}, and why is it so?" for k in range(len(frame))])
    frame.assign(answer=rng.integers(0, 900, len(frame)).astype(str) + " or so").to_csv(path, index=False)


@table(".csv")
def a_mean_column(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().assign(Average=np.nanmean(board.scores, axis=0).round(3)).to_csv(path, index=False)


@table(".csv")
def a_mean_row(board: Board, path: Path, rng: np.random.Generator) -> None:
    mean = {"item_id": "Overall", "subtask": "all"} | dict(zip(board.models, np.nanmean(board.scores, axis=1), strict=True))
    pd.concat([board.wide(), pd.DataFrame([mean])]).to_csv(path, index=False)


@table(".csv")
def a_difficulty(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.wide().assign(difficulty=1 - np.nanmean(board.scores, axis=0)).to_csv(path, index=False)


@table(".csv")
def levels(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.wide().assign(level=np.arange(len(board.items)) % 5 + 1)
    frame.assign(difficulty=np.where(frame["level"] > 2, "hard", "easy")).to_csv(path, index=False)


# -- scores


@table(".csv", keys={"scale": 100})
def percent(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.wide()
    frame[board.models] *= 100
    frame.to_csv(path, index=False)


@table(".csv", outcome="refused")
def percent_without_a_scale(board: Board, path: Path, rng: np.random.Generator) -> None:
    percent(board, path, rng)


@table(".csv", outcome="refused", keys={"scale": 100})
def fractions_with_a_scale(board: Board, path: Path, rng: np.random.Generator) -> None:
    commas(board, path, rng)


def said(board: Board, yes: str, no: str) -> pd.DataFrame:
    scores = board.binary().scores
    words = [[None if np.isnan(score) else yes if score == 1 else no for score in row] for row in scores.T]
    return pd.DataFrame(words, columns=board.models, index=pd.Index(board.items, name="item_id"))


@table(".csv", keys={"correct": "Yes"}, board=Board.binary)
def words(board: Board, path: Path, rng: np.random.Generator) -> None:
    said(board, "yes", "No").to_csv(path)


@table(".csv", outcome="refused")
def words_without_a_key(board: Board, path: Path, rng: np.random.Generator) -> None:
    said(board, "yes", "no").to_csv(path)


@table(".parquet", board=Board.binary)
def truths_as_texts(board: Board, path: Path, rng: np.random.Generator) -> None:
    said(board, "TRUE", "false").to_parquet(path)


@table(".parquet")
def numbers_as_texts(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.wide()
    frame[board.models] = frame[board.models].map(lambda value: None if np.isnan(value) else str(value)).astype(object)
    frame.to_parquet(path)


# -- long


@table(".csv")
def long(board: Board, path: Path, rng: np.random.Generator) -> None:
    shuffled(board.long(), rng).to_csv(path, index=False)


@table(".jsonl")
def long_json_lines(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long("llm", "question_id", "correct").rename(columns={"subtask": "category"})
    shuffled(frame, rng).to_json(path, orient="records", lines=True)


@table(".parquet")
def long_with_more_columns(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long("Model Name", "Doc ID", "Acc")
    frame.assign(latency=rng.random(len(frame)), tokens=rng.integers(9, 999, len(frame)), output="text").to_parquet(path)


@table(".csv")
def long_with_semicolons(board: Board, path: Path, rng: np.random.Generator) -> None:
    shuffled(board.long("System", "item", "RESULT"), rng).to_csv(path, index=False, sep=";", decimal=",")


@table(".xlsx")
def long_excel(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.long("MODEL", "Item_Id", "Score").to_excel(path, index=False)


@table(".csv")
def repeats(board: Board, path: Path, rng: np.random.Generator) -> None:
    """Two repeats whose mean is the score."""
    frame = board.long()
    shift = np.minimum(frame["score"], 1 - frame["score"]) / 2
    both = pd.concat([frame.assign(epoch=1, score=frame["score"] + shift), frame.assign(epoch=2, score=frame["score"] - shift)])
    shuffled(both, rng).to_csv(path, index=False)


@table(".csv")
def equal_duplicates(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long()
    shuffled(pd.concat([frame, frame.iloc[rng.integers(0, len(frame), 20)]]), rng).to_csv(path, index=False)


@table(".csv", outcome="refused")
def contradictions(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long()
    other = frame.iloc[[7]].assign(score=lambda row: 1 - row["score"] if float(row["score"].iloc[0]) != 0.5 else 0.0)
    pd.concat([frame, other]).to_csv(path, index=False)


@table(".csv", outcome="refused")
def two_spellings(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long()
    half = (frame["model"] == board.models[0]) & (np.arange(len(frame)) % 2 == 0)
    frame.loc[half, "model"] = board.models[0].swapcase()
    frame.to_csv(path, index=False)


@table(".csv", outcome="refused")
def two_scores(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long()
    frame.assign(correct=(frame["score"] > 0.7).astype(int)).to_csv(path, index=False)


@table(".csv")
def two_scores_with_a_key(board: Board, path: Path, rng: np.random.Generator) -> None:
    two_scores(board, path, rng)


TABLES["two_scores_with_a_key"] = Table(two_scores_with_a_key, ".csv", keys={"columns": {"score": "score"}})


@table(".csv", ids=False)
def numbers_that_start_again_in_each_subtask(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.long("model", "doc_id").rename(columns={"subtask": "task"})
    number = board.wide().groupby("subtask").cumcount().to_numpy()
    frame["doc_id"] = frame["doc_id"].map(dict(zip(board.items, number, strict=True)))
    frame.to_csv(path, index=False)


@table(".csv", outcome="refused")
def unknown_names(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.long("who", "what", "how").to_csv(path, index=False)


@table(".csv")
def unknown_names_with_keys(board: Board, path: Path, rng: np.random.Generator) -> None:
    unknown_names(board, path, rng)


TABLES["unknown_names_with_keys"] = Table(
    unknown_names_with_keys, ".csv", keys={"columns": {"model": "who", "item": "what", "score": "how"}}
)


# -- damage


@table(".xlsx", outcome="refused")
def dates_of_excel(board: Board, path: Path, rng: np.random.Generator) -> None:
    frame = board.wide()
    frame["item_id"] = [datetime(2026, 1, 2) if k == 3 else item for k, item in enumerate(board.items)]
    frame.to_excel(path, index=False)


@table(".csv", outcome="refused")
def no_header(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().to_csv(path, index=False, header=False)


@table(".csv", outcome="refused")
def models_as_rows_without_names(board: Board, path: Path, rng: np.random.Generator) -> None:
    board.plain().T.set_axis([f"q{k}" for k in range(len(board.items))], axis=1).to_csv(path, index=False)
