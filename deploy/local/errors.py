"""Why `lumen up`, `down` or `status` did not do what was asked.

LocalStackError         .exit_code tells scripts which
+-- PortTaken           somebody else listens on a port of ours
+-- AlreadyRunning      a stack runs on this state directory
+-- NotRunning          none does
+-- StartFailed         a process of ours did not become ready
+-- EngineNotInstalled  no binary of an engine (deploy.local.engines)
+-- SetupRefused        the catalog or the demo account was refused by the admin API
"""

from __future__ import annotations

from lumen.cli.exit_codes import ExitCode


class LocalStackError(Exception):
    exit_code = ExitCode.FAILURE


class PortTaken(LocalStackError):
    exit_code = ExitCode.PORT_TAKEN


class AlreadyRunning(LocalStackError):
    exit_code = ExitCode.CONFLICT


class NotRunning(LocalStackError):
    exit_code = ExitCode.UNREACHABLE


class StartFailed(LocalStackError):
    pass


class SetupRefused(LocalStackError):
    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
