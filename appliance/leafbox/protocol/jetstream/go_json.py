"""JSON as Go's `encoding/json` does it for nats-server's structs: key order, omitempty, strict decoding, error texts.

A JSON object type is a frozen `GoStruct`; its annotations say the Go type of each field (`Int64`, `Timestamp`, ...),
`ALWAYS` names the fields without `omitempty`. Decoding follows Go: keys match without regard to case, `null` leaves
the default, the first type error is kept while decoding goes on, and an error of a type with its own decoder (enums,
times) wins at once. Every failure is `InvalidJson`, whose text is what the API puts behind `invalid JSON: `.

This is the slow, exact path: API requests and configurations, never messages.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, ClassVar, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from leafbox.protocol.jetstream.go_syntax import syntax_error
from leafbox.protocol.jetstream.go_time import format_time, go_quote, parse_time

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"


class InvalidJson(ValueError):
    """The input is not the JSON that was asked for; the text is Go's."""


@dataclass(frozen=True, slots=True)
class IntKind:
    """A Go integer type: its name in error texts and its range."""

    go_name: str
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class TimeKind:
    """Marks an `int` of nanoseconds that is a `time.Time` on the wire."""


@dataclass(frozen=True, slots=True)
class GoType:
    """Overrides the Go type name in error texts, where the Python type cannot tell (slices of pointers)."""

    go_name: str


_I32, _I64, _U64 = (-(1 << 31), (1 << 31) - 1), (-(1 << 63), (1 << 63) - 1), (0, (1 << 64) - 1)
Int: TypeAlias = Annotated[int, IntKind("int", *_I64)]
Int32: TypeAlias = Annotated[int, IntKind("int32", *_I32)]
Int64: TypeAlias = Annotated[int, IntKind("int64", *_I64)]
Uint64: TypeAlias = Annotated[int, IntKind("uint64", *_U64)]
Duration: TypeAlias = Annotated[int, IntKind("time.Duration", *_I64)]
Timestamp: TypeAlias = Annotated[int, TimeKind()]
OptionalTimestamp: TypeAlias = Annotated[int | None, TimeKind()]


class GoEnum(StrEnum):
    """A closed set that Go writes as a string; the first member is the zero value."""

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        """The member for a decoded JSON value, or `InvalidJson`."""
        if isinstance(value, str) and not isinstance(value, _Number) and value in cls._value2member_map_:
            return cls(value)
        raise InvalidJson(cls.refusal(raw_text(value)))

    @classmethod
    def refusal(cls, raw: str) -> str:
        """Go's error text for an unknown value, given as its raw JSON."""
        return f"can not unmarshal {go_quote(raw)}"


class GoStruct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all API objects. `GO_NAME` is the Go type's name as error texts show it."""

    GO_NAME: ClassVar[str] = ""
    ALWAYS: ClassVar[frozenset[str]] = frozenset()


T = TypeVar("T", bound=GoStruct)


class _Number(str):
    """A JSON number kept as its literal, since Go's error texts quote it."""

    __slots__ = ()


class _Decoding:
    """One run over a request: whether unknown fields are refused, and the first saved error."""

    __slots__ = ("root", "saved", "strict")

    def __init__(self, root: str, strict: bool) -> None:
        self.root, self.strict, self.saved = root, strict, ""

    def save(self, text: str) -> None:
        if not self.saved:
            self.saved = text

    def mismatch(self, value: Json, go_type: str, path: str, with_literal: bool = False) -> None:
        kind = _go_kind(value)
        if with_literal and isinstance(value, _Number):
            kind += f" {value}"
        if not path:
            where = "Go value"
        else:
            field = "" if path.rpartition(".")[2].isdigit() else "Go struct field "
            where = f"{field}{self.root}.{path}"
        self.save(f"json: cannot unmarshal {kind} into {where} of type {go_type}")


# A codec reads a decoded JSON value: (value, path, decoding) -> the field's value, or the default on a saved error.
_Reader: TypeAlias = Callable[[Json, str, _Decoding], object]
_Writer: TypeAlias = Callable[[object], Json]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    always: bool
    read: _Reader
    write: _Writer | None
    default: object


def decode(cls: type[T], data: bytes, *, strict: bool = True) -> T:
    """The object in `data` as nats-server's request decoder sees it: empty input is all defaults, values repeat."""
    text = data.decode("utf-8", "replace")
    result, index = cls(), 0
    while True:
        while index < len(text) and text[index] in " \t\r\n":
            index += 1
        if index == len(text):
            return result
        try:
            value, end = _DECODER.raw_decode(text, index)
        except ValueError:
            raise InvalidJson(syntax_error(text, index) or "unexpected EOF") from None
        result, index = from_value(cls, value, strict=strict, base=result), end


