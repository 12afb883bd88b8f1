import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rembrandt_featgen.core import interrupts

BLOCKED = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"


@pytest.fixture
def raises():
    """Ctrl-C raises KeyboardInterrupt meanwhile."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def another_thread():
    """That has Ctrl-C not blocked, as the watch over memory."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)  # in which a handler would run


def test_ctrl_c_waits_for_the_body_whatever_thread_takes_it(raises, another_thread):
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.left_to_this_process():
        press()
        press()
        done.append("body")
    assert done == ["body"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press()


def test_what_is_started_in_the_body_has_ctrl_c_blocked(raises, another_thread):
    with interrupts.left_to_this_process():
        within = subprocess.check_output([sys.executable, "-c", BLOCKED], text=True)
    after = subprocess.check_output([sys.executable, "-c", BLOCKED], text=True)
    assert (within.strip(), after.strip()) == ("True", "False")


def test_ctrl_c_that_is_ignored_stays_so(another_thread):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.left_to_this_process():
            press()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_no_handler_is_set(raises):
    def body():
        with interrupts.left_to_this_process():
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
