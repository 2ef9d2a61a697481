"""Object code by content on disk: what one process of a user has compiled, the next ones load.

    <cache folder>/objects/<first two digits of the key>/<the others>

The key stands for all that shapes the code (`object_cache.object_key`), so an entry never goes stale. It begins with a
digest of key and code: what was cut short, changed, or put under another name counts as missing, is compiled again and
replaced. Entries are written beside their place and renamed, so a reader finds a whole one or none, whoever else is
writing. Nothing here is an error: where a folder cannot be read or written, code is compiled.

What is loaded is run, so the folder must belong to the user (or to root) and be writable for nobody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

#: turns the cache off if it is 0
SWITCH = "TRACEGRAPH_CACHE"
#: the cache folder, in place of the user's
FOLDER = "TRACEGRAPH_CACHE_DIR"
DEFAULT_LIMIT_BYTES = 512 * 1024 * 1024

_LOGGER = logging.getLogger("tracegraph.cache")
_DIGEST_BYTES = 32
#: folders among which entries are divided evenly, so that each can be kept small by looking at it alone
_SHARDS = 256


class DiskCache:
    """Object code in a folder, up to a number of bytes: an equal part of them for each of the folders in it.

    Safe for threads and processes.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder / "objects"
        self.limit_bytes = limit_bytes
        self._is_usable = _is_made_and_safe(self.folder)

    def get(self, key: str) -> bytes | None:
        """The code under this key; None if there is none, or it is not what was written."""
        if not self._is_usable:
            return None
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest != _digest(key, code):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now, see `_make_room`
        return code

    def put(self, key: str, code: bytes) -> None:
        """Write code; what was unused for longest goes where the limit would be passed."""
        if not self._is_usable:
            return
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._make_room(path.parent, _DIGEST_BYTES + len(code))
            _write(path, _digest(key, code) + code)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    def _make_room(self, shard: Path, nbytes: int) -> None:
        """Delete the entries of a shard that were unused for longest until `nbytes` more fit in."""
        found = []
        for entry in os.scandir(shard):
            with contextlib.suppress(FileNotFoundError):  # another process has deleted it
                facts = entry.stat()
                found.append((facts.st_mtime_ns, facts.st_size, entry.path))
        excess = sum(size for _, size, _ in found) + nbytes - self.limit_bytes // _SHARDS
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            excess -= size


def of_process() -> DiskCache | None:
    """The cache that the environment asks for; None if it asks for none."""
    if os.environ.get(SWITCH, "1") == "0":
        return None
    if chosen := os.environ.get(FOLDER):
        return _at(Path(chosen).absolute())
    try:
        return _at(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tracegraph")
    except RuntimeError:  # no home
        return None


@cache
def _at(folder: Path) -> DiskCache:
    return DiskCache(folder)


def _is_made_and_safe(folder: Path) -> bool:
    """Whether the folder is there, made if need be, and nobody else can have put anything into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return False
    if facts.st_uid in (0, os.getuid()) and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _LOGGER.warning("%s is not used: others than its user may write to it. %s places the cache.", folder, FOLDER)
    return False


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + code).digest()


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
