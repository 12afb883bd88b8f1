"""Fails on an import that points up or sideways between the floors of DESIGN.md, or that leaves its one module.

tools/check_floors.py [package folder]
"""

import ast
import sys
from pathlib import Path

PACKAGE = "rembrandt_featgen"
# The longest prefix that fits a module decides.
FLOORS = {
    "errors": 0,
    "cli": 0,
    "rundir": 0,
    "geometry": 1,
    "metrics": 1,
    "models.losses": 1,
    "models.precision": 1,
    "cohort": 2,
    "data": 2,
    "models": 2,
    "training": 3,
    "reporting": 3,
    "stages.fields": 3,
    "stages": 4,
    "": 0,
}
# Rooms of one floor whose modules may import each other; the stages may not, but for those that run others.
ONE_ROOM = ("cohort", "data", "models", "training", "reporting", "metrics")
RUNNERS = ("stages.pipeline", "stages.crossvalidate", "stages.selfcheck")
ALONE = {
    "absl.flags": ["cli"],
    "tensorlayer": ["models.unet"],
    "tensorflow_addons": ["models.gan_networks"],
    "nibabel": ["cohort.nifti"],
    "tf_keras_vis": ["training.attribution"],
}


def floor(module: str) -> int:
    """Floor of a module named within the package."""
    fitting = [prefix for prefix in FLOORS if module == prefix or module.startswith(prefix + ".") or not prefix]
    return FLOORS[max(fitting, key=len)]


def imports(tree: ast.AST):
    """(line, dotted name) of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def faults(root: Path):
    """One line for each import that breaks a rule."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    for module, path in sorted(modules.items()):
        for line, name in imports(ast.parse(path.read_text())):
            for package, allowed in ALONE.items():
                if (name == package or name.startswith(package + ".")) and module not in allowed:
                    yield f"{path}:{line}: {package} is imported outside {', '.join(allowed)}"
            if not name.startswith(PACKAGE + "."):
                continue
            target = name.removeprefix(PACKAGE + ".")
            while target and target not in modules:  # the last part may be a name inside the module
                target = target.rpartition(".")[0]
            same_room = module.split(".")[0] == target.split(".")[0] and target.split(".")[0] in ONE_ROOM
            lazy_index = target == "stages"  # lists the stages by name, imports none
            if floor(target) > floor(module) or (
                floor(target) == floor(module) > 0 and not (same_room or lazy_index or module in RUNNERS)
            ):
                yield f"{path}:{line}: {module} (floor {floor(module)}) imports {target} (floor {floor(target)})"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / PACKAGE)))
    print("\n".join(found) or "floors: every import points down")
    sys.exit(bool(found))
