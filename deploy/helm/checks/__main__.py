"""`make helm-check`: all of the deployment that can be checked without a cluster; `make secret-scan`: whether a
secret was committed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.helm.checks import chart
from deploy.helm.checks.tools import ToolMissing, Tools

_HERE = Path(__file__).parent
_PROMETHEUS = _HERE.parents[1] / "prometheus"
# The oldest that Chart.yaml allows, two in between, the newest whose schemas the pinned package has.
KUBERNETES_VERSIONS = ("1.30", "1.33", "1.35", "1.37")
# Policies not followed, and why.
_SKIPPED_POLICIES = {
    "CKV_K8S_11": "a CPU limit throttles every stream of a pod at once; requests and HPA bound it",
    "CKV_K8S_15": "tags are versions and do not move",
    "CKV_K8S_35": "settings are variables; provider keys may be files (providers.mode)",
    "CKV_K8S_43": "image.digest is the installer's to set",
}


_Step = tuple[str, Callable[[], str]]


# What looks like a secret and is none: (file, checkov's detector). Tests need made-up keys, tokens and URLs, so the
# detectors that go by looks (basic auth, entropy, JWT) are not heeded there; those of known issuers are.
_NO_SECRETS = {
    ("deploy/helm/lumen/examples/external-secrets.yaml", "CKV_SECRET_4"),  # the shape of a URL
    ("deploy/helm/lumen/examples/external-secrets.yaml", "CKV_SECRET_6"),  # names of keys, here and in the values
    ("deploy/helm/lumen/values.yaml", "CKV_SECRET_6"),
    ("lumen/platform/clickhouse.py", "CKV_SECRET_4"),  # the shape of a URL
    ("services/auth/admin_tokens.py", "CKV_SECRET_6"),  # what every token begins with, here and in the next
    ("services/console/authorization.py", "CKV_SECRET_6"),
}
_BY_LOOKS = {"CKV_SECRET_4", "CKV_SECRET_6", "CKV_SECRET_9"}


class CheckFailed(Exception):
    """The text is the tool's own output."""


def main() -> int:
    tools = Tools()
    if sys.argv[1:] == ["secret-scan"]:
        return 0 if _report(("secret scan", lambda: _secrets(tools))) else 1
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(max_workers=2) as pool:
        manifests = Path(scratch)
        # The slow ones first, two at a time; all of them read what `template` has written.
        first: list[_Step] = [("helm lint", _lint), ("helm template", lambda: _template(manifests))]
        then: list[_Step] = [
            ("policies", lambda: _policies(tools, manifests)),
            ("strict schemas", lambda: _schemas(tools, manifests)),
            ("alert rules", lambda: _rules(tools)),
            ("tests", _tests),
        ]
        for step in first:
            if not _report(step):
                return 1
        return 0 if all(list(pool.map(_report, then))) else 1


def _report(step: _Step) -> bool:
    name, check = step
    started = time.monotonic()
    try:
        said = check()
    except (CheckFailed, ToolMissing, chart.ChartError, subprocess.TimeoutExpired) as error:
        print(f"helm-check: {name} FAILED\n{error}", file=sys.stderr, flush=True)
        return False
    print(f"helm-check: {name}: {said} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


def _lint() -> str:
    for installation in chart.INSTALLATIONS:
        chart.lint(installation)
    return f"{len(chart.INSTALLATIONS)} sets of values"


def _template(manifests: Path) -> str:
    for installation in chart.INSTALLATIONS:
        (manifests / f"{installation}.yaml").write_text(chart.template(installation))
    orphans = chart.template(
        "default",
        [
            *("edge.drainOrphans={3}", "providers.mode=files", "stores.caBundle.configMap=ca"),
            "networkPolicies.consoleWebhooks.enabled=true",
        ],
    )
    (manifests / "rarely-used.yaml").write_text(orphans)
    (manifests / "external-secrets.yaml").write_text((chart.CHART / "examples/external-secrets.yaml").read_text())
    return f"{len(list(manifests.iterdir()))} files"


def _schemas(tools: Tools, manifests: Path) -> str:
    script = [str(_HERE / "validate.py"), str(_HERE / "crds"), ",".join(KUBERNETES_VERSIONS)]
    said = _run([str(tools.python()), *script, *(str(file) for file in sorted(manifests.iterdir()))])
    return f"Kubernetes {', '.join(KUBERNETES_VERSIONS)}: {said.splitlines()[-1]}"


def _rules(tools: Tools) -> str:
    promtool = str(tools.promtool())
    _run([promtool, "check", "rules", str(chart.CHART / "files/rules/lumen.yaml")])
    tests = sorted(_PROMETHEUS.glob("*_test.yaml"))
    _run([promtool, "test", "rules", *(str(file) for file in tests)])
    _run([promtool, "check", "config", "--syntax-only", str(_PROMETHEUS / "prometheus.yaml")])
    return f"rules sound, {len(tests)} files of unit tests passed"


def _policies(tools: Tools, manifests: Path) -> str:
    checkov = tools.python().with_name("checkov")
    skipped = ",".join(_SKIPPED_POLICIES)
    _run(
        [
            str(checkov), "--directory", str(manifests), "--framework", "kubernetes", "--skip-check", skipped,
            "--compact", "--quiet", "--skip-download",
        ]
    )  # fmt: skip
    return f"checkov passed, without {skipped}"


def _secrets(tools: Tools) -> str:
    """Of what git tracks, not of what lies about."""
    files = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    with tempfile.TemporaryDirectory() as scratch:
        copied = [name for name in files if name not in ("", "uv.lock") and Path(name).is_file()]
        for name in copied:
            target = Path(scratch) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)
        said = _run(
            [
                str(tools.python().with_name("checkov")), "--directory", scratch, "--framework", "secrets",
                "--output", "json", "--soft-fail", "--skip-download", "--enable-secret-scan-all-files",
            ]
        )  # fmt: skip
    report = json.loads(said)
    found = {
        (check["file_path"].lstrip("/"), check["check_id"]): f"{check['file_path']}: {check['check_name']}"
        for check in report.get("results", {}).get("failed_checks", [])
    }
    new = [key for key in found if key not in _NO_SECRETS and not (key[0].startswith("tests/") and key[1] in _BY_LOOKS)]
    if new:
        raise CheckFailed("\n".join(sorted(found[key] for key in new)))
    if not found:
        raise CheckFailed("the scan is blind: it did not even find the known look-alikes")
    return f"{len(copied)} files, {len(found)} known look-alikes, no secret"


def _tests() -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/deploy"]
    return _run(command).splitlines()[-1]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise CheckFailed((done.stdout + done.stderr).strip())
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
