import signal

import pytest


def pytest_sessionstart(session):
    # A shell starts what runs in its background deaf to interrupts; some tests send them.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def figures_are_closed(monkeypatch):
    """No picture calls show, and none is left open."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a plot called show"))
    yield
    plt.close("all")
