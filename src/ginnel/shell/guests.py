"""What the server remembers of one client while it is let in and while it is there.

Kept small: there are as many of these as clients. Who the client is comes with each question
(``ClientFacts``); the rest that scripts are told about it is here.
"""

from collections.abc import Mapping

from ginnel.compat.server_script_env import ClientStory, Traffic
from ginnel.core.actions import CertificateInfo
from ginnel.core.pool import Lease
from ginnel.core.server_actions import ClientFacts, ClientTerms, TokenState
from ginnel.dataclass import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a good login brings besides being let in."""

    key_number: int
    """Of the negotiation that it came with (``KID``)."""
    allowed_options: tuple[str, ...] = ()
    """Lines of authenticators."""
    sent_config: tuple[str, ...] = ()
    """Lines of the management client."""


@dataclass(slots=True, kw_only=True)
class Guest:
    """One client; see the module."""

    session_id: str = ""
    session_state: TokenState | None = None
    asked_password: bool = False
    grant: Grant | None = None
    """Of the newest login that was good, until the client is connected."""
    greeted: bool = False
    """Whether client-connect let it in: client-disconnect hears of its end then."""
    lease: Lease | None = None
    terms: ClientTerms | None = None
    came: int
    """Unix time when it was first heard of here."""
    began: int | None = None
    """The same, once it is let in: scripts are told from then on."""
    judged: ClientFacts | None = None
    """Who it says it is, while that is being judged."""
    addresses: tuple[str, ...] = ()
    """Those that were learnt, as scripts are told them."""
    open_files: Mapping[str, str] = field(default_factory=dict)
    """Variables that name files, while a login is being judged: for ``client-crresponse``."""

    def take_grant(self, grant: Grant) -> None:
        """A first login is good. One that came before that of another session is too late."""
        if self.grant is None or self.grant.key_number <= grant.key_number:
            self.grant = grant

    def story(
        self,
        facts: ClientFacts,
        *,
        certificates: tuple[CertificateInfo, ...] | None = None,
        is_trusted: bool = True,
        traffic: Traffic | None = None,
        files: Mapping[str, str] | None = None,
    ) -> ClientStory:
        """What scripts are told now."""
        return ClientStory(
            facts=facts,
            certificates=facts.chain if certificates is None else certificates,
            is_trusted=is_trusted,
            session_id=self.session_id,
            session_state=self.session_state,
            asked_password=self.asked_password,
            terms=self.terms,
            began=self.began,
            traffic=traffic,
            files={} if files is None else files,
        )
