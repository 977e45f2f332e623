"""Collects what the tests marked `matrix` find, for the README."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e import matrix


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    marker = item.get_closest_marker("matrix")
    if marker is not None and report.when == "call" and isinstance(item, pytest.Function):
        parameters = item.callspec.params
        feature = marker.args[0]
        if feature == "text":
            feature = "stream" if parameters["stream"] else "single"
        matrix.note(str(parameters["client"]), str(parameters["model"]), feature, report.passed)
    return report
