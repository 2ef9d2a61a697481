"""The measure of matrix products put together runs, and knows what the pass decides."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "matmul_fusion.py"


def test_table() -> None:
    command = [sys.executable, str(SCRIPT), "--rounds", "1", "--seconds", "0", "64,8,4,2", "4,32,64,3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if "@" in line]
    assert [row[1] for row in rows] == ["[64, 8] @ 2 x [8, 4]", "[4, 32] @ 3 x [32, 64]"]
    assert [row[5].removesuffix(" (!)") for row in rows] == ["together", "one by one"]
