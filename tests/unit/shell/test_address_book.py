"""Who has which address: taking over, giving back, and one script at a time."""

import asyncio

from ginnel.core.server_actions import ClientId
from ginnel.shell.address_book import AddressBook
from tests.unit.shell.loops import run

ADA, BOB = ClientId(1), ClientId(2)


class Script:
    def __init__(self, *, agrees: bool = True) -> None:
        self.calls: list[str] = []
        self.running = 0
        self.agrees = agrees

    async def __call__(self, words: tuple[str, ...]) -> bool:
        self.running += 1
        assert self.running == 1, "two scripts for one address"
        await asyncio.sleep(0.001)
        self.running -= 1
        self.calls.append(" ".join(words))
        return self.agrees


def test_an_address_that_is_taken_over_is_not_freed_by_its_earlier_owner() -> None:
    script = Script()

    async def work() -> None:
        book = AddressBook()
        await book.add(ADA, "10.8.0.4", "ada", script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(book.add(BOB, "10.8.0.4", "bob", script))
            tasks.create_task(book.remove(ADA, "10.8.0.4", script))
        await book.remove(BOB, "10.8.0.4", script)
        await book.add(ADA, "10.8.0.4", "ada", script)

    run(work())
    assert script.calls == [
        "add 10.8.0.4 ada",
        "update 10.8.0.4 bob",
        "delete 10.8.0.4",
        "add 10.8.0.4 ada",
    ]


def test_a_refused_address_belongs_to_nobody() -> None:
    refusing = Script(agrees=False)

    async def work() -> None:
        book = AddressBook()
        assert not await book.add(ADA, "10.8.0.4", "ada", refusing)
        await book.remove(ADA, "10.8.0.4", refusing)

    run(work())
    assert refusing.calls == ["add 10.8.0.4 ada"]
