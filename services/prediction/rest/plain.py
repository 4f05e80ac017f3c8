"""Messages of the protocol as plain values for JSON, with the field names of the protocol's HTTP form.

protobuf's own `json_format` writes 64 bit integers as strings, which no client of this protocol expects in shapes,
counts or nanoseconds.
"""

from typing import Any

from google.protobuf.message import Message


def plain(message: Message) -> dict[str, Any]:
    """Every field by its name; left out are messages that are not set and unset members of a choice."""
    return {
        field.name: _of_field(getattr(message, field.name), field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _of_field(value: Any, field: Any) -> Any:  # noqa: ANN401 - whatever the field holds; two kinds of descriptors
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        of_values = entry.fields_by_name["value"]
        return {str(key): _of_one(value[key], of_values) for key in sorted(value)}
    return [_of_one(each, field) for each in value] if field.is_repeated else _of_one(value, field)


def _of_one(value: Any, field: Any) -> Any:  # noqa: ANN401 - as above
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value.decode(errors="replace") if isinstance(value, bytes) else value
