"""Audit and Alerts (protos/auth.proto), what the console calls: parse, call, map; no rules here."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from protos import auth_pb2, auth_pb2_grpc
from services.auth.alerts import Alerts
from services.auth.audit_log import AuditLog

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AuditApi(auth_pb2_grpc.AuditServicer):
    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def Append(self, request: auth_pb2.AuditEntry, context: _Context) -> auth_pb2.AuditEntry:
        return await self._log.append(request)

    async def List(self, request: auth_pb2.ListAuditRequest, context: _Context) -> auth_pb2.AuditEntries:
        return auth_pb2.AuditEntries(entries=await self._log.newest(request.before_sequence, request.limit))


class AlertsApi(auth_pb2_grpc.AlertsServicer):
    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    async def SetAlert(self, request: auth_pb2.SetAlertRequest, context: _Context) -> auth_pb2.AlertSetting:
        return await self._alerts.set(request.account_id, request.url, request.threshold_nanousd)

    async def GetAlert(self, request: auth_pb2.GetAlertRequest, context: _Context) -> auth_pb2.AlertSetting:
        return await self._alerts.get(request.account_id)

    async def ListAlerts(self, request: auth_pb2.ListAlertsRequest, context: _Context) -> auth_pb2.AlertSettings:
        return auth_pb2.AlertSettings(alerts=await self._alerts.list())

    async def MoveAlert(self, request: auth_pb2.MoveAlertRequest, context: _Context) -> auth_pb2.AlertSetting:
        return await self._alerts.move(request)
