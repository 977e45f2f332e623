"""The variables that the services' settings classes read."""

from __future__ import annotations

from functools import cache

from pydantic import AliasChoices

from lumen.platform.settings import ServiceSettings
from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.console.settings import ConsoleSettings
from services.edge.settings import EdgeSettings
from services.router.settings import RouterSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "edge": EdgeSettings,
    "auth": AuthSettings,
    "router": RouterSettings,
    "billing": BillingSettings,
    "console": ConsoleSettings,
}


@cache
def variables(service: str) -> dict[str, str]:
    """variable -> field"""
    settings = SETTINGS[service]
    prefix = settings.model_config["env_prefix"]
    found: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            names = [str(choice) for choice in field.validation_alias.choices if str(choice).isupper()]
        else:
            names = [f"{prefix}{name}".upper()]
        found.update(dict.fromkeys(names, name))
    return found
