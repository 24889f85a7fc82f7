"""What is remembered of a client becomes what scripts are told."""

from ginnel.core.server_actions import TokenState
from ginnel.shell.guests import Guest
from tests.unit.shell.server_scripts import client


def test_a_story_has_what_is_known() -> None:
    guest = Guest(
        came=0, session_id="abc", session_state=TokenState.INITIAL, asked_password=True, began=7
    )
    story = guest.story(client(), files={"a_file": "/tmp/a"})
    assert story.facts == client()
    assert story.session_state is TokenState.INITIAL
    assert (story.session_id, story.began, story.asked_password) == ("abc", 7, True)
    assert story.is_trusted
    assert story.files == {"a_file": "/tmp/a"}
    assert Guest(came=0).story(client(), certificates=(), is_trusted=False).files == {}
