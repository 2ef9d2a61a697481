"""The object cache: keys tell machines apart, old entries go first."""

from tracegraph.codegen.llvm.object_cache import ObjectCache, object_key


def test_key_depends_on_everything() -> None:
    keys = {object_key("text", "cpu", "+avx2", "22.1"), object_key("text", "cpu", "+avx2", "22.2")}
    keys |= {object_key("text", "cpu2", "+avx2", "22.1"), object_key("text2", "cpu", "+avx2", "22.1")}
    keys |= {object_key("text", "cpu+avx2", "", "22.1"), object_key("text", "cpu", "", "22.1")}
    assert len(keys) == 6
    assert object_key("text", 1, None) == object_key("text", 1, None)


def test_least_recently_used_goes_first() -> None:
    cache = ObjectCache(limit_bytes=10)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a") == b"1234"
    cache.put("c", b"1234")
    assert cache.get("b") is None
    assert cache.get("a") == b"1234"
    assert len(cache) == 2
    assert (cache.hits, cache.misses) == (2, 1)


def test_replacing_counts_bytes_once_and_one_entry_always_stays() -> None:
    cache = ObjectCache(limit_bytes=10)
    for _ in range(5):
        cache.put("a", b"12345678")
    assert len(cache) == 1
    cache.put("big", b"x" * 100)
    assert cache.get("big") is not None
    cache.clear()
    assert len(cache) == 0
