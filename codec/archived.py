"""A message as histories keep it: in the form that it came in, so that one that nobody reads as XML is never made that.

The bytes say what they are. XML begins with "<"; the binary form with a zero byte, followed by the id of its dictionary and a STANZA
frame (docs/binary-framing.md §5) of a session without addresses. The server has every dictionary that it ever shipped, so
what is kept stays readable. Nothing else looks into what a history keeps.
"""

import functools
from collections.abc import Mapping

from codec import binary_frames as frames
from codec.binary_dictionary import Dictionary, load_all
from codec.binary_form import PayloadForm
from codec.binary_head import Session, write_head
from codec.binary_stanza import BodyReader
from codec.limits import ReaderLimits
from codec.stanza import Message
from codec.xml_reader import read_stanza

MARK = b"\0"
ID_BYTES = 8


def to_archive(message: Message) -> bytes:
    """Return a message as it is kept; no form of it is made that it has not already, or else its XML."""
    if not message.is_xml and message.forms:
        form = next(iter(message.forms.values()))
        if isinstance(form, PayloadForm) and not form.pending and not (form.uses and not form.fits(message)):
            return MARK + form.dictionary.id + _frame(message, form)
    return message.to_xml()


def read_archived(data: bytes) -> Message:
    """Return the message that was kept.

    Raises:
        ValueError: it is none, or in the terms of a dictionary that we do not have.
    """
    if not data.startswith(MARK):
        return read_stanza(data)
    at = len(MARK) + ID_BYTES
    dictionary = _dictionaries().get(data[len(MARK) : at])
    if dictionary is None:
        raise ValueError("a message in the terms of a dictionary that is not there")
    length = frames.read_varint(data, at + 1)
    if length is None or length[0] + length[1] != len(data) or data[at] >> 4 != frames.STANZA:
        raise ValueError("not one message")
    reader = BodyReader(_limits(len(data)), Session(), dictionary)
    message = reader.read_stanza(data[at] & frames.SIZE_MASK, data[length[1] :])
    if not isinstance(message, Message):
        raise ValueError("not a message")
    return message


def archived_xml(data: bytes) -> bytes:
    """Return what was kept as XML, for a stream whose default namespace is its own.

    Raises:
        ValueError: as `read_archived`.
    """
    return read_archived(data).to_xml() if data.startswith(MARK) else data


def _frame(message: Message, form: PayloadForm) -> bytes:
    clear = write_head(message, _nowhere(), None, form.dictionary, form.coded_id) + form.clear()
    size_class, block = form.compress()
    if size_class:
        return frames.frame(frames.STANZA, frames.varint(len(clear)) + clear + block, size_class)
    return frames.frame(frames.STANZA, clear)


@functools.cache
def _nowhere() -> Session:
    """Return the session to which no address is relative; nobody changes it."""
    return Session()


@functools.cache
def _dictionaries() -> Mapping[bytes, Dictionary]:
    return load_all()


def _limits(size_bytes: int) -> ReaderLimits:
    """Return what holds anything that was let in once, whatever the limits were then."""
    return ReaderLimits(stanza_bytes=size_bytes + (1 << 30), depth=1_000, attributes=10_000, children=1_000_000)
