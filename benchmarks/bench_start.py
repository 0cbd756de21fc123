"""Starting the command line, against importing torch.

python benchmarks/bench_start.py [--repeats 7]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

from timing import interleaved, machine_line, print_ratio, print_table

TORCH = 'python -c "import torch"'
COMMANDS = {
    TORCH: ["-c", "import torch"],
    "biaskit --help": ["-c", "from biaskit.cli import main; main()", "--help"],
    "biaskit list": ["-c", "from biaskit.cli import main; main()", "list"],
    'python -c "pass"': ["-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(machine_line())
    arms = {name: _starter(command) for name, command in COMMANDS.items()}
    for run in arms.values():
        run()
    seconds = interleaved(arms, arguments.repeats)
    print_table(seconds)
    for name in ("biaskit --help", "biaskit list"):
        print_ratio(f"{name} over import torch", seconds, name, TORCH, "at most 0.33")


def _starter(command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
