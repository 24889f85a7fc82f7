"""Where this client's certificate and private key are, when they are not in files.

Gets the certificate, from the management client or from a token, and says who signs with its key.
"""

from collections.abc import Callable

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.core.signing import OutsideKey
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import ClientOptions, TlsOptions
from ginnel.shell.external_key import ManagementSigner, Signer, outside_key, pem_from_body
from ginnel.shell.frontend import Frontend
from ginnel.shell.tokens import Tokens, TokenSigner, token_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What proves who we are."""

    tls: TlsOptions
    """The TLS options with the certificate in them."""
    outside: OutsideKey | None = None
    signer: Signer | None = None
    """Who has the key, when it is outside."""
    tokens: Tokens | None = None

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
            return await _on_token(options, Tokens(options.pkcs11, frontend, log))
        can = options.tls.external_key
        if can is None:
            return Identity(tls=options.tls)
        tls = options.tls
        if tls.external_cert is not None:
            tls = replace(tls, cert=pem_from_body(await frontend.certificate(tls.external_cert)))
        signer = ManagementSigner(can, frontend)
        return Identity(tls=tls, outside=outside_key(tls), signer=signer)
    except ConfigError as wrong:
        frontend.fatal(wrong.message)
        raise


async def _on_token(options: ClientOptions, tokens: Tokens) -> Identity:
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
