"""Which key is in which slot, and when: every path a key can take."""

from itertools import count

from ginnel.core.actions import DeleteKey, InstallKey, SwapKeys
from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.key_ring import KeyRing
from ginnel.core.types import ActionId, Instant, KeyId, PeerId
from ginnel.options.values import Secret

_DIRECTION = DirectionKey(cipher_key=Secret(bytes(32)), implicit_iv=Secret(bytes(8)))


def key(number: int) -> DataKey:
    return DataKey(
        key_id=KeyId(number),
        cipher=DataCipher.AES_256_GCM,
        format=DataFormat.V2,
        send=_DIRECTION,
        receive=_DIRECTION,
    )


def at(seconds: float) -> Instant:
    return Instant(seconds)


def ring() -> KeyRing:
    numbers = count(1)
    return KeyRing(PeerId(7), lambda: ActionId(next(numbers)))


def actions(keys: KeyRing) -> list[str]:
    """Drains the actions as short words."""
    found = []
    while (action := keys.poll_action()) is not None:
        assert action.peer_id == 7
        match action:
            case InstallKey(slot=slot, key=installed):
                found.append(f"install {installed.key_id} {slot.name}")
            case SwapKeys():
                found.append("swap")
            case DeleteKey(slot=slot):
                found.append(f"delete {slot.name}")
    return found


def running() -> KeyRing:
    keys = ring()
    keys.install(key(0), 0.0)
    actions(keys)
    return keys


def test_first_key_is_used_at_once() -> None:
    assert ring().primary is None
    keys = ring()
    assert keys.install(key(0), 500.0) == 1
    assert actions(keys) == ["install 0 PRIMARY"]
    assert keys.primary == 0
    assert keys.next_timeout() is None


def test_next_key_waits_in_secondary_until_its_switch_time() -> None:
    keys = running()
    keys.expire_primary(at(100), 3700)
    keys.install(key(1), 130.0)
    assert actions(keys) == ["install 1 SECONDARY"]
    assert keys.next_timeout() == 130.0
    assert keys.handle_timeout(at(129.9))
    assert actions(keys) == []
    assert keys.handle_timeout(at(130))
    assert actions(keys) == ["swap"]
    assert keys.primary == 1
    assert keys.next_timeout() == 3700.0


def test_lame_duck_is_deleted_when_it_expires() -> None:
    keys = running()
    keys.expire_primary(at(100), 3700)
    keys.install(key(1), 130.0)
    keys.handle_timeout(at(130))
    assert keys.handle_timeout(at(3700))
    assert actions(keys)[-1] == "delete SECONDARY"
    assert keys.primary == 1
    assert keys.next_timeout() is None


def test_lame_duck_gives_its_place_to_a_newer_key() -> None:
    keys = running()
    keys.expire_primary(at(10), 3610)
    keys.install(key(1), 12.0)
    keys.handle_timeout(at(12))
    keys.expire_primary(at(20), 3620)
    keys.install(key(2), 22.0)
    assert actions(keys)[-1] == "install 2 SECONDARY"
    assert keys.handle_timeout(at(22))
    assert actions(keys) == ["swap"]
    assert keys.primary == 2
    assert keys.next_timeout() == 3620.0  # that of key 1; key 0 went with its place


def test_waiting_key_takes_over_when_the_next_negotiation_begins() -> None:
    keys = running()
    keys.expire_primary(at(10), 3610)
    keys.install(key(1), 70.0)
    actions(keys)
    keys.expire_primary(at(15), 3615)
    assert actions(keys) == ["swap"]
    assert keys.primary == 1
    keys.install(key(2), 75.0)
    assert actions(keys) == ["install 2 SECONDARY"]


def test_waiting_key_takes_over_when_the_old_one_expires() -> None:
    keys = running()
    keys.expire_primary(at(10), 20)
    keys.install(key(1), 70.0)
    assert keys.handle_timeout(at(20))
    assert actions(keys) == ["install 1 SECONDARY", "swap", "delete SECONDARY"]
    assert keys.primary == 1


def test_expired_key_without_successor_is_deleted_and_told() -> None:
    keys = running()
    keys.expire_primary(at(10), 20)
    assert keys.handle_timeout(at(19))
    assert not keys.handle_timeout(at(20))
    assert actions(keys) == ["delete PRIMARY"]
    assert keys.primary is None


def test_death_time_is_not_put_off_by_another_attempt() -> None:
    keys = running()
    keys.expire_primary(at(10), 100)
    keys.expire_primary(at(60), 160)
    assert keys.next_timeout() == 100.0


def test_key_of_the_same_id_takes_over_at_once() -> None:
    keys = running()
    keys.expire_primary(at(10), 3610)
    keys.install(key(0), 70.0)
    assert actions(keys) == ["install 0 SECONDARY", "swap", "delete SECONDARY"]
    assert keys.primary == 0
    assert keys.next_timeout() is None
    assert keys.handle_timeout(at(9999))


def test_slots_never_hold_more_than_two_keys_over_many_renegotiations() -> None:
    keys = running()
    slots = {KeySlot.PRIMARY: 0}
    for turn in range(1, 200):
        now = 10.0 * turn
        keys.expire_primary(at(now), now + 3600)
        keys.install(key(1 + (turn - 1) % 7), now + (turn % 3) * 4)
        keys.handle_timeout(at(now + 9))
        while (action := keys.poll_action()) is not None:
            match action:
                case InstallKey(slot=slot, key=installed):
                    slots[slot] = installed.key_id
                case SwapKeys():
                    first = slots.pop(KeySlot.PRIMARY)
                    slots[KeySlot.PRIMARY] = slots.pop(KeySlot.SECONDARY)
                    slots[KeySlot.SECONDARY] = first
                case DeleteKey(slot=slot):
                    del slots[slot]
        assert slots[KeySlot.PRIMARY] == keys.primary
        assert len(set(slots.values())) == len(slots) <= 2


def test_a_key_is_listened_for_before_it_may_be_used() -> None:
    keys = running()
    keys.expire_primary(at(100.0), 4000.0)
    keys.listen(key(1))
    assert actions(keys) == ["install 1 SECONDARY"]
    assert keys.next_timeout() == 4000.0
    assert keys.handle_timeout(at(3999.0))
    assert actions(keys) == []
    assert keys.promote(KeyId(1), 130.0)
    assert actions(keys) == []
    assert keys.handle_timeout(at(130.0))
    assert actions(keys) == ["swap"]
    assert keys.primary == 1


def test_a_key_that_was_only_listened_for_gives_way() -> None:
    keys = running()
    keys.listen(key(1))
    assert not keys.promote(KeyId(2), 0.0)
    keys.expire_primary(at(1.0), 500.0)
    keys.listen(key(2))
    assert actions(keys) == ["install 1 SECONDARY", "install 2 SECONDARY"]
    assert keys.primary == 0
    assert not keys.handle_timeout(at(500.0)), "a key that was never agreed on is no key"
