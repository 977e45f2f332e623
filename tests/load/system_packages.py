"""nginx and wrk, the two programs of the bench that no Python package brings."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

_PACKAGES = ("nginx-light", "wrk")
_INSTALL = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(_PACKAGES)}"
_TIMEOUT_S = 600.0
_SYSTEM_PATH = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"))


class ToolMissing(Exception):
    """A program is missing and could not be installed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Tools:
    nginx: str
    wrk: str


def find_tools() -> Tools:
    """Installs what is missing where we are root on a Debian-like system. Raises ToolMissing."""
    if _find("nginx") is None or _find("wrk") is None:
        _install()
    nginx, wrk = _find("nginx"), _find("wrk")
    if nginx is None or wrk is None:
        raise ToolMissing(f"nginx or wrk is still missing. Install them by hand: {_INSTALL}")
    return Tools(nginx, wrk)


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def _install() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolMissing(f"the bench needs nginx and wrk. As root: {_INSTALL}")
    print(f"installing {' and '.join(_PACKAGES)} ...", flush=True)
    # RUNLEVEL=1: Debian would start a system-wide nginx on installation.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(
        _INSTALL, shell=True, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise ToolMissing(f"`{_INSTALL}` failed:\n{(done.stdout + done.stderr)[-1500:]}")
