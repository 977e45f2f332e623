"""The export `focus`: FinOps Open Cost and Usage Specification 1.2 (https://focus.finops.org/focus-specification/v1-2/).

Lumen sells credits and prices usage in them, which the specification calls a virtual currency: buying credits is a
Purchase that is billed and has no effective cost yet; using a model is Usage that is not billed again and has its cost
as effective cost. One credit is one USD, so quantity x unit price is cost to the last digit (ADR 0017). Grants,
adjustments and expiries move credits without being billed. `x_CreditsChange` summed up is the balance.

Usage is a row per hour, account, key, group, model, price (catalog revision, long-context tier, modifiers) and token
bucket; `bucket_charges` says how a charge is split so that rows add up to it.
"""

from __future__ import annotations

from typing import Any

from lumen.money.usage import PRICED_BUCKETS
from services.console.finance import bucket_charges
from services.console.finance.columns import DECIMAL_PRECISION, DECIMAL_SCALE, Column, Kind, iso, quoted, usd

FOCUS_VERSION = "1.2"
CREDITS = "Credits"  # the virtual currency and its unit

_CREDITS_SOURCE = (
    "(SELECT *, toStartOfHour(created_at) AS hour, toInt128(amount_nanousd) AS amount,"
    # Money came in or went back; all else moves credits without an invoice.
    " kind = 'topup' OR (kind = 'refund' AND amount_nanousd < 0) AS is_purchase FROM credits FINAL WHERE {where})"
)
SOURCES = (bucket_charges.SOURCE, _CREDITS_SOURCE)
CONDITIONS = (
    "hour >= toDateTime({since_s:Int64}, 'UTC') AND hour < toDateTime({until_s:Int64}, 'UTC')",
    "created_at_us >= {since_s:Int64} * 1000000 AND created_at_us < {until_s:Int64} * 1000000",
)
ORDERS = (
    bucket_charges.ORDER,
    "account, created_at_us, `partition`, epoch, sequence, `index`",
)

_NULL_TEXT = "CAST(NULL AS Nullable(String))"
_NULL_INTEGER = "CAST(NULL AS Nullable(UInt64))"
_ZERO = usd("0")
_ONE = "toDecimal128(1, 9)"
_COST = usd("cost")
_CHARGED = usd("if(is_purchase, amount, toInt128(0))")


_BUCKET = f"[{', '.join(map(quoted, bucket_charges.METERS))}][bucket]"
_METER = f"[{', '.join(map(quoted, bucket_charges.METERS.values()))}][bucket]"
_UNIT = f"if(bucket = {len(PRICED_BUCKETS)}, 'Requests', 'Tokens')"
_SKU = f"concat(model, '/', {_BUCKET})"
# All that decides a unit price: to be looked up in the price book.
_SKU_PRICE = (
    f"concat({_SKU}, '/', `group`, '@', toString(catalog_revision),"
    " if(above > 0, concat('>', toString(above)), ''), if(modifiers = '{}', '', modifiers))"
)


def _of_purchase(sql: str) -> str:
    return f"if(is_purchase, {sql}, NULL)"


