"""Prints a demonstration and keeps count of what was checked on the way."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Story:
    """Prints the demonstration and remembers which checks failed."""

    failures: list[str] = field(default_factory=list)
    checks: int = 0

    def chapter(self, title: str) -> None:
        print(f"\n== {title}")

    def say(self, text: str) -> None:
        print(f"   {text}")

    def check(self, holds: bool, statement: str) -> None:
        """Prints a statement with its verdict."""
        self.checks += 1
        print(f"   {'[ok]' if holds else '[FAILED]'} {statement}", flush=True)
        if not holds:
            self.failures.append(statement)
