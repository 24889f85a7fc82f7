"""Where this client's certificate and private key are, when they are not in files.

Gets the certificate, from the management client or from a token, and says who signs with its key.
What that takes is imported only then.
"""

from collections.abc import Callable

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.core.signing import OutsideKey
from ginnel.dataclass import dataclass, replace
from ginnel.hints import TYPE_CHECKING
from ginnel.options.model import ClientOptions, ExternalKey, TlsOptions
from ginnel.shell.frontend import Frontend
from ginnel.shell.signer import Signer

if TYPE_CHECKING:
    from ginnel.shell.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What proves who we are."""

    tls: TlsOptions
    """The TLS options with the certificate in them."""
    outside: OutsideKey | None = None
    signer: Signer | None = None
    """Who has the key, when it is outside."""
    tokens: "Tokens | None" = None

    async def close(self) -> None:
        """Lets go of tokens."""
        if self.tokens is not None:
            await self.tokens.close()


def is_elsewhere(options: ClientOptions) -> bool:
    """Whether somebody has to be asked for the certificate."""
    return options.tls.external_cert is not None or options.pkcs11.wanted


async def find_identity(
    options: ClientOptions, frontend: Frontend, log: Callable[[LogLine], None]
) -> Identity:
    """Gets what is not in files. Raises ConfigError."""
    try:
        if options.pkcs11.wanted:
            return await _on_token(options, frontend, log)
        if options.tls.external_key is not None:
            return await _with_management(options.tls, options.tls.external_key, frontend)
        return Identity(tls=options.tls)
    except ConfigError as wrong:
        frontend.fatal(wrong.message)
        raise


async def _with_management(tls: TlsOptions, can: ExternalKey, frontend: Frontend) -> Identity:
    from ginnel.shell.external_key import ManagementSigner, outside_key, pem_from_body

    if tls.external_cert is not None:
        tls = replace(tls, cert=pem_from_body(await frontend.certificate(tls.external_cert)))
    signer = ManagementSigner(can, frontend)
    return Identity(tls=tls, outside=outside_key(tls), signer=signer)


async def _on_token(
    options: ClientOptions, frontend: Frontend, log: Callable[[LogLine], None]
) -> Identity:
    from ginnel.shell.tokens import Tokens, TokenSigner, token_key

    tokens = Tokens(options.pkcs11, frontend, log)
    try:
        name = await tokens.chosen()
        certificate = await tokens.certificate(name)
    except BaseException:
        await tokens.close()
        raise
    return Identity(
        tls=replace(options.tls, cert=certificate),
        outside=token_key(),
        signer=TokenSigner(tokens, name),
        tokens=tokens,
    )
