"""Load at full speed by `wrk`, which costs a fraction of what it drives. One thread; one request after the other on
each connection; it counts whole answers, chunked ones too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.load.calls import Call
from tests.load.clients import Target

_MARK = "LUMEN_WRK "
_SCRIPT = """\
wrk.method = "POST"
wrk.path = {path}
{headers}
local file = io.open({body_file}, "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{mark}{{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n', summary.requests, summary.duration,
    summary.bytes, latency:percentile(50), latency:percentile(99), errors.connect, errors.read, errors.write,
    errors.status, errors.timeout))
end
"""
# Requests are made before the load: wrk's own part stays what it is with one key.
_ROTATION = """\
local requests, number = {{}}, 0
function init(args)
  for key in io.lines({keys_file}) do
    local headers = {{}}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    headers["authorization"] = "Bearer " .. key
    requests[#requests + 1] = wrk.format(nil, nil, headers)
  end
end
function request()
  number = number % #requests + 1
  return requests[number]
end
"""
_TIMEOUT_S = 10
_GRACE_S = 30.0


class LoadFailed(Exception):
    """Not every answer was a good one: figures of such a run mean nothing."""


@dataclass(frozen=True, slots=True)
class WrkRun:
    requests: int
    duration_s: float
    bytes_received: int
    p50_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.duration_s

    @property
    def bytes_per_answer(self) -> float:
        """Heads included."""
        return self.bytes_received / self.requests


def run_wrk(
    binary: str,
    directory: Path,
    target: Target,
    call: Call,
    *,
    connections: int,
    duration_s: float,
    api_keys: Sequence[str] = (),
) -> WrkRun:
    """`api_keys`: used in turn, in place of the target's own. Raises LoadFailed when any answer was not a 2xx, or any
    connection failed."""
    script = _write_script(directory, target, call, api_keys)
    argv = [
        binary, "-t1", f"-c{connections}", f"-d{max(1, round(duration_s))}s", "--timeout", f"{_TIMEOUT_S}s",
        "-s", str(script), target.base_url,
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=duration_s + _GRACE_S, check=False)
    marked = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not marked:
        raise LoadFailed(f"wrk against {target.base_url}: {done.stdout}{done.stderr}")
    report = json.loads(marked[0].removeprefix(_MARK))
    failures = {kind: report[kind] for kind in ("connect", "read", "write", "status", "timeout") if report[kind]}
    if failures or not report["requests"]:
        raise LoadFailed(f"{target.base_url}{target.path(call)}: {report['requests']} answers, failures: {failures}")
    return WrkRun(
        requests=report["requests"],
        duration_s=report["duration_us"] / 1e6,
        bytes_received=report["bytes"],
        p50_ms=report["p50_us"] / 1e3,
        p99_ms=report["p99_us"] / 1e3,
    )


def _write_script(directory: Path, target: Target, call: Call, api_keys: Sequence[str]) -> Path:
    body_file = directory / "body.json"
    body_file.write_bytes(call.body)
    headers = "\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in call.headers(target.api_key))
    script = directory / "load.lua"
    script.write_text(
        _SCRIPT.format(path=_lua(target.path(call)), headers=headers, body_file=_lua(str(body_file)), mark=_MARK)
    )
    if api_keys:
        keys_file = directory / "keys.txt"
        keys_file.write_text("\n".join(api_keys))
        with script.open("a") as more:
            more.write(_ROTATION.format(keys_file=_lua(str(keys_file))))
    return script


def _lua(text: str) -> str:
    """A Lua string; JSON's escapes are Lua's for the printable ASCII used here."""
    return json.dumps(text)
