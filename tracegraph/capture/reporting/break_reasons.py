"""Why a capture stops: the registry of graph-break reasons, each with an explanation and a way out."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A kind of graph break.

    Attributes:
        id: its stable name.
        explanation: what happened.
        hint: how a user removes it.
        example: a program that breaks for this reason: a function `f` and, on the last line, a call of it.
        remedy: the same without the break; "" where the break is as it should be.
    """

    id: str
    explanation: str
    hint: str
    example: str
    remedy: str


REASONS: dict[str, Reason] = {}


def _reason(id: str, explanation: str, hint: str, example: str, remedy: str = "") -> str:
    REASONS[id] = Reason(id, explanation, hint, textwrap.dedent(example).strip(), textwrap.dedent(remedy).strip())
    return id


DATA_DEPENDENT = _reason(
    "data-dependent",
    "Python asks a tensor for its values, which are only known when the graph has run.",
    "Keep the decision in tensors: tracegraph.cond or while_loop for branches and loops, tracegraph.where or masks for "
    "elements; or move it out of the compiled function.",
    """
    def f(x):
        return x * 2 if x.sum() > 0 else x

    f(tg.ones(3))
    """,
    """
    def f(x):
        return tg.cond(x.sum() > 0, lambda x: x * 2, lambda x: x, (x,))

    f(tg.ones(3))
    """,
)
CONTROL_FLOW = _reason(
    "control-flow",
    "A branch or a loop body given to cond, while_loop or scan cannot become part of the graph.",
    "Let it compute its results from tensors and do nothing else: no printing, no writes to what exists outside.",
    """
    def f(x):
        seen = []
        return tg.cond(x.sum() > 0, lambda x: seen.append(1) or x * 2, lambda x: x, (x,))

    f(tg.ones(3))
    """,
    """
    def f(x):
        return tg.cond(x.sum() > 0, lambda x: x * 2, lambda x: x, (x,))

    f(tg.ones(3))
    """,
)
NATIVE_CALL = _reason(
    "native-call",
    "A function implemented in C, or marked as not capturable, is called with values of the trace.",
    "Move the call out of the compiled function, or use the tracegraph operation that does the same.",
    """
    def f(x):
        return x * zlib.crc32(b"model")

    f(tg.ones(3))
    """,
    """
    def f(x, checksum):
        return x * checksum

    f(tg.ones(3), zlib.crc32(b"model"))
    """,
)
BACKWARD = _reason(
    "backward",
    "A backward pass inside the function cannot be part of the graph.",
    "Let it end at leaves, or at tensors that the function computes, and overwrite nothing that its gradients read.",
    """
    def f(h):
        (h * h).sum().backward()

    f(tg.ones(3, requires_grad=True).exp())
    """,
    """
    def f(x):
        h = x.exp()
        (h * h).sum().backward()

    f(tg.ones(3, requires_grad=True))
    """,
)
CUSTOM_GRADIENT = _reason(
    "custom-gradient",
    "The backward of an autograd.Function, or a hook of a gradient or a module, cannot become part of the graph.",
    "Let it compute gradients from its arguments and what is saved, and do nothing else: no printing, no writes to "
    "what exists outside, no random numbers.",
    """
    class Logged(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            print("backward")
            return gradient * 2

    def f(x):
        return Logged.apply(x)

    f(tg.ones(3, requires_grad=True))
    """,
    """
    class Doubled(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    def f(x):
        return Doubled.apply(x)

    f(tg.ones(3, requires_grad=True))
    """,
)
SIDE_EFFECT_CALL = _reason(
    "side-effect",
    "A call acts on the outside world (printing, logging, input, files, time, random numbers).",
    "Remove the call, or make it outside the compiled function.",
    """
    def f(x):
        print("called")
        return x * 2

    f(tg.ones(3))
    """,
    """
    def f(x):
        return x * 2

    print("called")
    f(tg.ones(3))
    """,
)
UNSUPPORTED_VALUE = _reason(
    "unsupported-value",
    "An object of this type cannot be followed symbolically.",
    "Convert it to tensors, numbers, strings or ordinary containers before the call.",
    """
    def f(x):
        endless = []
        endless.append(endless)
        return x * len(str(endless))

    f(tg.ones(3))
    """,
    """
    def f(x, length):
        return x * length

    endless = []
    endless.append(endless)
    f(tg.ones(3), len(str(endless)))
    """,
)
UNTRACKED_ATTRIBUTE = _reason(
    "untracked-attribute",
    "The attribute is computed by code that capture does not follow, so its value cannot be guarded.",
    "Read the attribute before calling the compiled function and pass the value.",
    """
    def helper(x):
        return x

    helper.__globals__["SCALE"] = 3

    def f(x):
        return helper(x) * helper.__globals__["SCALE"]

    f(tg.ones(3))
    """,
    """
    SCALE = 3

    def f(x):
        return x * SCALE

    f(tg.ones(3))
    """,
)
TENSOR_ATTRIBUTE = _reason(
    "tensor-attribute",
    "The tensor attribute or method has no graph form.",
    "Use a tracegraph operation, or move the access out of the compiled function.",
    """
    def f(x):
        x.unsqueeze_(0)
        return x * 2

    f(tg.ones(3))
    """,
    """
    def f(x):
        return x.unsqueeze(0) * 2

    f(tg.ones(3))
    """,
)
OPAQUE_ITERATOR = _reason(
    "opaque-iterator",
    "An iterator made outside the trace is advanced; its items are not known beforehand.",
    "Pass a list or tuple instead of an iterator, or loop outside the compiled function. "
    "If the loop began before another break, remove that one.",
    """
    def f(x, factors):
        return x * next(factors)

    f(tg.ones(3), iter([2, 3]))
    """,
    """
    def f(x, factors):
        return x * factors[0]

    f(tg.ones(3), [2, 3])
    """,
)
NOT_RECONSTRUCTIBLE = _reason(
    "not-reconstructible",
    "An object made during the trace must outlive it, but cannot be rebuilt from the graph's results.",
    "Consume generators and iterators before the graph break, or do not return them.",
    """
    def f(x):
        return (row * 2 for row in x)

    f(tg.ones(3))
    """,
    """
    def f(x):
        return [row * 2 for row in x]

    f(tg.ones(3))
    """,
)
GENERATOR_FRAME = _reason(
    "generator",
    "Generators, coroutines and async generators run eagerly when they are the compiled function itself.",
    "Compile the functions the generator calls.",
    """
    def f(x):
        yield x * 2

    list(f(tg.ones(3)))
    """,
    """
    def f(x):
        return x * 2

    f(tg.ones(3))
    """,
)
FINALIZER = _reason(
    "finalizer",
    "An object with code that runs when it dies (`__del__`, a suspended generator) is dropped after a graph break.",
    "Close it, and keep it until the function returns; or make and drop it outside of the compiled function.",
    """
    class Handle:
        def __del__(self):
            print("closed")

    def f(x):
        handle = Handle()
        y = x * 2
        del handle
        return y + 1

    f(tg.ones(3))
    """,
    """
    class Handle:
        def close(self):
            return None

    def f(x):
        handle = Handle()
        y = x * 2
        handle.close()
        return y + 1

    f(tg.ones(3))
    """,
)
SUSPENDED_GENERATOR = _reason(
    "suspended-generator",
    "A generator is dropped inside a try or with statement, whose end runs when the generator is collected.",
    "Consume the generator to its end, or close it.",
    """
    def parts(x):
        try:
            yield x * 2
        finally:
            print("dropped")

    def f(x):
        return next(parts(x))

    f(tg.ones(3))
    """,
    """
    def parts(x):
        try:
            yield x * 2
        finally:
            x = None

    def f(x):
        (part,) = parts(x)
        return part

    f(tg.ones(3))
    """,
)
FRAME_ACCESS = _reason(
    "frame-access",
    "The function looks at its own frame (eval, exec, sys._getframe), or a break would show in its locals().",
    "Pass the values explicitly.",
    """
    def f(x):
        scale = 2
        return x * eval("scale")

    f(tg.ones(3))
    """,
    """
    def f(x):
        scale = 2
        return x * scale

    f(tg.ones(3))
    """,
)
USER_EXCEPTION = _reason(
    "exception",
    "The function raises; it runs eagerly so that the exception is exactly eager's.",
    "Nothing to do if the exception is intended.",
    """
    def f(x):
        raise ValueError("no such mode")

    f(tg.ones(3))
    """,
)
TOO_LONG = _reason(
    "too-long",
    "The trace grew beyond its limit; a long loop was probably unrolled.",
    "Write the loop as tracegraph.scan or while_loop, or compile its body instead of the loop.",
    """
    def f(x):
        for i in range(1_000_000):
            x = x + i
        return x

    f(tg.ones(3))
    """,
    """
    def f(x):
        return tg.while_loop(lambda i, x: i < 1_000_000, lambda i, x: (i + 1, x + i), (tg.tensor(0), x))[1]

    f(tg.ones(3))
    """,
)
RECURSION = _reason(
    "recursion",
    "Calls are nested deeper than capture inlines.",
    "Turn the recursion into a loop, or compile the inner function.",
    """
    def f(x, depth=200):
        return x if depth == 0 else f(x + 1, depth - 1)

    f(tg.ones(3))
    """,
    """
    def f(x, depth=200):
        for _ in range(depth):
            x = x + 1
        return x

    f(tg.ones(3))
    """,
)
ALIASED_INPUTS = _reason(
    "aliased-inputs",
    "The function writes to an argument that shares memory with another one, or with itself, in a way that a graph "
    "cannot state: they differ in dtype, or gradients flow through the write; or an object and its `__dict__` are both "
    "arguments.",
    "Clone one of the arguments before the call.",
    """
    def f(x, bits):
        x.add_(1)
        return bits * 2

    x = tg.ones(3)
    f(x, x.view(tg.int32))
    """,
    """
    def f(x, bits):
        x.add_(1)
        return bits * 2

    x = tg.ones(3)
    f(x.clone(), x.view(tg.int32))
    """,
)
USER_BREAK = _reason(
    "graph-break",
    "The program asks for it: tracegraph.compiler.graph_break(), or a function marked by tracegraph.compiler.disable.",
    "Remove the call, or the mark of the function.",
    """
    def f(x):
        y = x * 2
        tg.compiler.graph_break()
        return y + 1

    f(tg.ones(3))
    """,
    """
    def f(x):
        y = x * 2
        return y + 1

    f(tg.ones(3))
    """,
)
ASYNC = _reason(
    "async",
    "Asynchronous constructs are not captured.",
    "Compile the synchronous functions that the coroutine calls.",
    """
    async def load(x):
        return x

    def f(x):
        load(x).close()
        return x * 2

    f(tg.ones(3))
    """,
    """
    def load(x):
        return x

    def f(x):
        return load(x) * 2

    f(tg.ones(3))
    """,
)
