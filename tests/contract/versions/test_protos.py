"""During a rolling change old and new processes call each other: of a `.proto` file nothing is removed or changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.contract.versions.descriptors import MODULES, breaches, earlier, today


@pytest.mark.parametrize("name", MODULES)
def test_fields_are_only_appended(name: str) -> None:
    assert list(breaches(earlier(name), today(name))) == []


def _drop_field(file: FileDescriptorProto) -> None:
    del file.message_type[0].field[0]


def _renumber(file: FileDescriptorProto) -> None:
    file.message_type[0].field[0].number = 900


def _retype(file: FileDescriptorProto) -> None:
    field = file.message_type[0].field[0]
    field.type = field.TYPE_DOUBLE


def _repeat(file: FileDescriptorProto) -> None:
    field = file.message_type[0].field[0]
    field.label = field.LABEL_REPEATED


def _rename(file: FileDescriptorProto) -> None:
    file.message_type[0].field[0].name = "another"


def _drop_message(file: FileDescriptorProto) -> None:
    del file.message_type[0]


def _drop_rpc(file: FileDescriptorProto) -> None:
    del file.service[0].method[0]


def _stream(file: FileDescriptorProto) -> None:
    method = file.service[0].method[0]
    method.server_streaming = not method.server_streaming


def _drop_service(file: FileDescriptorProto) -> None:
    del file.service[0]


def _swap_values(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].number = 77


@pytest.mark.parametrize(
    "change",
    [
        _drop_field, _renumber, _retype, _repeat, _rename, _drop_message, _drop_rpc, _stream, _drop_service,
        _swap_values,
    ],
)  # fmt: skip
def test_what_would_break_an_older_process_is_found(change: Callable[[FileDescriptorProto], None]) -> None:
    old, new = today("auth"), today("auth")
    change(new)
    assert len(list(breaches(old, new))) == 1


def test_additions_are_free() -> None:
    old, new = today("auth"), today("auth")
    new.message_type[0].field.add(name="later", number=901, type=9, label=1)
    new.message_type.add(name="Later")
    new.service[0].method.add(name="Later", input_type=".a", output_type=".b")
    assert list(breaches(old, new)) == []
