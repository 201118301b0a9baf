import pytest


@pytest.fixture
def figures_are_closed(monkeypatch):
    """No picture calls show, and none is left open."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a plot called show"))
    yield
    plt.close("all")
