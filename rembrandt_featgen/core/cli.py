"""From a frozen `Config` dataclass to absl flags to one call: the only module that knows of `absl.flags`.

A flag is a field made by `flag(...)`; the name of the field is the name of the flag. Flags are defined inside `main`
on a `FlagValues` of its own, so that any number of binaries can be imported into one process.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from absl import flags, logging

from rembrandt_featgen.core import common_flags, endings, flagfiles, interrupts, paths, unknown_flags
from rembrandt_featgen.core.errors import InputError

_LONGEST_NAME = 100  # of a flag
_BOUNDS = {"least": "minimum", "most": "maximum"}


def flag(
    default, help, *, choices=None, minimum=None, maximum=None, required=False, source="", path=False, setting=True
):
    """Declares one flag as a dataclass field.

    Args:
      default: the default; its annotation (str, int, float, bool or tuple[str, ...]) gives the flag's type.
      help: one sentence or two for `--help`.
      choices: the allowed strings.
      minimum, maximum: inclusive bounds of a number.
      required: whether the user must give it.
      source: where the default comes from, such as "paper 4.1".
      path: whether it is a path, or some, in which `~` is the user's home.
      setting: whether a result depends on it, so that what was made with another value is not taken for the same.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "required": required,
        "source": source,
        "path": path,
        "setting": setting,
    }
    return dataclasses.field(default=default, metadata=metadata)


def settings(config) -> dict:
    """Name to value of what results of a `config` depend on."""
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if _is_setting(field)}


def _is_setting(field) -> bool:
    return field.metadata.get("setting", True)


def define(config_class: type, *, can_estimate: bool = False) -> flags.FlagValues:
    """Defines a flag for each field of `config_class`, and those of every binary, on new `FlagValues`."""
    values = flags.FlagValues()
    types = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        meta, kind = field.metadata, types[field.name]
        default: typing.Any = field.default
        common = {"name": field.name, "default": default, "help": meta["help"], "flag_values": values}
        bounds = {"lower_bound": meta["minimum"], "upper_bound": meta["maximum"]}
        if kind is bool:
            flags.DEFINE_boolean(**common)
        elif kind is int:
            flags.DEFINE_integer(**common, **bounds)
        elif kind is float:
            flags.DEFINE_float(**common, **bounds)
        elif meta["choices"] and kind is str:
            flags.DEFINE_enum(**common, enum_values=list(meta["choices"]))
        elif kind is str:
            flags.DEFINE_string(**common)
        else:
            flags.DEFINE_list(**{**common, "default": list(default)})
    for name in common_flags.names(can_estimate):
        of_kind, text, _ = common_flags.HELP[name]
        if of_kind == "INTEGER":
            flags.DEFINE_integer(name, 0, text, lower_bound=0, flag_values=values)
        elif of_kind == "TEXT":
            flags.DEFINE_string(name, "", text, flag_values=values)
        else:
            flags.DEFINE_boolean(name, False, text, flag_values=values)
    return values


def parse(config_class: type, argv: Sequence[str], known_elsewhere: Callable[[], set[str]] = set):
    """Reads command-line arguments into a `config_class`.

    Args:
      config_class: a dataclass whose fields were made by `flag`.
      argv: the arguments, without the program's name. `--flagfile=FILE` is replaced by the file's flags.
      known_elsewhere: returns the flags of the other stages: they may stand in a flagfile, which serves all
        stages, but not on this command line, where they would do nothing.

    Raises:
      InputError: for an unknown flag, a bad value, a missing required flag or an unreadable flagfile.
    """
    return _parse(config_class, argv, known_elsewhere)[0]


def _parse(config_class, argv, known_elsewhere, *, can_estimate=False):
    """The config, and what was given of the flags of every binary."""
    values = define(config_class, can_estimate=can_estimate)
    try:
        rest = values(["program", *_expand_flagfiles(values, argv, known_elsewhere)])[1:]
    except flags.Error as error:
        message = " ".join(str(error).split())
        raise InputError(
            unknown_flags.explain(message, argv, known=set(values), elsewhere=known_elsewhere())
        ) from error
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}: flags are written --name=value; --help lists them")
    read: dict[str, typing.Any] = {}
    for field in dataclasses.fields(config_class):
        value: typing.Any = values[field.name].value
        if field.metadata["required"] and not value:
            raise InputError(f"--{field.name} is required: {field.metadata['help']}")
        if isinstance(value, float) and not math.isfinite(value):  # NaN is within all of absl's bounds
            raise InputError(f"--{field.name}={value} must be a finite number; --help tells more")
        read[field.name] = _as_read(field, value)
    return config_class(**read), common_flags.read(
        {name: values[name].value for name in common_flags.names(can_estimate)}
    )


def _as_read(field, value):
    """A flag's value as the config has it: lists as tuples, `~` of paths expanded."""
    if isinstance(value, list):
        return tuple(paths.expanded(one) if field.metadata["path"] else one for one in value)
    return paths.expanded(value) if field.metadata["path"] else value