def unmarshal(cls: type[T], data: bytes) -> T:
    """The object in `data` as `json.Unmarshal` sees it: unknown fields pass, and there must be a value."""
    try:
        if not data.strip():
            raise InvalidJson("unexpected EOF")
        return decode(cls, data, strict=False)
    except InvalidJson as error:
        text = str(error).partition(" at offset ")[0]
        raise InvalidJson("unexpected end of JSON input" if text == "unexpected EOF" else text) from None


def from_value(cls: type[T], value: Json, *, strict: bool = False, base: T | None = None) -> T:
    """The object for an already parsed value; `base` supplies what the value does not set."""
    start = cls() if base is None else base
    if value is None:
        return start
    run = _Decoding(cls.GO_NAME, strict)
    if not isinstance(value, dict):
        run.mismatch(value, f"server.{cls.GO_NAME}", "")
        raise InvalidJson(run.saved)
    changes = _read_fields(cls, value, "", run)
    if run.saved:
        raise InvalidJson(run.saved)
    return msgspec.structs.replace(start, **changes)


def to_object(value: GoStruct) -> JsonObject:
    """The JSON object with Go's key order; empty `omitempty` fields are left out."""
    result: JsonObject = {}
    for field in _fields(type(value)):
        item = getattr(value, field.name)
        if not field.always and (item is None or item == field.default or item in ("", (), {})):
            continue
        result[field.key] = item if field.write is None else field.write(item)
    return result


def encode(value: GoStruct | JsonObject) -> bytes:
    """Compact JSON text."""
    return msgspec.json.encode(to_object(value) if isinstance(value, GoStruct) else value)


def raw_text(value: Json) -> str:
    """A parsed value as JSON text again, for error texts that quote the input."""
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _reject_constant(name: str) -> Json:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_reject_constant)


def _go_kind(value: Json) -> str:
    if isinstance(value, _Number):
        return "number"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _read_fields(cls: type[GoStruct], value: dict[str, Json], path: str, run: _Decoding) -> dict[str, object]:
    table = _field_table(cls)
    changes: dict[str, object] = {}
    for key, item in value.items():
        field = table.get(key) or table.get(key.lower())
        if field is None:
            if run.strict:
                run.save(f"json: unknown field {go_quote(key)}")
            continue
        read = field.read(item, f"{path}.{key}" if path else key, run)
        if read is not _UNCHANGED:
            changes[field.name] = read
    return changes


class _Unchanged:
    __slots__ = ()


_UNCHANGED = _Unchanged()


@cache
def _field_table(cls: type[GoStruct]) -> dict[str, _Field]:
    table = {field.key: field for field in _fields(cls)}
    return {key.lower(): field for key, field in table.items()} | table


