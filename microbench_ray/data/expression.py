"""Comparisons of columns written as text: a small subset of Python's syntax, evaluated without `eval`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class UnsupportedSyntax(Exception):
    """Syntax outside the language, such as a call, an attribute or a power."""


class UnknownColumn(Exception):
    """A name that is not a column."""


def evaluate(expression: str, frame: pd.DataFrame) -> pd.Series:
    """Evaluate a comparison of columns for every row.

    The language has columns, numbers, texts, True and False; + - * /; comparisons, including chained ones and `in` and `not in`
    with a list; and, or, not (or & | ~ with parentheses). A comparison with an unknown value is unknown.

    Parameters
    ----------
    expression
        For example ``"instruct and 7e9 <= params <= 9e9"``.
    frame
        Columns in pandas' nullable types.

    Returns
    -------
    Series
        Nullable boolean, (len(frame),).

    Raises
    ------
    SyntaxError, UnsupportedSyntax, UnknownColumn
        The text is not an expression, or not one of this language.
    TypeError, ValueError, ArithmeticError
        Values cannot be compared with each other, or the expression is neither true nor false.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except ValueError as error:  # null bytes
        raise SyntaxError(str(error)) from None
    return _truth(_value(tree.body, frame))


def _value(node: ast.expr, frame: pd.DataFrame) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            if name not in frame.columns:
                raise UnknownColumn(name)
            return frame[name]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, frame) for element in elements]
        case ast.BoolOp(op=connective, values=parts):
            combine = operator.and_ if isinstance(connective, ast.And) else operator.or_
            return reduce(combine, [_truth(_value(part, frame)) for part in parts])
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as connective, right=right):
            combine = operator.and_ if isinstance(connective, ast.BitAnd) else operator.or_
            return combine(_truth(_value(left, frame)), _truth(_value(right, frame)))
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return ~_truth(_value(operand, frame))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, frame)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
            terms = _value(left, frame), _value(right, frame)
            if any(isinstance(term, str | list) for term in terms):
                raise TypeError("arithmetic needs numbers")
            return _ARITHMETIC[type(operation)](*terms)
        case ast.Compare(left=left, ops=operations, comparators=others):
            values = [_value(term, frame) for term in (left, *others)]
            steps = zip(values, operations, values[1:], strict=False)
            return reduce(operator.and_, [_compare(*step) for step in steps])
        case _:
            raise UnsupportedSyntax(type(getattr(node, "op", node)).__name__)


def _compare(left: Any, operation: ast.cmpop, right: Any) -> pd.Series:
    """Compare a column with a value or a column; NA for unknown values of either."""
    import pandas as pd  # slow to import, and not needed by workers

    if isinstance(operation, ast.In | ast.NotIn):
        if not (isinstance(left, pd.Series) and isinstance(right, list)):
            raise TypeError("`in` needs a column on its left and a list of values on its right")
        contained = left.isin(right)
        result = contained if isinstance(operation, ast.In) else ~contained
    elif type(operation) in _COMPARISONS:
        if isinstance(left, list) or isinstance(right, list):
            raise TypeError("a list needs `in` or `not in`")
        if not (isinstance(left, pd.Series) or isinstance(right, pd.Series)):
            raise TypeError("a comparison needs a column")
        result = _COMPARISONS[type(operation)](left, right)
    else:
        raise UnsupportedSyntax(type(operation).__name__)
    unknown = [side.isna() for side in (left, right) if isinstance(side, pd.Series)]
    return result.astype("boolean").mask(reduce(operator.or_, unknown))


def _truth(value: Any) -> pd.Series:
    import pandas as pd  # slow to import, and not needed by workers

    if not (isinstance(value, pd.Series) and pd.api.types.is_bool_dtype(value.dtype)):
        raise TypeError("the expression is neither true nor false: compare it with a value")
    return value.astype("boolean")