def _expand_flagfiles(values, argv, known_elsewhere):
    """Replaces each --flagfile by its flags, less those that only other stages have."""
    expanded, arguments = [], list(argv)
    while arguments:
        argument = arguments.pop(0)
        name, _, path = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name != "flagfile":
            expanded.append(argument)
            continue
        path = path or (arguments.pop(0) if arguments else "")
        for line in flagfiles.lines_of(path):
            name = line.lstrip("-").partition("=")[0]
            names = {name, name[2:]} if name.startswith("no") else {name}
            if names & set(values) or not names & known_elsewhere():
                expanded.append(line)
    for argument in expanded:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-") and len(name) > _LONGEST_NAME:  # absl compares it with all flags, letter by letter
            raise InputError(f"--{name[:_LONGEST_NAME]}... is no flag; --help lists the flags")
    return expanded


def some_of(name: str, given: Sequence[str], known: Iterable[str], *, at_least: int = 1) -> tuple[str, ...]:
    """The values of a flag that takes some of a list, each once, in the order given.

    Args:
      name: of the flag.
      given: its values.
      known: what it takes.
      at_least: how many it needs.

    Raises:
      InputError: a value is not known, or there are too few.
    """
    known = list(known)
    unknown = [value for value in given if value not in known]
    fix = f"take some of {', '.join(known)}"
    if unknown:
        raise InputError(f"--{name}={','.join(given)}: {unknown[0]!r} is not known; {fix}")
    if len(given) < at_least:
        raise InputError(f"--{name}={','.join(given)} names none; {fix}")
    return tuple(dict.fromkeys(given))


def flagfile_text(config) -> str:
    """`config` as the text of a flagfile that gives it back."""
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is not None:
            if isinstance(value, tuple):
                value = flags.CsvListSerializer(",").serialize(list(value))  # quotes an item that has a comma
            elif isinstance(value, bool):
                value = str(value).lower()
            lines.append(f"--{field.name}={value}")
    return "\n".join(lines) + "\n"


def help_text(config_class: type, program: str, about: str, *, can_estimate: bool = False) -> str:
    """What `--help` prints: what the binary does, then each flag with its type, default and source."""
    lines = [f"usage: {program} [--flagfile=FILE] [--flag=value ...]", "", about.strip(), "", "flags:"]
    types = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        meta, kind = field.metadata, types[field.name]
        if meta["choices"]:
            kind_text = "|".join(meta["choices"])
        else:
            kind_text = {bool: "true|false", int: "INTEGER", float: "NUMBER", str: "TEXT"}.get(kind, "LIST")
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "required" if meta["required"] else f"default: {default}" if default not in (None, "") else "optional"
        bounds = [f"at {word} {meta[key]:g}" for word, key in _BOUNDS.items() if meta[key] is not None]
        notes = f"{meta['help']} ({'; '.join([shown, *bounds, *filter(None, [meta['source']])])})"
        lines.append(f"  --{field.name}={kind_text}")
        lines.extend(textwrap.wrap(notes, 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    lines += [
        "  --flagfile=FILE",
        "      Flags from a file in UTF-8, one on a line; a flagfile may name another, and later flags win.",
        *common_flags.help_lines(can_estimate),
    ]
    return "\n".join(lines)


def main(
    config_class: type,
    run: Callable,
    *,
    about: str,
    known_elsewhere: Callable[[], set[str]] = set,
    estimate: Callable | None = None,
) -> None:
    """Runs a binary: parses `sys.argv`, calls `run(config)`, and exits with 0, or with 1 and one line of error.

    Args:
      config_class: a dataclass whose fields were made by `flag`.
      run: does the work.
      about: what the binary does, for --help.
      known_elsewhere: as for `parse`.
      estimate: what is called instead of `run` with --estimate_only, a flag that there is where this is given.
    """
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        program = f"python -m {spec.name}"
    can_estimate = estimate is not None
    if any(argument in ("--help", "-help", "-h", "--helpfull", "--helpshort") for argument in arguments):
        print(help_text(config_class, program, about, can_estimate=can_estimate))
        sys.exit(0)
    start_logging()
    with interrupts.noticed() as interrupted:
        given: dict[str, str] = {}
        try:
            config, common = _parse(config_class, arguments, known_elsewhere, can_estimate=can_estimate)
            given |= path_flags(config)
            with common_flags.applied(common):
                (estimate if estimate and common.estimate_only else run)(config)
        except BaseException as error:
            endings.end(error, interrupted, given)
            raise


def path_flags(config) -> dict[str, str]:
    """Name to value of each flag of `config` that is a path; of lists of them the first."""
    fields = [field for field in dataclasses.fields(config) if field.metadata.get("path")]
    values = {field.name: getattr(config, field.name) for field in fields}
    return {name: value if isinstance(value, str) else "".join(value[:1]) for name, value in values.items()}


def start_logging() -> None:
    """Makes absl's log lines plain sentences on stderr, from INFO up, and lets progress bars stay whole."""
    import logging as standard

    flags.FLAGS.mark_as_parsed()
    standard.getLogger("tensorflow").setLevel(standard.ERROR)  # retracing hints and the like are no news to users
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(standard.Formatter("%(message)s"))
