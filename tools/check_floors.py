"""Fails on an import that breaks a rule of how the package is laid out.

tools/check_floors.py [package folder]

A room imports only itself and the rooms before it in `ROOMS`; a stage imports no other stage, but for those that run
others; a library of `ALONE` is imported by its one file; no two files have the same name, and none is imported under
another; imports give whole names.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "rembrandt_featgen"
# In the order of the data: a room imports itself and those before it.
ROOMS = (
    "core",
    "measures",
    "cohort",
    "data",
    "nn",
    "segmentation",
    "features",
    "generation",
    "classification",
    "evaluation",
    "interpretation",
    "reporting",
    "estimates",
    "stages",
)
# A stage imports no other stage, but for those that run others; all import what is not a stage.
RUNNERS = (
    "stages.pipeline",
    "stages.crossvalidate",
    "stages.selfcheck",
    "stages.fit_final_model",
    "stages.trial_stages",
)
SHARED = (
    "stages",
    "stages.fold_jobs",
    *(f"stages.{name}_flags" for name in ("network", "pseudonym", "shared", "slice")),
)
# Libraries that are imported by one file each, so that a successor can replace them there.
ALONE = {
    "absl.flags": "core.cli",
    "tensorlayer": "segmentation.tensorlayer_layers",
    "tensorflow_addons": "generation.gan_networks",
    "nibabel": "cohort.nifti_files",
    "tensorflow_probability": "generation.flow",
    "tf_keras_vis": "interpretation.attribution",
}


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, dotted name, alias or "") of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name, name.asname or "") for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{name.name}", name.asname or "") for name in node.names)


def faults(root: Path) -> Iterator[str]:
    """One line for each import that breaks a rule, and for each file whose name another has, too."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    files = [name for name in sorted(modules) if modules[name].name != "__init__.py"]
    names: dict[str, str] = {}
    for module in files:
        first = names.setdefault(module.rpartition(".")[2], module)
        if first != module:
            yield f"{modules[module]}:1: {module} has the name of {first}: one would need an alias; rename one of them"
    for module, path in sorted(modules.items()):
        for line, name, alias in imports(ast.parse(path.read_text(encoding="utf-8"))):
            for library, allowed in ALONE.items():
                if (name == library or name.startswith(library + ".")) and module != allowed:
                    yield f"{path}:{line}: {library} is imported outside {allowed}"
            if name.startswith("."):
                yield f"{path}:{line}: a relative import; write the whole name, from {PACKAGE} on"
            if not name.startswith(PACKAGE + "."):
                continue
            target = name.removeprefix(PACKAGE + ".")
            if alias and alias != target.rpartition(".")[2]:
                yield f"{path}:{line}: {target} is imported as {alias}; rename the one that is in the way"
            while target and target not in modules:  # the last part may be a name inside the module
                target = target.rpartition(".")[0]
            fault = _fault(module, target)
            if fault:
                yield f"{path}:{line}: {fault}"


def _fault(module: str, target: str) -> str:
    """What is wrong with the import of `target` by `module`; "" if nothing."""
    importing, imported = module.partition(".")[0], target.partition(".")[0]
    if not module or not target or module == "__init__":  # the package's own, which offers what stands in the rooms
        return ""
    for room in (importing, imported):
        if room not in ROOMS:
            return f"{room} is no room of tools/check_floors.py"
    if ROOMS.index(imported) > ROOMS.index(importing):
        return f"{module} imports {target}, and {imported} comes after {importing}"
    sideways = importing == imported == "stages" and target not in SHARED and module not in RUNNERS
    return f"{module} imports the stage {target}, which only {', '.join(RUNNERS)} may" if sideways else ""


if __name__ == "__main__":
    lines = list(faults(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / PACKAGE)))
    print("\n".join(lines) or "floors: every import keeps to the order of the rooms")
    sys.exit(bool(lines))
