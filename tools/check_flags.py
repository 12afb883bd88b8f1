"""Fails on a flag, a field of a stage's Config dataclass, that the stage's module never reads.

tools/check_flags.py [package folder]

A field is read as `config.<field>`, where `config` is a parameter annotated `Config`, a name that it is assigned to, or
the parameter of a function of the module that it is handed to. `rundir.open_stage(config, ...)` reads `run_dir`, too,
and `shared_flags.find_cohort(config)` what that function reads of its parameter `config`; so do others of that module
and of all that end in _flags.
A Config that is built from those of other stages (dataclasses.make_dataclass) has no fields to check.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PACKAGE = "rembrandt_featgen"


def fields(tree: ast.Module) -> dict[str, int]:
    """Name to line of each field of the module's Config; none where it has no such class."""
    return {
        node.target.id: node.lineno
        for config in tree.body
        if isinstance(config, ast.ClassDef) and config.name == "Config"
        for node in config.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def shared_reads(path: Path) -> dict[str, set[str]]:
    """Of each function of a module, as `shared_flags.find_cohort`, the attributes that it reads of its `config`."""
    functions = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    ]
    return {
        f"{path.stem}.{function.name}": {
            node.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute) and _is_one_of(node.value, {"config"})
        }
        for function in functions
        if "config" in [arg.arg for arg in _parameters(function)]
    }


def reads(tree: ast.Module, shared: Mapping[str, set[str]] = MappingProxyType({})) -> set[str]:
    """Names of all attributes that the module reads of its config; `shared` is of `shared_reads`."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = {
        name: {arg.arg for arg in _parameters(function) if getattr(arg.annotation, "id", None) == "Config"}
        for name, function in functions.items()
    }
    while _spread(functions, names):
        pass
    found = set()
    for name, function in functions.items():
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and _is_one_of(node.value, names[name]):
                found.add(node.attr)
            elif isinstance(node, ast.Call) and node.args and _is_one_of(node.args[0], names[name]):
                called = ast.unparse(node.func)
                found |= {"run_dir"} if called.endswith(".open_stage") else set()
                found |= shared.get(called, set())
    return found


def _spread(functions: dict[str, ast.FunctionDef], names: dict[str, set[str]]) -> bool:
    """Adds to the config's names in each function those that an assignment or a call gives it; whether any was new."""
    before = sum(map(len, names.values()))
    for name, function in functions.items():
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _is_one_of(node.value, names[name]):
                names[name] |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                parameters = [arg.arg for arg in _parameters(functions[node.func.id])]
                given = [*zip(parameters, node.args), *((word.arg, word.value) for word in node.keywords)]
                handed = {parameter for parameter, value in given if _is_one_of(value, names[name])}
                names[node.func.id] |= set(parameters) & handed
    return sum(map(len, names.values())) > before


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _is_one_of(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def faults(root: Path):
    """One line for each flag of a stage in `root`/stages that nothing reads."""
    shared: dict[str, set[str]] = {}
    for path in sorted((root / "stages").glob("*_flags.py")):
        shared |= shared_reads(path)
    for path in sorted((root / "stages").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read = reads(tree, shared)
        for name, line in fields(tree).items():
            if name not in read:
                yield f"{path}:{line}: --{name} does nothing: read it as config.{name}, or delete the flag"


if __name__ == "__main__":
    lines = list(faults(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / PACKAGE)))
    print("\n".join(lines) or "flags: every flag is read by its stage")
    sys.exit(bool(lines))
