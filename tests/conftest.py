"""What every test may use."""

import os

# Engines are started by fork (so that they die with the test run); gRPC's own fork handlers, with its threads running,
# can leave such a child hanging before it becomes the engine.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.stack", "tests.chaos.table"]
