"""Native code of kernels by content: what this process compiled once, it does not compile again.

Kernels that say the same share one function, whatever their names: within a graph, between the forward and the
backward graph, between recompilations of a function for other arguments, and between functions. The kernels of a
program that are new are compiled together, as one module.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracegraph.codegen.emission.emit import emit_kernel
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.llvm.llvm_text import ModuleText
from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.loop_text import print_kernel


@dataclass(frozen=True)
class KernelKey:
    """A kernel but for its name."""

    digest: bytes

    @classmethod
    def of(cls, kernel: Kernel) -> KernelKey:
        """The key of a scheduled kernel."""
        return cls(hashlib.sha256(print_kernel(replace(kernel, name="kernel")).encode()).digest())


class KernelStore:
    """Addresses of kernels, for as long as the process lives; safe for threads."""

    def __init__(self) -> None:
        self._addresses: dict[KernelKey, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._addresses)

    def load(self, kernels: Sequence[Kernel]) -> dict[str, int]:
        """The address of every kernel by its name; those not met before are compiled.

        Raises:
            CompileError: LLVM does not accept the generated module.
        """
        keys = {kernel.name: KernelKey.of(kernel) for kernel in kernels}
        with self._lock:
            known = set(self._addresses)
        # two threads may compile the same kernel at once; one of the two functions is then used from then on
        new = list({key: k for k in kernels if (key := keys[k.name]) not in known}.values())
        if new:
            library = jit.load(kernels_text(new), [kernel.name for kernel in new])
            with self._lock:
                self._addresses.update((keys[kernel.name], library.address(kernel.name)) for kernel in new)
        with self._lock:
            return {name: self._addresses[key] for name, key in keys.items()}

    def clear(self) -> None:
        """Forget everything: the next load compiles."""
        with self._lock:
            self._addresses.clear()


def kernels_text(kernels: Sequence[Kernel]) -> str:
    """One LLVM module with the functions of all kernels."""
    module = ModuleText()
    for kernel in kernels:
        emit_kernel(module, kernel)
    return module.render()


#: the store of this process
STORE = KernelStore()
