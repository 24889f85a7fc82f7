"""Answers what the machines of clients ask: who may in, with what, and who is told of it.

Puts together the scripts, the authenticators, the management client and the pool, in OpenVPN's
order. Each of them is a file of its own; here is who is asked when, and what an answer means.
"""

import time
from collections.abc import Callable, Mapping

from ginnel.compat import admission_lines, shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.server_script_env import (
    ServerHook,
    Traffic,
    bare_environment,
    client_environment,
)
from ginnel.core.actions import CertificateInfo, Credentials, Done, Failed
from ginnel.core.messages import without_controls
from ginnel.core.pool import AddressPool
from ginnel.core.server_actions import (
    Admitted,
    AgreedClient,
    AnswerChallenge,
    Authenticate,
    ClientFacts,
    ClientId,
    ClientTerms,
    ConnectClient,
    Refused,
    VerifyClientKey,
)
from ginnel.dataclass import replace
from ginnel.hooks import Visit, Visitor
from ginnel.options.server_model import ClientConfig, ServerOptions
from ginnel.options.values import Secret
from ginnel.shell.address_book import AddressBook
from ginnel.shell.authenticators import Authenticators, visitor_of
from ginnel.shell.client_terms import (
    OptionText,
    TermsMaker,
    addresses_to_learn,
    client_file,
    lacks_own_file,
    without_addresses,
)
from ginnel.shell.connect_script import ConnectScript
from ginnel.shell.departures import Departures
from ginnel.shell.guests import Grant, Guest
from ginnel.shell.hooks import Runner
from ginnel.shell.password_script import PasswordScript
from ginnel.shell.script_files import ScriptFiles, exported
from ginnel.shell.script_gate import Say, ScriptGate
from ginnel.shell.server_frontend import Allowed, Denied, ServerFrontend
from ginnel.shell.server_hooks import Departure, Pend

MAX_COMMON_NAME = 64
"""Bytes of a user name that stands for a common name."""


