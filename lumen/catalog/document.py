"""The catalog as its operator writes it: models and their prices, groups of clients, channels to providers.

Structure and defaults only; `lumen.catalog.parse` reads the text, names every problem with its line, and checks what
one part says about another. Prices and multipliers stay decimal strings here: `lumen.catalog.rates` compiles them.

The objects are stored for ever (KV `catalog`, `rev.<n>`) and rate old entries again: add fields with defaults, never
remove one or change what it means.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from lumen.money.prices import parse_multiplier, parse_price
from lumen.money.usage import PRICED_BUCKETS

Dialect = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"]
HoldPolicy = Literal["strict", "estimate"]
ClientKind = Literal["claude_code"]
ALL = "*"


def _decimal_text(value: Any) -> Any:
    """Accept an unquoted number by its exact text (the reader keeps decimals exact; a float never gets here)."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _bucket(name: str) -> str:
    if name not in PRICED_BUCKETS:
        raise ValueError(f"unknown price; there are {', '.join(PRICED_BUCKETS)}")
    return name


def _price(text: str) -> str:
    parse_price(text)
    return text


def _multiplier(text: str) -> str:
    parse_multiplier(text)
    return text


def _secret_reference(reference: str) -> str:
    """The message must not repeat the value: it may be the secret itself."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        return reference
    if kind == "file" and rest:
        return reference
    raise ValueError("write env:NAME or file:PATH; the secret itself never goes into the catalog")


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a base URL starts with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a base URL carries no user or password; use `secret`")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no query and no fragment")
    return url.rstrip("/")


def _complete(prices: dict[str, str]) -> dict[str, str]:
    missing = [bucket for bucket in ("input", "output") if bucket not in prices]
    if missing:
        raise ValueError(f"a price for {' and '.join(missing)} is required")
    return prices


Bucket = Annotated[str, AfterValidator(_bucket)]
PriceText = Annotated[str, BeforeValidator(_decimal_text), AfterValidator(_price)]
MultiplierText = Annotated[str, BeforeValidator(_decimal_text), AfterValidator(_multiplier)]
SecretReference = Annotated[str, AfterValidator(_secret_reference)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]
Rate = Annotated[int, Field(ge=1, le=100_000_000_000)]  # per minute
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Prices = dict[Bucket, PriceText]
FullPrices = Annotated[Prices, AfterValidator(_complete)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tier(_Part):
    """Long-context prices: for the whole request when its prompt is longer than `above_prompt_tokens`."""

    above_prompt_tokens: Tokens
    price: Annotated[Prices, Field(min_length=1)]


class AttachmentTokens(_Part):
    """The most prompt tokens one attachment can cost: bounds a hold where bytes do not tell."""

    image: Tokens | None = None
    file: Tokens | None = None


class Capabilities(_Part):
    """What a model, or one channel's offer of it, cannot do. What is not said is not limited."""

    context_tokens: Tokens | None = None  # the longest prompt, by Lumen's estimate of it
    images: bool = True
    tools: bool = True


class Model(_Part):
    """What clients ask for by `code` or alias. Prices are USD per million tokens (or server tool requests)."""

    code: Code
    name: Text
    vendor: Text
    aliases: tuple[Code, ...] = ()
    max_output_tokens: Tokens
    price: FullPrices
    tiers: tuple[Tier, ...] = ()
    # dimension -> value -> multiplier of the whole charge, for example {service_tier: {priority: "2"}}
    modifiers: dict[Text, dict[Text, MultiplierText]] = {}
    # What `hold: estimate` reckons with; None: max_output_tokens.
    typical_output_tokens: Tokens | None = None
    attachment_tokens: AttachmentTokens = AttachmentTokens()
    capabilities: Capabilities | None = None
    # Codes of models that answer, in this order, when none of this one's channels can. Not followed further.
    fallbacks: Annotated[tuple[Code, ...], Field(max_length=4)] = ()


class GroupLimits(_Part):
    """Of all keys of one group together, over all edges; not said: no limit. Per minute: requests, tokens."""

    rpm: Rate | None = None
    tpm: Rate | None = None
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Group(_Part):
    """Who pays how much for which models. `models` are codes or globs; `clients` empty: any client."""

    name: Name
    multiplier: MultiplierText = "1"
    models: tuple[Text, ...] = (ALL,)
    hold: HoldPolicy = "estimate"
    clients: tuple[ClientKind, ...] = ()
    limits: GroupLimits | None = None


class Limits(_Part):
    """Of one channel: requests in flight of each edge process; requests and tokens per minute of all edges together.
    A channel that has reached one is passed over until it has room again."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 512
    rpm: Rate | None = None
    tpm: Rate | None = None


class Timeouts(_Part):
    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 300.0
    idle_s: Seconds = 120.0
    total_s: Seconds = 3600.0


class Probe(_Part):
    """How often one of the edges asks for the provider's list of models, to see whether it can be reached."""

    interval_s: Annotated[float, Field(ge=1, le=3_600)] = 30.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0


class Resilience(_Part):
    """`retry`: another channel may be tried after this one; `breaker`: this one is left alone while it fails; `probe`:
    its health is asked for even when no request comes (needs `breaker`)."""

    retry: bool = True
    breaker: bool = True
    probe: Probe | None = None


class Channel(_Part):
    """One account at one provider.

    `priority`: the LOWEST number is tried first (0 before 1); `weight` shares the load within a priority.
    `groups`: `*` means every group. `disabled`: no request goes there; what it served is rated as before.
    `cost`, where it names a model, replaces `cost_multiplier` for it.
    """

    name: Name
    dialects: Annotated[dict[Dialect, BaseUrl], Field(min_length=1)]
    secret: SecretReference
    models: Annotated[dict[Code, Text], Field(min_length=1)]  # code -> the provider's name for it
    groups: tuple[Text, ...] = (ALL,)
    priority: Annotated[int, Field(ge=0, le=1_000)] = 0
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    on_disconnect: Literal["drain", "cancel"] = "drain"
    resilience: Resilience = Resilience()
    transport: Literal["lean", "httpx"] = "lean"
    cost_multiplier: MultiplierText = "1"
    cost: dict[Code, FullPrices] = {}
    capabilities: Capabilities | None = None
    disabled: bool = False

    def serves_group(self, group: str) -> bool:
        return not self.disabled and (ALL in self.groups or group in self.groups)


class Catalog(_Part):
    models: tuple[Model, ...] = ()
    groups: tuple[Group, ...] = ()
    channels: tuple[Channel, ...] = ()
