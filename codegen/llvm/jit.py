"""From LLVM text to callable addresses in this process: parse, optimise, generate object code, link.

The only module here that imports llvmlite. The target is the host with all its features. Libraries stay
mapped for the life of the process unless `unload` is called: native threads may still be running their
code.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

import llvmlite.binding as llvm

from tracegraph.codegen.llvm import disk_cache
from tracegraph.codegen.llvm.object_cache import ObjectCache, object_key
from tracegraph.errors import CompileError


class Effort(Enum):
    """How much work the compiler puts into a module: the level of the code generator.

    KERNEL: all passes that matter to loops. O1 runs as fast as O3 on our loops and compiles faster.
    DRIVER: no optimisation at all, for straight-line code that calls kernels.
    """

    KERNEL = 1
    DRIVER = 0


# llvmlite's handles are not meant to be shared between threads without a lock
_LOCK = threading.RLock()
_NUMBERS = itertools.count()
#: object code that this process has made or read
OBJECTS = ObjectCache()

#: beside the CPU: how code is made for it
_TARGET = {"reloc": "pic", "codemodel": "small", "jit": True}
#: LLVM's middle end. Of loops only those marked `unroll` are unrolled: the vectoriser interleaves already, and the rest
#: costs half the compile time.
_TUNING = {
    "loop_vectorization": True,
    "slp_vectorization": False,
    "loop_interleaving": True,
    "loop_unrolling": False,
}


@dataclass(frozen=True)
class Host:
    """The machine code is made for."""

    triple: str
    cpu: str
    features: str
    llvm_version: str

    @property
    def vector_bits(self) -> int:
        """The widest vectors worth using."""
        names = set(self.features.split(","))
        if "+avx512f" in names:
            return 512
        return 256 if "+avx2" in names else 128

    @property
    def attributes(self) -> str:
        """Function attributes that kernels should carry: LLVM halves AVX-512 vectors unless told not to."""
        width = f' "prefer-vector-width"="{self.vector_bits}"' if self.vector_bits == 512 else ""
        return f'nounwind "no-trapping-math"="true"{width}'


@cache
def host() -> Host:
    """This machine, as LLVM sees it."""
    features = llvm.get_host_cpu_features().flatten()
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    return Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), features, version)


class Library:
    """Linked code. `address(symbol)` of what was exported; readable for as long as the process lives."""

    def __init__(self, tracker: llvm.ResourceTracker, symbols: Iterable[str]) -> None:
        self._tracker = tracker
        self._addresses = {symbol: int(tracker[symbol]) for symbol in symbols}
        _PINNED.append(self)

    def address(self, symbol: str) -> int:
        """The address of an exported symbol.

        Raises:
            CompileError: the library does not export it.
        """
        found = self._addresses.get(symbol)
        if found is None:
            raise CompileError(f"symbol {symbol!r} is not exported; this library exports {', '.join(self._addresses)}")
        return found

    def unload(self) -> None:
        """Unmap the code. The caller knows that no thread runs it and nobody keeps an address."""
        with _LOCK:
            _PINNED.remove(self)
            self._addresses = {}
            self._tracker = None


_PINNED: list[Library] = []


def optimise(text: str) -> str:
    """The module after LLVM's middle end, as text, for dumps."""
    with _LOCK:
        return str(_optimised(text))


def assembly(text: str) -> str:
    """The machine code of a module as assembly, for dumps."""
    with _LOCK:
        return str(_machine().emit_assembly(_optimised(text)))


def compile_object(text: str, effort: Effort = Effort.KERNEL) -> bytes:
    """The object code of a module (text without target lines), out of a cache if it was compiled before.

    Raises:
        CompileError: LLVM does not accept the text.
    """
    key = object_key(text, host(), repr(effort), _TARGET, _TUNING)
    code = OBJECTS.get(key)
    if code is not None:
        return code
    disk = disk_cache.of_process()
    code = disk.get(key) if disk is not None else None
    if code is None:
        with _LOCK:
            module = _optimised(text) if effort is Effort.KERNEL else _parsed(text)
            code = bytes(_machine(effort).emit_object(module))
        if disk is not None:
            disk.put(key, code)
    OBJECTS.put(key, code)
    return code


def load_object(code: bytes, exports: Iterable[str], imports: Mapping[str, int] | None = None) -> Library:
    """Link object code into the process; `imports` gives the addresses of external symbols by name.

    Symbols found neither there nor in the process are an error.

    Raises:
        CompileError: a symbol is missing.
    """
    exports = tuple(exports)
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for symbol in exports:
        builder.export_symbol(symbol)
    for symbol, address in (imports or {}).items():
        builder.import_symbol(symbol, address)
    with _LOCK:
        try:
            return Library(builder.link(_linker(), f"tracegraph.{next(_NUMBERS)}"), exports)
        except RuntimeError as error:
            raise CompileError(f"linking {', '.join(exports)} failed: {error}") from error


def load(
    text: str,
    exports: Iterable[str],
    imports: Mapping[str, int] | None = None,
    effort: Effort = Effort.KERNEL,
) -> Library:
    """Compile a module's text and link it."""
    return load_object(compile_object(text, effort), exports, imports)


@cache
def _machine(effort: Effort = Effort.KERNEL) -> llvm.TargetMachine:
    # llvm.initialize() is an error since LLVM initialises itself; the native target is not among that
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return _new_machine(effort)


def _new_machine(effort: Effort) -> llvm.TargetMachine:
    target = llvm.Target.from_triple(host().triple)
    return target.create_target_machine(cpu=host().cpu, features=host().features, opt=effort.value, **_TARGET)


@cache
def _linker() -> llvm.OrcLLJIT:
    _machine()
    return llvm.create_lljit_compiler(_new_machine(Effort.KERNEL), use_jit_link=True)


def _parsed(text: str) -> llvm.ModuleRef:
    head = f'target datalayout = "{_machine().target_data}"\ntarget triple = "{host().triple}"\n'
    try:
        module = llvm.parse_assembly(head + text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM does not accept the generated module: {error}") from error
    return module


def _optimised(text: str) -> llvm.ModuleRef:
    module = _parsed(text)
    tuning = llvm.create_pipeline_tuning_options(speed_level=Effort.KERNEL.value)
    for option, value in _TUNING.items():
        setattr(tuning, option, value)
    builder = llvm.create_pass_builder(_machine(), tuning)
    builder.getModulePassManager().run(module, builder)
    return module
