"""Reading a damaged batch record by record, as far as its records can be distinguished (message format 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import decode_varint

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CODECS: Final = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}
_FORMAT: Final = 2
_LOG_APPEND_TIME: Final = 0x08
_CODEC_MASK: Final = 0x07


class Salvaged(NamedTuple):
    """One record; `fault` is None where nothing is wrong with it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    fault: str | None


def fault_of(error: Exception) -> str:
    """Return a sentence about bytes that raised `error`."""
    if isinstance(error, UnsupportedCodecError):
        return f"The batch is compressed with a codec that RAS does not know ({error})."
    if isinstance(error, CorruptRecordException):
        return f"The batch is damaged ({error})."
    return f"The batch cannot be unpacked ({type(error).__name__}: {error})."


def salvaged(raw: bytes, start: int) -> Iterator[Salvaged]:
    """Yield the records of a batch from the offset `start` on, until its bytes make no sense any more."""
    try:
        _, _, _, form, _, attributes, _, first_time, last_time, _, _, _, count = _HEADER.unpack_from(raw)
        if form != _FORMAT:
            return
        body = bytes(_CODECS[attributes & _CODEC_MASK](raw[_HEADER.size :]))
    except Exception:  # noqa: BLE001 - of such bytes nothing can be distinguished; the caller hands over all of them
        return
    base = struct.unpack_from(">q", raw)[0]
    at = 0
    for _ in range(count):
        try:
            length, at = decode_varint(body, at)
            whole = body[at : at + length]
            if length <= 0 or len(whole) < length:
                return
            record = _record(whole, base, last_time if attributes & _LOG_APPEND_TIME else None, first_time)
        except (IndexError, ValueError, struct.error):
            return
        at += length
        if record.offset >= start:
            yield record


def _record(whole: bytes, base: int, append_time: int | None, first_time: int) -> Salvaged:
    """Return the record in `whole`. Raises ValueError or IndexError where not even its offset is there."""
    time_delta, at = decode_varint(whole, 1)
    offset_delta, at = decode_varint(whole, at)
    timestamp = first_time + time_delta if append_time is None else append_time
    offset = base + offset_delta
    try:
        key, at = _bytes(whole, at)
        value, at = _bytes(whole, at)
        headers, fault = _headers(whole, at)
    except (IndexError, ValueError) as error:
        return Salvaged(offset, timestamp, None, whole, (), f"The record is damaged ({error}).")
    return Salvaged(offset, timestamp, key, value, headers, fault)


def _headers(whole: bytes, at: int) -> tuple[tuple[tuple[str, bytes], ...], str | None]:
    count, at = decode_varint(whole, at)
    headers: list[tuple[str, bytes]] = []
    fault: str | None = None
    for _ in range(count):
        name, at = _bytes(whole, at)
        value, at = _bytes(whole, at)
        try:
            text = (name or b"").decode()
        except UnicodeDecodeError:
            text = (name or b"").decode(errors="backslashreplace")
            fault = f"The name of the header {text!r} is not UTF-8."
        headers.append((text, value or b""))
    if at != len(whole):
        raise ValueError(f"{len(whole) - at} bytes are left over")
    return tuple(headers), fault


def _bytes(whole: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(whole, at)
    if length < 0:
        return None, at
    if at + length > len(whole):
        raise ValueError(f"{length} bytes are announced, {len(whole) - at} are there")
    return whole[at : at + length], at + length
