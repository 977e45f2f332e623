"""What every test may use."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures import authorities

# Engines are started by fork (so that they die with the test run); gRPC's own fork handlers, with its threads running,
# can leave such a child hanging before it becomes the engine.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

authorities.hide()

# The same examples in every run, however slow the machine; `LUMEN_TEST_RANDOM=1` searches for new ones.
settings.register_profile(
    "lumen",
    deadline=None,
    derandomize="LUMEN_TEST_RANDOM" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lumen")

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.stack", "tests.chaos.table"]

# A whole stack takes a dozen seconds of CPU to start: what shares one runs in one process.
_SHARED_STACKS = ("stack", "chaos_stack")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests are spread over processes by the stack they share, all others by module."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = next((name for name in _SHARED_STACKS if name in fixtures), None)
        module = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(shared or module.replace("/", ".")))