def focus_columns(issuer: str, names: dict[str, str]) -> tuple[Column, ...]:
    """`issuer`: who sells the credits and bills them. `names`: account id -> name."""

    def both(name: str, kind: Kind, sql: str) -> Column:
        return Column(name, kind, (sql, sql))

    def each(name: str, kind: Kind, usage: str, credit: str) -> Column:
        return Column(name, kind, (usage, credit))

    seller = quoted(issuer)
    ids, titles = (f"[{', '.join(map(quoted, texts))}]" for texts in (names, names.values()))
    account_name = f"transform(account, {ids}, {titles}, account)" if names else "account"
    return (
        each("BilledCost", "decimal", _ZERO, _CHARGED),
        both("BillingAccountId", "string", "account"),
        both("BillingAccountName", "string", account_name),
        both("BillingCurrency", "string", "'USD'"),
        both("BillingPeriodEnd", "time", iso("toDateTime(addMonths(toStartOfMonth(hour), 1), 'UTC')")),
        both("BillingPeriodStart", "time", iso("toDateTime(toStartOfMonth(hour), 'UTC')")),
        each(
            "ChargeCategory",
            "string",
            "'Usage'",
            "multiIf(is_purchase, 'Purchase', kind IN ('grant', 'refund'), 'Credit', 'Adjustment')",
        ),
        both("ChargeClass", "string", _NULL_TEXT),
        each(
            "ChargeDescription",
            "string",
            f"concat(model, ' in group ', `group`, ': ', {_METER})",
            "concat('Credits: ', kind)",
        ),
        each("ChargeFrequency", "string", "'Usage-Based'", "'One-Time'"),
        both("ChargePeriodEnd", "time", iso("addHours(hour, 1)")),
        both("ChargePeriodStart", "time", iso("hour")),
        each("ConsumedQuantity", "decimal", "toDecimal128(quantity, 9)", "CAST(NULL AS Nullable(Decimal(38, 9)))"),
        each("ConsumedUnit", "string", _UNIT, _NULL_TEXT),
        each("ContractedCost", "decimal", _COST, _CHARGED),
        each("ContractedUnitPrice", "decimal", _ONE, _of_purchase(_ONE)),
        each("EffectiveCost", "decimal", _COST, _ZERO),
        both("InvoiceIssuerName", "string", seller),
        each("ListCost", "decimal", _COST, _CHARGED),
        each("ListUnitPrice", "decimal", _ONE, _of_purchase(_ONE)),
        each("PricingCategory", "string", "'Standard'", _of_purchase("'Standard'")),
        each("PricingCurrency", "string", f"'{CREDITS}'", f"if(is_purchase, 'USD', '{CREDITS}')"),
        each("PricingCurrencyContractedUnitPrice", "decimal", _ONE, _of_purchase(_ONE)),
        each("PricingCurrencyEffectiveCost", "decimal", _COST, _ZERO),
        each("PricingCurrencyListUnitPrice", "decimal", _ONE, _of_purchase(_ONE)),
        each("PricingQuantity", "decimal", _COST, _of_purchase(usd("amount"))),
        each("PricingUnit", "string", f"'{CREDITS}'", _of_purchase(f"'{CREDITS}'")),
        both("ProviderName", "string", seller),
        both("PublisherName", "string", seller),
        both("ServiceCategory", "string", "'AI and Machine Learning'"),
        both("ServiceName", "string", seller),
        both("ServiceSubcategory", "string", "'Generative AI'"),
        each("SkuId", "string", _SKU, _of_purchase("'credits'")),
        each("SkuMeter", "string", _METER, _of_purchase(f"'{CREDITS}'")),
        each("SkuPriceId", "string", _SKU_PRICE, _of_purchase("'credits/usd'")),
        each("SubAccountId", "string", "key_id", _NULL_TEXT),
        each("SubAccountName", "string", "key_id", _NULL_TEXT),
        each("x_CatalogRevision", "integer", "catalog_revision", _NULL_INTEGER),
        each("x_CreditsChange", "decimal", usd("-cost"), usd("amount")),
        each("x_Group", "string", "`group`", _NULL_TEXT),
        each("x_PaidAmount", "string", _NULL_TEXT, "nullIf(paid_amount, '')"),
        each("x_PaidCurrency", "string", _NULL_TEXT, "nullIf(CAST(paid_currency AS String), '')"),
        each("x_Reference", "string", _NULL_TEXT, "reference"),
        each("x_Model", "string", "model", _NULL_TEXT),
        each("x_Requests", "integer", "requests", _NULL_INTEGER),
    )


_DATA_TYPES: dict[Kind, str] = {
    "string": "STRING",
    "integer": "INTEGER",
    "decimal": "DECIMAL",
    "time": "DATETIME",
    "boolean": "STRING",
}


def focus_schema(columns: tuple[Column, ...]) -> dict[str, Any]:
    """The dataset's metadata as the specification asks for it (Metadata, Schema)."""
    definitions: list[dict[str, Any]] = []
    for column in columns:
        definition: dict[str, Any] = {"ColumnName": column.name, "DataType": _DATA_TYPES[column.kind]}
        if column.kind == "decimal":
            definition |= {"NumericPrecision": DECIMAL_PRECISION, "NumberScale": DECIMAL_SCALE}
        if column.kind == "string":
            definition["StringEncoding"] = "UTF-8"
        definitions.append(definition)
    return {
        "SchemaId": f"lumen-focus-{FOCUS_VERSION}-2",
        "FocusVersion": FOCUS_VERSION,
        "DataGenerator": "Lumen",
        "ColumnDefinition": definitions,
    }
