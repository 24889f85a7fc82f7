"""Runs the user's scripts at their moments and answers what a machine asks of people and scripts.

What a script is told is rendered by ``compat.script_env``, running it is ``host.scripts``'s. This
keeps what scripts are to know about the present connection and decides what a failure means.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.script_env import (
    Hook,
    ScriptContext,
    TunnelState,
    installable_dns,
    script_arguments,
    script_environment,
)
from ginnel.core.actions import (
    ActionResult,
    CertificateInfo,
    Done,
    Failed,
    TunnelConfig,
)
from ginnel.core.notices import (
    CertificateAccepted,
    InitialPacket,
    Notice,
    OptionsImported,
    PeerConnected,
)
from ginnel.dataclass import replace
from ginnel.dataplane.api import TunDevice
from ginnel.hints import Protocol
from ginnel.host.plan import HostPlan
from ginnel.host.scripts import (
    SCRIPT_SECURITY_USER,
    ScriptFailure,
    ScriptResult,
    export_certificate,
)
from ginnel.options.errors import GinnelError
from ginnel.options.model import ClientOptions
from ginnel.shell.frontend import Frontend, Unattended
from ginnel.shell.login import Login
from ginnel.shell.tasks import plain_errors

STOPPED = 143
"""Status of a script that a repeated signal of the user ended: 128 + SIGTERM."""


class Runner(Protocol):
    """What runs a command: ``host.scripts.ScriptRunner``."""

    async def run(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        script_security: int,
        own_session: bool = False,
    ) -> ScriptResult: ...


class ScriptFailed(GinnelError):
    """A script that must succeed did not (``up``, ``down``)."""


class ClientHooks:
    """See the module. ``runner`` was made while device nodes could still be opened."""

    def __init__(
        self,
        options: ClientOptions,
        log: Callable[[LogLine], None],
        login: Login,
        runner: Runner,
        *,
        log_redirected: bool,
        frontend: Frontend | None = None,
    ) -> None:
        self._options = options
        self._frontend = frontend or Unattended()
        self._scripts = options.scripts
        self._log = log
        self._login = login
        self._runner = runner
        self._running: set[asyncio.Task[ScriptResult]] = set()
        self._blank = ScriptContext(
            options=options,
            pid=os.getpid(),
            start_time=int(time.time()),
            log_redirected=log_redirected,
        )
        self._context = self._blank
        self._certificates: dict[int, CertificateInfo] = {}
        self._routes_added = False
        self._told: Callable[[], Mapping[str, str]] = dict
        if self._scripts.script_security >= SCRIPT_SECURITY_USER:
            log(shell_lines.scripts_allowed())

    def tunnel_environment(self) -> Mapping[str, str]:
        """What a script would be told of the tunnel that stands, but for the script's own names."""
        return self._told()

    def interrupt(self) -> None:
        """Ends the scripts that run now, which counts as their failure."""
        for script in self._running:
            script.cancel()

    # --- what happens --------------------------------------------------------------------------

    def begin(self) -> None:
        """A new connection begins: forget what was known about the last one's peer."""
        self._context = self._blank
        self._certificates.clear()

    def observe(self, notice: Notice) -> None:
        """Keeps what scripts are told about the peer."""
        match notice:
            case CertificateAccepted(certificate=certificate):
                self._certificates[certificate.depth] = certificate
                chain = tuple(self._certificates[d] for d in sorted(self._certificates)[::-1])
                self._context = replace(self._context, certificates=chain)
            case InitialPacket(source=source):
                self._context = replace(self._context, untrusted=source)
            case PeerConnected(remote=remote, common_name=name):
                self._context = replace(self._context, trusted=remote, common_name=name or None)
            case OptionsImported(options=options):
                self._context = replace(self._context, options=options)
            case _:
                return

    # --- questions of the machine --------------------------------------------------------------

    async def credentials(self) -> ActionResult:
        """Answers with user name and password, if there are any.

        ``auth-nocache`` may have dropped them: then they are taken from their file again, or asked
        for at the terminal.
        """
        await self._login.obtain(self._frontend)
        if self._login.current is None:
            return Failed(reason=self._login.problem or "none are known")
        return self._login.current

    async def verify_certificates(self, chain: tuple[CertificateInfo, ...]) -> ActionResult:
        """Runs ``tls-verify`` for each certificate, top first; the first refusal counts."""
        command = self._options.tls.tls_verify
        if command is None:
            return Done()
        for index, certificate in enumerate(chain):
            seen = replace(self._context, certificates=chain[: index + 1])
            result = await self._run_verify(command, seen, certificate)
            if not result.ok:
                self._log(shell_lines.script_failed("tls-verify", str(result)))
            self._log(
                shell_lines.certificate_script(
                    certificate.depth, certificate.subject, accepted=result.ok
                )
            )
            if not result.ok:
                return Failed(reason=f"depth {certificate.depth}: {result}")
        return Done()

    async def _run_verify(
        self, command: tuple[str, ...], context: ScriptContext, certificate: CertificateInfo
    ) -> ScriptResult:
        directory = self._options.tls.tls_export_cert
        if directory is None:
            return await self._run(Hook.TLS_VERIFY, command, context)
        path: str | None = None
        try:
            path = export_certificate(directory, certificate.der)
            exported = replace(context, peer_certificate=path)
            return await self._run(Hook.TLS_VERIFY, command, exported)
        except OSError as error:
            self._log(shell_lines.warning(f"tls-export-cert: {error}"))
            return await self._run(Hook.TLS_VERIFY, command, context)
        finally:
            if path is not None:
                with suppress(OSError):
                    os.unlink(path)

    async def peer_connected(self, notice: PeerConnected) -> None:
        """Runs ``ipchange``; its failure is a warning."""
        await self._optional(Hook.IPCHANGE, "ipchange", self._scripts.ipchange, self._context)

    # --- moments of the tunnel -----------------------------------------------------------------

    async def up(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, restart: bool
    ) -> None:
        """Runs ``up``. Raises ScriptFailed: a tunnel whose ``up`` fails must not run."""
        self._routes_added = False
        context = self._tunnel_context(config, plan, device, restart=restart)
        if not restart:
            await self._dns_updown(Hook.DNS_UP, context)
        await self._required(Hook.UP, "up", self._scripts.up, context)

    async def route_up(self, config: TunnelConfig, plan: HostPlan, device: TunDevice) -> None:
        """Runs ``route-up``; its failure is a warning."""
        self._routes_added = not config.options.routes.route_noexec
        context = self._tunnel_context(config, plan, device, restart=False)
        self._told = _told(Hook.UP, context)
        self._frontend.up_down(up=True, environment=self._told)
        await self._optional(Hook.ROUTE_UP, "route-up", self._scripts.route_up, context)

    async def route_pre_down(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, signal_text: str
    ) -> None:
        """Runs ``route-pre-down``; its failure is a warning."""
        context = self._tunnel_context(config, plan, device, restart=False, signal=signal_text)
        command = self._scripts.route_pre_down
        await self._optional(Hook.ROUTE_PRE_DOWN, "route-pre-down", command, context)

    async def down(
        self,
        config: TunnelConfig,
        plan: HostPlan,
        device: TunDevice,
        *,
        signal_text: str,
        restart: bool,
    ) -> None:
        """Runs ``down``. Its failure is only told: taking down goes on."""
        context = self._tunnel_context(config, plan, device, restart=restart, signal=signal_text)
        if not restart:
            self._frontend.up_down(up=False, environment=_told(Hook.DOWN, context))
            await self._dns_updown(Hook.DNS_DOWN, context)
        await self._optional(Hook.DOWN, "down", self._scripts.down, context)

    async def _dns_updown(self, hook: Hook, context: ScriptContext) -> None:
        """Runs ``dns-updown`` when there are servers to install; its failure is only told."""
        command = self._scripts.dns_updown
        if command is None or not installable_dns(context.options.dns).servers:
            return
        result = await self._run(hook, command, context)
        self._log(shell_lines.dns_command_ended(result.status, up=hook is Hook.DNS_UP))
        if not result.ok:
            self._log(shell_lines.script_failed("dns-updown", str(result)))

    def _tunnel_context(
        self,
        config: TunnelConfig,
        plan: HostPlan,
        device: TunDevice,
        *,
        restart: bool,
        signal: str = "",
    ) -> ScriptContext:
        return replace(
            self._context,
            options=config.options,
            tunnel=TunnelState(device=device.name, mtu=config.tun_mtu, restart=restart),
            routes=plan.facts,
            routes_added=self._routes_added,
            signal=signal or None,
        )

    # --- running -------------------------------------------------------------------------------

    async def _required(
        self, hook: Hook, name: str, command: tuple[str, ...] | None, context: ScriptContext
    ) -> None:
        if command is None:
            return
        result = await self._run(hook, command, context)
        if not result.ok:
            raise ScriptFailed(f"Failed running command (--{name}): {result}")

    async def _optional(
        self, hook: Hook, name: str, command: tuple[str, ...] | None, context: ScriptContext
    ) -> None:
        if command is None:
            return
        result = await self._run(hook, command, context)
        if not result.ok:
            self._log(shell_lines.script_failed(name, str(result)))

    async def _run(
        self, hook: Hook, command: tuple[str, ...], context: ScriptContext
    ) -> ScriptResult:
        arguments = script_arguments(hook, context)
        self._log(shell_lines.script_run((*command, *arguments)))
        run = self._runner.run(
            command,
            arguments,
            script_environment(hook, context),
            script_security=self._scripts.script_security,
        )
        with plain_errors():
            async with asyncio.TaskGroup() as tasks:
                script = tasks.create_task(run, name=f"script {hook.value}")
                self._running.add(script)
                script.add_done_callback(self._running.discard)
        if script.cancelled():
            return ScriptResult(
                status=STOPPED, failure=ScriptFailure.SIGNAL, detail="stopped by a repeated signal"
            )
        return script.result()


def _told(hook: Hook, context: ScriptContext) -> Callable[[], Mapping[str, str]]:
    """What a frontend is told of a tunnel: the same as a script, but for the script's own names.

    Rendered once somebody asks. Few do, and for the digests of certificates it loads ``hashlib``,
    and with that the system's OpenSSL.
    """

    @cache
    def render() -> Mapping[str, str]:
        told = script_environment(hook, replace(context, signal=None))
        told.pop("script_type", None)
        return told

    return render
