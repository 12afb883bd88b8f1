"""Fails on a call or a list that is hard to read: spliced literals, several spliced arguments, many by position.

tools/check_calls.py [file or folder ...]

- `f(*(a, b))`, `[*(a, b), c]`: a literal is spliced; write its elements.
- `f(*a, *b)`: two sequences are spliced into one call; name what they are.
- `f(a, b, c, d)`, where `f` is defined in this repository: more than three arguments by position; name them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("rembrandt_featgen", "tools", "tests")
CHECKED = FOLDERS[:2]  # by default
MOST = 3  # arguments by position


def faults(paths: list[Path]) -> Iterator[str]:
    """One line for each fault in the Python files of some files and folders."""
    files = sorted({file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])})
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    ours = set().union(*(_defined(tree) for tree in trees.values()))
    for file, tree in trees.items():
        names = _imported(tree) | _defined(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.expr):
                for fault in _faults_of(node, names, ours):
                    yield f"{file}:{node.lineno}: {fault}"


def _faults_of(node: ast.expr, names: set[str], ours: set[str]) -> Iterator[str]:
    """What is wrong with one node.

    Args:
      node: an expression.
      names: what the file defines or imports from this repository.
      ours: what all files define.
    """
    if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Call)):
        elements = node.args if isinstance(node, ast.Call) else node.elts
        spliced = [one.value for one in elements if isinstance(one, ast.Starred)]
        if any(isinstance(one, (ast.List, ast.Tuple, ast.Set)) for one in spliced):
            yield "a literal is spliced; write its elements"
    if isinstance(node, ast.Call):
        if len(spliced) > 1:
            yield "several sequences are spliced into one call; name what they are"
        if len(node.args) > MOST and _is_ours(node.func, names, ours):
            yield f"{len(node.args)} arguments by position; name those after the third, or before"


def _defined(tree: ast.Module) -> set[str]:
    """Names of functions and classes that a file defines outside of functions, but for those that take any number."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        names |= {one.name for one in members if isinstance(one, ast.FunctionDef) and not one.args.vararg}
    return names


def _imported(tree: ast.Module) -> set[str]:
    """Names that a file imports from this repository."""
    return {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (*FOLDERS, "benchmarks")
        for name in node.names
    }


def _is_ours(function: ast.expr, names: set[str], ours: set[str]) -> bool:
    """Whether a call is to a function of this repository, as far as its name tells."""
    if isinstance(function, ast.Name):
        return function.id in names
    return (
        isinstance(function, ast.Attribute)
        and function.attr in ours
        and isinstance(function.value, ast.Name)
        and function.value.id in names | {"self", "cls"}
    )


if __name__ == "__main__":
    lines = list(faults([Path(name) for name in sys.argv[1:]] or [ROOT / name for name in CHECKED]))
    print("\n".join(lines) or "calls: no literal is spliced, and no more than three arguments are given by position")
    sys.exit(bool(lines))
