"""Object code on disk: found again by other processes, and never believed beyond its digest."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tracegraph.codegen.llvm import disk_cache, jit
from tracegraph.codegen.llvm.disk_cache import DiskCache
from tracegraph.codegen.llvm.object_cache import ObjectCache, object_key
from tracegraph.errors import CompileError

KEY, OTHER = object_key("text"), object_key("other text")


def entries(folder: Path) -> list[Path]:
    """Every file, the least recently used first."""
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_mtime_ns)


def aged(cache: DiskCache, key: str, seconds: int) -> None:
    """Make it look as if the entry was last used so long ago."""
    path = cache._path(key)
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_what_was_put_is_found_by_another_cache_on_the_folder(tmp_path: Path) -> None:
    DiskCache(tmp_path).put(KEY, b"code")
    assert DiskCache(tmp_path).get(KEY) == b"code"
    assert DiskCache(tmp_path).get(OTHER) is None
    assert [p.relative_to(tmp_path) for p in entries(tmp_path)] == [Path("objects", KEY[:2], KEY[2:])]


@pytest.mark.parametrize("spoil", ["cut", "changed", "longer", "empty"])
def test_a_spoilt_entry_is_missing_and_can_be_written_again(tmp_path: Path, spoil: str) -> None:
    cache = DiskCache(tmp_path)
    cache.put(KEY, b"machine code")
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[:-1],
            "changed": content.replace(b"code", b"c0de"),
            "longer": content + b"\0",
            "empty": b"",
        }[spoil]
    )
    assert cache.get(KEY) is None
    cache.put(KEY, b"machine code")
    assert cache.get(KEY) == b"machine code"


def test_an_entry_under_another_name_is_missing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put(KEY, b"code")
    place = cache._path(OTHER)
    place.parent.mkdir(exist_ok=True)
    entries(tmp_path)[0].rename(place)
    assert cache.get(OTHER) is None


def test_what_was_unused_for_longest_goes_first(tmp_path: Path) -> None:
    keys = [f"00{n}" for n in range(4)]  # of one shard, which has room for three
    cache = DiskCache(tmp_path, limit_bytes=256 * 3 * (32 + 100))
    for age, key in zip((30, 20, 10), keys, strict=False):
        cache.put(key, bytes(100))
        aged(cache, key, age)
    assert cache.get(keys[0]) is not None  # used just now
    cache.put(keys[3], bytes(100))
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_an_entry_beyond_the_limit_takes_the_place_of_all_others(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit_bytes=256 * 200)
    cache.put("00a", bytes(100))
    cache.put("01a", bytes(100))
    cache.put("00b", bytes(1000))
    assert [cache.get(key) is not None for key in ("00a", "01a", "00b")] == [False, True, True]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file where the folder should be")
    for cache in (DiskCache(tmp_path), DiskCache(tmp_path / "objects" / "below")):
        cache.put(KEY, b"code")
        assert cache.get(KEY) is None


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    cache = DiskCache(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    cache.put(KEY, b"code")
    assert entries(tmp_path) == []


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    DiskCache(tmp_path).put(KEY, b"code")
    (tmp_path / "objects").chmod(mode)
    with caplog.at_level(logging.WARNING):
        cache = DiskCache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(OTHER, b"code")
    assert len(entries(tmp_path)) == 1
    assert "others than its user may write to it" in caplog.text


def test_the_environment_places_it_and_turns_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder() -> Path | None:
        cache = disk_cache.of_process()
        return None if cache is None else cache.folder

    monkeypatch.setenv("TRACEGRAPH_CACHE_DIR", str(tmp_path / "chosen"))
    monkeypatch.setenv("TRACEGRAPH_CACHE", "0")
    assert folder() is None
    monkeypatch.setenv("TRACEGRAPH_CACHE", "1")
    assert folder() == tmp_path / "chosen" / "objects"
    monkeypatch.delenv("TRACEGRAPH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "tracegraph" / "objects"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home" / ".cache" / "tracegraph" / "objects"
    assert (tmp_path / "home").stat().st_mode & 0o700 == 0o700


#: writes and reads the same few entries over and over, in a cache that is always too full
RIVAL = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("disk_cache", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
cache = module.DiskCache(Path(sys.argv[2]), limit_bytes=256 * 3 * 5000)
found = 0
for turn in range(200):
    for n in range(4):
        code = bytes([n]) * 4000
        cache.put(f"00{n}", code)
        seen = cache.get(f"00{(n + turn) % 4}")
        assert seen in (None, bytes([(n + turn) % 4]) * 4000), "another entry's code, or a part of it"
        found += seen is not None
print(found)
"""


def test_processes_write_and_read_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RIVAL, disk_cache.__file__, str(tmp_path)]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [rival.communicate()[0] for rival in rivals]
    assert [rival.returncode for rival in rivals] == [0, 0]
    assert all(int(answer) > 0 for answer in answers)
    assert len(entries(tmp_path)) <= 4  # no leftovers; two that write at once may both find room for the last


# ------------------------------------------------------------------------------------------ the compiler with it


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that LLVM compiles from here on, with an empty cache on disk."""
    texts: list[str] = []
    optimised = jit._optimised
    monkeypatch.setenv("TRACEGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRACEGRAPH_CACHE", "1")
    monkeypatch.setattr(jit, "_optimised", lambda text: texts.append(text) or optimised(text))
    return texts


def compile_anew(text: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """As a process that has just begun."""
    monkeypatch.setattr(jit, "OBJECTS", ObjectCache())
    return jit.compile_object(text)


TEXT = "define i64 @seven() {\n  ret i64 7\n}\n"


def test_a_module_is_compiled_once(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_anew(TEXT, monkeypatch)
    assert compile_anew(TEXT, monkeypatch) == first
    assert compiled == [TEXT]
    assert jit.load_object(first, ["seven"]).address("seven")


def test_a_spoilt_entry_is_compiled_again(compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_anew(TEXT, monkeypatch)
    (path,) = entries(tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    assert compile_anew(TEXT, monkeypatch) == first == compile_anew(TEXT, monkeypatch)
    assert compiled == [TEXT, TEXT]


@pytest.mark.parametrize("change", ["llvm_version", "cpu", "features", "tuning", "target"])
def test_code_of_another_compiler_or_machine_is_not_used(
    compiled: list[str], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_anew(TEXT, monkeypatch)
    host = jit.host()
    if change == "tuning":
        monkeypatch.setitem(jit._TUNING, "loop_interleaving", False)
    elif change == "target":
        monkeypatch.setitem(jit._TARGET, "codemodel", "large")
    else:
        monkeypatch.setattr(jit, "host", lambda: replace(host, **{change: "another"}))
        monkeypatch.setattr(jit, "_new_machine", None)  # there is a machine; one for this host could not be made
    compile_anew(TEXT, monkeypatch)
    assert compiled == [TEXT, TEXT]


def test_turned_off_nothing_is_read_or_written(
    compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_anew(TEXT, monkeypatch)
    monkeypatch.setenv("TRACEGRAPH_CACHE", "0")
    compile_anew(TEXT, monkeypatch)
    compile_anew(TEXT.replace("seven", "eight"), monkeypatch)
    assert len(compiled) == 3
    assert len(entries(tmp_path)) == 1


def test_text_that_llvm_refuses_leaves_nothing(
    compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CompileError):
        compile_anew("define i64 @f( {", monkeypatch)
    assert len(compiled) == 1
    assert entries(tmp_path) == []
