"""Events of a small library, so that tests of the relay do not need the shop."""

from typing import ClassVar
from uuid import UUID

from relay import Event


class LibraryEvent(Event, frozen=True, kw_only=True):
    """An event about a book."""

    topic: ClassVar[str] = "test.library"
    book: UUID

    @property
    def key(self) -> str:
        return str(self.book)


class BookLent(LibraryEvent, frozen=True, kw_only=True):
    """A reader borrowed the book."""

    reader: str = "somebody"


class BookReturned(LibraryEvent, frozen=True, kw_only=True):
    """A reader returned the book."""


class NoticePosted(Event, frozen=True, kw_only=True):
    """An event of another topic."""

    topic: ClassVar[str] = "test.notices"
    board: str
    text: str = ""

    @property
    def key(self) -> str:
        return self.board
