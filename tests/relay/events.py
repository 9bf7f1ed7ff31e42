"""Events of a small library, so that the relay is tested without the shop."""

from typing import ClassVar
from uuid import UUID

from relay import Event


class LibraryEvent(Event, frozen=True, kw_only=True):
    """Something about a book."""

    topic: ClassVar[str] = "test.library"
    book: UUID

    @property
    def key(self) -> str:
        return str(self.book)


class BookLent(LibraryEvent, frozen=True, kw_only=True):
    """A reader took the book home."""

    reader: str = "somebody"


class BookReturned(LibraryEvent, frozen=True, kw_only=True):
    """The book is back."""


class NoticePosted(Event, frozen=True, kw_only=True):
    """Another topic."""

    topic: ClassVar[str] = "test.notices"
    board: str
    text: str = ""

    @property
    def key(self) -> str:
        return self.board
