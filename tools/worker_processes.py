"""Starts processes that are workers of one another (TF_CONFIG), each on one thread: on one host, or as on several."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# Of TensorFlow's operations, of how many run at once, and of numpy's products.
_ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
_NETWORK = "10.203.7"  # of the namespaces; nothing outside of them has it


def start(commands: Sequence[Sequence[str]], logs: Path, *, namespaces: Sequence[str] = ()) -> list[subprocess.Popen]:
    """Starts a worker by each command; the first is the chief.

    Args:
      commands: program and arguments of each.
      logs: what worker 0 says is added to "<logs>-0.log", and so on.
      namespaces: of `network_namespaces`, one for each worker; none for the loopback, at ports that are free.

    Returns:
      The processes, which the caller ends, see `ended`.
    """
    addresses = [f"{address(number)}:2222" for number in range(len(namespaces))] or _free_ports(len(commands))
    processes = []
    for number, command in enumerate(commands):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        there = ["ip", "netns", "exec", namespaces[number]] if namespaces else []
        with log_of(logs, number).open("a") as log:
            processes.append(
                subprocess.Popen(
                    [*there, *command],
                    env={**os.environ, **_ONE_THREAD, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": "-1"},
                    stdout=log,
                    stderr=log,
                )
            )
    return processes


def log_of(logs: Path, number: int) -> Path:
    """What a worker says."""
    return logs.with_name(f"{logs.name}-{number}.log")


def ended(processes: Sequence[subprocess.Popen], timeout: float | None = None) -> list[int]:
    """Exit codes; whatever happens, none of the processes is left.

    Args:
      processes: of `start`.
      timeout: seconds after which they are killed; None never.
    """
    try:
        return [process.wait(timeout) for process in processes]
    finally:
        kill(processes)


def kill(processes: Sequence[subprocess.Popen]) -> None:
    """Ends those that have not ended."""
    for process in processes:
        process.kill()
        process.wait()


def address(number: int) -> str:
    """Of a worker in its namespace."""
    return f"{_NETWORK}.{number + 1}"


@contextlib.contextmanager
def network_namespaces(count: int) -> Iterator[list[str]]:
    """Network namespaces, as of hosts on one switch, which are deleted in the end; needs root and iproute2.

    Each has an interface and an address of its own, and a loopback: what a worker in one of them sends to another goes
    through a bridge. A third namespace has the bridge, so that nothing of this host's network changes.
    """
    names = [f"featgen{os.getpid()}w{number}" for number in range(count)]
    switch = f"featgen{os.getpid()}s"
    try:
        _ip(f"netns add {switch}")
        _ip(f"-n {switch} link add bridge type bridge")
        _ip(f"-n {switch} link set bridge up")
        for number, name in enumerate(names):
            _ip(f"netns add {name}")
            _ip(f"-n {switch} link add port{number} type veth peer name eth0 netns {name}")
            _ip(f"-n {switch} link set port{number} master bridge up")
            _ip(f"-n {name} address add {address(number)}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {name} link set lo up")
        yield names
    finally:
        for name in [*names, switch]:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def _free_ports(count: int) -> list[str]:
    """Addresses of the loopback."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]
