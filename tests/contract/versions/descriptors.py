"""What a newer `.proto` file may not do to an older one while processes of both versions run side by side.

`python -m tests.contract.versions.descriptors` writes today's descriptors to `protos/compatibility/` as what the next
version is compared with: do it at a release, when nothing older is deployed any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from protos import auth_pb2, billing_pb2, router_pb2

FOLDER = Path(__file__).parents[3] / "protos/compatibility"
MODULES = {"auth": auth_pb2, "billing": billing_pb2, "router": router_pb2}


def today(name: str) -> FileDescriptorProto:
    return FileDescriptorProto.FromString(MODULES[name].DESCRIPTOR.serialized_pb)


def earlier(name: str) -> FileDescriptorProto:
    return FileDescriptorProto.FromString((FOLDER / f"{name}.binpb").read_bytes())


def breaches(old: FileDescriptorProto, new: FileDescriptorProto) -> Iterator[str]:
    """Everything of `old` that `new` has no more, or has changed. What `new` adds is free."""
    if old.package != new.package:
        yield f"package {old.package} became {new.package}"
    yield from _messages(old.package, old.message_type, new.message_type)
    yield from _enums(old.package, old.enum_type, new.enum_type)
    services = {service.name: service for service in new.service}
    for service in old.service:
        if service.name not in services:
            yield f"service {service.name} is gone"
            continue
        methods = {method.name: method for method in services[service.name].method}
        for method in service.method:
            where = f"{service.name}.{method.name}"
            if method.name not in methods:
                yield f"rpc {where} is gone"
            elif method.SerializeToString(deterministic=True) != methods[method.name].SerializeToString(
                deterministic=True
            ):
                yield f"rpc {where} has another request, answer or kind of stream"


def _messages(where: str, old: object, new: object) -> Iterator[str]:
    found: dict[str, DescriptorProto] = {message.name: message for message in new}  # type: ignore[attr-defined]
    for message in old:  # type: ignore[attr-defined]
        name = f"{where}.{message.name}"
        if message.name not in found:
            yield f"message {name} is gone"
            continue
        other = found[message.name]
        yield from _fields(name, message, other)
        yield from _messages(name, message.nested_type, other.nested_type)
        yield from _enums(name, message.enum_type, other.enum_type)


def _fields(where: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    found = {field.number: field for field in new.field}
    for field in old.field:
        if field.number not in found:
            yield f"field {where}.{field.name} = {field.number} is gone"
        elif _kind(old, field) != _kind(new, found[field.number]):
            yield f"field {where}.{field.name} = {field.number} has another name, type or presence"


def _kind(message: DescriptorProto, field: FieldDescriptorProto) -> tuple[object, ...]:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return field.name, field.type, field.label, field.type_name, field.proto3_optional, oneof


def _enums(where: str, old: object, new: object) -> Iterator[str]:
    found: dict[str, EnumDescriptorProto] = {enum.name: enum for enum in new}  # type: ignore[attr-defined]
    for enum in old:  # type: ignore[attr-defined]
        if enum.name not in found:
            yield f"enum {where}.{enum.name} is gone"
            continue
        values = {value.number: value.name for value in found[enum.name].value}
        for value in enum.value:
            if values.get(value.number) != value.name:
                yield f"value {where}.{enum.name}.{value.name} = {value.number} is gone or has another name"


def main() -> None:
    for name in MODULES:
        (FOLDER / f"{name}.binpb").write_bytes(today(name).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
