"""FOCUS 1.2's normative requirements, as far as they can be checked on a dataset alone, one function per section.

https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec (1.2), specification/columns and specification/attributes.
(The `focus-validator` package of the registry ends with 1.0.) A row is a dict of text, None where the CSV says NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

Row = dict[str, str | None]

MANDATORY = {  # "MUST be present in a FOCUS dataset"
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "ServiceCategory", "ServiceName",
}  # fmt: skip
CONDITIONAL = {  # present as Lumen measures usage, publishes unit prices, has keys as sub accounts, prices in credits
    "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingCurrency",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "SkuId",
    "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName",
}  # fmt: skip
RECOMMENDED = {"ChargeFrequency", "ServiceSubcategory"}
NEVER_NULL = (MANDATORY - {"ChargeClass", "PricingQuantity", "PricingUnit"}) | {
    "ChargeFrequency", "PricingCurrency", "PricingCurrencyEffectiveCost",
}  # fmt: skip
DECIMALS = {
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
    "ListUnitPrice", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity",
}  # fmt: skip
TIMES = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},  # one of those that the specification puts under that category
}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E-?[0-9]+)?")  # NumericFormat: no plus sign, no separators
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # DateTimeFormat
_CUSTOM = re.compile(r"x_[A-Z][A-Za-z0-9]{0,47}")  # ColumnHandling
_SKU_COLUMNS = (
    "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "SkuId", "SkuPriceId",
)  # fmt: skip


def check(columns: list[str], rows: list[Row]) -> list[str]:
    """What is wrong; empty: conforms."""
    problems = list(_columns(columns))
    for number, row in enumerate(rows):
        for rule in _ROW_RULES:
            problems += [f"row {number}: {rule.__name__}: {problem}" for problem in rule(row)]
    problems += _parents(rows)
    return problems


def _columns(columns: list[str]) -> Iterator[str]:
    for missing in (MANDATORY | CONDITIONAL | RECOMMENDED) - set(columns):
        yield f"{missing} is missing"
    for name in set(columns) - MANDATORY - CONDITIONAL - RECOMMENDED:
        if not _CUSTOM.fullmatch(name):
            yield f"{name} is no column of FOCUS and not prefixed with x_"
    if len(columns) != len(set(columns)):
        yield "a column is there twice"


def _null_handling(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if value is None and name in NEVER_NULL:
            yield f"{name} is null"
        if value == "":
            yield f"{name} is empty, which is no null"
    if (row["PricingQuantity"] is None) != (row["PricingUnit"] is None):
        yield "PricingUnit is there with PricingQuantity only"
    if (row["ConsumedQuantity"] is None) != (row["ConsumedUnit"] is None):
        yield "ConsumedUnit is there with ConsumedQuantity only"
    if (row["SkuId"] is None) != (row["SkuMeter"] is None):
        yield "SkuMeter is there with SkuId only"
    if (row["SubAccountId"] is None) != (row["SubAccountName"] is None):
        yield "SubAccountName is there with SubAccountId only"


def _formats(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if value is None:
            continue
        if name in DECIMALS and not _NUMBER.fullmatch(value):
            yield f"{name}: {value} is no number"
        if name in TIMES and not _TIME.fullmatch(value):
            yield f"{name}: {value} is no time in UTC"
        if name in ALLOWED and value not in ALLOWED[name]:
            yield f"{name}: {value} is not allowed"
        if value != value.strip():
            yield f"{name}: {value!r} has blanks around it"
    if not re.fullmatch("[A-Z]{3}", row["BillingCurrency"] or ""):
        yield "BillingCurrency is no national currency"


def _charge_category(row: Row) -> Iterator[str]:
    category = row["ChargeCategory"]
    if category in ("Usage", "Purchase"):
        for name in _SKU_COLUMNS:
            if row[name] is None:
                yield f"{name} is null for {category}"
    if category == "Usage" and row["ConsumedQuantity"] is None:
        yield "ConsumedQuantity is null for Usage"
    if category != "Usage" and row["ConsumedQuantity"] is not None:
        yield f"ConsumedQuantity is not null for {category}"
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a Purchase is Usage-Based"


def _costs(row: Row) -> Iterator[str]:
    number = {name: Decimal(value) for name in DECIMALS if (value := row[name]) is not None}
    for price, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        if price in number and "PricingQuantity" in number:
            if number[price] * number["PricingQuantity"] != number[cost]:
                yield f"{price} x PricingQuantity is not {cost}"
        elif number[cost] != number["BilledCost"]:
            yield f"{cost} of a charge unrelated to others is not BilledCost"
    for name in number:
        if name.endswith("UnitPrice") and number[name] < 0:
            yield f"{name} is negative"
    if row["ChargeCategory"] == "Purchase":  # of credits, which cover future charges
        if number["EffectiveCost"] or number["PricingCurrencyEffectiveCost"]:
            yield "a prepaid Purchase has an effective cost"
    elif row["ChargeCategory"] != "Usage" and number["EffectiveCost"] != number["BilledCost"]:
        yield "EffectiveCost of a charge unrelated to others is not BilledCost"


def _periods(row: Row) -> Iterator[str]:
    def at(name: str) -> datetime:
        return datetime.strptime(row[name] or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

    if not at("BillingPeriodStart") <= at("ChargePeriodStart") < at("ChargePeriodEnd") <= at("BillingPeriodEnd"):
        yield "the charge period does not lie in the billing period"
    if at("BillingPeriodStart").day != 1 or at("BillingPeriodEnd").day != 1:
        yield "the billing period is no month"


def _parents(rows: list[Row]) -> list[str]:
    """Identifiers have one meaning each: a SkuPriceId one SkuId, a SkuId one SkuMeter, an account one name."""
    problems: list[str] = []
    for child, parent in (("SkuPriceId", "SkuId"), ("SkuId", "SkuMeter"), ("BillingAccountId", "BillingAccountName")):
        seen: dict[str | None, str | None] = {}
        for row in rows:
            if seen.setdefault(row[child], row[parent]) != row[parent]:
                problems.append(f"{child} {row[child]} has several {parent}")
    return problems


_ROW_RULES: tuple[Callable[[Row], Iterator[str]], ...] = (_null_handling, _formats, _charge_category, _costs, _periods)
