"""The part of the packaging that pyproject.toml cannot say: where each package's folder is.

`passes/` and `codegen/` stand at the top level of the repository and install as `tracegraph.passes`
and `tracegraph.codegen`. The packages are found, not listed, so a new folder needs no edit here.
"""

from setuptools import find_packages, setup

MOVED = ("passes", "codegen")

moved = find_packages(include=[pattern for name in MOVED for pattern in (name, f"{name}.*")])
setup(
    packages=find_packages(include=["tracegraph", "tracegraph.*"]) + [f"tracegraph.{name}" for name in moved],
    package_dir={f"tracegraph.{name}": name for name in MOVED},
)
