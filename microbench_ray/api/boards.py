"""Which boards of a suite can be left out, as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.shown import escape_controls
from microbench_ray.data import Benchmark

if TYPE_CHECKING:
    from microbench_ray.api.answers import BoardsLeftOut
    from microbench_ray.api.methods import MethodLike


def leave_out_boards(
    benchmark: Benchmark,
    size: int | None = None,
    *,
    cost: float | None = None,
    method: MethodLike | None = None,
    draws: int = 10,
    seed: int = 0,
) -> BoardsLeftOut:
    """What leaving out a board of a suite does to the estimate of its average, at the same number of items or the same cost.

    Models are held out in folds, and estimated by a micro-benchmark built on the others: with items of all boards, and for each
    board with items of the other boards only, from which the suite's average is predicted.

    Parameters
    ----------
    benchmark
        A suite (`mb.suite`), or another benchmark that ranks models by a mean over subtasks (`truth` is `macro`).
    size
        Number of items.
    cost
        A budget in the place of `size`, in the unit of the benchmark's costs.
    method
        Name, mapping, or what `mb.method` returns. By default random items of every board by Neyman allocation
        (`random_subtask_neyman`, by their costs where there is a budget) and a ridge prediction of the rest, which takes seconds;
        `auto` takes minutes.
    draws
        How often models are divided into folds and items are drawn; errors are means over these.
    seed
        Of all draws.

    Returns
    -------
    pandas.DataFrame
        One row per board: `board`, `n_items`, `weight` in the average, and `size`, the number of items of the others; `own_rmse`
        and `own_tau`, root mean square error (a fraction) and Kendall's tau of the accuracies on that board, predicted from these
        items; `rmse` and `tau` of the suite's average; `rmse_change` and `tau_change`, how much larger these are than with items of
        all boards, with their 95 % intervals over models, `rmse_low` to `rmse_high` and `tau_low` to `tau_high`.

    Raises
    ------
    ConfigError
        Neither a size nor a budget, or both; a benchmark that ranks models otherwise; a method that cannot be exported, or cannot
        spend a budget; a budget without costs.
    GridError
        More items than the boards without the largest one have.
    DataError
        Fewer than ten models that are not copies of one another.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=40, n_items=200, n_subtasks=3).with_truth("macro")
    >>> mb.leave_out_boards(board, 50, draws=1)["board"].tolist()
    ['subtask_00', 'subtask_01', 'subtask_02']
    """
    import pandas as pd

    from microbench_ray.api.answers import BoardsLeftOut
    from microbench_ray.api.methods import methods_of
    from microbench_ray.micro import left_out_boards as left_out

    if (size is None) == (cost is None):
        raise ConfigError(
            "Boards are left out for a size or for a budget.", where="size, cost", got=f"size={size}, cost={cost}", hint="size=100"
        )
    answer = left_out.leave_out_boards(
        check_benchmark(benchmark),
        None if size is None else whole_number("size", size, 1),
        cost,
        method=None if method is None else methods_of([method])[0],
        draws=whole_number("draws", draws, 1),
        seed=whole_number("seed", seed, 0),
    )
    about = (
        f"Without a board of {escape_controls(benchmark.name)}; with all, {answer.size:,.0f} items by {answer.method} have an "
        f"error of {answer.rmse:.4f} (root mean square) and Kendall's tau of {answer.tau:.3f}"
    )
    result: BoardsLeftOut = BoardsLeftOut.of(pd.DataFrame(answer.boards), about)
    return result
