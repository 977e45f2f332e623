"""What every test may use."""

import os

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

pytest_plugins = [
    "tests.fixtures.engines",
    "tests.fixtures.stack",
    "tests.fixtures.otlp",
    "tests.fixtures.spread",
    "tests.fixtures.collection",
    "tests.chaos.table",
]
