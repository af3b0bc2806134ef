"""Mutants of a module: its source with one small change each, made by operators that know no rule of the contract.

The operators are some of mutation testing and some for what goes wrong in a server: a field left out of a copy, a
filter left out, an exception swallowed, an await between a read and a write. They are our own: of these fifteen,
cosmic-ray 8.7 has five and mutmut 3.8 seven, on syntax trees of their own (parso, libcst), so that we would keep both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """`place` counts the changes of the module, so that it names the mutant as long as the module stays as it is.

    `timed`: the change may show only as time passes, or when requests are concurrent.
    """

    module: str
    place: int
    line: int
    operator: str
    before: str
    after: str
    timed: bool = False

    @property
    def name(self) -> str:
        return f"{self.module}:{self.place}"


def mutants(module: str, source: str) -> list[Mutant]:
    """One of each change, in the order of the source. A change that is no Python where it stands is among them."""
    found = []
    for place, edit in enumerate(_edits(ast.parse(source))):
        before, after = ast.unparse(edit.node), ast.unparse(edit.alternative)
        if before != after:
            line = min(each.lineno for each in ast.walk(edit.node) if hasattr(each, "lineno"))
            found.append(Mutant(module, place, line, edit.operator, _short(before), _short(after), edit.timed))
    return found


def mutated(source: str, place: int) -> str:
    """The source with that change. Raises: SyntaxError where it is not valid Python there."""
    tree = ast.parse(source)
    edit = next(islice(_edits(tree), place, None))
    edit.apply()
    text = ast.unparse(ast.fix_missing_locations(tree))
    compile(text, "<mutant>", "exec")
    return text


@dataclass(frozen=True)
class _Edit:
    operator: str
    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    alternative: ast.AST
    timed: bool

    def apply(self) -> None:
        if self.index is None:
            setattr(self.parent, self.field, self.alternative)
        else:
            getattr(self.parent, self.field)[self.index] = self.alternative


def _edits(tree: ast.AST, timed: bool = False) -> Iterator[_Edit]:
    """Of every statement and expression, but for annotations, decorators, imports and docstrings."""
    if isinstance(tree, ast.Import | ast.ImportFrom):
        return
    if isinstance(tree, _DEFINITIONS):
        timed = timed or bool(_TIME.search(tree.name)) or _awaits(tree)
    elif isinstance(tree, ast.Assign | ast.AnnAssign | ast.AugAssign):
        timed = timed or any(map(_concerns_time, tree.targets if isinstance(tree, ast.Assign) else [tree.target]))
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST) and not _is_docstring(child):
                for operator, alternative in _alternatives(child):
                    concerned = timed or _concerns_time(child) or _concerns_time(alternative)
                    yield _Edit(operator, tree, name, index, child, alternative, concerned)
                yield from _edits(child, timed)


_TIME = re.compile(
    r"(?i)(?:_s|_at|lifecycle|epoch|agenda)$|^(?:now|when|clock|moment|since|until|advance|sleep|timedelta)"
)
"""Names of moments, of durations, and of what happens by itself."""
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _concerns_time(tree: ast.AST) -> bool:
    names = (getattr(node, field, None) for node in ast.walk(tree) for field in ("id", "attr", "arg"))
    return any(isinstance(name, str) and _TIME.search(name) for name in names) or _awaits(tree)


def _awaits(tree: ast.AST) -> bool:
    """Itself, and not in a function that is defined in it."""
    inner = (child for child in ast.iter_child_nodes(tree) if not isinstance(child, _DEFINITIONS))
    return isinstance(tree, ast.Await | ast.AsyncFor | ast.AsyncWith) or any(map(_awaits, inner))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


# The operators: each gives the alternatives of one kind of node.


def _alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for kind, operators in _OPERATORS.items():
        if isinstance(node, kind):
            for operator in operators:
                for alternative in operator(deepcopy(node)):
                    yield operator.__name__.strip("_").replace("_", " "), alternative


def _turned_comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for place, operator in enumerate(node.ops):
        turned = _COMPARISONS.get(type(operator))
        if turned is not None:
            other = deepcopy(node)
            other.ops[place] = turned()
            yield other


def _moved_constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.copy_location(ast.Constant(not value), node)
    elif isinstance(value, int | float):
        yield ast.copy_location(ast.Constant(value + 1), node)
        yield ast.copy_location(ast.Constant(value - 1), node)


def _swapped_and_or(node: ast.BoolOp) -> Iterator[ast.AST]:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield node


def _dropped_condition(node: ast.BoolOp) -> Iterator[ast.AST]:
    for place in range(len(node.values)):
        left = [value for number, value in enumerate(node.values) if number != place]
        yield left[0] if len(left) == 1 else ast.copy_location(ast.BoolOp(node.op, left), node)


def _dropped_not(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not):
        yield node.operand


def _turned_arithmetic(node: ast.BinOp) -> Iterator[ast.AST]:
    turned = _ARITHMETIC.get(type(node.op))
    if turned is not None:
        node.op = turned()
        yield node


def _dropped_branch(node: ast.If) -> Iterator[ast.AST]:
    nothing: list[ast.stmt] = [ast.copy_location(ast.Pass(), node)]
    yield ast.copy_location(ast.If(node.test, nothing, node.orelse), node)
    if node.orelse:
        yield ast.copy_location(ast.If(node.test, node.body, []), node)


def _one_side(node: ast.IfExp) -> Iterator[ast.AST]:
    yield node.body
    yield node.orelse


def _dropped_statement(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) or isinstance(getattr(node, "targets", [None])[0], ast.Attribute | ast.Subscript):
        yield ast.copy_location(ast.Pass(), node)


def _dropped_argument(node: ast.Call) -> Iterator[ast.AST]:
    """A field that is left out of a copy or of a new object."""
    for place in range(len(node.keywords)):
        other = deepcopy(node)
        del other.keywords[place]
        yield other


def _dropped_member(node: ast.Dict) -> Iterator[ast.AST]:
    for place in range(len(node.keys)):
        other = deepcopy(node)
        del other.keys[place], other.values[place]
        yield other


def _dropped_element(node: ast.Set | ast.Tuple | ast.List) -> Iterator[ast.AST]:
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or len(node.elts) < 2:
        return
    for place in range(len(node.elts)):
        other = deepcopy(node)
        del other.elts[place]
        yield other


def _dropped_filter(node: ast.comprehension) -> Iterator[ast.AST]:
    for place in range(len(node.ifs)):
        other = deepcopy(node)
        del other.ifs[place]
        yield other


def _swallowed_exception(node: ast.Raise) -> Iterator[ast.AST]:
    yield ast.copy_location(ast.Pass(), node)


def _await_before_a_write(node: ast.Assign) -> Iterator[ast.AST]:
    """Others run between what was read before and what is written here. Outside `async def` it is not valid Python."""
    if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        pause = ast.parse("(await asyncio.sleep(0.005),)[0]").body[0]
        assert isinstance(pause, ast.Expr)
        pair = ast.Tuple([pause.value, node.value], ast.Load())
        yield ast.copy_location(ast.Assign(node.targets, ast.Subscript(pair, ast.Constant(1), ast.Load())), node)


_OPERATORS: dict[type[ast.AST], tuple[Callable[[Any], Iterator[ast.AST]], ...]] = {
    ast.Compare: (_turned_comparison,),
    ast.Constant: (_moved_constant,),
    ast.BoolOp: (_swapped_and_or, _dropped_condition),
    ast.UnaryOp: (_dropped_not,),
    ast.BinOp: (_turned_arithmetic,),
    ast.If: (_dropped_branch,),
    ast.IfExp: (_one_side,),
    ast.Expr: (_dropped_statement,),
    ast.Assign: (_dropped_statement, _await_before_a_write),
    ast.AugAssign: (_dropped_statement,),
    ast.Call: (_dropped_argument,),
    ast.Dict: (_dropped_member,),
    ast.Set: (_dropped_element,),
    ast.List: (_dropped_element,),
    ast.Tuple: (_dropped_element,),
    ast.comprehension: (_dropped_filter,),
    ast.Raise: (_swallowed_exception,),
}
