"""What tests of several figures begin with."""

import pytest

from rembrandt_featgen.reporting import run_figures


@pytest.fixture
def curves(monkeypatch):
    """Panels and best epoch of all curves that are drawn."""
    seen = []
    draw = lambda panels, best_epoch=None: seen.append((panels, best_epoch)) or b"png"  # noqa: E731
    monkeypatch.setattr(run_figures, "training_curves", draw)
    return seen
