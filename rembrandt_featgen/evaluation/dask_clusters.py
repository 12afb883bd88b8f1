"""A cluster of Dask that its user started: connected to, and its workers checked before they get anything to do."""

from __future__ import annotations

import asyncio
import warnings

from distributed import Client, Security, TimeoutError
from distributed.comm import connect
from distributed.versions import VersionMismatchWarning

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import dask_calls

PATIENCE = 10.0  # seconds in which a scheduler must answer
_LACKS = ("ModuleNotFoundError", "PackageNotFoundError")


def connected(address: str) -> Client:
    """A client of the scheduler at an address; InputError where none answers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # a table; `check_workers` says it
            # A client would wait for ever for the first word of a server that says nothing, as those of web pages.
            asyncio.run(asyncio.wait_for(_greet(address), PATIENCE))
            return Client(address, timeout=PATIENCE)
    except TypeError as error:  # "TLS expects ..."
        raise InputError(
            f"--scheduler={address}: Dask has no certificates here; name them in the environment "
            "(DASK_DISTRIBUTED__COMM__TLS__CA_FILE and __CLIENT__CERT), or take tcp://"
        ) from error
    except (OSError, TimeoutError, ValueError, MemoryError) as error:  # of other servers, whose words are no lengths
        raise InputError(
            f"--scheduler={address}: no scheduler of Dask answers within {PATIENCE:g} s; start one with `dask "
            "scheduler`, and take the address that it says"
        ) from error


async def _greet(address: str) -> None:
    comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
    await comm.close()


def check_workers(client: Client, given: str) -> None:
    """InputError for a worker that does several tasks at a time, or computes with something else than this process.

    Args:
      client: of the cluster.
      given: the flag, for messages.
    """
    for worker, count in client.nthreads().items():
        if count > 1:
            raise InputError(
                f"{given}: worker {worker} takes {count} tasks at a time in one process; start workers with `dask "
                "worker --nworkers=N --nthreads=1`"
            )
    for worker, found in client.run(dask_calls.program, on_error="return").items():
        said = str(found) if type(found) is Exception else repr(found)  # of Dask, with the other in words
        if isinstance(found, dask_calls.Program):
            dask_calls.check(found, dask_calls.program())
        elif any(name in said for name in _LACKS):
            raise InputError(
                f"{given}: worker {worker} lacks a package ({said}); install there what is installed here, in the "
                "same versions"
            )
        elif not isinstance(found, OSError):  # of a worker that has just gone
            raise InputError(
                f"{given}: worker {worker} has another version of rembrandt_featgen than this process ({said}); "
                "install the same there, and start the workers anew"
            )
