"""The lock file pins what is installed: one registry, and a SHA-256 for every file.

It knows nothing of advisories or of yanked releases: those need an index's answer.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

LOCK = Path(__file__).parents[3] / "uv.lock"
REGISTRY = {"registry": "https://pypi.org/simple"}


def unpinned(lock: dict[str, Any]) -> list[str]:
    """Names of the packages of another source, without files, or with a file without a SHA-256."""
    names = []
    for package in lock["package"]:
        if package["source"] == {"editable": "."}:
            continue
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        hashed = all(file.get("hash", "").startswith("sha256:") for file in files)
        if package["source"] != REGISTRY or not files or not hashed:
            names.append(package["name"])
    return names


def test_every_locked_package_is_hashed_and_of_the_one_registry() -> None:
    lock = tomllib.loads(LOCK.read_text())
    assert len(lock["package"]) > 1
    assert unpinned(lock) == []


@pytest.mark.parametrize(
    "package",
    [
        {"source": {"git": "https://example.com/a.git"}},
        {"source": REGISTRY},
        {"source": REGISTRY, "wheels": [{"url": "https://example.com/a.whl"}]},
        {"source": REGISTRY, "wheels": [{"hash": "sha256:00"}], "sdist": {"hash": "md5:00"}},
    ],
    ids=["git", "no files", "no hash", "weak hash"],
)
def test_a_package_that_is_not_pinned_is_named(package: dict[str, Any]) -> None:
    assert unpinned({"package": [{"name": "a", **package}]}) == ["a"]
