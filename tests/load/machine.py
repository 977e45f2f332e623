"""Where figures were taken: absolute ones mean little without it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.load.system_packages import Tools

_ROOT = Path(__file__).resolve().parents[2]


def machine_facts(tools: Tools) -> dict[str, str]:
    """Taken before the load: `busy` tells whether the machine was quiet."""
    load = os.getloadavg()[0]
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "nginx": _first_line([tools.nginx, "-v"]).rpartition(": ")[2],
        "wrk": _first_line([tools.wrk, "-v"]).partition(" [")[0],
        "revision": _first_line(["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]),
        "busy": f"load average {load:.2f} before the bench",
    }


def is_busy() -> bool:
    return os.getloadavg()[0] > 0.3 * (os.cpu_count() or 1)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return ((done.stdout + done.stderr).splitlines() or ["unknown"])[0]
