"""Expressions: one CEL expression over declared names, compiled and evaluated; the only module that knows the CEL library."""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import cel

from shared.contracts.evidence import Value
from shared.values import read_number

_LIMIT = 1000
_FUNCTIONS = frozenset({"size", "startsWith", "endsWith", "contains", "double"})
_PLAIN = re.compile(r"^\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?|true|false|\"[^\"\\]*\"|'[^'\\]*')\s*$")
_NAME = re.compile(r"\s*[A-Za-z_]\w*\s*")
_NOT = re.compile(r"!(?!=)")
_LOGIC = re.compile(r"\|\||&&|\?")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.GtE: ">=",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.Lt: "<",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_WORDS: dict[str, Value] = {"true": True, "false": False}
_INTEGER = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.])(\d+)(?![\w.])""")


class Comparison(NamedTuple):
    """A name against a literal: `seats >= 5`. A name alone is compared with true."""

    name: str
    sign: str
    literal: Value

    def holds(self, value: Value) -> bool:
        """Whether it is certainly true of this value."""
        return compare_values(_COMPARE[self.sign], value, self.literal) is True


class ExprError(ValueError):
    """The text is not a condition we can run. The message says why."""


class Expr:
    """A compiled expression. `names` are the variables it reads.

    A plain comparison (`seats >= 5`) has its literal as `threshold` and its operator as `compare`. It, and plain
    arithmetic (`used / seats`), are worked out here, several times as fast as through CEL and with the same answer
    (a test holds the two together). `strict`: unknown as soon as one value is. `literals` are, for each name, the numbers
    it is compared with; None where the value matters in any other way.
    """

    __slots__ = ("_arithmetic", "_program", "compare", "literals", "names", "strict", "text", "threshold")

    def __init__(self, text: str) -> None:
        """Raises ExprError for a text that is no expression over our functions."""
        if len(text.encode()) > _LIMIT:
            raise ExprError(f"longer than {_LIMIT} bytes")
        try:
            self._program = cel.compile(_all_doubles(text))
        except Exception as error:  # noqa: BLE001  the library raises many kinds; each means: not an expression
            raise ExprError(f"not an expression: {error}") from None
        unknown = [name for name in self._program.functions() if name[0] not in "_@!-" and name not in _FUNCTIONS]
        if unknown:
            raise ExprError(f"unknown function '{unknown[0]}'")
        self.text = text
        self.names: tuple[str, ...] = tuple(self._program.variables())
        self.compare, self.threshold = _plain(text)
        self.strict = not _LOGIC.search(text)
        self._arithmetic = _arithmetic(text)
        self.literals: Mapping[str, frozenset[float] | None] = _literals(text, self.names)

    def unknown_names(self, declared: Mapping[str, object] | set[str]) -> list[str]:
        """The names it reads that are not declared."""
        return [name for name in self.names if name not in declared]

    def value(self, values: Mapping[str, Value]) -> Value:
        """Its value; None (unknown) when a value it needs is unknown or of the wrong kind."""
        if self.compare is not None:
            return compare_values(self.compare, values.get(self.names[0]), self.threshold)
        given = {name: values[name] for name in self.names if values.get(name) is not None}
        if self.strict and len(given) < len(self.names):
            return None
        try:
            if self._arithmetic is not None:
                if any(value.__class__ is not float for value in given.values()):
                    given = {name: _read(value) for name, value in given.items()}
                if all(value.__class__ is float for value in given.values()):
                    return _number(self._arithmetic(given))
            result: Any = self._program.execute(given)
        except (RuntimeError, TypeError, ValueError, ZeroDivisionError, OverflowError):
            return None
        return result if isinstance(result, bool | str) else _number(result)

    def holds(self, values: Mapping[str, Value]) -> bool:
        """True only when it is certainly true: unknown is not true."""
        return self.value(values) is True


def _read(value: Value) -> Value:
    """A text that writes a number as that number; anything else as it is."""
    if value.__class__ is not str:
        return value
    number = read_number(value)
    return value if number is None else float(number)


def _all_doubles(text: str) -> str:
    """CEL never mixes integers and doubles in arithmetic, and every metric is a double: so is every literal."""
    return _INTEGER.sub(lambda match: match.group(1) or f"{match.group(2)}.0", text)


def compare_values(compare: Callable[[Any, Any], bool], value: Value, literal: Value) -> bool | None:
    """A value against a literal, as CEL would: other kinds are unequal, and cannot be put in order.

    Only that a text against a number is the number it writes: "25" is at least 10.
    """
    if value is None:
        return None
    if literal.__class__ is float and value.__class__ is str:
        value = _read(value)
    if value.__class__ is int:
        value = float(value)
    if value.__class__ is literal.__class__:
        return compare(value, literal)
    return {operator.eq: False, operator.ne: True}.get(compare)


def _plain(text: str) -> tuple[Callable[[Any, Any], bool] | None, Value]:
    match = _PLAIN.match(text)
    if not match:
        return None, None
    literal = match.group(3)
    value = _WORDS[literal] if literal in _WORDS else literal[1:-1] if literal[0] in "\"'" else float(literal)
    return _COMPARE[match.group(2)], value


_Arithmetic = Callable[[Mapping[str, Any]], Any]
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _arithmetic(text: str) -> _Arithmetic | None:
    """Names and numbers under + - * / read the same in Python and in CEL; anything else is left to CEL."""
    try:
        return _evaluator(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, LookupError, ValueError):
        return None


def _evaluator(node: ast.expr) -> _Arithmetic:
    if isinstance(node, ast.Name):
        return operator.itemgetter(node.id)
    if isinstance(node, ast.Constant) and node.value.__class__ in {int, float}:
        number = float(node.value)
        return lambda _: number
    if isinstance(node, ast.BinOp):
        compute, left, right = _OPERATORS[type(node.op)], _evaluator(node.left), _evaluator(node.right)
        return lambda given: compute(left(given), right(given))
    raise ValueError(node)


def _literals(text: str, names: Iterable[str]) -> dict[str, frozenset[float] | None]:
    """Comparisons under && and || read the same in Python and in CEL, `!` does not; whatever is not plain is None."""
    try:
        if _NOT.search(text):
            return dict.fromkeys(names)
        plain = text.strip().replace("&&", " and ").replace("||", " or ")
        found = list(_compared(ast.parse(plain, mode="eval").body))
    except (SyntaxError, ValueError, OverflowError, RecursionError):
        return dict.fromkeys(names)
    literals: dict[str, frozenset[float] | None] = {name: frozenset() for name in names}
    for name, numbers in found:
        before = literals.get(name)
        if name in literals:
            literals[name] = None if before is None or numbers is None else before | numbers
    return literals


def _compared(node: ast.expr) -> Iterator[tuple[str, frozenset[float] | None]]:
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _compared(value)
    elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and _is_literal(*node.comparators):
        yield node.left.id, _number_of(node.comparators[0])
    else:
        yield from ((each.id, None) for each in ast.walk(node) if isinstance(each, ast.Name))


def _is_literal(*comparators: ast.expr) -> bool:
    if len(comparators) != 1:  # a < b < c is something else in CEL
        return False
    node = comparators[0]
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if isinstance(inner, ast.Name):
        return inner.id in _WORDS
    return isinstance(inner, ast.Constant) and inner.value.__class__ in {int, float, str}


def _number_of(literal: ast.expr) -> frozenset[float]:
    value = _value_of(literal)
    return frozenset({value} if isinstance(value, float) else ())


def comparisons(text: str) -> list[Comparison]:
    """Every comparison of a name with a literal in an expression, wherever it stands; of what Python reads otherwise, none."""
    plain = _NOT.sub(" not ", text.strip()).replace("&&", " and ").replace("||", " or ").strip()
    try:
        nodes = list(ast.walk(ast.parse(plain, mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return []
    compared = [node for node in nodes if isinstance(node, ast.Compare) and _is_literal(*node.comparators)]
    return [
        Comparison(node.left.id, _SIGNS[type(node.ops[0])], _value_of(node.comparators[0]))
        for node in compared
        if isinstance(node.left, ast.Name) and type(node.ops[0]) in _SIGNS
    ]


def only_comparison(text: str) -> Comparison | None:
    """The comparison that is the whole expression; None where it is anything else."""
    if match := _PLAIN.match(text):
        return Comparison(match.group(1), match.group(2), _plain(text)[1])
    return Comparison(text.strip(), "==", True) if _NAME.fullmatch(text) else None


def _value_of(literal: ast.expr) -> Value:
    if isinstance(literal, ast.Name):
        return _WORDS[literal.id]
    value = ast.literal_eval(literal)
    return value if isinstance(value, str) else float(value)


def _number(result: Any) -> Value:
    if not isinstance(result, int | float) or result != result or result in {float("inf"), float("-inf")}:  # noqa: PLR0124  NaN
        return None
    return float(result)
