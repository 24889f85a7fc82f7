"""Fuzzes one target with atheris: ``python -m tests.fuzz TARGET [--seconds N]``, or ``all``.

``make fuzz`` installs atheris and runs them all. What is found new goes to the committed corpus of
the target; a crash is kept in the current directory, and ends the run with a status other than 0.
Memory past 2 GiB, or one input that takes 10 seconds, counts as a crash.
"""

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MAX_BYTES = 4096
MAX_RSS_MIB = 2048
SLOWEST = 10


def fuzz(name: str, seconds: int) -> None:
    """Runs one target in this process; it does not return."""
    import atheris

    with atheris.instrument_imports(include=["ginnel"]):
        from tests.fuzz.targets import TARGETS

    directory = CORPUS / name
    directory.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-rss_limit_mb={MAX_RSS_MIB}",
        f"-timeout={SLOWEST}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(directory)], TARGETS[name])
    atheris.Fuzz()


def names() -> list[str]:
    return sorted(entry.name for entry in CORPUS.iterdir() if entry.is_dir())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*names(), "all"])
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.target != "all":
        fuzz(arguments.target, arguments.seconds)
        return 0
    failed = []
    for name in names():
        print(f"== {name}", flush=True)
        again = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(arguments.seconds)]
        if subprocess.run(again, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
