"""The second half of the demonstration: several clients of one server, and one that moves."""

from pathlib import Path

from tests.interop.checks import addresses
from tests.interop.lab import OFFICE_HOST, Fleet, Running
from tests.interop.lab.fleet import BRANCH_HOST, HOME, client_address
from tools.demo_story import Story

DESK, TABLET = 2, 4
ELSEWHERE = "192.0.2.77"
DESK_ADDRESS = "10.10.112.50"
NAMES = {1: "laptop", DESK: "desk", TABLET: "tablet"}


def write_client_files(fleet: Fleet) -> Path:
    """Writes what the server is to know of single clients: a fixed address, and a branch."""
    return fleet.spare_directory(
        "clients",
        {
            "laptop": ["iroute 172.16.1.0 255.255.255.0"],
            "desk": [f"ifconfig-push {DESK_ADDRESS} 255.255.240.0"],
        },
    )


def start_client(fleet: Fleet, office: Path, number: int, program: str = "ginnel") -> Running:
    """Starts a client with the profile that it was handed, and returns at once."""
    name = NAMES[number]
    command = fleet.client_command(program)
    return fleet.run_file(fleet.client(number), office / f"{name}.ovpn", command, name)


def meet_others(
    story: Story, fleet: Fleet, office: Path, desk_program: str
) -> tuple[Running, Running]:
    """Two more clients: each has an address of its own, and they reach each other."""
    story.chapter("Two more clients: a desk with a fixed address, a tablet at home")
    desk = start_client(fleet, office, DESK, desk_program)
    tablet = start_client(fleet, office, TABLET)
    for client in (desk, tablet):
        client.wait_connected()
    hosts = {"laptop": fleet.laptop, "desk": fleet.client(DESK), "tablet": fleet.client(TABLET)}
    inside = {name: addresses(fleet, where=host)["inet"].local for name, host in hosts.items()}
    for name, address in inside.items():
        story.say(f"{name:7} {address}")
    story.check(len(set(inside.values())) == len(inside), "each has an address of its own")
    story.check(inside["desk"] == DESK_ADDRESS, "the desk has the one that its file says")
    story.say(f"the tablet's own network is private; the server sees it as {HOME}")
    for name in ("desk", "tablet"):
        answers = hosts[name].ping(OFFICE_HOST, count=1)
        story.check(answers == 1, f"from the {name}, {OFFICE_HOST} answers")
    for one, other in (("laptop", "tablet"), ("tablet", "desk")):
        answers = hosts[one].ping(inside[other], count=1)
        story.check(answers == 1, f"client to client: the {one} reaches the {other}")
    for name in ("desk", "office"):
        host = hosts.get(name, fleet.office)
        answers = host.ping(BRANCH_HOST, count=1)
        story.check(answers == 1, f"{BRANCH_HOST}, a host behind the laptop, answers the {name}")
    return desk, tablet


def move_desk(story: Story, fleet: Fleet, desk: Running) -> None:
    """The desk gets another address outside; inside, nothing changes."""
    story.chapter(f"The desk moves from {client_address(DESK)} to {ELSEWHERE}")
    host = fleet.client(DESK)
    mark = desk.mark()
    with fleet.moved(DESK, ELSEWHERE):
        host.wait_ping(OFFICE_HOST)
        story.check(host.ping(OFFICE_HOST) == 3, f"{OFFICE_HOST} answers from there as well")
        address = addresses(fleet, where=host)["inet"].local
        story.check(address == DESK_ADDRESS, f"its address inside is still {address}")
        reached = fleet.laptop.ping(DESK_ADDRESS, count=1)
        story.check(reached == 1, "the laptop reaches it there")
        story.check("restarting" not in desk.log(mark), "the session went on: no new login")


def part(story: Story, fleet: Fleet, others: tuple[Running, Running]) -> None:
    story.chapter("Desk and tablet disconnect")
    for name, client in zip(("desk", "tablet"), others, strict=True):
        story.check(client.process.stop() == 0, f"the {name}'s client ended with status 0")
    story.check(fleet.laptop.ping(OFFICE_HOST, count=1) == 1, "the laptop's tunnel goes on")