class Admission:
    """``ServerHooks`` of one server. ``base`` gives what scripts are told whatever the client."""

    def __init__(
        self,
        options: ServerOptions,
        *,
        pool: AddressPool,
        runner: Runner,
        frontend: ServerFrontend,
        authenticators: Authenticators,
        say: Say,
        base: Callable[[], Mapping[str, str]],
    ) -> None:
        self._options = options
        self._access = options.access
        self._frontend = frontend
        self._authenticators = authenticators
        self._say = say
        self._base = base
        self._gate = ScriptGate(runner, say, script_security=options.scripts.script_security)
        self._passwords = PasswordScript(options, self._gate, say, base)
        self._connecting = ConnectScript(options, self._gate, say, base)
        self._terms = TermsMaker(options, pool)
        self._addresses = AddressBook()
        self._departures = Departures()
        self._guests: dict[ClientId, Guest] = {}

    # --- certificates and keys -----------------------------------------------------------------

    async def verify_client_key(self, action: VerifyClientKey) -> Done | Failed:
        """Runs ``tls-crypt-v2-verify`` on what a client's key says."""
        v2 = self._options.crypt_v2
        if v2 is None or v2.verify is None:
            return Done()
        facts, claim = action.client, action.claim
        try:
            with ScriptFiles(self._options.scripts.tmp_dir) as files:
                told = {
                    "metadata_type": str(claim.metadata_type),
                    "metadata_file": files.make("tls_crypt_v2_metadata_", claim.metadata),
                }
                result = await self._gate.run(
                    facts,
                    ServerHook.CLIENT_KEY,
                    v2.verify,
                    (),
                    bare_environment(ServerHook.CLIENT_KEY, **told),
                )
        except OSError as error:
            self._say(facts, admission_lines.no_files("tls-crypt-v2-verify", error))
            return Failed(reason="tls-crypt-v2-verify could not be asked")
        self._say(facts, admission_lines.key_judged(accepted=result.ok))
        return Done() if result.ok else Failed(reason=f"tls-crypt-v2-verify: {result}")

    async def verify_certificates(
        self, client: ClientFacts, chain: tuple[CertificateInfo, ...]
    ) -> Done | Failed:
        """Runs ``tls-verify`` for each certificate, top first; the first refusal counts."""
        command = self._options.tls.tls_verify
        if command is None:
            return Done()
        guest = self._guests.get(client.client_id)
        for index, certificate in enumerate(chain):
            story = (guest or Guest(came=0)).story(
                client, certificates=chain[: index + 1], is_trusted=guest is not None
            )
            environment = client_environment(self._base(), self._options, story)
            try:
                with exported(self._options.tls.tls_export_cert, certificate.der) as told:
                    result = await self._gate.run(
                        client,
                        ServerHook.TLS_VERIFY,
                        command,
                        (str(certificate.depth), certificate.subject),
                        environment | told,
                    )
            except OSError as error:
                self._say(client, admission_lines.no_files("tls-export-cert", error))
                return Failed(reason="tls-export-cert failed")
            depth, subject = certificate.depth, certificate.subject
            self._say(client, shell_lines.certificate_script(depth, subject, accepted=result.ok))
            if not result.ok:
                return Failed(reason=f"depth {depth}: {result}")
        return Done()

    # --- logins --------------------------------------------------------------------------------

    async def authenticate(self, action: Authenticate, pend: Pend) -> Admitted | Refused | Failed:
        """Asks script, authenticators and management client; all who are configured must agree."""
        action = replace(action, login=_cleaned(action.login))
        facts = replace(action.client, username=action.login.username)
        action = replace(action, client=facts)
        guest = self._guest(facts)
        guest.asked_password = True
        guest.session_id, guest.session_state = action.session_id, action.session_state
        guest.judged = facts
        try:
            return await self._judge(action, guest, pend)
        finally:
            if guest.judged is facts:  # not that of a later session
                guest.judged = None

    async def _judge(
        self, action: Authenticate, guest: Guest, pend: Pend
    ) -> Admitted | Refused | Failed:
        facts = action.client
        if self._access.username_as_common_name and _is_too_long(facts.username):
            self._say(facts, admission_lines.name_too_long(MAX_COMMON_NAME))
            return Refused()
        username = ""
        grant = Grant(key_number=facts.key_number)
        if self._access.auth_user_pass_verify is not None:
            command = self._access.auth_user_pass_verify
            verdict = await self._passwords.judge(command, action, guest, pend)
            if isinstance(verdict, Refused):
                return verdict
        if self._authenticators:
            agreed = await self._authenticators.judge(action, pend)
            if isinstance(agreed, Refused):
                return agreed
            username = agreed.username
            grant = replace(grant, allowed_options=agreed.options)
        if self._access.management_client_auth:
            sent = await self._ask_management(action, guest, pend)
            if isinstance(sent, Refused):
                return sent
            grant = replace(grant, sent_config=sent.config)
        names_client = self._access.username_as_common_name
        if not action.is_first and (path := self._missing_file(facts, username)) is not None:
            self._say(facts, admission_lines.no_own_file(facts.common_name, path))
            return Refused()
        if action.is_first:
            guest.take_grant(grant)
        self._say(
            facts,
            admission_lines.password_accepted(
                username or facts.username, names_client=names_client
            ),
        )
        return Admitted(username=username)

    def _missing_file(self, facts: ClientFacts, username: str) -> str | None:
        name = facts.common_name
        if self._access.username_as_common_name:
            name = username or facts.username
        return lacks_own_file(self._options, name)

    async def _ask_management(
        self, action: Authenticate, guest: Guest, pend: Pend
    ) -> Allowed | Refused:
        facts = action.client
        password = action.login.password.reveal().decode("utf-8", "surrogateescape")
        story = guest.story(
            facts, is_trusted=not action.is_first, files={"password": password} if password else {}
        )
        environment = client_environment(self._base(), self._options, story)
        verdict = await self._frontend.judge(facts, environment, pend, is_first=action.is_first)
        if isinstance(verdict, Denied):
            self._say(facts, admission_lines.refused_by("the management client", verdict.reason))
            return Refused(reason=verdict.client_reason or "")
        return verdict

    async def answer_challenge(self, action: AnswerChallenge) -> Done | Failed:
        """Hands an answer to the authenticator that asked, or to script and management client."""
        facts = action.client
        guest = self._guests.get(facts.client_id)
        if guest is None:
            return Failed(reason="nothing was asked")
        facts = guest.judged or facts
        if self._authenticators.answered(facts.client_id, action.response):
            return Done()
        environment = client_environment(self._base(), self._options, guest.story(facts))
        self._frontend.client_answered(facts, action.response, environment)
        if not await self._passwords.answer(facts, guest, action.response):
            return Failed(reason="client-crresponse failed")
        return Done()

    # --- connecting ----------------------------------------------------------------------------

    async def connect(self, action: ConnectClient) -> ClientTerms | Refused | Failed:
        """Settles what the client gets, with everybody who has a say in it."""
        facts = action.client
        # What ran for an earlier client of the name has to be over: it had the same address.
        if not self._access.duplicate_cn:
            await self._departures.wait(facts.common_name)
        guest = self._guest(facts)
        if (path := lacks_own_file(self._options, facts.common_name)) is not None:
            self._say(facts, admission_lines.no_own_file(facts.common_name, path))
            return Refused()
        guest.began = guest.came
        if self._needs_pool():
            guest.lease = self._terms.lease(facts.common_name, self._log_for(facts))
        config = await self._config(facts, guest)
        if isinstance(config, Refused):
            return config
        if config.disable:
            self._say(facts, admission_lines.disabled())
            return Refused()
        terms = self._settle(facts, guest, config)
        if isinstance(terms, Failed):
            return terms
        guest.terms = terms
        return await self._learn(facts, guest, terms)

    def _needs_pool(self) -> bool:
        pool = self._options.pool
        return pool.ipv4 is not None or pool.ipv6 is not None

    async def _config(self, facts: ClientFacts, guest: Guest) -> ClientConfig | Refused:
        """The options of the client: each source adds to those before it."""
        log = self._log_for(facts)
        config = ClientConfig()
        grant = guest.grant or Grant(key_number=facts.key_number)
        guest.grant = None
        own = client_file(self._options, facts.common_name)
        if own is not None:
            log(admission_lines.reading_options(own.source))
            config = self._terms.add(config, own, log)
        config = self._terms.add_lines(config, "[AUTHENTICATOR]", grant.allowed_options, log)
        if config.disable:
            return config
        command = self._access.client_connect
        if command is not None:
            guest.terms = self._terms.terms(config, guest.lease)
            written = await self._connecting.connect(command, facts, guest)
            if isinstance(written, Refused):
                return written
            guest.greeted = True
            log(admission_lines.reading_options(written.path))
            source = OptionText(source=written.path, text=written.text)
            config = self._terms.add(config, source, log)
        return self._terms.add_lines(config, "[MANAGEMENT]", grant.sent_config, log)

    def _settle(
        self, facts: ClientFacts, guest: Guest, config: ClientConfig
    ) -> ClientTerms | Failed:
        if config.ifconfig_push is not None and guest.lease is not None:
            # An address of its own: that of the pool is free for others again.
            six = guest.lease.ifconfig_ipv6
            if config.ifconfig_ipv6_push is not None or six is None:
                self._terms.release(guest.lease)
                guest.lease = None
        terms = self._terms.limit_routes(self._terms.terms(config, guest.lease))
        if terms.ifconfig is None and self._options.pool.ipv4 is not None:
            self._say(facts, admission_lines.no_address(facts.common_name))
            return Failed(reason="no address is free for the client")
        if (network := self._terms.violated_constraint(terms)) is not None:
            address = str(terms.ifconfig[0]) if terms.ifconfig is not None else ""
            line = admission_lines.outside_constraint(facts.common_name, address, network)
            self._say(facts, line)
            return Failed(reason="its address is outside of ifconfig-push-constraint")
        return terms

    async def _learn(
        self, facts: ClientFacts, guest: Guest, terms: ClientTerms
    ) -> ClientTerms | Failed:
        """Tells ``learn-address``; what it refuses leads nowhere."""
        refused: set[str] = set()
        own = _own_addresses(terms)
        limit = terms.config.max_routes_per_client or self._options.limits.max_routes_per_client
        for index, address in enumerate(addresses_to_learn(terms, limit)):
            if await self._learn_one(facts, guest, address):
                guest.addresses = (*guest.addresses, address)
                continue
            self._say(facts, admission_lines.address_refused(address))
            if index < own:
                return Failed(reason=f"learn-address refused {address}")
            refused.add(address)
        terms = without_addresses(terms, refused) if refused else terms
        guest.terms = terms
        return terms

    async def _learn_one(self, facts: ClientFacts, guest: Guest, address: str) -> bool:
        async def ask(words: tuple[str, ...]) -> bool:
            command = self._access.learn_address
            if command is None:
                return True
            story = guest.story(facts)
            environment = client_environment(self._base(), self._options, story)
            hook = ServerHook.LEARN_ADDRESS
            result = await self._gate.run(facts, hook, command, words, environment)
            return result.ok

        return await self._addresses.add(facts.client_id, address, facts.common_name, ask)

    async def _forget_one(self, facts: ClientFacts, address: str) -> None:
        async def tell(words: tuple[str, ...]) -> bool:
            command = self._access.learn_address
            if command is not None:
                environment = bare_environment(ServerHook.LEARN_ADDRESS)
                hook = ServerHook.LEARN_ADDRESS
                await self._gate.run(facts, hook, command, words, environment)
            return True

        await self._addresses.remove(facts.client_id, address, tell)

    # --- what happens --------------------------------------------------------------------------

    @property
    def hears_connections(self) -> bool:
        """Whether anybody is told."""
        return self._frontend.hears_clients or bool(self._authenticators)

    async def connected(self, agreed: AgreedClient) -> None:
        """Tells management client and authenticators."""
        facts = agreed.client
        guest = self._guests.get(facts.client_id)
        if guest is None:
            return
        visitor = self._visitor(facts, guest)
        primary = _own_addresses(agreed.terms)
        for index, address in enumerate(guest.addresses):
            self._frontend.client_address(facts.client_id, address, is_primary=index < primary)
        if self._frontend.hears_clients:
            environment = client_environment(self._base(), self._options, guest.story(facts))
            self._frontend.client_established(facts, environment)
        await self._authenticators.connected(visitor, facts)
        for address in guest.addresses:
            await self._authenticators.address_learned(visitor, facts, address, added=True)

    async def moved(self, agreed: AgreedClient) -> None:
        """Nobody is told: OpenVPN's scripts are not, either."""

    async def learnt(self, agreed: AgreedClient, address: str, *, added: bool) -> None:
        """An address in the client's traffic (tap): for ``learn-address`` and authenticators."""
        facts = agreed.client
        guest = self._guests.get(facts.client_id)
        if guest is None:
            return
        if added:
            if await self._learn_one(facts, guest, address):
                guest.addresses = (*guest.addresses, address)
        else:
            await self._forget_one(facts, address)
            guest.addresses = tuple(known for known in guest.addresses if known != address)
        visitor = self._visitor(facts, guest)
        await self._authenticators.address_learned(visitor, facts, address, added=added)

    async def disconnected(self, departure: Departure) -> None:
        """Tells everybody who knew of the client, then frees what it had."""
        facts = departure.facts
        guest = self._guests.pop(facts.client_id, None)
        if guest is None:
            return
        with self._departures.of(facts.common_name):
            try:
                await self._part(departure, guest)
            finally:
                if guest.lease is not None:
                    self._terms.release(guest.lease)

    async def _part(self, departure: Departure, guest: Guest) -> None:
        facts, counters = departure.facts, departure.counters
        traffic = Traffic(
            received=counters.link_read_bytes,
            sent=counters.link_write_bytes,
            duration=int(time.time()) - guest.came,
        )
        command = self._access.client_disconnect
        environment: Mapping[str, str] = {}
        if self._frontend.hears_clients or command is not None:
            story = guest.story(facts, traffic=traffic)
            environment = client_environment(self._base(), self._options, story)
        if command is not None and (departure.agreed is not None or guest.greeted):
            await self._gate.run(facts, ServerHook.DISCONNECT, command, (), environment)
        self._frontend.client_gone(facts, environment)
        for address in guest.addresses:
            await self._forget_one(facts, address)
        if departure.agreed is None or not self._authenticators:
            return
        visitor = self._visitor(facts, guest)
        for address in guest.addresses:
            await self._authenticators.address_learned(visitor, facts, address, added=False)
        visit = Visit(
            received=traffic.received,
            sent=traffic.sent,
            seconds=departure.duration,
            reason=departure.reason,
        )
        await self._authenticators.disconnected(visitor, facts, visit)

    # --- helpers -------------------------------------------------------------------------------

    def _guest(self, facts: ClientFacts) -> Guest:
        guest = self._guests.get(facts.client_id)
        if guest is None:
            guest = self._guests[facts.client_id] = Guest(came=int(time.time()))
        return guest

    def _visitor(self, facts: ClientFacts, guest: Guest) -> Visitor:
        four = six = None
        if guest.terms is not None and guest.terms.ifconfig is not None:
            four = str(guest.terms.ifconfig[0])
        if guest.terms is not None and guest.terms.ifconfig_ipv6 is not None:
            six = str(guest.terms.ifconfig_ipv6[0].ip)
        return visitor_of(facts, tunnel_ipv4=four, tunnel_ipv6=six)

    def _log_for(self, facts: ClientFacts) -> Callable[[LogLine], None]:
        return lambda line: self._say(facts, line)


def _own_addresses(terms: ClientTerms) -> int:
    """How many addresses the client itself has; they are the first that are learnt."""
    return (terms.ifconfig is not None) + (terms.ifconfig_ipv6 is not None)


def _cleaned(login: Credentials) -> Credentials:
    """Control characters become ``_``: a file or an environment shows one line for each."""
    username = without_controls(login.username)
    text = login.password.reveal().decode("utf-8", "surrogateescape")
    password = without_controls(text)
    if username == login.username and password == text:
        return login
    secret = Secret(password.encode("utf-8", "surrogateescape"))
    return Credentials(username=username, password=secret)


def _is_too_long(username: str) -> bool:
    return len(username.encode("utf-8", "surrogateescape")) > MAX_COMMON_NAME
