"""What a command works on: `package.module:function` or `path/file.py:function`, and how it is found.

The name after the colon may be dotted (`Model.forward`). It may name a function, a Module or another callable,
or a class or function without parameters that makes one (`examples/train_digits.py:make_cnn`): that is called
first if inputs are given.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tracegraph.cli.failure import Failure, users_line
from tracegraph.ops.core.arguments import described

FORM = "name it as package.module:function or path/file.py:function"


@dataclass(frozen=True)
class Target:
    """A callable of the user and the module it was found in."""

    text: str
    function: Callable[..., Any]
    module: ModuleType


def find_target(text: str, has_inputs: bool) -> Target:
    """The callable that `text` names.

    Raises:
        Failure: no such file, module or name; its import fails; or what it names cannot be called.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise Failure(f"target {text!r} names no function", FORM)
    with user_code(f"importing {place}"):
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    found = attribute(module, place, name)
    if not callable(found):
        raise Failure(f"{text} is {described(found)}, not a function or Module", FORM)
    if inspect.isclass(found) and not _is_factory(found):
        problem = f"{text} is a class, and its constructor takes {inspect.signature(found)}"
        raise Failure(problem, "write a function without parameters that returns an object of it, and name that")
    made = _made_by(found, text) if has_inputs and _is_factory(found) else found
    return Target(text, made, module)


@contextlib.contextmanager
def user_code(doing: str, remedy: str = "run the code without tracegraph first") -> Iterator[None]:
    """Run the user's code: its prints go to standard error, its exceptions become Failures with its line.

    Raises:
        Failure: an exception was raised inside.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        problem = f"{doing} failed: {type(error).__name__}: {error}".rstrip(": ")
        raise Failure(problem, remedy, users_line(error)) from error


def check_call(
    text: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], remedy: str
) -> None:
    """Check that `function`, which the user calls `text`, takes these arguments.

    Raises:
        Failure: it does not; the message gives its parameters.
    """
    try:
        signature = inspect.signature(getattr(function, "forward", function))
    except ValueError:  # builtins may have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Failure(f"{text} takes {signature}: {error}", remedy) from None


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Failure(f"there is no file {path}", f"check the path; it is looked up from {Path.cwd()}")
    name = f"target_{path.stem}"  # a name no other module has, whatever the file is called
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    sys.path.append(str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> ModuleType:
    sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise  # the module is there; something it imports is not
        remedy = f"is it installed, or below {Path.cwd()}? A file is named with its .py"
        raise Failure(f"there is no module {name}", remedy) from None


def attribute(module: ModuleType, place: str, name: str) -> Any:
    """The object that the dotted `name` means in `module`, which the user called `place`.

    Raises:
        Failure: there is none; the message lists the nearest names.
    """
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Failure(f"there is no {name!r} in {place}", _alternatives(found, part))
        found = getattr(found, part)
    return found


def _alternatives(holder: Any, name: str) -> str:
    """What `name` may have meant: the callables that `holder` itself defines, before those that it imports."""
    where = getattr(holder, "__name__", None) if inspect.ismodule(holder) else getattr(holder, "__module__", None)
    names = [n for n, value in getattr(holder, "__dict__", {}).items() if not n.startswith("_") and callable(value)]
    own = [n for n in names if getattr(getattr(holder, n), "__module__", None) == where]
    near = difflib.get_close_matches(name, own, n=3) or difflib.get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not own:
        return "it defines no function"
    return f"it defines {', '.join(own[:8])}{', ...' if len(own) > 8 else ''}"


def _is_factory(found: Callable[..., Any]) -> bool:
    """Whether `found` is a class or function that takes no argument, so cannot be meant for the inputs."""
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return False
    parameters = inspect.signature(found).parameters.values()
    if inspect.isclass(found):
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return all(p.default is not p.empty or p.kind in variadic for p in parameters)
    return not parameters


def _made_by(factory: Callable[..., Any], text: str) -> Callable[..., Any]:
    with user_code(f"calling {text}()"):
        made = factory()
    if not callable(made):
        problem = f"{text} takes no inputs and returns {described(made)}"
        raise Failure(problem, "leave the inputs out, or return a function or Module")
    return made