@cache
def _fields(cls: type[GoStruct]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    defaults = dict(zip(reversed(cls.__struct_fields__), reversed(cls.__struct_defaults__), strict=False))
    fields = []
    for name in cls.__struct_fields__:
        read, write, _ = _codec(hints[name])
        default = defaults.get(name)
        if callable(getattr(default, "factory", None)):
            default = None
        fields.append(_Field(name, name.rstrip("_"), name in cls.ALWAYS, read, write, default))
    return tuple(fields)


def _codec(hint: object) -> tuple[_Reader, _Writer | None, str]:
    """Reader, writer (None: as is) and Go type name for a field annotation."""
    marks: tuple[object, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    for mark in marks:
        if isinstance(mark, IntKind):
            return _int_reader(mark), None, mark.go_name
        if isinstance(mark, TimeKind):
            return _read_time, _write_time, "time.Time"
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (option for option in get_args(hint) if option is not type(None))
        read, write, name = _codec(hint)
        return read, None if write is None else _optional(write), name
    read, write, name = _plain_codec(hint)
    for mark in marks:
        if isinstance(mark, GoType):
            name = mark.go_name
            read = _typed(read, name) if get_origin(hint) is not tuple else _list_reader(get_args(hint)[0], name)
    return read, write, name


def _plain_codec(hint: object) -> tuple[_Reader, _Writer | None, str]:
    if hint is str:
        return _read_string, None, "string"
    if hint is bool:
        return _read_bool, None, "bool"
    if hint is bytes:
        return _read_bytes, _write_bytes, "[]uint8"
    origin = get_origin(hint)
    if origin is tuple:
        element = get_args(hint)[0]
        _, write, name = _codec(element)
        return _list_reader(element, f"[]{name}"), _list_writer(write), f"[]{name}"
    if origin is dict:
        read, write, name = _codec(get_args(hint)[1])
        return _map_reader(read, f"map[string]{name}"), _map_writer(write), f"map[string]{name}"
    assert isinstance(hint, type)
    if issubclass(hint, GoEnum):
        return _enum_reader(hint), str, f"server.{hint.__name__}"
    assert issubclass(hint, GoStruct), hint
    return _struct_reader(hint), _write_struct, f"server.{hint.GO_NAME}"


def _optional(write: _Writer) -> _Writer:
    return lambda value: None if value is None else write(value)


def _typed(read: _Reader, _name: str) -> _Reader:
    return read


def _read_string(value: Json, path: str, run: _Decoding) -> object:
    if value is None:
        return _UNCHANGED
    if isinstance(value, str) and not isinstance(value, _Number):
        return value
    run.mismatch(value, "string", path)
    return _UNCHANGED


def _read_bool(value: Json, path: str, run: _Decoding) -> object:
    if value is None:
        return _UNCHANGED
    if isinstance(value, bool):
        return value
    run.mismatch(value, "bool", path)
    return _UNCHANGED


def _read_bytes(value: Json, path: str, run: _Decoding) -> object:
    if value is None:
        return _UNCHANGED
    if not isinstance(value, str) or isinstance(value, _Number):
        run.mismatch(value, "[]uint8", path)
        return _UNCHANGED
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        run.save("illegal base64 data at input byte 0")
        return _UNCHANGED


def _write_bytes(value: object) -> Json:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


def _int_reader(kind: IntKind) -> _Reader:
    def read(value: Json, path: str, run: _Decoding) -> object:
        if value is None:
            return _UNCHANGED
        if isinstance(value, _Number):
            literal = value[1:] if value[0] == "-" else value
            if literal.isdigit() and kind.minimum <= int(value) <= kind.maximum:
                return int(value)
            run.mismatch(value, kind.go_name, path, with_literal=True)
            return _UNCHANGED
        run.mismatch(value, kind.go_name, path)
        return _UNCHANGED

    return read


def _read_time(value: Json, path: str, run: _Decoding) -> object:
    if value is None:
        return _UNCHANGED
    if not isinstance(value, str) or isinstance(value, _Number):
        if isinstance(value, list | dict):
            raise InvalidJson("Time.UnmarshalJSON: input is not a JSON string")
        run.mismatch(value, "time.Time", path)
        return _UNCHANGED
    try:
        return parse_time(value)
    except ValueError as error:
        raise InvalidJson(str(error)) from None


def _write_time(value: object) -> Json:
    if value is None:
        return None
    assert isinstance(value, int)
    return format_time(value)


def _enum_reader(cls: type[GoEnum]) -> _Reader:
    return lambda value, _path, _run: cls.from_json(value)


def _struct_reader(cls: type[GoStruct]) -> _Reader:
    def read(value: Json, path: str, run: _Decoding) -> object:
        if value is None:
            return _UNCHANGED
        if not isinstance(value, dict):
            run.mismatch(value, f"server.{cls.GO_NAME}", path)
            return _UNCHANGED
        return cls(**_read_fields(cls, value, path, run))

    return read


def _write_struct(value: object) -> Json:
    assert isinstance(value, GoStruct)
    return to_object(value)


def _list_reader(element: object, go_name: str) -> _Reader:
    read_element, _, _ = _codec(element)
    zero = _zero(element)

    def read(value: Json, path: str, run: _Decoding) -> object:
        if value is None:
            return _UNCHANGED
        if not isinstance(value, list):
            run.mismatch(value, go_name, path)
            return _UNCHANGED
        items = [read_element(item, f"{path}.{index}", run) for index, item in enumerate(value)]
        return tuple(zero() if item is _UNCHANGED else item for item in items)

    return read


def _zero(element: object) -> Callable[[], object]:
    base = get_args(element)[0] if get_origin(element) is Annotated else element
    return base if isinstance(base, type) else str


def _list_writer(write: _Writer | None) -> _Writer:
    def writer(value: object) -> Json:
        assert isinstance(value, tuple)
        return list(value) if write is None else [write(item) for item in value]

    return writer


def _map_reader(read_value: _Reader, go_name: str) -> _Reader:
    def read(value: Json, path: str, run: _Decoding) -> object:
        if value is None:
            return _UNCHANGED
        if not isinstance(value, dict):
            run.mismatch(value, go_name, path)
            return _UNCHANGED
        items = {key: read_value(item, f"{path}.{key}", run) for key, item in value.items()}
        return {key: "" if item is _UNCHANGED else item for key, item in items.items()}

    return read


def _map_writer(write: _Writer | None) -> _Writer:
    def writer(value: object) -> Json:
        assert isinstance(value, dict)
        return {key: value[key] if write is None else write(value[key]) for key in sorted(value)}

    return writer
