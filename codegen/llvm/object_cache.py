"""Object code by content: in memory, bounded, safe for threads."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

DEFAULT_LIMIT_BYTES = 64 * 1024 * 1024


def object_key(text: str, *environment: object) -> str:
    """The key of a module's object code: its text and everything about the machine and LLVM that shapes it."""
    digest = hashlib.sha256()
    for part in (*(str(item) for item in environment), text):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


class ObjectCache:
    """Least recently used object code, up to a number of bytes."""

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> bytes | None:
        """The code under this key, or None."""
        with self._lock:
            code = self._entries.get(key)
            if code is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return code

    def put(self, key: str, code: bytes) -> None:
        """Remember code; the longest unused goes when the limit is passed."""
        with self._lock:
            self._bytes += len(code) - len(self._entries.get(key, b""))
            self._entries[key] = code
            self._entries.move_to_end(key)
            while self._bytes > self.limit_bytes and len(self._entries) > 1:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= len(dropped)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0
